import type { RamBatch, RamBlock } from "../../codec/ram/index.js";
import { SparseTable } from "./sparse.js";

/**
 * Guest memory by block and offset, a page at a time: what records are applied to. A page that was never written reads
 * as zeros.
 */
export interface PageStore {
  read(block: RamBlock, offset: number, into: Uint8Array): void;
  /** `page` belongs to the caller again on return. */
  write(block: RamBlock, offset: number, page: Uint8Array): void;
  zero(block: RamBlock, offset: number, length: number): void;
  /**
   * Like `write` for record `i` of a batch, a PAGE, and for the PAGE records after it whose pages follow each other in
   * the same block, without a view a page; a store may leave it out. Returns how many records it took.
   */
  writeRun?(batch: RamBatch, i: number): number;
}

const CHUNK = 1 << 14;

/** Guest memory in this process's memory; only chunks of 16 KiB that hold data are kept. */
export class MemoryPages implements PageStore {
  private readonly blocks = new Map<string, SparseTable<Uint8Array>>();

  read(block: RamBlock, offset: number, into: Uint8Array): void {
    const chunk = this.blocks.get(block.idstr)?.find(offset);
    if (chunk === undefined) into.fill(0);
    else into.set(chunk.subarray(offset % CHUNK, (offset % CHUNK) + into.length));
  }

  write(block: RamBlock, offset: number, page: Uint8Array): void {
    let chunks = this.blocks.get(block.idstr);
    if (chunks === undefined) this.blocks.set(block.idstr, (chunks = new SparseTable(CHUNK)));
    const chunk = chunks.find(offset) ?? chunks.add(offset, new Uint8Array(Math.max(CHUNK, page.length)));
    chunk.set(page, offset % CHUNK);
  }

  zero(block: RamBlock, offset: number, length: number): void {
    const chunk = this.blocks.get(block.idstr)?.find(offset);
    chunk?.fill(0, offset % CHUNK, (offset % CHUNK) + length);
  }
}
