import { join } from "node:path";
import type { BlockFileEntry } from "./block-files.js";
import type { PageBits } from "../pages/page-bits.js";

/** Maximum piece size in bytes. */
export const PIECE = 1 << 17;

/** Bytes of a block. */
export interface Piece {
  offset: number;
  length: number;
}

/**
 * Blocks that were extracted into a folder, with the ranges that may contain data. Searching the files for data would
 * read all holes.
 */
export class BlockData {
  constructor(
    private readonly folder: string,
    private readonly blocks: readonly BlockFileEntry[],
    private readonly pageSize: number,
    private readonly written: ReadonlyMap<string, PageBits>,
  ) {}

  /** The file of a block. */
  path(block: string): string {
    return join(this.folder, this.blocks.find(({ block: name }) => name === block)!.file);
  }

  /**
   * The bytes from `offset` on that were written, in pieces that do not cross a multiple of `PIECE`. All other bytes
   * are zeros.
   */
  *pieces(block: string, offset: number, length: number): Generator<Piece> {
    const { pageSize } = this;
    const pages = this.written.get(block)!;
    const end = offset + length;
    const last = Math.ceil(end / pageSize);
    for (let at = offset; at < end;) {
      const page = pages.next(Math.floor(at / pageSize), last);
      const start = Math.max(at, page * pageSize);
      if (start >= end) return;
      const limit = Math.min(end, start - (start % PIECE) + PIECE);
      at = Math.min(limit, pages.nextMissing(page, Math.ceil(limit / pageSize)) * pageSize);
      yield { offset: start, length: at - start };
    }
  }
}
