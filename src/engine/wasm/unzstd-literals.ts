import { buildStates, countsLog, countsSymbols, readCounts } from "./unzstd-fse";
import {
  BLOCK,
  HAS_TREE,
  JOB_LITERALS,
  JOB_LITERALS_LENGTH,
  JOB_OWN_LITERALS,
  RANKS,
  TREE,
  TREE_LOG,
  WEIGHT_BASES,
  WEIGHT_CODES,
  WEIGHTS,
} from "./unzstd-memory";

/** Weights: at most 255 (the last one follows from the others), codes of at most 6 bits for them, values to 12. */
const MOST_WEIGHTS: u32 = 255;
const WEIGHT_LOG: u32 = 6;
const MOST_WEIGHT: u32 = 12;
/** The shift that leaves the index of `TREE`. */
const TOP: u64 = 64 - TREE_LOG;
/** Symbols that a reader has bits for without a refill: 5 of 11 bits. */
const AT_ONCE: u32 = 5;

/** Reads the literals section (RFC 8878 section 3.1.1.3.1). Returns the address after it, 0 on damage, 1: no tree. */
export function readLiterals(work: u32, job: u32, from: u32, end: u32): u32 {
  if (from >= end) return 0;
  const head = load<u64>(from);
  const kind = (head & 3) as u32;
  const form = ((head >> 2) as u32) & 3;
  const own = job + JOB_OWN_LITERALS;
  if (kind < 2) {
    const bytes: u32 = (form & 1) == 0 ? 1 : form == 1 ? 2 : 3;
    const size =
      form == 1
        ? ((head >> 4) as u32) & 0xfff
        : form == 3
          ? ((head >> 4) as u32) & 0xfffff
          : ((head as u32) & 0xff) >> 3;
    const content = from + bytes;
    const stored: u32 = kind == 0 ? size : 1;
    if (size > BLOCK || content > end || stored > end - content) return 0;
    store<u32>(job + JOB_LITERALS_LENGTH, size);
    store<u32>(job + JOB_LITERALS, kind == 0 ? content : own);
    if (kind == 1) memory.fill(own, load<u8>(content), size);
    return content + stored;
  }
  const bytes: u32 = form < 2 ? 3 : form + 2;
  const bits: u64 = form < 2 ? 10 : form == 2 ? 14 : 18;
  const mask: u64 = ((1 as u64) << bits) - 1;
  const size = ((head >> 4) & mask) as u32;
  const packed = ((head >> (4 + bits)) & mask) as u32;
  let content = from + bytes;
  if (size == 0 || size > BLOCK || content > end || packed > end - content) return 0;
  const stop = content + packed;
  if (kind == 2) {
    store<u32>(work + HAS_TREE, 0);
    content = readTree(work, content, stop);
    if (content == 0) return 0;
    store<u32>(work + HAS_TREE, 1);
  } else if (load<u32>(work + HAS_TREE) == 0) {
    return 1;
  }
  store<u32>(job + JOB_LITERALS_LENGTH, size);
  store<u32>(job + JOB_LITERALS, own);
  const tree = work + TREE;
  const good =
    form == 0 ? oneStream(tree, content, stop, own, own + size) : fourStreams(tree, content, stop, own, size);
  return good ? stop : 0;
}

/** Reads a Huffman tree (section 4.2.1) and builds its table. Returns the address after it, 0 on damage. */
function readTree(work: u32, from: u32, end: u32): u32 {
  if (from >= end) return 0;
  const head = load<u8>(from++) as u32;
  const weights = work + WEIGHTS;
  let count: u32;
  let next: u32;
  if (head >= 128) {
    count = head - 127;
    next = from + ((count + 1) >> 1);
    if (next > end) return 0;
    for (let i: u32 = 0; i < count; i += 2) {
      const two = load<u8>(from + (i >> 1)) as u32;
      store<u8>(weights + i, two >> 4);
      store<u8>(weights + i + 1, two & 15);
    }
  } else {
    next = from + head;
    if (next > end) return 0;
    count = readWeights(work, from, next);
    if (count == 0) return 0;
  }
  return buildTree(work, count) ? next : 0;
}

/** Weights that are compressed by two states of one code in turns (section 4.2.1.2). Returns how many, 0 on damage. */
function readWeights(work: u32, from: u32, end: u32): u32 {
  const start = readCounts(work, from, end, MOST_WEIGHT, WEIGHT_LOG);
  if (start == 0 || start >= end) return 0;
  const log = countsLog;
  const table = work + WEIGHT_CODES;
  buildStates(work, table, countsSymbols, log, work + WEIGHT_BASES);
  const last = load<u8>(end - 1) as u32;
  if (last == 0) return 0;
  // Bits that are left of the stream, which is read backwards.
  let left = (((end - start - 1) << 3) + 31 - clz(last)) as i32;
  left -= (2 * log) as i32;
  if (left < 0) return 0;
  let one = table + bitsAt(start, left + (log as i32), log) * 8;
  let two = table + bitsAt(start, left, log) * 8;
  const weights = work + WEIGHTS;
  for (let count: u32 = 0; count < MOST_WEIGHTS - 1;) {
    store<u8>(weights + count++, load<u8>(one));
    const bits = load<u8>(one + 6) as u32;
    left -= bits as i32;
    if (left < 0) {
      store<u8>(weights + count++, load<u8>(two));
      return count;
    }
    const next = table + (load<u16>(one + 4) as u32) + bitsAt(start, left, bits) * 8;
    one = two;
    two = next;
  }
  return 0;
}

/** `bits` bits from bit `at` of the bytes at `start`. */
function bitsAt(start: u32, at: i32, bits: u32): u32 {
  return (load<u32>(start + ((at as u32) >> 3)) >> ((at as u32) & 7)) & ((1 << bits) - 1);
}

/** Builds `TREE` from `count` weights and the one that follows from them (section 4.2.1.3). */
function buildTree(work: u32, count: u32): bool {
  const weights = work + WEIGHTS;
  const ranks = work + RANKS;
  memory.fill(ranks, 0, 64);
  let sum: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const weight = load<u8>(weights + i) as u32;
    if (weight > TREE_LOG) return false;
    const at = ranks + weight * 4;
    store<u32>(at, load<u32>(at) + 1);
    sum += (1 << weight) >> 1;
  }
  if (sum == 0) return false;
  const log: u32 = 32 - clz(sum);
  if (log > TREE_LOG) return false;
  const rest: u32 = (1 << log) - sum;
  if ((rest & (rest - 1)) != 0) return false;
  const final: u32 = 32 - clz(rest);
  store<u8>(weights + count, final);
  store<u32>(ranks + final * 4, load<u32>(ranks + final * 4) + 1);
  // Two codes are of the greatest length, at least.
  if (load<u32>(ranks + 4) < 2) return false;
  // From the longest codes to the shortest: where each weight's entries begin.
  let place = work + TREE;
  for (let weight: u32 = 1; weight <= log; weight++) {
    const at = ranks + weight * 4;
    const symbols = load<u32>(at);
    store<u32>(at, place);
    place += symbols << (weight + TREE_LOG - log);
  }
  for (let s: u32 = 0; s <= count; s++) {
    const weight = load<u8>(weights + s) as u32;
    if (weight == 0) continue;
    const at = ranks + weight * 4;
    let to = load<u32>(at);
    const bytes: u32 = 1 << (weight + TREE_LOG - log);
    store<u32>(at, to + bytes);
    const entry = (log + 1 - weight) | (s << 8);
    if (bytes == 2) {
      store<u16>(to, entry);
    } else if (bytes == 4) {
      store<u32>(to, entry | (entry << 16));
    } else {
      const four = (entry as u64) * 0x0001000100010001;
      for (const stop = to + bytes; to < stop; to += 8) store<u64>(to, four);
    }
  }
  return true;
}

/**
 * The first bits of a stream that is read backwards: below its last 1 bit, which `last` has; bit 0 marks where they
 * end.
 */
function firstBits(at: u32): u64 {
  const word = load<u64>(at);
  return (word | 1) << ((clz(word) + 1) as u64);
}

/** Four streams (section 4.2.2) in turns, so that none waits for another. */
function fourStreams(tree: u32, from: u32, end: u32, out: u32, size: u32): bool {
  const part = (size + 3) >> 2;
  if (end - from < 10 || size < 6) return false;
  const start1 = from + 6;
  const start2 = start1 + (load<u16>(from) as u32);
  const start3 = start2 + (load<u16>(from + 2) as u32);
  const start4 = start3 + (load<u16>(from + 4) as u32);
  if (start4 >= end || start1 == start2 || start2 == start3 || start3 == start4) return false;
  if (load<u8>(start2 - 1) == 0 || load<u8>(start3 - 1) == 0 || load<u8>(start4 - 1) == 0 || load<u8>(end - 1) == 0)
    return false;
  let at1 = start2 - 8;
  let at2 = start3 - 8;
  let at3 = start4 - 8;
  let at4 = end - 8;
  let bits1 = firstBits(at1);
  let bits2 = firstBits(at2);
  let bits3 = firstBits(at3);
  let bits4 = firstBits(at4);
  let to1 = out;
  let to2 = out + part;
  let to3 = to2 + part;
  let to4 = to3 + part;
  const stop = out + size;
  let e: u64;
  let used: u64;
  // The last part is the shortest. What is read before a stream's start is found to be too much in the end.
  while (to4 + AT_ONCE <= stop) {
    e = load<u16>(tree + ((bits1 >> TOP) as u32) * 2) as u64;
    bits1 <<= e;
    store<u8>(to1, e >> 8);
    e = load<u16>(tree + ((bits2 >> TOP) as u32) * 2) as u64;
    bits2 <<= e;
    store<u8>(to2, e >> 8);
    e = load<u16>(tree + ((bits3 >> TOP) as u32) * 2) as u64;
    bits3 <<= e;
    store<u8>(to3, e >> 8);
    e = load<u16>(tree + ((bits4 >> TOP) as u32) * 2) as u64;
    bits4 <<= e;
    store<u8>(to4, e >> 8);

    e = load<u16>(tree + ((bits1 >> TOP) as u32) * 2) as u64;
    bits1 <<= e;
    store<u8>(to1 + 1, e >> 8);
    e = load<u16>(tree + ((bits2 >> TOP) as u32) * 2) as u64;
    bits2 <<= e;
    store<u8>(to2 + 1, e >> 8);
    e = load<u16>(tree + ((bits3 >> TOP) as u32) * 2) as u64;
    bits3 <<= e;
    store<u8>(to3 + 1, e >> 8);
    e = load<u16>(tree + ((bits4 >> TOP) as u32) * 2) as u64;
    bits4 <<= e;
    store<u8>(to4 + 1, e >> 8);

    e = load<u16>(tree + ((bits1 >> TOP) as u32) * 2) as u64;
    bits1 <<= e;
    store<u8>(to1 + 2, e >> 8);
    e = load<u16>(tree + ((bits2 >> TOP) as u32) * 2) as u64;
    bits2 <<= e;
    store<u8>(to2 + 2, e >> 8);
    e = load<u16>(tree + ((bits3 >> TOP) as u32) * 2) as u64;
    bits3 <<= e;
    store<u8>(to3 + 2, e >> 8);
    e = load<u16>(tree + ((bits4 >> TOP) as u32) * 2) as u64;
    bits4 <<= e;
    store<u8>(to4 + 2, e >> 8);

    e = load<u16>(tree + ((bits1 >> TOP) as u32) * 2) as u64;
    bits1 <<= e;
    store<u8>(to1 + 3, e >> 8);
    e = load<u16>(tree + ((bits2 >> TOP) as u32) * 2) as u64;
    bits2 <<= e;
    store<u8>(to2 + 3, e >> 8);
    e = load<u16>(tree + ((bits3 >> TOP) as u32) * 2) as u64;
    bits3 <<= e;
    store<u8>(to3 + 3, e >> 8);
    e = load<u16>(tree + ((bits4 >> TOP) as u32) * 2) as u64;
    bits4 <<= e;
    store<u8>(to4 + 3, e >> 8);

    e = load<u16>(tree + ((bits1 >> TOP) as u32) * 2) as u64;
    bits1 <<= e;
    store<u8>(to1 + 4, e >> 8);
    e = load<u16>(tree + ((bits2 >> TOP) as u32) * 2) as u64;
    bits2 <<= e;
    store<u8>(to2 + 4, e >> 8);
    e = load<u16>(tree + ((bits3 >> TOP) as u32) * 2) as u64;
    bits3 <<= e;
    store<u8>(to3 + 4, e >> 8);
    e = load<u16>(tree + ((bits4 >> TOP) as u32) * 2) as u64;
    bits4 <<= e;
    store<u8>(to4 + 4, e >> 8);

    to1 += AT_ONCE;
    to2 += AT_ONCE;
    to3 += AT_ONCE;
    to4 += AT_ONCE;

    used = ctz(bits1);
    at1 -= (used >> 3) as u32;
    bits1 = (load<u64>(at1) | 1) << (used & 7);
    used = ctz(bits2);
    at2 -= (used >> 3) as u32;
    bits2 = (load<u64>(at2) | 1) << (used & 7);
    used = ctz(bits3);
    at3 -= (used >> 3) as u32;
    bits3 = (load<u64>(at3) | 1) << (used & 7);
    used = ctz(bits4);
    at4 -= (used >> 3) as u32;
    bits4 = (load<u64>(at4) | 1) << (used & 7);
  }
  return (
    rest(tree, start1, at1, bits1, to1, out + part) &&
    rest(tree, start2, at2, bits2, to2, out + 2 * part) &&
    rest(tree, start3, at3, bits3, to3, out + 3 * part) &&
    rest(tree, start4, at4, bits4, to4, stop)
  );
}

function oneStream(tree: u32, from: u32, end: u32, out: u32, stop: u32): bool {
  if (from >= end || load<u8>(end - 1) == 0) return false;
  const at = end - 8;
  return rest(tree, from, at, firstBits(at), out, stop);
}

/** The rest of a stream, whose bits have to end with it. */
function rest(tree: u32, start: u32, at: u32, bits: u64, to: u32, stop: u32): bool {
  for (;;) {
    const used = ctz(bits);
    at -= (used >> 3) as u32;
    bits = (load<u64>(at) | 1) << (used & 7);
    if (to + AT_ONCE > stop) break;
    for (const end = to + AT_ONCE; to < end; to++) {
      const e = load<u16>(tree + ((bits >> TOP) as u32) * 2) as u64;
      bits <<= e;
      store<u8>(to, e >> 8);
    }
  }
  for (; to < stop; to++) {
    const e = load<u16>(tree + ((bits >> TOP) as u32) * 2) as u64;
    bits <<= e;
    store<u8>(to, e >> 8);
  }
  // Bits left from the first byte on.
  return ((at - start) << 3) + 64 - (ctz(bits) as u32) == 0;
}
