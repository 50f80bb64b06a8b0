import { countLiteral, countMatch } from "./histogram";
import { FAST_HEADS } from "./memory";

/** Entries of the hash table: 2^12. */
const HASH_BITS: u32 = 12;
const FIRST_EPOCH: u32 = 0x1000;
const LAST_EPOCH: u32 = 0xf000;
/** The step grows by one after every 64 consecutive misses, so incompressible data is skipped quickly. */
const SKIP_SHIFT: u32 = 6;

let epoch: u32 = 0;

/** Literals after the last sequence found by {@link findMatches}. */
export let lastLiterals: u32 = 0;

/**
 * Greedy matches of at least four bytes, as sequences at `first`, counted. Returns the address after the last one.
 *
 * A hash entry holds a position and an epoch. A page is 4,096 bytes, so the position needs 12 of the 16 bits. Entries
 * of earlier pages have another epoch, so the table need not be cleared.
 */
export function findMatches(data: u32, length: u32, first: u32): u32 {
  epoch += FIRST_EPOCH;
  if (epoch > LAST_EPOCH) {
    memory.fill(FAST_HEADS, 0, 2 << HASH_BITS);
    epoch = FIRST_EPOCH;
  }
  const era = epoch;
  const end = data + length;
  const last = end - 4;
  let out = first;
  let at = data;
  let anchor = data;
  let misses: u32 = 1 << SKIP_SHIFT;
  while (at <= last) {
    const four = load<u32>(at);
    const head = headOf(four);
    const entry = load<u16>(head) as u32;
    const from = data + (entry & 0xfff);
    store<u16>(head, era | (at - data));
    // One test instead of two: which of them fails is unpredictable.
    if ((((entry ^ era) & 0xf000) | (load<u32>(from) ^ four)) != 0) {
      countLiteral(four & 0xff);
      at++;
      const step = misses++ >> SKIP_SHIFT;
      if (step > 1) for (const to = min(at + step - 1, end); at < to; at++) countLiteral(load<u8>(at) as u32);
      continue;
    }
    misses = 1 << SKIP_SHIFT;
    // The last step may read seven bytes past the page, which belong to the batch; the excess is cut off below.
    let to = at + 4;
    let differ = load<u64>(to) ^ load<u64>(from + 4);
    if (differ == 0) {
      let other = from + 4;
      do {
        to += 8;
        other += 8;
        differ = load<u64>(to) ^ load<u64>(other);
      } while (differ == 0 && to < end);
    }
    to = min(to + ((ctz(differ) >> 3) as u32), end);
    const distance = at - from;
    let take = to - at;
    while (take > 258) {
      // Never leave one or two bytes: a match cannot be that short.
      const part: u32 = take > 260 ? 258 : take - 3;
      store<u32>(out, ((at - anchor) << 20) | (distance << 8) | (part - 3));
      out += 4;
      countMatch(part - 3, distance - 1);
      at += part;
      anchor = at;
      take -= part;
    }
    store<u32>(out, ((at - anchor) << 20) | (distance << 8) | (take - 3));
    out += 4;
    countMatch(take - 3, distance - 1);
    at = to;
    anchor = to;
    if (at <= last) store<u16>(headOf(load<u32>(at - 2)), era | (at - 2 - data));
  }
  while (at < end) countLiteral(load<u8>(at++) as u32);
  lastLiterals = end - anchor;
  return out;
}

function headOf(four: u32): u32 {
  return FAST_HEADS + ((four * 0x9e3779b1) >> (32 - HASH_BITS)) * 2;
}
