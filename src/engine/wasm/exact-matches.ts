// Follows the method of deflate_fast and longest_match in zlib 1.2.13 (deflate.c), so that the same matches are found.
// zlib is (C) 1995-2022 Jean-loup Gailly and Mark Adler; see the notice in exact.ts.
import { EXACT_HEADS, PREVIOUS, SEQUENCES } from "./memory";

const FIRST_EPOCH: u32 = 0x1000;
const LAST_EPOCH: u32 = 0xf000;
/** Level 1: positions on a chain that are looked at, the length that ends the search, the longest match that is hashed inside. */
const CHAIN: u32 = 4;
const NICE: u32 = 8;
const INSERT: u32 = 4;
const MAX_MATCH: u32 = 258;

let epoch: u32 = 0;

/** Literals after the last sequence found by {@link findExactMatches}. */
export let exactLastLiterals: u32 = 0;

/**
 * zlib's greedy matches of level 1. A chain ends at position 0 or where the page has no earlier position of the hash, so heads
 * of earlier pages, told by their epoch, count as 0. Sequences at `SEQUENCES`; returns the address behind the last one.
 */
export function findExactMatches(data: u32, length: u32): u32 {
  epoch += FIRST_EPOCH;
  if (epoch > LAST_EPOCH) {
    memory.fill(EXACT_HEADS, 0, 0x10000);
    epoch = FIRST_EPOCH;
  }
  const era = epoch;
  const last = data + length - 3;
  const end = data + length;
  let out = SEQUENCES;
  let at = data;
  let anchor = data;
  while (at <= last) {
    const three = load<u32>(at) & 0xffffff;
    const head = headOf(three);
    const entry = load<u16>(head) as u32;
    let candidate: u32 = (entry & 0xf000) == era ? entry & 0xfff : 0;
    store<u16>(PREVIOUS + (at - data) * 2, candidate);
    store<u16>(head, era | (at - data));
    if (candidate == 0) {
      at++;
      continue;
    }

    const most = min(MAX_MATCH, end - at);
    const nice = min(NICE, most);
    let best: u32 = 2;
    let from: u32 = 0;
    let chain = CHAIN;
    do {
      const other = data + candidate;
      // Only what agrees in its first bytes and where it would have to be longer is compared.
      if (
        load<u8>(other + best) == load<u8>(at + best) &&
        (load<u32>(other) & 0xffffff) == three &&
        load<u8>(other + best - 1) == load<u8>(at + best - 1)
      ) {
        const same = min(equalBytes(other, at, end), most);
        if (same > best) {
          best = same;
          from = candidate;
          if (same >= nice) break;
        }
      }
      candidate = load<u16>(PREVIOUS + candidate * 2) as u32;
    } while (candidate != 0 && --chain != 0);
    if (best < 3) {
      at++;
      continue;
    }

    store<u32>(out, ((at - anchor) << 20) | ((at - data - from) << 8) | (best - 3));
    out += 4;
    const to = at + best;
    if (best <= INSERT && end - to >= 3) {
      while (++at < to) {
        const inner = headOf(load<u32>(at) & 0xffffff);
        const old = load<u16>(inner) as u32;
        store<u16>(PREVIOUS + (at - data) * 2, (old & 0xf000) == era ? old & 0xfff : 0);
        store<u16>(inner, era | (at - data));
      }
    }
    at = to;
    anchor = to;
  }
  exactLastLiterals = end - anchor;
  return out;
}

/** Fifteen bits of three bytes, each shifted by five. */
function headOf(three: u32): u32 {
  return EXACT_HEADS + ((((three << 10) ^ ((three & 0xff00) >> 3) ^ (three >> 16)) & 0x7fff) << 1);
}

/** How many bytes agree; the last step may look seven bytes beyond `end`. */
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
