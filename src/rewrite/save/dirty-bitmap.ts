import { bitmapWords, type GuestBlock } from "./guest-memory.js";

/** Which pages of a block still have to go (QEMU's RAMBlock.bmap). */
export class DirtyBitmap {
  /** Pages that are set. */
  pages: number;
  private readonly words: Int32Array;
  private readonly total: number;

  /** At first every page is set. */
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

  /** Takes over what was written since the last time, and returns how many pages were not set before. */
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

  /** Clears the first set page at or behind `page` and returns it, -1 where there is none. Clear first, then read: what is written later is logged again. */
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
