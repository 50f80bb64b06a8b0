import { bitBuffer, bitCount, bitOut, continueBits } from "./encode";
import { countMatch, distanceSymbol } from "./histogram";
import { DISTANCE_CODE, LENGTH_CODES, LITERAL_CODE, LITERAL_FREQUENCY, PAGE_HEADS } from "./memory";

/** Entries of the hash table: 2^11, addresses; 0 is none, and farther than the window from any page. More of them find more, but do not stay in the first cache. */
const HASH_BITS: u32 = 11;
/** The last of so many positions is at most `POSITIONS - 1 + 8` bytes before the end of a page. */
const POSITIONS: u32 = 4;
/** Matches are of seven bytes or more: shorter ones cost more time than they save bytes. */
const IGNORED_BITS: u64 = 8;
/** After every eight misses one word more is skipped. */
const SKIP_SHIFT: u32 = 3;
/** At every so many misses in a row it is looked at whether the page compresses at all. */
const MANY_MISSES: u32 = 32;
/** Distances less one are smaller. */
const WINDOW: u32 = 0x7fff;
const LONGEST: u32 = 258;

/** Clears the hash table: the pages before are not there any more. */
export function forgetPages(): void {
  memory.fill(PAGE_HEADS, 0, 4 << HASH_BITS);
}

/**
 * Writes a page by the codes that are there, in one pass, and counts its symbols (of literals one in four).
 *
 * Four positions are looked up at a time, whatever is found: which of them is the first one that matches is a number
 * then, not a branch that the processor foretells wrongly. If none does, the four bytes are literals. Returns false, and
 * the bits as they were, where the page hardly compresses.
 */
export function putPage(data: u32, length: u32): bool {
  const end = data + length;
  const last = end - POSITIONS - 8;
  let buffer = bitBuffer;
  let n = bitCount;
  let out = bitOut;
  const begin = out;
  let at = data;
  let misses: u32 = 0;
  for (;;) {
    // What comes next: words of literals, up to three literals, a match.
    let words: u32 = 0;
    let single: u32 = 0;
    let from: u32 = 0;
    if (at <= last) {
      const v0 = load<u64>(at);
      const v1 = load<u64>(at, 1);
      const v2 = load<u64>(at, 2);
      const v3 = load<u64>(at, 3);
      const h0 = headOf(v0);
      const h1 = headOf(v1);
      const h2 = headOf(v2);
      const h3 = headOf(v3);
      const e0 = load<u32>(h0, PAGE_HEADS);
      const e1 = load<u32>(h1, PAGE_HEADS);
      const e2 = load<u32>(h2, PAGE_HEADS);
      const e3 = load<u32>(h3, PAGE_HEADS);
      store<u32>(h0, at, PAGE_HEADS);
      store<u32>(h1, at + 1, PAGE_HEADS);
      store<u32>(h2, at + 2, PAGE_HEADS);
      store<u32>(h3, at + 3, PAGE_HEADS);
      const found = matches(e0, v0) | (matches(e1, v1) << 1) | (matches(e2, v2) << 2) | (matches(e3, v3) << 3);
      single = ctz(found);
      const even = single & 2 ? e2 : e0;
      const odd = single & 2 ? e3 : e1;
      from = single & 1 ? odd : even;
      if (found != 0 && at + single - from - 1 < WINDOW) {
        misses = 0;
      } else {
        words = min((misses++ >> SKIP_SHIFT) + 1, (end - at) >> 2);
        from = 0;
        if ((misses & (MANY_MISSES - 1)) == 0 && isPoor(at, data, end, out - begin)) return false;
      }
    } else {
      words = (end - at) >> 2;
      single = (end - at) & 3;
    }
    const tail = at > last;
    for (; words != 0; words--) {
      const four = load<u32>(at);
      countSome((four >> ((at & 12) << 1)) & 0xff, 4);
      const a = codeOf(four & 0xff);
      const b = codeOf((four >> 8) & 0xff);
      const c = codeOf((four >> 16) & 0xff);
      const d = codeOf(four >> 24);
      // No code is longer than 13 bits: four fit beside seven pending bits.
      buffer |= ((a & 0xffff) as u64) << n;
      n += a >> 16;
      buffer |= ((b & 0xffff) as u64) << n;
      n += b >> 16;
      buffer |= ((c & 0xffff) as u64) << n;
      n += c >> 16;
      buffer |= ((d & 0xffff) as u64) << n;
      n += d >> 16;
      store<u64>(out, buffer);
      out += n >> 3;
      buffer >>= n & 56;
      n &= 7;
      at += 4;
    }
    if (!tail && from == 0) continue;
    // Zero to three literals: a code that is not needed is masked out instead of branched over.
    const four = load<u32>(at);
    countSome(four & 0xff, single);
    const a = codeOf(four & 0xff) & masked(0 - single);
    const b = codeOf((four >> 8) & 0xff) & masked(1 - single);
    const c = codeOf((four >> 16) & 0xff) & masked(2 - single);
    buffer |= ((a & 0xffff) as u64) << n;
    n += a >> 16;
    buffer |= ((b & 0xffff) as u64) << n;
    n += b >> 16;
    buffer |= ((c & 0xffff) as u64) << n;
    n += c >> 16;
    at += single;
    if (tail) {
      store<u64>(out, buffer);
      out += n >> 3;
      buffer >>= n & 56;
      n &= 7;
      break;
    }
    const less = at - from - 1;
    const symbol = distanceSymbol(less);
    const code = load<u32>(symbol << 2, DISTANCE_CODE);
    const extra: u32 = symbol < 4 ? 0 : (symbol >> 1) - 1;
    const distance = ((code & 0xffff) as u64) | (((less & ((1 << extra) - 1)) as u64) << (code >> 16));
    const distanceBits = (code >> 16) + extra;
    const to = matchEnd(at, from, end);
    let take = to - at;
    at = to;
    do {
      // Never leave one or two bytes: a match cannot be that short.
      const part: u32 = take <= LONGEST ? take : take > LONGEST + 2 ? LONGEST : take - 3;
      countMatch(part - 3, less);
      // At most 18 bits beside 46, and 28 beside seven. All 64 bits go in two halves: a shift by 64 is one by 0.
      const lengthCode = load<u32>((part - 3) << 2, LENGTH_CODES);
      buffer |= ((lengthCode & 0xffffff) as u64) << n;
      n += lengthCode >> 24;
      store<u64>(out, buffer);
      out += n >> 3;
      const half: u64 = (n >> 3) << 2;
      buffer = (buffer >> half) >> half;
      n &= 7;
      buffer |= distance << n;
      n += distanceBits;
      store<u64>(out, buffer);
      out += n >> 3;
      buffer >>= n & 56;
      n &= 7;
      take -= part;
    } while (take != 0);
  }
  continueBits(buffer, n, out);
  return true;
}

/** Whether a page shrank by less than a 64th up to `at`, and is not filled with equal words after it. */
function isPoor(at: u32, data: u32, end: u32, written: u32): bool {
  if (written <= at - data - ((at - data) >> 6)) return false;
  let equal = false;
  for (let word = at; word + 16 <= end; word += 64) equal = equal || load<u64>(word) == load<u64>(word, 8);
  return !equal;
}

/** The offset of the head in the table. */
function headOf(eight: u64): u32 {
  return ((((eight << IGNORED_BITS) * 0x9e3779b185ebca87) >> (62 - HASH_BITS)) as u32) & (((1 << HASH_BITS) - 1) << 2);
}

function matches(from: u32, eight: u64): u32 {
  return ((load<u64>(from) ^ eight) << IGNORED_BITS == 0) as u32;
}

function codeOf(byte: u32): u32 {
  return load<u32>(byte << 2, LITERAL_CODE);
}

/** All ones for a difference below zero, else zero. */
function masked(difference: u32): u32 {
  return ((difference as i32) >> 31) as u32;
}

/** Counts a literal that stands for several. */
function countSome(byte: u32, times: u32): void {
  store<u32>(byte << 2, load<u32>(byte << 2, LITERAL_FREQUENCY) + times, LITERAL_FREQUENCY);
}

/** Where two strings that begin alike end, at most `end`. Reads up to 15 bytes past it, which belong to the batch. */
function matchEnd(first: u32, other: u32, end: u32): u32 {
  let to = first;
  let from = other;
  if (ASC_FEATURE_SIMD) {
    let differ = i8x16.bitmask(i8x16.ne(v128.load(to), v128.load(from)));
    while (differ == 0 && to < end) {
      to += 16;
      from += 16;
      differ = i8x16.bitmask(i8x16.ne(v128.load(to), v128.load(from)));
    }
    return min(to + ctz(differ), end);
  }
  let differ = load<u64>(to) ^ load<u64>(from);
  while (differ == 0 && to < end) {
    to += 8;
    from += 8;
    differ = load<u64>(to) ^ load<u64>(from);
  }
  return min(to + ((ctz(differ) >> 3) as u32), end);
}
