import { putFlush, putSequences, startBits } from "./encode";
import { beginBlock, blockDistances, blockLiterals, endBlock } from "./fast-block";
import { findMatches, lastLiterals } from "./fast-matches";
import { startCounting } from "./histogram";
import { LITERAL_FREQUENCY } from "./memory";

/** Pages of a block: their codes are built and sent once. */
const GROUP: u32 = 8;
/** Bytes of both frequencies, which follow each other. */
const FREQUENCIES: u32 = 0x500;
/** A page with fewer sequences, and more literals than three quarters of it, has a block of its own. */
const FEW: u32 = 64;

/**
 * The workspace: frequencies put aside, and of the page alone; where each page's sequences end, and its last literals.
 */
const ASIDE: u32 = 0;
const ALONE: u32 = ASIDE + FREQUENCIES;
const PAGES: u32 = ALONE + FREQUENCIES;
const FOUND: u32 = PAGES + GROUP * 8;
/** Bytes of the workspace: a page has at most one sequence in four bytes. */
export const BLOCKS_WORK: u32 = FOUND + (GROUP + 1) * 4096 + 64;

/**
 * Compresses `count` pages side by side to the next blocks of a deflate stream that goes on, and flushes it. `out` is a
 * byte boundary. No page refers to another one. Returns the address after the blocks.
 */
export function deflateBlocks(work: u32, pages: u32, length: u32, count: u32, out: u32): u32 {
  startBits(out);
  for (let i: u32 = 0; i < count;) {
    const first = pages + i * length;
    let to = work + FOUND;
    let n: u32 = 0;
    let poor = false;
    startCounting();
    do {
      if (n != 0) memory.copy(work + ASIDE, LITERAL_FREQUENCY, FREQUENCIES);
      const stop = findMatches(first + n * length, length, to);
      store<u32>(work + PAGES + n * 8, stop);
      store<u32>(work + PAGES + n * 8 + 4, lastLiterals);
      n++;
      poor = isPoor(to, stop, length);
      if (poor) break;
      to = stop;
    } while (n < GROUP && i + n < count);
    i += n;
    if (poor && n != 1) {
      n--;
      takeAway(work);
      putBlock(work, first, length, 0, n, work + FOUND);
      memory.copy(LITERAL_FREQUENCY, work + ALONE, FREQUENCIES);
      putBlock(work, first + n * length, length, n, n + 1, to);
    } else {
      putBlock(work, first, length, 0, n, work + FOUND);
    }
  }
  return putFlush();
}

/** Whether a page's codes would spoil those of others: it is hardly compressed. */
function isPoor(first: u32, stop: u32, length: u32): bool {
  if (stop - first >= FEW * 4) return false;
  let literals = lastLiterals;
  for (let at = first; at < stop; at += 4) literals += load<u32>(at) >> 20;
  return literals * 4 > length * 3;
}

/** Puts the counts of the last page alone aside, and goes back to those before it. */
function takeAway(work: u32): void {
  for (let at: u32 = 0; at < FREQUENCIES; at += 4) {
    const before = load<u32>(work + ASIDE + at);
    store<u32>(work + ALONE + at, load<u32>(LITERAL_FREQUENCY + at) - before);
    store<u32>(LITERAL_FREQUENCY + at, before);
  }
  store<u32>(work + ALONE + 256 * 4, 1);
}

/** The block of the pages `from` to `until` of the workspace, by the counted frequencies. */
function putBlock(work: u32, data: u32, length: u32, from: u32, until: u32, first: u32): void {
  const size = (until - from) * length;
  beginBlock(data, size, 0);
  if (blockLiterals == 0) return;
  let page = data;
  let sequences = first;
  for (let i = from; i < until; i++) {
    const stop = load<u32>(work + PAGES + i * 8);
    const tail = load<u32>(work + PAGES + i * 8 + 4);
    putSequences(page, sequences, stop, tail, blockLiterals, blockDistances);
    sequences = stop;
    page += length;
  }
  endBlock(data, size, 0);
}
