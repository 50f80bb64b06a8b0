import { ftruncateSync, mkdirSync, openSync, closeSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { QevmError } from "../errors.js";
import type { RamBlock } from "../ram/index.js";
import { attempt } from "../transport/file.js";
import { FileNames } from "./file-names.js";
import type { PageStore } from "./page-store.js";

/**
 * Bytes gathered before a write, which never crosses a multiple of this in the file. Measured on ext4 (Linux 6.18): 1.5 GiB
 * in writes of 128 KiB took 0.33 to 0.35 s, of 64 KiB 0.42 to 0.63, of 512 KiB and 1 MiB 0.4 to 1.6 (the page cache then
 * looks for larger pieces of memory); writes that are not aligned took a third longer.
 */
const GATHER = 1 << 17;

/** What became of one block. */
export interface BlockFileEntry {
  name: string;
  file: string;
  /** Bytes. */
  length: number;
  /** False: the stream lists the block but carries no page of it (x-ignore-shared, memory that virtio-mem has not plugged); the file is all hole. */
  inStream: boolean;
}

/** Bytes of a block from `at` on stand `by` bytes further on in its file. `at` is a multiple of 128 KiB. */
export interface Split {
  at: number;
  by: number;
}

/** Where in its file byte `offset` of a block stands. */
export function fileOffset({ at, by }: Split, offset: number): number {
  return offset < at ? offset : offset + by;
}

const WHOLE: Split = { at: 0, by: 0 };

/** One block as a sparse file. */
interface BlockFile {
  fd: number;
  file: string;
  block: RamBlock;
  split: Split;
  /** Whether any page of it came, a zero page included. */
  touched: boolean;
  /** One bit a page that was ever written, in pieces that are made on demand: zeros need writing only over data. */
  written: Map<number, Uint8Array>;
}

/**
 * Guest memory as one sparse file a block in a folder. Pages that follow each other are gathered and written together.
 */
export class BlockFiles implements PageStore {
  private readonly files = new Map<string, BlockFile>();
  private readonly names = new FileNames(["blocks.json"]);
  private readonly gathered = new Uint8Array(GATHER);
  private used = 0;
  private owner: BlockFile | undefined;
  private start = 0;
  private last: BlockFile | undefined;
  private copied: Uint8Array | undefined;
  private copiedBuffer: Buffer = Buffer.alloc(0);

  constructor(
    readonly folder: string,
    private readonly pageSize: number,
  ) {
    attempt(folder, () => mkdirSync(folder, { recursive: true }));
  }

  /** Makes the file of a block, all hole, as long as the block and what `split` adds. */
  add(block: RamBlock, split = WHOLE): void {
    if (this.files.has(block.idstr)) return;
    const file = this.names.claim(block.idstr);
    const path = join(this.folder, file);
    const fd = attempt(path, () => openSync(path, "wx+"));
    this.files.set(block.idstr, { fd, file, block, split, touched: false, written: new Map() });
    attempt(path, () => ftruncateSync(fd, block.usedLength === 0 ? 0 : fileOffset(split, block.usedLength - 1) + 1));
  }

  /** Blocks added so far. */
  get size(): number {
    return this.files.size;
  }

  /** Every block in the order of the block list. */
  list(): BlockFileEntry[] {
    return [...this.files.values()].map(({ block, file, touched }) => ({
      name: block.idstr,
      file,
      length: block.usedLength,
      inStream: touched || block.usedLength === 0,
    }));
  }

  read(block: RamBlock, offset: number, into: Uint8Array): void {
    const target = this.of(block);
    if (this.owner === target && offset < this.start + this.used && offset + into.length > this.start) this.flush();
    const at = fileOffset(target.split, offset);
    let done = 0;
    while (done < into.length) {
      const n = attempt(target.file, () => readSync(target.fd, into, done, into.length - done, at + done));
      if (n === 0) {
        into.fill(0, done);
        break;
      }
      done += n;
    }
  }

  write(block: RamBlock, offset: number, page: Uint8Array): void {
    const target = this.of(block);
    target.touched = true;
    this.mark(target, offset);
    this.gather(target, offset, page);
  }

  writeFrom(block: RamBlock, offset: number, from: Uint8Array, start: number, length: number): void {
    const target = this.of(block);
    target.touched = true;
    this.mark(target, offset);
    this.turn(target, offset);
    // Buffer.copy between two long-lived objects: a view a page would cost as much as the copy.
    if (this.copied !== from) {
      this.copied = from;
      this.copiedBuffer = Buffer.from(from.buffer, from.byteOffset, from.length);
    }
    this.copiedBuffer.copy(this.gathered, this.used, start, start + length);
    this.used += length;
  }

  zero(block: RamBlock, offset: number, length: number): void {
    const target = this.of(block);
    target.touched = true;
    if (!this.isMarked(target, offset)) return;
    this.gather(target, offset, new Uint8Array(length));
  }

  /** Writes what was gathered. */
  flush(): void {
    const { owner } = this;
    if (owner === undefined || this.used === 0) return;
    // What is gathered never crosses a multiple of `GATHER`, and so no split.
    const at = fileOffset(owner.split, this.start);
    let done = 0;
    while (done < this.used) {
      done += attempt(owner.file, () => writeSync(owner.fd, this.gathered, done, this.used - done, at + done));
    }
    this.used = 0;
  }

  close(): void {
    for (const { fd } of this.files.values()) closeSync(fd);
    this.files.clear();
  }

  private gather(target: BlockFile, offset: number, page: Uint8Array): void {
    this.turn(target, offset);
    this.gathered.set(page, this.used);
    this.used += page.length;
  }

  /** Writes what was gathered unless the next page at `offset` goes right behind it. */
  private turn(target: BlockFile, offset: number): void {
    if (this.owner === target && offset === this.start + this.used && offset % GATHER !== 0) return;
    this.flush();
    this.owner = target;
    this.start = offset;
  }

  private of(block: RamBlock): BlockFile {
    if (this.last?.block === block) return this.last;
    const target = this.files.get(block.idstr);
    if (target === undefined) throw new QevmError("usage", `RAM block ${JSON.stringify(block.idstr)} was not added`);
    this.last = target;
    return target;
  }

  private mark(target: BlockFile, offset: number): void {
    const page = offset / this.pageSize;
    const piece = Math.floor(page / PIECE);
    let bits = target.written.get(piece);
    if (bits === undefined) target.written.set(piece, (bits = new Uint8Array(PIECE / 8)));
    const at = page % PIECE;
    bits[at >> 3]! |= 1 << (at & 7);
  }

  private isMarked(target: BlockFile, offset: number): boolean {
    const page = offset / this.pageSize;
    const bits = target.written.get(Math.floor(page / PIECE));
    const at = page % PIECE;
    return bits !== undefined && (bits[at >> 3]! & (1 << (at & 7))) !== 0;
  }
}

/** Pages a piece of the bitmap of written pages. */
const PIECE = 1 << 18;
