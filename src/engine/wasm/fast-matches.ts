import { FAST_HEADS, SEQUENCES } from "./memory";

/** Entries of the hash table: 2^12. */
const HASH_BITS: u32 = 12;
const FIRST_EPOCH: u32 = 0x1000;
const LAST_EPOCH: u32 = 0xf000;
/** Every 64 misses in a row the step grows by one: what does not match is soon skipped. */
const SKIP_SHIFT: u32 = 6;

let epoch: u32 = 0;

/** Literals after the last sequence found by {@link findMatches}. */
export let lastLiterals: u32 = 0;

/**
 * Greedy matches of at least four bytes, as sequences at `SEQUENCES`; returns the address behind the last one.
 *
 * A hash entry holds the position and an epoch. A page is 4,096 bytes, so the position needs 12 of 16 bits, and what an
 * earlier page left is told by its epoch instead of being cleared.
 */
export function findMatches(data: u32, length: u32): u32 {
  epoch += FIRST_EPOCH;
  if (epoch > LAST_EPOCH) {
    memory.fill(FAST_HEADS, 0, 2 << HASH_BITS);
    epoch = FIRST_EPOCH;
  }
  const era = epoch;
  const end = data + length;
  const last = end - 4;
  let out = SEQUENCES;
  let at = data;
  let anchor = data;
  let misses: u32 = 1 << SKIP_SHIFT;
  while (at <= last) {
    const four = load<u32>(at);
    const head = FAST_HEADS + ((four * 0x9e3779b1) >> (32 - HASH_BITS)) * 2;
    const entry = load<u16>(head) as u32;
    store<u16>(head, era | (at - data));
    let from = data + (entry & 0xfff);
    if ((entry & 0xf000) != era || load<u32>(from) != four) {
      at += misses++ >> SKIP_SHIFT;
      continue;
    }
    misses = 1 << SKIP_SHIFT;
    let to = at + 4;
    let other = from + 4;
    // The last step may read seven bytes beyond the page, which are the batch's; what they add is cut off.
    while (to < end) {
      const differ = load<u64>(to) ^ load<u64>(other);
      if (differ != 0) {
        to += (ctz(differ) >> 3) as u32;
        break;
      }
      to += 8;
      other += 8;
    }
    if (to > end) to = end;
    while (at > anchor && from > data && load<u8>(at - 1) == load<u8>(from - 1)) {
      at--;
      from--;
    }
    const distance = at - from;
    let left = to - at;
    let before = at - anchor;
    do {
      // Never leave one or two bytes: no match is that short.
      const take: u32 = left > 260 ? 258 : left > 258 ? left - 3 : left;
      store<u32>(out, (before << 20) | (distance << 8) | (take - 3));
      out += 4;
      before = 0;
      left -= take;
    } while (left != 0);
    at = to;
    anchor = to;
    if (at <= last) {
      const back = at - 2;
      store<u16>(FAST_HEADS + ((load<u32>(back) * 0x9e3779b1) >> (32 - HASH_BITS)) * 2, era | (back - data));
    }
  }
  lastLiterals = end - anchor;
  return out;
}
