// Follows the method of deflate_fast and longest_match in zlib 1.2.13 (deflate.c), so that it finds the same matches.
// zlib is (C) 1995-2022 Jean-loup Gailly and Mark Adler; see the notice in exact.ts.
import { countLiteral, countMatch, startCounting } from "./histogram";
import { EXACT_HEADS, PREVIOUS, SEQUENCES } from "./memory";

const FIRST_EPOCH: u32 = 0x1000;
const LAST_EPOCH: u32 = 0xf000;
/**
 * Level 1: maximum chain positions to check, the match length that ends the search, and the longest match whose inside
 * is hashed.
 */
const CHAIN: u32 = 4;
const NICE: u32 = 8;
const INSERT: u32 = 4;
const MAX_MATCH: u32 = 258;

let epoch: u32 = 0;

/** Literals after the last sequence found by {@link findExactMatches}. */
export let exactLastLiterals: u32 = 0;

/**
 * zlib's greedy matches of level 1. A chain ends at position 0 or where the page has no earlier position with the hash.
 * Heads of earlier pages have another epoch and count as 0. Writes sequences to `SEQUENCES` and returns the address
 * after the last one.
 */
export function findExactMatches(data: u32, length: u32): u32 {
  epoch += FIRST_EPOCH;
  if (epoch > LAST_EPOCH) {
    memory.fill(EXACT_HEADS, 0, 0x10000);
    epoch = FIRST_EPOCH;
  }
  startCounting();
  const era = epoch;
  const end = data + length;
  const last = end - 3;
  let out = SEQUENCES;
  let at = data;
  let anchor = data;
  while (at <= last) {
    const four = load<u32>(at);
    let candidate = insert(data, at, four, era);
    if (candidate == 0) {
      countLiteral(four & 0xff);
      at++;
      continue;
    }

    // zlib compares a candidate only at the bytes that would make it longer than the best. This compares eight bytes at
    // a time; the same candidate wins.
    const most = min(MAX_MATCH, end - at);
    const nice = min(NICE, most);
    const eight = load<u64>(at);
    let best: u32 = 2;
    let from: u32 = 0;
    let chain = CHAIN;
    do {
      const differ = load<u64>(data + candidate) ^ eight;
      const same = (ctz(differ) >> 3) as u32;
      if (same >= nice) {
        best = differ != 0 ? most : min(8 + equalBytes(data + candidate + 8, at + 8, end), most);
        from = candidate;
        break;
      }
      from = same > best ? candidate : from;
      best = max(same, best);
      candidate = load<u16>(PREVIOUS + candidate * 2) as u32;
    } while (candidate != 0 && --chain != 0);
    if (best < 3) {
      countLiteral(four & 0xff);
      at++;
      continue;
    }

    const distance = at - data - from;
    store<u32>(out, ((at - anchor) << 20) | (distance << 8) | (best - 3));
    out += 4;
    countMatch(best - 3, distance - 1);
    const to = at + best;
    if (best <= INSERT && end - to >= 3) {
      insert(data, at + 1, load<u32>(at + 1), era);
      insert(data, at + 2, load<u32>(at + 2), era);
      if (best == 4) insert(data, at + 3, load<u32>(at + 3), era);
    }
    at = to;
    anchor = to;
  }
  while (at < end) countLiteral(load<u8>(at++) as u32);
  exactLastLiterals = end - anchor;
  return out;
}

/** Inserts a position, given its first bytes, at the head of its chain. Returns the previous head, 0 for none. */
function insert(data: u32, at: u32, four: u32, era: u32): u32 {
  // A 15-bit hash of three bytes, each shifted by five.
  const hash = ((four << 10) ^ ((four & 0xff00) >> 3) ^ ((four >> 16) & 0xff)) & 0x7fff;
  const head = EXACT_HEADS + (hash << 1);
  const entry = load<u16>(head) as u32;
  const before: u32 = (entry & 0xf000) == era ? entry & 0xfff : 0;
  store<u16>(PREVIOUS + (at - data) * 2, before);
  store<u16>(head, era | (at - data));
  return before;
}

/** Number of equal bytes. The last step may read seven bytes past `end`. */
function equalBytes(a: u32, b: u32, end: u32): u32 {
  const start = b;
  while (b < end) {
    const differ = load<u64>(a) ^ load<u64>(b);
    if (differ != 0) return b - start + ((ctz(differ) >> 3) as u32);
    a += 8;
    b += 8;
  }
  return b - start;
}
