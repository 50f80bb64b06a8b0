import { COUNT, NEXT_CODE } from "./memory";

/** The low `bits` bits of `code` in the other order: deflate sends codes from the top bit down. */
export function reverse(code: u32, bits: u32): u32 {
  let x = code;
  x = ((x & 0x5555) << 1) | ((x >> 1) & 0x5555);
  x = ((x & 0x3333) << 2) | ((x >> 2) & 0x3333);
  x = ((x & 0x0f0f) << 4) | ((x >> 4) & 0x0f0f);
  x = ((x & 0x00ff) << 8) | (x >> 8);
  return x >> (16 - bits);
}

/**
 * Canonical codes (RFC 1951 section 3.2.2) for the code lengths at `bits`: `code | bits << 16` at `codes` for each symbol
 * that has one.
 */
export function assignCodes(bits: u32, codes: u32, symbols: u32): void {
  memory.fill(COUNT, 0, 64);
  for (let s: u32 = 0; s < symbols; s++) {
    const at = COUNT + (load<u8>(bits + s) as u32) * 4;
    store<u32>(at, load<u32>(at) + 1);
  }
  store<u32>(COUNT, 0);
  let code: u32 = 0;
  store<u32>(NEXT_CODE, 0);
  for (let length: u32 = 1; length < 16; length++) {
    code = (code + load<u32>(COUNT + (length - 1) * 4)) << 1;
    store<u32>(NEXT_CODE + length * 4, code);
  }
  for (let s: u32 = 0; s < symbols; s++) {
    const length = load<u8>(bits + s) as u32;
    if (length == 0) continue;
    const at = NEXT_CODE + length * 4;
    const next = load<u32>(at);
    store<u32>(at, next + 1);
    store<u32>(codes + s * 4, reverse(next, length) | (length << 16));
  }
}
