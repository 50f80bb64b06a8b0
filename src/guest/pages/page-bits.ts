import { entriesOf, SparseTable } from "./sparse.js";

/** Pages a piece: a bit each. */
const PAGES = entriesOf(1);
/** How many bits of a byte are set. */
const ONES = Uint8Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll("0", "").length);

/** A set of page numbers, one bit a page. */
export class PageBits {
  private readonly table = new SparseTable<Uint8Array>(PAGES);

  /** Adds `count` pages from `page` on. */
  add(page: number, count = 1): void {
    for (let k = 0; k < count; k++) this.addNew(page + k);
  }

  /** Adds a page. True: it was not in the set before. */
  addNew(page: number): boolean {
    const bits = this.table.find(page) ?? this.table.add(page, new Uint8Array(PAGES / 8));
    const at = page % PAGES;
    const bit = 1 << (at & 7);
    const fresh = (bits[at >> 3]! & bit) === 0;
    bits[at >> 3]! |= bit;
    return fresh;
  }

  has(page: number): boolean {
    const bits = this.table.find(page);
    const at = page % PAGES;
    return bits !== undefined && (bits[at >> 3]! & (1 << (at & 7))) !== 0;
  }

  /** How many pages. */
  get size(): number {
    let size = 0;
    for (const [, bits] of this.table) for (const byte of bits) size += ONES[byte]!;
    return size;
  }

  /** The first page of the set from `page` on that is below `end`; else `end`. */
  next(page: number, end: number): number {
    for (let at = page; at < end;) {
      const bits = this.table.find(at);
      if (bits === undefined) {
        at += PAGES - (at % PAGES);
        continue;
      }
      const byte = bits[(at % PAGES) >> 3]! >> (at & 7);
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
    for (const [first] of this.table) {
      const end = first + PAGES;
      for (let page = this.next(first, end); page < end; page = this.next(page + 1, end)) yield page;
    }
  }
}
