import { createDeflater } from "../../engine/create.js";
import type { PageDeflater } from "../../engine/page-engine.js";
import { QevmError } from "../../bytes/errors.js";
import { KeptBefore, PageDecoder } from "../../guest/pages/page-decoder.js";
import type { PagePlaces } from "../../guest/pages/page-places.js";
import { BlockFiles } from "../../guest/files/block-files.js";
import { RamFlag, type RamBatch, type RamState } from "../../codec/ram/index.js";
import { encodeXbzrle } from "../../codec/ram/xbzrle.js";
import type { SectionItem } from "../../codec/stream/index.js";
import { createFolder } from "../../io/transport/temporary.js";
import type { ManifestRam } from "./manifest.js";
import { Kind, MARKS, OrderWriter } from "./order.js";

/** Levels that share the two header bytes of a zlib stream, the likeliest first. */
const LEVELS: Readonly<Record<number, readonly number[]>> = {
  0x01: [1, 0],
  0x5e: [5, 4, 3, 2],
  0x9c: [6],
  0xda: [9, 8, 7],
};

const KINDS = new Map(MARKS.map(([kind, flag]) => [flag, kind]));

/**
 * The RAM of a stream as files of a folder: the last content of every page in its block's file, the order and encoding
 * of the records, and content that cannot be made again of the pages.
 */
export class RamUnpacker {
  private readonly order: OrderWriter;
  private memory: BlockFiles | undefined;
  private readonly deflaters = new Map<number, PageDeflater>();
  private readonly level = new Map<number, number>();
  private scratch: { decoder: PageDecoder; old: KeptBefore; payload: Uint8Array } | undefined;

  /**
   * @param last where the last record of each page is
   * @param folder of the blocks' files; it is created when there are pages
   * @param files what takes the bytes of records.bin and of versions.bin
   * @param manifest what is filled
   */
  constructor(
    private readonly ram: RamState,
    private readonly last: PagePlaces,
    private readonly folder: string,
    private readonly files: Readonly<Record<"records" | "versions", (bytes: Uint8Array) => void>>,
    private readonly manifest: ManifestRam,
  ) {
    this.order = new OrderWriter(files.records);
  }

  /** All sections were taken: the blocks are listed. */
  finish(): void {
    this.order.finish();
    this.memory?.flush();
    const files = this.memory?.list() ?? [];
    this.ram.blocks.forEach(({ idstr, usedLength, pageSize, address }, i) => {
      const file = `ram/${files[i]!.file}`;
      const block: ManifestRam["blocks"][number] = { name: idstr, length: usedLength, file };
      if (pageSize !== undefined) block.pageSize = `0x${pageSize.toString(16)}`;
      if (address !== undefined) block.address = `0x${address.toString(16)}`;
      this.manifest.blocks.push(block);
    });
  }

  close(): void {
    this.memory?.close();
  }

  /** Takes the records of a RAM section. */
  async section(item: SectionItem): Promise<void> {
    const path = [`section ${item.sectionId} ${JSON.stringify(item.idstr)}`];
    for await (const batch of item.records()) {
      await this.prepare(batch, path);
      for (let i = 0; i < batch.count; i++) this.put(batch, i, path);
    }
  }

  private async prepare(batch: RamBatch, path: readonly string[]): Promise<void> {
    const { pageSize, blocks } = this.ram;
    if (this.memory === undefined) {
      createFolder(this.folder);
      this.memory = new BlockFiles(this.folder, pageSize);
      const decoder = new PageDecoder(pageSize);
      await decoder.load();
      this.scratch = { decoder, old: new KeptBefore(this.memory, pageSize), payload: new Uint8Array(pageSize) };
      for (const level of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]) {
        this.deflaters.set(level, await createDeflater(level === 1 ? "page-exact" : "exact", { level, pageSize }));
      }
    }
    for (const block of blocks.slice(this.memory.size)) {
      const { size } = this.memory;
      this.memory.add(block);
      if (this.memory.size > size) continue;
      // The name is the file's, and pages go by it.
      throw new QevmError("unsupported", `unpack: two RAM blocks of the name ${JSON.stringify(block.idstr)}`, {
        offset: batch.position[0]!,
        path: [...path, "block list"],
      });
    }
    if (batch.blockList === undefined) return;
    const { total, blocks: listed } = batch.blockList;
    this.manifest.lists.push({ total, blocks: listed.length });
  }

  private put(batch: RamBatch, i: number, path: readonly string[]): void {
    const { order } = this;
    const { pageSize } = this.ram;
    const flag = batch.flag[i]!;
    const block = batch.block[i];
    const page = batch.offset[i]! / pageSize;
    if (block === undefined) {
      if (batch.continues[i] === 1) {
        throw new QevmError("unsupported", "unpack: CONTINUE on a record that is not a page", {
          offset: batch.position[i]!,
        });
      }
      order.add(KINDS.get(flag) ?? Kind.BLOCKS, 0, -1, flag === RamFlag.MEM_SIZE ? 0 : page);
      return;
    }
    const named = batch.continues[i] === 1 ? -1 : block.index;
    const final = this.last.last(block.idstr, page) === batch.position[i];
    this.scratch!.decoder.path = path;
    const [kind, detail] = this.page(batch, i, final);
    order.add(kind, detail, named, page);
  }

  /** Puts the page into its block's file, and content that must be kept besides into versions.bin. */
  private page(batch: RamBatch, i: number, final: boolean): [kind: number, detail: number] {
    const { decoder, old, payload } = this.scratch!;
    const page = decoder.applyTo(this.memory, batch, i, old);
    const body = batch.body(i);
    switch (batch.flag[i]) {
      case RamFlag.ZERO:
        if (page === undefined) return [final ? Kind.ZERO : Kind.ZERO_OLD, 0];
        return [final ? Kind.FILL : Kind.FILL_OLD, batch.fill[i]!];
      case RamFlag.PAGE:
        if (final) return [Kind.PAGE, 0];
        this.files.versions(body);
        return [Kind.PAGE_OLD, 0];
      case RamFlag.COMPRESS_PAGE: {
        const level = final ? this.levelOf(page!, body) : undefined;
        if (level !== undefined) return [Kind.COMPRESSED, level];
        this.store(body);
        return [final ? Kind.COMPRESSED_STORED : Kind.COMPRESSED_OLD, 0];
      }
      default:
        this.manifest.xbzrle = true;
        if (final) {
          const length = encodeXbzrle(old.page, page!, payload);
          if (length > 0 && same(payload.subarray(0, length), body)) return [Kind.XBZRLE, 0];
        }
        this.store(body);
        return [final ? Kind.XBZRLE_STORED : Kind.XBZRLE_OLD, 0];
    }
  }

  /** The level at which QEMU's zlib makes this payload of the page; undefined: none does. */
  private levelOf(page: Uint8Array, payload: Uint8Array): number | undefined {
    const header = payload[1] ?? -1;
    const known = this.level.get(header);
    for (const level of known === undefined ? (LEVELS[header] ?? []) : [known]) {
      if (!same(this.deflaters.get(level)!.deflate(page), payload)) continue;
      if (payload.length > 64) this.level.set(header, level);
      return level;
    }
    return undefined;
  }

  private store(payload: Uint8Array): void {
    this.files.versions(Uint8Array.of(payload.length >> 8, payload.length & 0xff));
    this.files.versions(payload);
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}
