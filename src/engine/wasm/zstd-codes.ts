/**
 * The predefined codes of zstd's sequences (RFC 8878 section 3.1.1.3.2.2 and appendix A), as tables for encoding.
 *
 * A table of a code: the next states (u16 each, 64 of them), and from `SYMBOLS` on eight bytes a symbol: its shift
 * `bits << 16 - smallest state` and where its states begin, less the first of them.
 */
const SYMBOLS: u32 = 0x80;
/** Space for sorting while a table is built: a symbol for each state, and a place for each symbol. */
const SORTING: u32 = 0x280;
/** Bytes of a table. */
const TABLE: u32 = 0x400;

/** Tables of literal lengths, match lengths and offsets, then the symbols of short lengths, from the workspace on. */
export const LITERAL_LENGTHS: u32 = 0;
export const MATCH_LENGTHS: u32 = LITERAL_LENGTHS + TABLE;
export const OFFSETS: u32 = MATCH_LENGTHS + TABLE;
const LITERAL_SYMBOLS: u32 = OFFSETS + TABLE;
const MATCH_SYMBOLS: u32 = LITERAL_SYMBOLS + 128;
/** Bytes of all of it. */
export const CODES: u32 = MATCH_SYMBOLS + 256;

/** Bits of a state. */
export const LENGTH_LOG: u32 = 6;
export const OFFSET_LOG: u32 = 5;

/** Where a table's shares are while it is built. */
const SHARES: u32 = 0x3c0;
/** Extra bits of the symbols from 16 (literal lengths) and 32 (match lengths) on, a digit each from the lowest one. */
const LITERAL_EXTRA: u64 = 0x433221111;
const MATCH_EXTRA: u64 = 0x54433221111;

/** Shares of the symbols, as {@link buildCodes} has them. */
export const LITERAL_SHARES_1: u64 = 0x2223333333333345;
export const LITERAL_SHARES_2: u64 = 0x2222234333333333;
export const MATCH_SHARES_1: u64 = 0x2222222333333452;
export const MATCH_SHARES_2: u64 = 0x2222222222222222;
export const MATCH_SHARES_3: u64 = 0x0022222222222222;
export const OFFSET_SHARES_1: u64 = 0x2222222333222222;
export const OFFSET_SHARES_2: u64 = 0x22222222;

/**
 * Fills the tables at `work`. The shares of the symbols are a digit each from the lowest one: the probability in 64ths
 * (offsets: 32nds) plus one, zero for less than one.
 */
export function buildCodes(work: u32): void {
  shares(work + LITERAL_LENGTHS, LITERAL_SHARES_1, LITERAL_SHARES_2, 0);
  build(work + LITERAL_LENGTHS, 36, LENGTH_LOG);
  shares(work + MATCH_LENGTHS, MATCH_SHARES_1, MATCH_SHARES_2, MATCH_SHARES_3);
  build(work + MATCH_LENGTHS, 53, LENGTH_LOG);
  shares(work + OFFSETS, OFFSET_SHARES_1, OFFSET_SHARES_2, 0);
  build(work + OFFSETS, 29, OFFSET_LOG);
  short(work + LITERAL_SYMBOLS, 16, LITERAL_EXTRA, 64);
  short(work + MATCH_SYMBOLS, 32, MATCH_EXTRA, 128);
}

function shares(table: u32, first: u64, second: u64, third: u64): void {
  store<u64>(table + SHARES, first);
  store<u64>(table + SHARES + 8, second);
  store<u64>(table + SHARES + 16, third);
  store<u64>(table + SHARES + 24, 0);
}

function shareOf(table: u32, symbol: u32): i32 {
  return (((load<u8>(table + SHARES + (symbol >> 1)) as u32) >> ((symbol & 1) * 4)) & 15) - 1;
}

/** Symbols of lengths below `stop`: symbol | extra bits << 8, u16 each. */
function short(at: u32, single: u32, extra: u64, stop: u32): void {
  for (let length: u32 = 0; length < single; length++) store<u16>(at + length * 2, length);
  let length = single;
  for (let symbol = single; length < stop; symbol++) {
    const bits = ((extra >> (((symbol - single) * 4) as u64)) as u32) & 15;
    for (let i: u32 = 0; i < (1 as u32) << bits; i++) store<u16>(at + length++ * 2, symbol | (bits << 8));
  }
}

function build(table: u32, symbols: u32, log: u32): void {
  const size: u32 = 1 << log;
  const spread = table + SORTING;
  const place = spread + 64;
  let high = size - 1;
  let sum: u32 = 0;
  for (let s: u32 = 0; s < symbols; s++) {
    store<u16>(place + s * 2, sum);
    const share = shareOf(table, s);
    if (share < 0) store<u8>(spread + high--, s);
    sum += share < 0 ? 1 : (share as u32);
  }
  const step = (size >> 1) + (size >> 3) + 3;
  let position: u32 = 0;
  for (let s: u32 = 0; s < symbols; s++) {
    for (let left = shareOf(table, s); left > 0; left--) {
      store<u8>(spread + position, s);
      do position = (position + step) & (size - 1);
      while (position > high);
    }
  }
  for (let state: u32 = 0; state < size; state++) {
    const at = place + (load<u8>(spread + state) as u32) * 2;
    const index = load<u16>(at) as u32;
    store<u16>(at, index + 1);
    store<u16>(table + index * 2, size + state);
  }
  sum = 0;
  for (let s: u32 = 0; s < symbols; s++) {
    const share = abs(shareOf(table, s)) as u32;
    const at = table + SYMBOLS + s * 8;
    const bits = share == 1 ? log : log - 31 + clz(share - 1);
    store<u32>(at, (bits << 16) - (share << bits));
    store<u32>(at + 4, sum - share);
    sum += share;
  }
}

/** The symbol of a number of literals: symbol | extra bits << 8. */
export function literalSymbol(work: u32, length: u32): u32 {
  if (length < 64) return load<u16>(work + LITERAL_SYMBOLS + length * 2) as u32;
  const top = 31 - clz(length);
  return (top + 19) | (top << 8);
}

/** The symbol of a match's length less 3. */
export function matchSymbol(work: u32, less: u32): u32 {
  if (less < 128) return load<u16>(work + MATCH_SYMBOLS + less * 2) as u32;
  const top = 31 - clz(less);
  return (top + 36) | (top << 8);
}

/** The state that encodes the last symbol of all. */
export function firstState(table: u32, symbol: u32): u32 {
  const at = table + SYMBOLS + symbol * 8;
  const shift = load<u32>(at);
  const bits = (shift + 0x8000) >> 16;
  return next(table, at, ((bits << 16) - shift) >> bits);
}

/** Bits of `state` to write before the symbol. */
export function stateBits(table: u32, symbol: u32, state: u32): u32 {
  return (state + load<u32>(table + SYMBOLS + symbol * 8)) >> 16;
}

/** The state after them. */
export function nextState(table: u32, symbol: u32, state: u32, bits: u32): u32 {
  return next(table, table + SYMBOLS + symbol * 8, state >> bits);
}

function next(table: u32, at: u32, index: u32): u32 {
  return load<u16>(table + (index + load<u32>(at + 4)) * 2) as u32;
}
