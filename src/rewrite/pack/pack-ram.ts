import { createDeflater } from "../../engine/create.js";
import { isZero } from "../../bytes/zero.js";
import type { PageDeflater } from "../../engine/page-engine.js";
import { QevmError } from "../../bytes/errors.js";
import { PageDecoder } from "../../guest/pages/page-decoder.js";
import { PageSet } from "../../guest/pages/page-set.js";
import { ScratchMemory } from "../../guest/files/scratch.js";
import type { QemuFileWriter } from "../../bytes/index.js";
import { encodeBlockList, PAGE_ENCODINGS, RamFlag, RecordWriter, type RamBlock } from "../../codec/ram/index.js";
import { encodeXbzrle } from "../../codec/ram/xbzrle.js";
import { readBelow } from "../../io/transport/below.js";
import { FileSource } from "../../io/transport/file.js";
import { Turns } from "../../io/transport/turns.js";
import { QemuFileReader } from "../../bytes/index.js";
import type { ManifestRam } from "./manifest.js";
import { isPageKind, Kind, MARKS, OrderReader, type Run } from "./order.js";
import { DEFAULT_LIMITS } from "../../codec/stream/limits.js";
import { RamFile } from "./ram-files.js";

/** What became of pages whose files were edited. */
export interface RamEdits {
  /** ZERO and XBZRLE records that had to become PAGE. */
  becamePages: number;
  /** Payloads that were compressed again. */
  recompressedPayloads: number;
  /** Pages that no record of the stream was about. */
  added: number;
}

/** A guest whose memory is mostly untouched: bytes without a record for each that its files take on the disk. */
const HOLE_RATIO = 1024;

const FLAGS = new Map(MARKS);

/** Writes the RAM chunks of an unpacked stream: order from records.bin, contents from the blocks' files. */
export class RamPacker {
  readonly edits: RamEdits = { becamePages: 0, recompressedPayloads: 0, added: 0 };
  private readonly blocks: RamBlock[];
  private readonly files: RamFile[] = [];
  private readonly order: OrderReader;
  private readonly versions: QemuFileReader;
  private readonly versionsSource: FileSource;
  private readonly seen: PageSet;
  private readonly deflaters = new Map<number, PageDeflater>();
  private readonly decoder: PageDecoder;
  private prepared = false;
  private scratch: ScratchMemory | undefined;
  private readonly page: Uint8Array;
  private readonly old: Uint8Array;
  private readonly payload: Uint8Array;
  private readonly wire: RecordWriter;
  private listed = 0;
  private lists = 0;

  constructor(
    private readonly writer: QemuFileWriter,
    folder: string,
    private readonly ram: ManifestRam,
    private readonly pageSize: number,
    /** Where guest memory is kept while XBZRLE deltas are made. */
    private readonly scratchFolder: string,
    /** Bytes of the files without a record that are searched; undefined: by default. */
    private readonly absentBytes: number | undefined,
  ) {
    this.wire = new RecordWriter(writer);
    this.decoder = new PageDecoder(pageSize);
    this.page = new Uint8Array(pageSize);
    this.old = new Uint8Array(pageSize);
    this.payload = new Uint8Array(pageSize);
    this.seen = new PageSet(pageSize);
    this.blocks = ram.blocks.map(({ name, length, pageSize: backing, address }, index) => ({
      index,
      idstr: name,
      usedLength: length,
      ...(backing === undefined ? {} : { pageSize: BigInt(backing) }),
      ...(address === undefined ? {} : { address: BigInt(address) }),
    }));
    const records = readBelow(folder, "records.bin");
    this.order = new OrderReader(records, "records.bin");
    this.versionsSource = FileSource.below(folder, "versions.bin");
    this.versions = new QemuFileReader(this.versionsSource);
    try {
      for (const { file, length } of ram.blocks) this.files.push(new RamFile(folder, file, length));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  close(): void {
    for (const file of this.files) file.close();
    this.versionsSource.close();
    this.scratch?.close();
  }

  /** One chunk, to its EOS. `last`: pages that no record was about go in before it, where their files hold data. */
  async chunk(last: boolean): Promise<void> {
    await this.prepare();
    for (;;) {
      const run = this.order.next();
      if (isPageKind(run.kind)) {
        await this.pages(run);
        continue;
      }
      if (run.kind === Kind.BLOCKS) {
        this.blockList();
        continue;
      }
      if (run.kind === Kind.EOS && last) await this.addMissing();
      const flag = FLAGS.get(run.kind) ?? RamFlag.HOOK;
      this.wire.mark(flag, run.page * this.pageSize);
      if (run.kind === Kind.EOS) return;
    }
  }

  /** Every run was used. */
  done(): void {
    if (!this.order.atEnd) throw this.order.error("has more records than the manifest has sections");
  }

  private async prepare(): Promise<void> {
    if (this.prepared) return;
    this.prepared = true;
    const { pageSize } = this;
    await this.decoder.load();
    if (!this.ram.xbzrle) return;
    this.scratch = new ScratchMemory(this.scratchFolder, pageSize);
    for (const block of this.blocks) this.scratch.files.add(block);
  }

  private blockList(): void {
    const list = this.ram.lists[this.lists++];
    if (list === undefined) throw this.order.error("has more block lists than the manifest");
    const blocks = this.blocks.slice(this.listed, this.listed + list.blocks);
    this.listed += list.blocks;
    encodeBlockList(this.writer, { total: list.total, blocks });
  }

  private async pages(run: Run): Promise<void> {
    const { wire } = this;
    const block = run.named < 0 ? wire.current : this.blocks[run.named];
    if (block === undefined) throw this.order.error("names no known block");
    if (run.named >= 0) wire.current = undefined;
    for (let i = 0; i < run.count; i++) {
      const offset = (run.page + i) * this.pageSize;
      if (offset >= block.usedLength) throw this.order.error(`has a page outside block ${JSON.stringify(block.idstr)}`);
      this.seen.add(block, offset);
      await this.record(run, block, offset);
      const wait = this.writer.drain();
      if (wait !== undefined) await wait;
    }
  }

  private async record({ kind, detail }: Run, block: RamBlock, offset: number): Promise<void> {
    const { page, wire } = this;
    switch (kind) {
      case Kind.ZERO_OLD:
      case Kind.FILL_OLD:
        this.scratch?.files.write(block, offset, page.fill(detail));
        wire.zero(block, offset, detail);
        return;
      case Kind.PAGE_OLD:
        await this.take(page.length);
        page.set(this.versions.view(page.length));
        this.scratch?.files.write(block, offset, page);
        wire.page(RamFlag.PAGE, block, offset, page);
        return;
      case Kind.COMPRESSED_OLD: {
        const payload = await this.stored();
        if (this.scratch !== undefined) {
          this.decode(RamFlag.COMPRESS_PAGE, payload);
          this.scratch.files.write(block, offset, page);
        }
        wire.page(RamFlag.COMPRESS_PAGE, block, offset, payload);
        return;
      }
      case Kind.XBZRLE_OLD: {
        const payload = await this.stored();
        this.before(block, offset, page);
        this.decode(RamFlag.XBZRLE, payload);
        this.scratch?.files.write(block, offset, page);
        wire.page(RamFlag.XBZRLE, block, offset, payload);
        return;
      }
      default:
        await this.final(kind, detail, block, offset);
    }
  }

  /** The last record of a page: the block's file says what it holds. */
  private async final(kind: number, detail: number, block: RamBlock, offset: number): Promise<void> {
    const { page, old, edits, wire } = this;
    const now = this.files[block.index]!.view(offset, this.pageSize);
    switch (kind) {
      case Kind.ZERO:
      case Kind.FILL:
        if (kind === Kind.ZERO ? isZero(now) : now.every((byte) => byte === detail)) {
          wire.zero(block, offset, detail);
          return;
        }
        edits.becamePages++;
        break;
      case Kind.COMPRESSED:
        wire.page(RamFlag.COMPRESS_PAGE, block, offset, (await this.deflater(detail)).deflate(now));
        return;
      case Kind.COMPRESSED_STORED: {
        const payload = await this.stored();
        this.decode(RamFlag.COMPRESS_PAGE, payload);
        if (equal(page, now)) {
          wire.page(RamFlag.COMPRESS_PAGE, block, offset, payload);
        } else {
          edits.recompressedPayloads++;
          wire.page(RamFlag.COMPRESS_PAGE, block, offset, (await this.deflater(1)).deflate(now));
        }
        return;
      }
      case Kind.XBZRLE:
      case Kind.XBZRLE_STORED: {
        this.before(block, offset, old);
        if (kind === Kind.XBZRLE_STORED) {
          const payload = await this.stored();
          page.set(old);
          this.decode(RamFlag.XBZRLE, payload);
          if (equal(page, now)) {
            wire.page(RamFlag.XBZRLE, block, offset, payload);
            return;
          }
        }
        const length = encodeXbzrle(old, now, this.payload);
        if (length > 0) {
          wire.page(RamFlag.XBZRLE, block, offset, this.payload.subarray(0, length));
          return;
        }
        edits.becamePages++;
        break;
      }
    }
    wire.page(RamFlag.PAGE, block, offset, now);
  }

  /** What no record is about is read, holes too: an edit may be anywhere. Errors: limit. */
  private async addMissing(): Promise<void> {
    const turns = new Turns();
    let absent = 0;
    const allocated = this.files.reduce((sum, file) => sum + file.allocated, 0);
    const most = this.absentBytes ?? DEFAULT_LIMITS.absentBytes + HOLE_RATIO * allocated;
    for (const block of this.blocks) {
      absent += block.usedLength - this.seen.count(block) * this.pageSize;
      if (absent <= most) continue;
      throw new QevmError("limit", `bytes without a record in the blocks up to "${block.idstr}" (absentBytes)`, {
        path: [this.ram.blocks[block.index]!.file],
        expected: `at most ${most}`,
        found: `${absent}`,
      });
    }
    for (const block of this.blocks) {
      for (let offset = 0; offset < block.usedLength; offset += this.pageSize) {
        const turn = turns.due();
        if (turn !== undefined) await turn;
        if (this.seen.has(block, offset)) continue;
        const now = this.files[block.index]!.view(offset, this.pageSize);
        if (isZero(now)) continue;
        this.edits.added++;
        this.wire.page(RamFlag.PAGE, block, offset, now);
        await this.writer.drain();
      }
    }
  }

  private before(block: RamBlock, offset: number, into: Uint8Array): void {
    if (this.scratch === undefined)
      throw new QevmError("bad-description", "manifest.json: ram: xbzrle is false, but there are XBZRLE records");
    this.scratch.files.read(block, offset, into);
  }

  /** Makes the page of a payload; `page` holds what it was before. */
  private decode(flag: number, payload: Uint8Array): void {
    this.decoder.decode(this.page, PAGE_ENCODINGS.get(flag)!, payload);
  }

  private async stored(): Promise<Uint8Array> {
    await this.take(2);
    const length = this.versions.u16();
    await this.take(length);
    return this.versions.view(length);
  }

  private async take(n: number): Promise<void> {
    if (!(await this.versions.fill(n))) throw new QevmError("bad-description", "versions.bin ends early");
  }

  private async deflater(level: number): Promise<PageDeflater> {
    let deflater = this.deflaters.get(level);
    if (deflater === undefined) {
      if (level > 9) throw this.order.error("names a level that zlib has not");
      deflater = await createDeflater(level === 1 ? "page-exact" : "exact", { level, pageSize: this.pageSize });
      this.deflaters.set(level, deflater);
    }
    return deflater;
  }
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
