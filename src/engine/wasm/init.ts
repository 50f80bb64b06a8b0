import {
  DISTANCE_RESULTS,
  EXACT_HEADS,
  FAST_HEADS,
  FIXED_DISTANCE,
  FIXED_LITERAL,
  LENGTHS,
  LITERAL_RESULTS,
  PERIODS,
  PRECODE_ORDER,
} from "./memory";
import { reverse } from "./canonical";
import { initFastHeader } from "./fast-header";
import { buildFixedTables } from "./inflate-tables";

/** Symbol 256 ends a block; 257 to 285 are lengths. */
const FIRST_LENGTH: u32 = 257;

/** Fills the constant tables. Called once, first. */
export function init(): void {
  memory.fill(EXACT_HEADS, 0, 0x10000);
  memory.fill(FAST_HEADS, 0, 0x2000);
  lengths();
  fixedCodes();
  distances();
  precodeOrder();
  periods();
  initFastHeader();
  buildFixedTables();
}

/**
 * Lengths 3 to 258 in 29 symbols: eight without extra bits, then four per number of extra bits, and 258 separately.
 * `LITERAL_RESULTS` holds the inflater's look-up values: literals have bit 31, the end of block has bits 15 and 14.
 */
function lengths(): void {
  for (let s: u32 = 0; s < 256; s++) store<u32>(LITERAL_RESULTS + s * 4, 0x80000000 | (s << 16));
  store<u32>(LITERAL_RESULTS + 256 * 4, 0xc000);
  store<u32>(LITERAL_RESULTS + 286 * 4, 0xe000);
  store<u32>(LITERAL_RESULTS + 287 * 4, 0xe000);
  let base: u32 = 3;
  for (let s: u32 = 0; s < 28; s++) {
    const extra: u32 = s < 8 ? 0 : (s >> 2) - 1;
    store<u32>(LITERAL_RESULTS + (FIRST_LENGTH + s) * 4, (base << 16) | extra);
    for (let value: u32 = 0; value < 1 << extra; value++) {
      const length = base + value;
      if (length < 258) store<u32>(LENGTHS + (length - 3) * 4, (FIRST_LENGTH + s) | (extra << 16) | (value << 24));
    }
    base += 1 << extra;
  }
  store<u32>(LITERAL_RESULTS + 285 * 4, 258 << 16);
  store<u32>(LENGTHS + 255 * 4, 285);
}

/** RFC 1951 section 3.2.6. */
function fixedCodes(): void {
  for (let s: u32 = 0; s < 288; s++) {
    const bits: u32 = s < 144 ? 8 : s < 256 ? 9 : s < 280 ? 7 : 8;
    const code: u32 = s < 144 ? 0x30 + s : s < 256 ? 0x190 + s - 144 : s < 280 ? s - 256 : 0xc0 + s - 280;
    store<u32>(FIXED_LITERAL + s * 4, reverse(code, bits) | (bits << 16));
  }
  for (let s: u32 = 0; s < 30; s++) store<u32>(FIXED_DISTANCE + s * 4, reverse(s, 5) | (5 << 16));
}

/** Distances 1 to 32,768 in 30 symbols: four without extra bits, then two per number of extra bits. */
function distances(): void {
  let base: u32 = 1;
  for (let s: u32 = 0; s < 30; s++) {
    const extra: u32 = s < 4 ? 0 : (s >> 1) - 1;
    store<u32>(DISTANCE_RESULTS + s * 4, (base << 16) | extra);
    base += 1 << extra;
  }
  store<u32>(DISTANCE_RESULTS + 30 * 4, 0xc000);
  store<u32>(DISTANCE_RESULTS + 31 * 4, 0xc000);
}

/** RFC 1951 section 3.2.7: 16 17 18 0 8 7 9 6 10 5 11 4 12 3 13 2 14 1 15. */
function precodeOrder(): void {
  store<u8>(PRECODE_ORDER, 16);
  store<u8>(PRECODE_ORDER + 1, 17);
  store<u8>(PRECODE_ORDER + 2, 18);
  store<u8>(PRECODE_ORDER + 3, 0);
  for (let i: u32 = 0; i < 15; i++) {
    store<u8>(PRECODE_ORDER + 4 + i, (i & 1) == 0 ? 8 + (i >> 1) : 7 - (i >> 1));
  }
}

/** Row 0 has the largest multiple of each distance that is at most 16. */
function periods(): void {
  for (let distance: u32 = 1; distance < 16; distance++) {
    store<u8>(PERIODS + distance, 16 - (16 % distance));
    for (let i: u32 = 0; i < 16; i++) store<u8>(PERIODS + distance * 16 + i, i % distance);
  }
}
