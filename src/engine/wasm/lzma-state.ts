import { IS_MATCH, LZMA_END, LZMA_STATE } from "./memory";

/** Below it the range is shifted by a byte. */
export const TOP: u32 = 1 << 24;
/** The probability of a 0 of which nothing is known yet, in 2048ths. */
const EVEN: u16 = 1024;

/** Fields in LZMA_STATE: of the range coder, of the model. */
export const FROM: usize = 0;
export const RANGE: usize = 4;
export const CODE: usize = 8;
export const KIND: usize = 12;
export const DISTANCES: usize = 16;
export const LITERAL_BITS: usize = 32;
export const LITERAL_MASK: usize = 36;
export const POSITION_MASK: usize = 40;
/** And of the ring. */
export const BASE: usize = 44;
export const SIZE: usize = 48;
export const NEAREST_TOO_FAR: usize = 52;
export const WRAPPED: usize = 56;

/**
 * Begins a dictionary of `most` bytes in a ring of `size` bytes at `base`, both multiples of 16. The ring is at least
 * 512 bytes larger; one byte before it and 320 after its end are written, too.
 */
export function lzmaRing(base: u32, size: u32, most: u32): void {
  store<u32>(LZMA_STATE, base, BASE);
  store<u32>(LZMA_STATE, size, SIZE);
  store<u32>(LZMA_STATE, most, NEAREST_TOO_FAR);
  store<u32>(LZMA_STATE, 0, WRAPPED);
  store<u8>(base - 1, 0);
}

/** Moves what is after the end of the ring to its start. Returns the address to go on at. */
export function lzmaWrap(out: u32): u32 {
  const base = load<u32>(LZMA_STATE, BASE);
  const end = base + load<u32>(LZMA_STATE, SIZE);
  store<u32>(LZMA_STATE, 1, WRAPPED);
  store<u8>(base - 1, load<u8>(end - 1));
  memory.copy(base, end, out - end);
  return base + (out - end);
}

/** Resets the model; with new properties, lc + lp <= 4 and pb <= 4, where `lc` is not 255. */
export function lzmaReset(lc: u32, lp: u32, pb: u32): void {
  if (lc != 255) {
    store<u32>(LZMA_STATE, lc, LITERAL_BITS);
    store<u32>(LZMA_STATE, (1 << lp) - 1, LITERAL_MASK);
    store<u32>(LZMA_STATE, (1 << pb) - 1, POSITION_MASK);
  }
  store<u32>(LZMA_STATE, 0, KIND);
  memory.fill((LZMA_STATE as usize) + DISTANCES, 0, 16);
  for (let at = IS_MATCH; at < LZMA_END; at += 2) store<u16>(at, EVEN);
}

/** Begins a chunk at `from`. Returns whether its first byte is right. */
export function lzmaBegin(from: u32): bool {
  store<u32>(LZMA_STATE, from + 5, FROM);
  store<u32>(LZMA_STATE, 0xffffffff, RANGE);
  store<u32>(LZMA_STATE, bswap<u32>(load<u32>(from + 1)), CODE);
  return load<u8>(from) == 0;
}

/** The address of the next byte of the chunk. */
export function lzmaNext(): u32 {
  return load<u32>(LZMA_STATE, FROM);
}

/** Whether the chunk may end here, at `end`. */
export function lzmaEnds(end: u32): bool {
  let from = load<u32>(LZMA_STATE, FROM);
  let code = load<u32>(LZMA_STATE, CODE);
  if (load<u32>(LZMA_STATE, RANGE) < TOP) code = (code << 8) | (load<u8>(from++) as u32);
  return from == end && code == 0;
}
