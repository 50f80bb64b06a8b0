import { SparseTable } from "./sparse.js";

/** Pages a piece. */
const PIECE = 1 << 18;
/** Pages that a piece lists one by one: scattered pages cost about 64 bytes each at most, over any length. */
const LISTED = 512;
/** How many bits of a byte are set. */
const ONES = Uint8Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll("0", "").length);

/**
 * Some pages of a piece: their numbers in it, ascending, or where there are more than `LISTED` one bit each (32 KiB).
 */
type Piece = number[] | Uint8Array;

/** A set of page numbers, in pieces that are made on demand. */
export class PageBits {
  private readonly table = new SparseTable<Piece>(PIECE);

  /** Adds `count` pages from `page` on. */
  add(page: number, count = 1): void {
    let next = page;
    for (let left = count; left > 0;) {
      const first = next % PIECE;
      const end = Math.min(first + left, PIECE);
      const piece = this.table.find(next) ?? this.table.add(next, []);
      if (Array.isArray(piece) && piece.length + end - first <= LISTED) {
        for (let at = first; at < end; at++) list(piece, at);
      } else {
        const bits = this.bits(next, piece);
        for (let at = first; at < end; at++) bits[at >> 3]! |= 1 << (at & 7);
      }
      next += end - first;
      left -= end - first;
    }
  }

  /** Adds a page. True: it was not in the set before. */
  addNew(page: number): boolean {
    const at = page % PIECE;
    const piece = this.table.find(page);
    if (piece instanceof Uint8Array) {
      const bit = 1 << (at & 7);
      const fresh = (piece[at >> 3]! & bit) === 0;
      piece[at >> 3]! |= bit;
      return fresh;
    }
    if (piece !== undefined && piece[placeOf(piece, at)] === at) return false;
    this.add(page);
    return true;
  }

  has(page: number): boolean {
    const piece = this.table.find(page);
    if (piece === undefined) return false;
    const at = page % PIECE;
    return Array.isArray(piece) ? piece[placeOf(piece, at)] === at : (piece[at >> 3]! & (1 << (at & 7))) !== 0;
  }

  /** How many pages. */
  get size(): number {
    let size = 0;
    for (const [, piece] of this.table) {
      if (Array.isArray(piece)) size += piece.length;
      else for (const byte of piece) size += ONES[byte]!;
    }
    return size;
  }

  /** The first page of the set from `page` on that is below `end`; else `end`. */
  next(page: number, end: number): number {
    for (let at = page; at < end;) {
      const piece = this.table.find(at);
      const first = at - (at % PIECE);
      const found = piece === undefined ? PIECE : nextIn(piece, at % PIECE);
      if (found < PIECE) return Math.min(end, first + found);
      at = first + PIECE;
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
    for (const [first] of this.table) {
      const end = first + PIECE;
      for (let page = this.next(first, end); page < end; page = this.next(page + 1, end)) yield page;
    }
  }

  /** A piece with a bit a page, made of a list where it was one. */
  private bits(page: number, piece: Piece): Uint8Array {
    if (!Array.isArray(piece)) return piece;
    const bits = new Uint8Array(PIECE / 8);
    for (const at of piece) bits[at >> 3]! |= 1 << (at & 7);
    this.table.add(page, bits);
    return bits;
  }
}

/** Puts a page into a list unless it is there. */
function list(pages: number[], at: number): void {
  if (pages.length === 0 || at > pages.at(-1)!) {
    pages.push(at);
    return;
  }
  const place = placeOf(pages, at);
  if (pages[place] !== at) pages.splice(place, 0, at);
}

/** Place of the first page in a list that is `at` or above. */
function placeOf(pages: readonly number[], at: number): number {
  let low = 0;
  for (let high = pages.length; low < high;) {
    const middle = (low + high) >> 1;
    if (pages[middle]! < at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The first page of a piece from `from` on; `PIECE`: none. */
function nextIn(piece: Piece, from: number): number {
  if (Array.isArray(piece)) return piece[placeOf(piece, from)] ?? PIECE;
  for (let at = from; at < PIECE;) {
    const byte = piece[at >> 3]! >> (at & 7);
    if (byte === 0) at += 8 - (at & 7);
    else if ((byte & 1) === 0) at++;
    else return at;
  }
  return PIECE;
}
