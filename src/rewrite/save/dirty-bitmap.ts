import { bitmapWords, type GuestBlock } from "./guest-memory.js";

/** The pages of a block that must still be sent (QEMU's RAMBlock.bmap). */
export class DirtyBitmap {
  /** Number of set pages. */
  pages: number;
  private readonly words: Int32Array;
  private readonly total: number;

  /** Initially every page is set. */
  constructor(
    readonly block: GuestBlock,
    pageSize: number,
  ) {
    this.total = block.usedLength / pageSize;
    this.pages = this.total;
    this.words = new Int32Array(bitmapWords(block.usedLength, pageSize)).fill(-1);
    const rest = this.total & 31;
    if (rest !== 0) this.words[this.words.length - 1] = (1 << rest) - 1;
  }

  /** Adds the pages written since the last sync. Returns how many of them were not set before. */
  sync(): number {
    const { words } = this;
    const { log } = this.block;
    let added = 0;
    for (let i = 0; i < words.length; i++) {
      if (log[i] === 0) continue;
      const before = words[i]!;
      const fresh = Atomics.exchange(log, i, 0) & ~before;
      if (fresh === 0) continue;
      words[i] = before | fresh;
      added += popCount(fresh);
    }
    this.pages += added;
    return added;
  }

  /**
   * Clears the first set page at or after `page` and returns it, -1 where there is none. Clear before reading the page,
   * so that later writes are logged again.
   */
  take(page: number): number {
    const { words } = this;
    let index = page >>> 5;
    if (index >= words.length) return -1;
    let word = words[index]! & (-1 << (page & 31));
    while (word === 0) {
      index++;
      if (index === words.length) return -1;
      word = words[index]!;
    }
    const bit = 31 - Math.clz32(word & -word);
    words[index]! &= ~(1 << bit);
    this.pages--;
    return index * 32 + bit;
  }
}

function popCount(word: number): number {
  let n = word - ((word >>> 1) & 0x55555555);
  n = (n & 0x33333333) + ((n >>> 2) & 0x33333333);
  return (((n + (n >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24;
}
