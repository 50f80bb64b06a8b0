import { DISTANCE_FREQUENCY, LENGTHS, LITERAL_FREQUENCY, SEQUENCES } from "./memory";

/**
 * Counts the symbols of the sequences up to `stop`, of the literals between and behind them, and one end of block. Returns
 * how many literals, lengths and ends there are.
 */
export function countSymbols(data: u32, stop: u32, lastLiterals: u32): u32 {
  memory.fill(LITERAL_FREQUENCY, 0, 0x480);
  memory.fill(DISTANCE_FREQUENCY, 0, 0x80);
  let at = data;
  let total = ((stop - SEQUENCES) >> 2) + lastLiterals + 1;
  for (let sequence = SEQUENCES; sequence < stop; sequence += 4) {
    const s = load<u32>(sequence);
    total += s >> 20;
    const literals = at + (s >> 20);
    while (at < literals) countLiteral(at++);
    const length = s & 0xff;
    const symbol = LITERAL_FREQUENCY + (load<u16>(LENGTHS + length * 4) as u32) * 4;
    store<u32>(symbol, load<u32>(symbol) + 1);
    const distance = DISTANCE_FREQUENCY + distanceSymbol(((s >> 8) & 0xfff) - 1) * 4;
    store<u32>(distance, load<u32>(distance) + 1);
    at += length + 3;
  }
  const end = at + lastLiterals;
  while (at < end) countLiteral(at++);
  store<u32>(LITERAL_FREQUENCY + 256 * 4, 1);
  return total;
}

function countLiteral(at: u32): void {
  const counter = LITERAL_FREQUENCY + (load<u8>(at) as u32) * 4;
  store<u32>(counter, load<u32>(counter) + 1);
}

/** The symbol of a distance less one: its two top bits and their place. */
export function distanceSymbol(less: u32): u32 {
  if (less < 4) return less;
  const shift = 30 - clz(less);
  return (shift << 1) + (less >> shift);
}
