import { DISTANCE_FREQUENCY, LENGTHS, LITERAL_FREQUENCY } from "./memory";

/** Resets all counts, except one for the end of the block. */
export function startCounting(): void {
  memory.fill(LITERAL_FREQUENCY, 0, 0x480);
  memory.fill(DISTANCE_FREQUENCY, 0, 0x80);
  store<u32>(LITERAL_FREQUENCY + 256 * 4, 1);
}

/** Counts one literal. */
export function countLiteral(byte: u32): void {
  const counter = LITERAL_FREQUENCY + byte * 4;
  store<u32>(counter, load<u32>(counter) + 1);
}

/** Counts one match, given its length minus three and its distance minus one. */
export function countMatch(length: u32, distance: u32): void {
  const symbol = LITERAL_FREQUENCY + (load<u16>(LENGTHS + length * 4) as u32) * 4;
  store<u32>(symbol, load<u32>(symbol) + 1);
  const counter = DISTANCE_FREQUENCY + distanceSymbol(distance) * 4;
  store<u32>(counter, load<u32>(counter) + 1);
}

/** The symbol of a distance minus one: its two top bits and their position; 0 to 3 map to themselves. */
export function distanceSymbol(less: u32): u32 {
  const shift = 30 - min(clz(less), 30);
  return (shift << 1) + (less >> shift);
}
