import { ftruncateSync, closeSync } from "node:fs";
import { join } from "node:path";
import { QevmError } from "../../bytes/errors.js";
import { RamFlag, type RamBatch, type RamBlock } from "../../codec/ram/index.js";
import { attempt, readAll } from "../../io/transport/attempt.js";
import { createFile } from "../../io/transport/temporary.js";
import { FileNames } from "./file-names.js";
import { PageBits } from "../pages/page-bits.js";
import { PieceWriter } from "./piece-writer.js";
import { GATHER } from "./write-thread.js";
import type { PageStore } from "../pages/page-store.js";

/** The extracted file of one block. */
export interface BlockFileEntry {
  block: string;
  file: string;
  /** Length in bytes. */
  blockLength: number;
  /**
   * False: the stream lists the block but has no page of it (x-ignore-shared, unplugged virtio-mem memory). The file is
   * one hole.
   */
  inStream: boolean;
}

/** Bytes of a block from `at` on are `by` bytes further on in its file. `at` is a multiple of 128 KiB. */
export interface Split {
  at: number;
  by: number;
}

/** The file position of byte `offset` of a block. */
export function fileOffset({ at, by }: Split, offset: number): number {
  return offset < at ? offset : offset + by;
}

const WHOLE: Split = { at: 0, by: 0 };

/** One block as a sparse file. */
interface BlockFile {
  fd: number;
  file: string;
  path: string;
  block: RamBlock;
  /** Size of the block that the file was made for. */
  length: number;
  split: Split;
  /** Whether any page of it occurred, including zero pages. */
  touched: boolean;
  /** Every page that was written: zeros must be written only over data. */
  written: PageBits;
}

/** Guest memory as one sparse file per block in a folder. Adjacent pages are collected and written together. */
export class BlockFiles implements PageStore {
  private readonly files = new Map<string, BlockFile>();
  private readonly names = new FileNames(["blocks.json"]);
  private readonly writer: PieceWriter;
  /** Blocks of the stream's list that were looked at. */
  private listed = 0;
  private used = 0;
  /** Maximum bytes to collect: up to the next multiple of `GATHER`. */
  private limit = 0;
  private owner: BlockFile | undefined;
  private start = 0;
  private last: BlockFile | undefined;

  /**
   * @param folder an existing folder
   * @param threadAfter bytes after which another thread writes, if that pays off; then call `settle` before the files
   * are read
   */
  constructor(
    readonly folder: string,
    private readonly pageSize: number,
    threadAfter = Number.POSITIVE_INFINITY,
  ) {
    this.writer = new PieceWriter(threadAfter);
  }

  /** Creates the file of a block as a hole, with the length of the block plus the gap of `split`. */
  add(block: RamBlock, split = WHOLE): void {
    if (this.files.has(block.idstr)) return;
    const file = this.names.claim(block.idstr);
    const path = join(this.folder, file);
    const fd = this.open(path);
    this.files.set(block.idstr, { fd, file, path, block, length: 0, split, touched: false, written: new PageBits() });
    this.lengthen(this.files.get(block.idstr)!);
  }

  /** A block that is listed has its file open until the end. Errors: limit, where the process may not open so many; io. */
  private open(path: string): number {
    try {
      return createFile(path);
    } catch (error) {
      if (!(error instanceof QevmError) || !/\bE[MN]FILE\b/u.test(error.what)) throw error;
      const what = `too many RAM blocks: each needs an open file, and this process can open no more than ${this.files.size}`;
      throw new QevmError("limit", `${what} (ulimit -n)`, { cause: error });
    }
  }

  /** Makes the files of the blocks that a stream's list has got since the last call. The first of a name counts. */
  addNew(blocks: readonly RamBlock[], split?: (block: RamBlock) => Split | undefined): void {
    for (; this.listed < blocks.length; this.listed++) this.add(blocks[this.listed]!, split?.(blocks[this.listed]!));
  }

  /** Number of blocks added so far. */
  get size(): number {
    return this.files.size;
  }

  /** Whether another thread writes. */
  get isThreaded(): boolean {
    return this.writer.isThreaded;
  }

  /**
   * Every block in the order of the block list. A block may have grown without being listed again; its file is
   * extended. Errors: io.
   */
  list(): BlockFileEntry[] {
    for (const target of this.files.values()) if (target.length < target.block.usedLength) this.lengthen(target);
    return [...this.files.values()].map(({ block, file, touched }) => ({
      block: block.idstr,
      file,
      blockLength: block.usedLength,
      inStream: touched || block.usedLength === 0,
    }));
  }

  /** The pages of a block that were written, by number. All others are holes. */
  written(name: string): PageBits {
    return this.files.get(name)!.written;
  }

  read(block: RamBlock, offset: number, into: Uint8Array): void {
    const target = this.fileOf(block);
    if (this.isThreaded) this.settle();
    else if (this.owner === target && offset < this.start + this.used && offset + into.length > this.start)
      this.flush();
    const done = readAll(target.path, target.fd, into, fileOffset(target.split, offset));
    into.fill(0, done);
  }

  write(block: RamBlock, offset: number, page: Uint8Array): void {
    const target = this.fileOf(block);
    target.touched = true;
    target.written.add(offset / this.pageSize);
    this.gather(target, offset, page);
  }

  writeRun(batch: RamBatch, i: number): number {
    const { count, flag, block, offset, bodyStart } = batch;
    const { pageSize } = this;
    const owner = block[i]!;
    const target = this.fileOf(owner);
    target.touched = true;
    const { writer } = this;
    const { buffer } = batch;
    let next = offset[i]!;
    this.flushUnlessAdjacent(target, next);
    let k = i;
    do {
      const start = bodyStart[k]!;
      if (this.used === this.limit) this.begin(target, next);
      writer.memory.set(buffer.subarray(start, start + pageSize), writer.base + this.used);
      this.used += pageSize;
      next += pageSize;
      k++;
    } while (
      k < count &&
      next < owner.usedLength &&
      flag[k] === RamFlag.PAGE &&
      block[k] === owner &&
      offset[k] === next
    );
    target.written.add(offset[i]! / pageSize, k - i);
    return k - i;
  }

  zero(block: RamBlock, offset: number, length: number): void {
    const target = this.fileOf(block);
    target.touched = true;
    if (!target.written.has(offset / this.pageSize)) return;
    this.gather(target, offset, new Uint8Array(length));
  }

  /** Waits until everything is in the files. Errors: io. */
  settle(): void {
    this.flush();
    this.writer.settle();
  }

  /** Writes the collected pages. */
  flush(): void {
    const { owner } = this;
    if (owner === undefined || this.used === 0) return;
    // Collected bytes never cross a multiple of `GATHER`, and so never a split.
    this.writer.write(owner, this.used, fileOffset(owner.split, this.start));
    this.used = 0;
  }

  /** Closes the files when no other thread writes to them any more. Collected bytes are lost. */
  close(): void {
    this.writer.close();
    for (const { fd } of this.files.values()) closeSync(fd);
    this.files.clear();
  }

  private lengthen(target: BlockFile): void {
    const { fd, path, split } = target;
    const length = target.block.usedLength;
    attempt(path, () => ftruncateSync(fd, length === 0 ? 0 : fileOffset(split, length - 1) + 1));
    target.length = length;
  }

  private gather(target: BlockFile, offset: number, page: Uint8Array): void {
    this.flushUnlessAdjacent(target, offset);
    this.writer.memory.set(page, this.writer.base + this.used);
    this.used += page.length;
  }

  /** Writes the collected pages unless the page at `offset` follows them directly. */
  private flushUnlessAdjacent(target: BlockFile, offset: number): void {
    if (this.owner !== target || offset !== this.start + this.used || this.used === this.limit)
      this.begin(target, offset);
  }

  private begin(target: BlockFile, offset: number): void {
    this.flush();
    this.owner = target;
    this.start = offset;
    this.limit = GATHER - (offset % GATHER);
  }

  private fileOf(block: RamBlock): BlockFile {
    if (this.last?.block === block) return this.last;
    const target = this.files.get(block.idstr);
    if (target === undefined) throw new QevmError("usage", `RAM block ${JSON.stringify(block.idstr)} was not added`);
    this.last = target;
    return target;
  }
}
