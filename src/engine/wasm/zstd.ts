import {
  buildCodes,
  CODES,
  firstState,
  LENGTH_LOG,
  LITERAL_LENGTHS,
  literalSymbol,
  MATCH_LENGTHS,
  matchSymbol,
  nextState,
  OFFSET_LOG,
  OFFSETS,
  stateBits,
} from "./zstd-codes";

/** Largest block (RFC 8878 section 3.1.1.2.4). */
const BLOCK: u32 = 1 << 17;
/** Entries of the hash table: 2^13, positions from the first byte of the part, u32 each: 32 KB, as the first cache. */
const HASH_BITS: u32 = 13;
/** The step grows by one after every 32 misses, so incompressible data is skipped quickly. */
const SKIP_SHIFT: u32 = 5;
const SLACK: u32 = 64;

/** The workspace: codes, hash table, literals of a block, its sequences (u64 each). */
const HEADS: u32 = (CODES + 63) & ~63;
const LITERALS: u32 = HEADS + (4 << HASH_BITS);
const SEQUENCES: u32 = LITERALS + BLOCK + SLACK;
/** Bytes of the workspace. */
export const ZSTD_WORK: u32 = SEQUENCES + (BLOCK / 4) * 8 + SLACK;

/** A sequence: literals before, offset value << 17, length less 3 << 40. */
const OFFSET_AT: u64 = 17;
const LENGTH_AT: u64 = 40;
const LITERALS_MASK: u32 = (1 << 17) - 1;
const OFFSET_MASK: u32 = (1 << 23) - 1;

/** The last offset, which is 1 at the start of a frame. */
let repeated: u32 = 1;
/** What {@link findSequences} has found. */
let literalsEnd: u32 = 0;
let sequencesEnd: u32 = 0;

/** Fills the tables of a workspace, and begins a frame. */
export function zstdBegin(work: u32): void {
  buildCodes(work);
  repeated = 1;
}

/**
 * Compresses `length` bytes at `data`, at most 4 MiB, to the next blocks of the frame, which refer to nothing before.
 * Reads up to 64 bytes past the end. Returns the address after the blocks; they are at most as long as the data and
 * three bytes a block of 128 KiB, and 64 bytes more may be written.
 */
export function zstdBlocks(work: u32, data: u32, length: u32, out: u32): u32 {
  memory.fill(work + HEADS, 0, 4 << HASH_BITS);
  const end = data + length;
  for (let at = data; at < end; at += BLOCK) out = block(work, data, at, min(at + BLOCK, end), out);
  return out;
}

function block(work: u32, data: u32, start: u32, end: u32, out: u32): u32 {
  const before = repeated;
  const length = end - start;
  findSequences(work, data, start, end);
  const count = (sequencesEnd - work - SEQUENCES) >> 3;
  const literals = literalsEnd - work - LITERALS;
  // A sequence takes at least a byte and a half.
  if (literals + count + (count >> 1) < length) {
    const to = putSequences(work, putLiterals(work, literals, out + 3), count);
    const size = to - out - 3;
    if (size < length) {
      putHeader(out, (size << 3) | 4);
      return to;
    }
  }
  repeated = before;
  putHeader(out, length << 3);
  memory.copy(out + 3, start, length);
  return out + 3 + length;
}

function putHeader(out: u32, header: u32): void {
  store<u16>(out, header);
  store<u8>(out + 2, header >> 16);
}

/** Greedy matches of at least four bytes, the last offset first; literals and sequences go to the workspace. */
function findSequences(work: u32, data: u32, start: u32, end: u32): void {
  const heads = work + HEADS;
  let literals = work + LITERALS;
  let out = work + SEQUENCES;
  let last = repeated;
  let at = start;
  let anchor = start;
  let misses: u32 = 1 << SKIP_SHIFT;
  while (at + 8 < end) {
    const eight = load<u64>(at);
    const head = headOf(heads, eight);
    let from = data + load<u32>(head);
    store<u32>(head, at - data);
    let begin = at + 1;
    if (begin - last < data || load<u32>(begin) != load<u32>(begin - last)) {
      begin = at;
      if (from >= at || load<u32>(from) != (eight as u32)) {
        at += misses++ >> SKIP_SHIFT;
        continue;
      }
    } else {
      from = begin - last;
    }
    misses = 1 << SKIP_SHIFT;
    const offset = begin - from;
    let to = begin + 4;
    let other = from + 4;
    let differ = load<u64>(to) ^ load<u64>(other);
    while (differ == 0 && to < end) {
      to += 8;
      other += 8;
      differ = load<u64>(to) ^ load<u64>(other);
    }
    to = min(to + ((ctz(differ) >> 3) as u32), end);
    const count = begin - anchor;
    copyLiterals(literals, anchor, count);
    literals += count;
    const value: u32 = offset == last && count != 0 ? 1 : offset + 3;
    store<u64>(out, (count as u64) | ((value as u64) << OFFSET_AT) | (((to - begin - 3) as u64) << LENGTH_AT));
    out += 8;
    last = offset;
    at = to;
    anchor = to;
    if (at + 8 < end) store<u32>(headOf(heads, load<u64>(at - 2)), at - 2 - data);
  }
  copyLiterals(literals, anchor, end - anchor);
  literalsEnd = literals + (end - anchor);
  sequencesEnd = out;
  repeated = last;
}

/** By the low five bytes. */
function headOf(heads: u32, eight: u64): u32 {
  return heads + ((((eight << 24) * 889523592379) >> (64 - HASH_BITS)) as u32) * 4;
}

/** Copies up to 15 bytes more. */
function copyLiterals(to: u32, from: u32, count: u32): void {
  const end = to + count;
  do {
    store<u64>(to, load<u64>(from));
    store<u64>(to + 8, load<u64>(from + 8));
    to += 16;
    from += 16;
  } while (to < end);
}

/** Literals as they are (section 3.1.1.3.1). */
function putLiterals(work: u32, count: u32, out: u32): u32 {
  putHeader(out, (count << 4) | 12);
  memory.copy(out + 3, work + LITERALS, count);
  return out + 3 + count;
}

/** The sequences by the predefined codes, from the last to the first, as they are read backwards (section 3.1.1.3.2). */
function putSequences(work: u32, out: u32, count: u32): u32 {
  if (count < 128) {
    store<u8>(out++, count);
  } else if (count < 0x7f00) {
    store<u8>(out, 0x80 + (count >> 8));
    store<u8>(out + 1, count);
    out += 2;
  } else {
    store<u8>(out, 0xff);
    store<u16>(out + 1, count - 0x7f00);
    out += 3;
  }
  if (count == 0) return out;
  store<u8>(out++, 0);
  const literalTable = work + LITERAL_LENGTHS;
  const matchTable = work + MATCH_LENGTHS;
  const offsetTable = work + OFFSETS;
  const first = work + SEQUENCES;
  let at = first + (count - 1) * 8;
  let literalState: u32 = 0;
  let matchState: u32 = 0;
  let offsetState: u32 = 0;
  let bits: u64 = 0;
  let n: u32 = 0;
  for (let begun = false; at >= first; at -= 8) {
    const sequence = load<u64>(at);
    const literals = (sequence as u32) & LITERALS_MASK;
    const offset = ((sequence >> OFFSET_AT) as u32) & OFFSET_MASK;
    const less = (sequence >> LENGTH_AT) as u32;
    const literal = literalSymbol(work, literals);
    const match = matchSymbol(work, less);
    const top = 31 - clz(offset);
    if (begun) {
      let count = stateBits(offsetTable, top, offsetState);
      bits |= ((offsetState & ((1 << count) - 1)) as u64) << n;
      n += count;
      offsetState = nextState(offsetTable, top, offsetState, count);
      count = stateBits(matchTable, match & 0xff, matchState);
      bits |= ((matchState & ((1 << count) - 1)) as u64) << n;
      n += count;
      matchState = nextState(matchTable, match & 0xff, matchState, count);
      count = stateBits(literalTable, literal & 0xff, literalState);
      bits |= ((literalState & ((1 << count) - 1)) as u64) << n;
      n += count;
      literalState = nextState(literalTable, literal & 0xff, literalState, count);
    } else {
      begun = true;
      offsetState = firstState(offsetTable, top);
      matchState = firstState(matchTable, match & 0xff);
      literalState = firstState(literalTable, literal & 0xff);
    }
    let count = literal >> 8;
    bits |= ((literals & ((1 << count) - 1)) as u64) << n;
    n += count;
    // Lengths and offsets take up to 16 and 22 bits more.
    if (n > 24) {
      store<u64>(out, bits);
      out += n >> 3;
      bits >>= (n & 0x38) as u64;
      n &= 7;
    }
    count = match >> 8;
    bits |= ((less & ((1 << count) - 1)) as u64) << n;
    n += count;
    bits |= ((offset & ((1 << top) - 1)) as u64) << n;
    n += top;
    store<u64>(out, bits);
    out += n >> 3;
    bits >>= (n & 0x38) as u64;
    n &= 7;
  }
  bits |= ((matchState & ((1 << LENGTH_LOG) - 1)) as u64) << n;
  n += LENGTH_LOG;
  bits |= ((offsetState & ((1 << OFFSET_LOG) - 1)) as u64) << n;
  n += OFFSET_LOG;
  bits |= ((literalState & ((1 << LENGTH_LOG) - 1)) as u64) << n;
  n += LENGTH_LOG;
  store<u64>(out, bits | ((1 as u64) << n));
  return out + (n >> 3) + 1;
}
