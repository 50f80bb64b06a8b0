import { buildStates, countsLog, countsSymbols, readCounts } from "./unzstd-fse";
import {
  BLOCK,
  CURRENT,
  JOB_LENGTH,
  JOB_LITERALS_LENGTH,
  JOB_SEQUENCES,
  JOB_SEQUENCES_END,
  LITERAL_BASES,
  LITERAL_CODES,
  LITERAL_DEFAULT,
  MASKS,
  MATCH_BASES,
  MATCH_CODES,
  MATCH_DEFAULT,
  OFFSET_BASES,
  OFFSET_CODES,
  OFFSET_DEFAULT,
} from "./unzstd-memory";

/** A refill gives at least 57 bits. The next states take up to 26; the three values may take these without a refill. */
const BESIDE: u64 = 57 - 26;
/** A length that does not fit into 16 bits is zero literals and this match length, and both follow as u32. */
export const LONG: u32 = 0xffff;
/** The shortest match. */
export const LEAST: u32 = 3;

/**
 * Reads the sequences section (RFC 8878 section 3.1.1.3.2) up to `end`, where it has to end, into a job: the offset
 * value (u32), literals (u16) and match length less 3 (u16) each. False on damage: also where they take more literals
 * than there are, or give more than a block of `most` bytes.
 */
export function readSequences(work: u32, job: u32, from: u32, end: u32, most: u32): bool {
  const literals = load<u32>(job + JOB_LITERALS_LENGTH);
  store<u32>(job + JOB_SEQUENCES_END, job + JOB_SEQUENCES);
  store<u32>(job + JOB_LENGTH, literals);
  if (from >= end) return false;
  let count = load<u8>(from++) as u32;
  if (count >= 128) {
    if (count < 255) {
      count = ((count - 128) << 8) + (load<u8>(from) as u32);
      from++;
    } else {
      count = (load<u16>(from) as u32) + 0x7f00;
      from += 2;
    }
  }
  if (count == 0) return from == end && literals <= most;
  if (count > BLOCK / LEAST || from >= end) return false;
  const modes = load<u8>(from++) as u32;
  if ((modes & 3) != 0) return false;
  from = readCode(work, CURRENT, modes >> 6, from, end, 35, 9, LITERAL_BASES, LITERAL_CODES, LITERAL_DEFAULT, 6);
  if (from == 0) return false;
  from = readCode(work, CURRENT + 8, (modes >> 4) & 3, from, end, 31, 8, OFFSET_BASES, OFFSET_CODES, OFFSET_DEFAULT, 5);
  if (from == 0) return false;
  from = readCode(work, CURRENT + 16, (modes >> 2) & 3, from, end, 52, 9, MATCH_BASES, MATCH_CODES, MATCH_DEFAULT, 6);
  if (from == 0 || from >= end || load<u8>(end - 1) == 0) return false;
  return decode(work, job, from, end, count, literals, most);
}

/**
 * Makes a table the current one, by its mode (section 3.1.1.3.2.1.2). Returns the address after its description, 0 on
 * damage.
 */
function readCode(
  work: u32,
  current: u32,
  mode: u32,
  from: u32,
  end: u32,
  most: u32,
  mostLog: u32,
  bases: u32,
  table: u32,
  predefined: u32,
  predefinedLog: u32,
): u32 {
  const at = work + current;
  if (mode == 3) return load<u32>(at) == 0 ? 0 : from;
  if (mode == 0) {
    store<u32>(at, work + predefined);
    store<u32>(at + 4, predefinedLog);
    return from;
  }
  store<u32>(at, work + table);
  if (mode == 1) {
    if (from >= end) return 0;
    const symbol = load<u8>(from) as u32;
    if (symbol > most) return 0;
    store<u64>(work + table, load<u64>(work + bases + symbol * 8));
    store<u32>(at + 4, 0);
    return from + 1;
  }
  from = readCounts(work, from, end, most, mostLog);
  if (from == 0) return 0;
  buildStates(work, work + table, countsSymbols, countsLog, work + bases);
  store<u32>(at + 4, countsLog);
  return from;
}

/** Decodes `count` sequences, whose bits are read backwards from `end` and have to end at `start`. */
function decode(work: u32, job: u32, start: u32, end: u32, count: u32, literals: u32, most: u32): bool {
  const masks = work + MASKS;
  const literalTable = load<u32>(work + CURRENT);
  const offsetTable = load<u32>(work + CURRENT + 8);
  const matchTable = load<u32>(work + CURRENT + 16);
  // Bits of `word`, which is at `at`, that are left; below them are those that come next.
  let at = end - 8;
  let word = load<u64>(at);
  let left = 63 - clz(word);
  let bits = load<u32>(work + CURRENT + 4);
  left -= bits;
  let literalState = literalTable + (((word >> left) as u32) & ((1 << bits) - 1)) * 8;
  bits = load<u32>(work + CURRENT + 12);
  left -= bits;
  let offsetState = offsetTable + (((word >> left) as u32) & ((1 << bits) - 1)) * 8;
  bits = load<u32>(work + CURRENT + 20);
  left -= bits;
  let matchState = matchTable + (((word >> left) as u32) & ((1 << bits) - 1)) * 8;

  let out = job + JOB_SEQUENCES;
  let literalSum: u32 = 0;
  let matchSum: u32 = 0;
  const stop = count;
  for (let i: u32 = 1; ; i++) {
    at -= ((64 - left) >> 3) as u32;
    left = 64 - ((64 - left) & 7);
    word = load<u64>(at);
    const offsetBits = load<u8>(offsetState + 7) as u64;
    const matchBits = load<u8>(matchState + 7) as u64;
    const literalBits = load<u8>(literalState + 7) as u64;
    let offset = load<u32>(offsetState);
    let match = load<u32>(matchState);
    let literal = load<u32>(literalState);
    left -= offsetBits;
    offset += ((word >> left) as u32) & load<u32>(masks + (offsetBits as u32) * 4);
    if (offsetBits + matchBits + literalBits > BESIDE) {
      at -= ((64 - left) >> 3) as u32;
      left = 64 - ((64 - left) & 7);
      word = load<u64>(at);
      left -= matchBits;
      match += ((word >> left) as u32) & load<u32>(masks + (matchBits as u32) * 4);
      at -= ((64 - left) >> 3) as u32;
      left = 64 - ((64 - left) & 7);
      word = load<u64>(at);
    } else {
      left -= matchBits;
      match += ((word >> left) as u32) & load<u32>(masks + (matchBits as u32) * 4);
    }
    left -= literalBits;
    literal += ((word >> left) as u32) & load<u32>(masks + (literalBits as u32) * 4);

    literalSum += literal;
    matchSum += match;
    store<u32>(out, offset);
    if ((match | literal) >= LONG) {
      // A block has at most two of these. More is damage, and has to be found before the job's space is full.
      if (literalSum > literals || matchSum > BLOCK + LONG) return false;
      store<u32>(out + 4, LONG << 16);
      store<u32>(out + 8, literal);
      store<u32>(out + 12, match);
      out += 16;
    } else {
      store<u32>(out + 4, literal | (match << 16));
      out += 8;
    }
    if (i == stop) break;
    if (at + 8 < start) return false;

    let more = load<u8>(literalState + 6) as u64;
    left -= more;
    literalState =
      literalTable +
      (load<u16>(literalState + 4) as u32) +
      (((word >> left) as u32) & load<u32>(masks + (more as u32) * 4)) * 8;
    more = load<u8>(matchState + 6) as u64;
    left -= more;
    matchState =
      matchTable +
      (load<u16>(matchState + 4) as u32) +
      (((word >> left) as u32) & load<u32>(masks + (more as u32) * 4)) * 8;
    more = load<u8>(offsetState + 6) as u64;
    left -= more;
    offsetState =
      offsetTable +
      (load<u16>(offsetState + 4) as u32) +
      (((word >> left) as u32) & load<u32>(masks + (more as u32) * 4)) * 8;
  }
  store<u32>(job + JOB_SEQUENCES_END, out);
  const length = literals + matchSum + count * LEAST;
  store<u32>(job + JOB_LENGTH, length);
  return literalSum <= literals && length <= most && ((at - start) << 3) + (left as u32) == 0;
}
