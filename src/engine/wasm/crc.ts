import { CRC_TABLES } from "./memory";

/** The polynomials of CRC-32 (IEEE 802.3) and of CRC-64 (ECMA-182), reflected. */
const POLYNOMIAL_32: u64 = 0xedb88320;
const POLYNOMIAL_64: u64 = 0xc96c5795d7870f42;

/**
 * Builds the tables of CRC-64: entry i of table k is what the byte i becomes in k + 1 steps, u64 each. Checksums begin
 * with 0.
 */
export function crc64Begin(): void {
  tables(POLYNOMIAL_64);
}

/** Builds the tables of CRC-32, in place of those of CRC-64. */
export function crc32Begin(): void {
  tables(POLYNOMIAL_32);
}

function tables(polynomial: u64): void {
  for (let i: u32 = 0; i < 256; i++) {
    let value = i as u64;
    for (let bit = 0; bit < 8; bit++) value = (value >> 1) ^ (polynomial & (0 - (value & 1)));
    store<u64>(CRC_TABLES + i * 8, value);
  }
  for (let at: u32 = CRC_TABLES; at < CRC_TABLES + 7 * 2048; at += 8) {
    const value = load<u64>(at);
    store<u64>(at + 2048, (value >> 8) ^ table(0, value));
  }
}

/** The entry of the lowest byte of `value` in table k. */
function table(k: u32, value: u64): u64 {
  return load<u64>(CRC_TABLES + k * 2048 + ((value as u32) & 255) * 8);
}

/** The checksum of what gave `before` and of `length` bytes more, by the tables of the one that was begun last. */
export function crc64(before: u64, at: u32, length: u32): u64 {
  return ~steps(~before, at, length);
}

export function crc32(before: u32, at: u32, length: u32): u32 {
  return ~(steps(~before as u64, at, length) as u32);
}

/** Eight bytes at a time: each is looked up in the table of how many follow it. */
function steps(before: u64, at: u32, length: u32): u64 {
  let crc = before;
  const end = at + length;
  const eights = at + (length & ~7);
  while (at < eights) {
    const v = crc ^ load<u64>(at);
    crc =
      table(7, v) ^
      table(6, v >> 8) ^
      table(5, v >> 16) ^
      table(4, v >> 24) ^
      table(3, v >> 32) ^
      table(2, v >> 40) ^
      table(1, v >> 48) ^
      table(0, v >> 56);
    at += 8;
  }
  while (at < end) crc = (crc >> 8) ^ table(0, crc ^ (load<u8>(at++) as u64));
  return crc;
}
