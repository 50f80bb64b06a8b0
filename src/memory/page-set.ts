import type { RamBlock } from "../ram/index.js";

/** Pages a piece. */
const PIECE = 1 << 18;

/** Which pages of which block: one bit a page, in pieces that are made on demand. */
export class PageSet {
  private readonly blocks = new Map<string, Map<number, Uint8Array>>();

  constructor(private readonly pageSize: number) {}

  /** True: the page was not in the set before. */
  add(block: RamBlock, offset: number): boolean {
    let pieces = this.blocks.get(block.idstr);
    if (pieces === undefined) this.blocks.set(block.idstr, (pieces = new Map()));
    const page = offset / this.pageSize;
    const piece = Math.floor(page / PIECE);
    let bits = pieces.get(piece);
    if (bits === undefined) pieces.set(piece, (bits = new Uint8Array(PIECE / 8)));
    const at = page % PIECE;
    const bit = 1 << (at & 7);
    const fresh = (bits[at >> 3]! & bit) === 0;
    bits[at >> 3]! |= bit;
    return fresh;
  }

  has(block: RamBlock, offset: number): boolean {
    const page = offset / this.pageSize;
    const bits = this.blocks.get(block.idstr)?.get(Math.floor(page / PIECE));
    const at = page % PIECE;
    return bits !== undefined && (bits[at >> 3]! & (1 << (at & 7))) !== 0;
  }

  /** Offsets of the pages of a block, ascending. */
  *offsets(block: RamBlock): Generator<number> {
    const pieces = this.blocks.get(block.idstr);
    if (pieces === undefined) return;
    for (const piece of [...pieces.keys()].toSorted((a, b) => a - b)) {
      const bits = pieces.get(piece)!;
      for (let at = 0; at < PIECE; at++) {
        if (bits[at >> 3] === 0) at |= 7;
        else if ((bits[at >> 3]! & (1 << (at & 7))) !== 0) yield (piece * PIECE + at) * this.pageSize;
      }
    }
  }
}
