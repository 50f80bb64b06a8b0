import {
  CODE_LENGTHS,
  COUNT,
  DISTANCE_RESULTS,
  FIRST_HALF,
  FIXED_DISTANCE_TABLE,
  FIXED_LITERAL_TABLE,
  LITERAL_RESULTS,
  SECOND_HALF,
  SORTED,
} from "./memory";

/** Bits decoded by one look-up; longer codes need a second one. */
export const LITERAL_TABLE_BITS: u32 = 10;
export const DISTANCE_TABLE_BITS: u32 = 8;

/** Bit 15 marks an entry that is not a plain length or distance. Alone it links to a second table. */
export const SPECIAL: u32 = 0x8000;
const INVALID: u32 = 0xe000;
const LONGEST: u32 = 15;

/**
 * Builds a decoding table for the canonical code whose lengths are at `bits`, indexed by the next `tableBits` bits of
 * input.
 *
 * An entry combines `results` (base << 16 | extra bits, or literal or special) and the code's length n:
 *
 * ```
 * literal   1 31     0 24..30   byte 16..23   0 8..15   n 0..5
 * length    base 16..30         n 8..13       n + extra bits 0..5
 * special   1 15, 1 14          (end of block; with bit 13: not a symbol)   n 0..5
 * link      1 15                offset of the second table in entries 16..30, its bits 8..11, tableBits 0..5
 * ```
 *
 * The code must be complete. With `lenient`, a code of one symbol in one bit, or of none, is also accepted, as zlib
 * does for distances; input without a code is `INVALID`. Returns false for anything else.
 */
export function buildTable(bits: u32, symbols: u32, results: u32, table: u32, tableBits: u32, lenient: bool): bool {
  const half = (symbols + 1) >> 1;
  countLengths(bits, symbols, half);
  // Start of each length's symbols in the sorted list, and the used part of the code space. Symbols without a code come
  // first.
  let place: u32 = load<u32>(FIRST_HALF) + load<u32>(SECOND_HALF);
  store<u32>(SECOND_HALF, load<u32>(FIRST_HALF));
  store<u32>(FIRST_HALF, 0);
  let sorted: u32 = SORTED + place * 2;
  let left: i32 = 1;
  let longest: u32 = 0;
  for (let length: u32 = 1; length <= LONGEST; length++) {
    const first = load<u32>(FIRST_HALF + length * 4);
    const count = first + load<u32>(SECOND_HALF + length * 4);
    store<u32>(COUNT + length * 4, count);
    store<u32>(FIRST_HALF + length * 4, place);
    store<u32>(SECOND_HALF + length * 4, place + first);
    place += count;
    left = (left << 1) - count;
    if (left < 0) return false;
    if (count != 0) longest = length;
  }
  if (left != 0) {
    if (!lenient || longest > 1) return false;
    for (let i: u32 = 0; i < 1 << tableBits; i++) store<u32>(table + i * 4, INVALID | 1);
    if (longest == 0) return true;
  }
  sortSymbols(bits, symbols, half);

  // Codes of growing length: the table of all shorter ones is doubled, then the codes of this length are added. `code`
  // has its bits in input order, so it is the index; see `nextCode`.
  let code: u32 = 0;
  let size: u32 = 1;
  for (let length: u32 = 1; length <= tableBits; length++) {
    if (left == 0) doubleTable(table, size * 4);
    size <<= 1;
    let count = load<u32>(COUNT + length * 4);
    while (count-- != 0) {
      const result = load<u32>(results + (load<u16>(sorted) as u32) * 4);
      sorted += 2;
      const entry = (result & 0x8000c000) != 0 ? result + length : result + ((length << 8) | length);
      store<u32>(table + code * 4, entry);
      code = nextCode(code, size);
    }
  }
  if (left != 0) {
    // One symbol in one bit: it is at index 0 and at every other even index.
    const entry = load<u32>(table);
    for (let i: u32 = 0; i < size; i += 2) store<u32>(table + i * 4, entry);
    return true;
  }

  // Longer codes: those with the same first `tableBits` bits share one second table, large enough for the longest.
  const more = longest - tableBits;
  let second = size;
  let link: u32 = 0xffffffff;
  for (let length = tableBits + 1; length <= longest; length++) {
    let count = load<u32>(COUNT + length * 4);
    while (count-- != 0) {
      const result = load<u32>(results + (load<u16>(sorted) as u32) * 4);
      sorted += 2;
      const head = code & (size - 1);
      if (head != link) {
        if (link != 0xffffffff) second += 1 << more;
        link = head;
        store<u32>(table + head * 4, (second << 16) | SPECIAL | (more << 8) | tableBits);
      }
      const rest = length - tableBits;
      const entry = (result & 0x8000c000) != 0 ? result + rest : result + ((rest << 8) | rest);
      for (let i = code >> tableBits; i < 1 << more; i += 1 << rest) store<u32>(table + (second + i) * 4, entry);
      code = nextCode(code, 1 << length);
    }
  }
  return true;
}

/**
 * Counts the lengths of both halves of the symbols separately. Neighbours often have the same length, and reading a
 * counter that was just written is slow.
 */
function countLengths(bits: u32, symbols: u32, half: u32): void {
  memory.fill(FIRST_HALF, 0, 128);
  const end = bits + symbols - half;
  for (let at = bits; at < end; at++) {
    count(FIRST_HALF + (load<u8>(at) as u32) * 4);
    count(SECOND_HALF + (load<u8>(at + half) as u32) * 4);
  }
  if (symbols - half < half) count(FIRST_HALF + (load<u8>(end) as u32) * 4);
}

function count(counter: u32): void {
  store<u32>(counter, load<u32>(counter) + 1);
}

/** Lists the symbols by length and, within a length, ascending. Branch-free. */
function sortSymbols(bits: u32, symbols: u32, half: u32): void {
  const rest = symbols - half;
  for (let s: u32 = 0; s < rest; s++) {
    place(FIRST_HALF + (load<u8>(bits + s) as u32) * 4, s);
    place(SECOND_HALF + (load<u8>(bits + half + s) as u32) * 4, half + s);
  }
  if (rest < half) place(FIRST_HALF + (load<u8>(bits + rest) as u32) * 4, rest);
}

function place(next: u32, symbol: u32): void {
  const to = load<u32>(next);
  store<u32>(next, to + 1);
  store<u16>(SORTED + to * 2, symbol);
}

/**
 * The next code after one whose bits are in input order, `space` being 1 << its length: adds one at the last bit and
 * carries upward.
 */
function nextCode(code: u32, space: u32): u32 {
  const zeros = code ^ (space - 1);
  if (zeros == 0) return 0;
  const bit = (0x80000000 as u32) >> clz<u32>(zeros);
  return (code & (bit - 1)) | bit;
}

/** Appends a copy of a table to itself. */
function doubleTable(table: u32, bytes: u32): void {
  if (bytes < 16) {
    store<u64>(table + bytes, load<u64>(table));
    return;
  }
  for (let at: u32 = 0; at < bytes; at += 16) {
    const low = load<u64>(table + at);
    const high = load<u64>(table + at + 8);
    store<u64>(table + bytes + at, low);
    store<u64>(table + bytes + at + 8, high);
  }
}

/** The tables of the fixed codes. */
export function buildFixedTables(): void {
  memory.fill(CODE_LENGTHS, 8, 144);
  memory.fill(CODE_LENGTHS + 144, 9, 112);
  memory.fill(CODE_LENGTHS + 256, 7, 24);
  memory.fill(CODE_LENGTHS + 280, 8, 8);
  buildTable(CODE_LENGTHS, 288, LITERAL_RESULTS, FIXED_LITERAL_TABLE, LITERAL_TABLE_BITS, false);
  memory.fill(CODE_LENGTHS, 5, 32);
  buildTable(CODE_LENGTHS, 32, DISTANCE_RESULTS, FIXED_DISTANCE_TABLE, DISTANCE_TABLE_BITS, false);
}
