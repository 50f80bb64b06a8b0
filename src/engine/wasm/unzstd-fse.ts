import { COUNTS, PLACES, SPREAD } from "./unzstd-memory";

/** What {@link readCounts} has found: bits of a state, and symbols with a probability. */
export let countsLog: u32 = 0;
export let countsSymbols: u32 = 0;

/**
 * Reads the probabilities of a code (RFC 8878 section 4.1.1) to `COUNTS`. Returns the address after them, 0 on damage.
 */
export function readCounts(work: u32, from: u32, end: u32, most: u32, mostLog: u32): u32 {
  if (from >= end) return 0;
  const counts = work + COUNTS;
  // Bits from the first byte on.
  let at: u32 = 4;
  const log = ((load<u8>(from) as u32) & 15) + 5;
  if (log > mostLog) return 0;
  let left: i32 = 1 << log;
  let symbol: u32 = 0;
  while (left > 0) {
    if (symbol > most || from + (at >> 3) >= end) return 0;
    const bits = 32 - clz((left + 1) as u32);
    const half: u32 = (1 << (bits - 1)) - 1;
    const few: u32 = (1 << bits) - 2 - left;
    const peeked = load<u32>(from + (at >> 3)) >> (at & 7);
    let value = peeked & half;
    if (value < few) {
      at += bits - 1;
    } else {
      value = peeked & (2 * half + 1);
      if (value > half) value -= few;
      at += bits;
    }
    const probability = (value as i32) - 1;
    left -= abs(probability);
    store<i16>(counts + symbol++ * 2, probability as i16);
    if (probability != 0) continue;
    let zeros: u32 = 3;
    while (zeros == 3) {
      if (from + (at >> 3) >= end) return 0;
      zeros = ((load<u16>(from + (at >> 3)) as u32) >> (at & 7)) & 3;
      at += 2;
      if (symbol + zeros > most + 1) return 0;
      for (let i: u32 = 0; i < zeros; i++) store<i16>(counts + symbol++ * 2, 0);
    }
  }
  const next = from + ((at + 7) >> 3);
  if (left != 0 || next > end) return 0;
  countsLog = log;
  countsSymbols = symbol;
  return next;
}

/**
 * Builds a decoding table of 1 << `log` states from `COUNTS` of `symbols` symbols. A state gets the first eight bytes
 * of its symbol at `bases`, which say its value.
 */
export function buildStates(work: u32, table: u32, symbols: u32, log: u32, bases: u32): void {
  const size: u32 = 1 << log;
  const counts = work + COUNTS;
  const places = work + PLACES;
  const spread = work + SPREAD;
  let high = size - 1;
  for (let s: u32 = 0; s < symbols; s++) {
    const count = load<i16>(counts + s * 2) as i32;
    if (count < 0) store<u8>(spread + high--, s);
    store<u16>(places + s * 2, abs(count));
  }
  const step = (size >> 1) + (size >> 3) + 3;
  const mask = size - 1;
  let position: u32 = 0;
  for (let s: u32 = 0; s < symbols; s++) {
    for (let left = load<i16>(counts + s * 2) as i32; left > 0; left--) {
      store<u8>(spread + position, s);
      do position = (position + step) & mask;
      while (position > high);
    }
  }
  for (let state: u32 = 0; state < size; state++) {
    const s = load<u8>(spread + state) as u32;
    const place = load<u16>(places + s * 2) as u32;
    store<u16>(places + s * 2, place + 1);
    const bits = log - 31 + clz(place);
    const base = load<u64>(bases + s * 8);
    store<u64>(table + state * 8, base | ((((((place << bits) - size) << 3) | (bits << 16)) as u64) << 32));
  }
}
