import { COUNT, NEXT_CODE } from "./memory";

/** Reverses the low `bits` bits of `code`: deflate sends codes from the top bit down. */
export function reverse(code: u32, bits: u32): u32 {
  let x = code;
  x = ((x & 0x5555) << 1) | ((x >> 1) & 0x5555);
  x = ((x & 0x3333) << 2) | ((x >> 2) & 0x3333);
  x = ((x & 0x0f0f) << 4) | ((x >> 4) & 0x0f0f);
  x = ((x & 0x00ff) << 8) | (x >> 8);
  return x >> (16 - bits);
}

/**
 * Lists the symbols whose frequency is not 0 at `used` (u16 each, ascending) and returns the address after the last
 * one. Branch-free, since the symbols that a page uses are unpredictable.
 */
export function listUsed(frequency: u32, symbols: u32, used: u32): u32 {
  let to = used;
  for (let s: u32 = 0; s < symbols; s++) {
    store<u16>(to, s);
    to += ((load<u32>(frequency + s * 4) != 0) as u32) << 1;
  }
  return to;
}

/**
 * Canonical codes (RFC 1951 section 3.2.2) for the symbols listed from `used` to `stop`, whose code lengths are at
 * `bits`. Writes `code | bits << 16` for each to `codes`.
 */
export function assignCodes(used: u32, stop: u32, bits: u32, codes: u32): void {
  memory.fill(COUNT, 0, 64);
  for (let at = used; at < stop; at += 2) {
    const counter = COUNT + (load<u8>(bits + (load<u16>(at) as u32)) as u32) * 4;
    store<u32>(counter, load<u32>(counter) + 1);
  }
  let code: u32 = 0;
  for (let length: u32 = 1; length < 16; length++) {
    code = (code + load<u32>(COUNT + (length - 1) * 4)) << 1;
    store<u32>(NEXT_CODE + length * 4, code);
  }
  for (let at = used; at < stop; at += 2) {
    const s = load<u16>(at) as u32;
    const length = load<u8>(bits + s) as u32;
    const next = NEXT_CODE + length * 4;
    const value = load<u32>(next);
    store<u32>(next, value + 1);
    store<u32>(codes + s * 4, reverse(value, length) | (length << 16));
  }
}
