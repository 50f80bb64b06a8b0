/** Pages a piece. */
const PIECE = 1 << 18;
/** How many bits of a byte are set. */
const ONES = Uint8Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll("0", "").length);

/** A set of page numbers: one bit a page, in pieces of 32 KiB that are made on demand. */
export class PageBits {
  private readonly pieces = new Map<number, Uint8Array>();

  /** Adds `count` pages from `page` on. */
  add(page: number, count = 1): void {
    let next = page;
    for (let left = count; left > 0;) {
      const bits = this.piece(next);
      const first = next % PIECE;
      const end = Math.min(first + left, PIECE);
      for (let at = first; at < end; at++) bits[at >> 3]! |= 1 << (at & 7);
      next += end - first;
      left -= end - first;
    }
  }

  /** Adds a page. True: it was not in the set before. */
  addNew(page: number): boolean {
    const bits = this.piece(page);
    const at = page % PIECE;
    const bit = 1 << (at & 7);
    const fresh = (bits[at >> 3]! & bit) === 0;
    bits[at >> 3]! |= bit;
    return fresh;
  }

  has(page: number): boolean {
    const bits = this.pieces.get(Math.floor(page / PIECE));
    const at = page % PIECE;
    return bits !== undefined && (bits[at >> 3]! & (1 << (at & 7))) !== 0;
  }

  /** How many pages. */
  get size(): number {
    let size = 0;
    for (const bits of this.pieces.values()) for (const byte of bits) size += ONES[byte]!;
    return size;
  }

  /** The first page of the set from `page` on that is below `end`; else `end`. */
  next(page: number, end: number): number {
    for (let at = page; at < end;) {
      const bits = this.pieces.get(Math.floor(at / PIECE));
      if (bits === undefined) {
        at += PIECE - (at % PIECE);
        continue;
      }
      const byte = bits[(at % PIECE) >> 3]! >> (at & 7);
      if (byte === 0) at += 8 - (at & 7);
      else if ((byte & 1) === 0) at++;
      else return at;
    }
    return end;
  }

  /** The first page from `page` on that is not in the set and below `end`; else `end`. */
  nextMissing(page: number, end: number): number {
    let at = page;
    while (at < end && this.has(at)) at++;
    return at;
  }

  /** The pages, ascending. */
  *pages(): Generator<number> {
    for (const piece of [...this.pieces.keys()].toSorted((a, b) => a - b)) {
      const end = (piece + 1) * PIECE;
      for (let page = this.next(piece * PIECE, end); page < end; page = this.next(page + 1, end)) yield page;
    }
  }

  private piece(page: number): Uint8Array {
    const index = Math.floor(page / PIECE);
    let bits = this.pieces.get(index);
    if (bits === undefined) this.pieces.set(index, (bits = new Uint8Array(PIECE / 8)));
    return bits;
  }
}
