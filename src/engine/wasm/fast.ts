import { adler32 } from "./adler";
import { assignCodes, listUsed } from "./canonical";
import {
  bitBuffer,
  bitCount,
  bitOut,
  continueBits,
  putBits,
  putChecksum,
  putEnd,
  putSequences,
  putStored,
  startBits,
} from "./encode";
import { startCounting } from "./histogram";
import { putFastHeader } from "./fast-header";
import { findMatches, lastLiterals } from "./fast-matches";
import { logCode } from "./log-code";
import {
  DISTANCE_BITS,
  DISTANCE_CODE,
  DISTANCE_FREQUENCY,
  DISTANCES_USED,
  FIXED_DISTANCE,
  FIXED_LITERAL,
  LITERAL_BITS,
  LITERAL_CODE,
  LITERAL_FREQUENCY,
  LITERALS_USED,
  SEQUENCES,
} from "./memory";

/** Header of a zlib stream: deflate, 32 KiB window, fastest. What level 1 writes. */
const ZLIB_HEADER: u16 = 0x0178;
/** Below this size in bits, the fixed codes may be smaller because they need no header. */
export const FEW_BITS: u32 = 4096;
/** Bytes by which a stored block is longer than its page. */
export const STORED_OVERHEAD: u32 = 5;

/**
 * Compresses one page to a zlib stream at `out`, in the fast mode. Returns the address after the stream. May write 600
 * bytes past the size of a stored page.
 */
export function deflateFast(data: u32, length: u32, out: u32): u32 {
  store<u16>(out, ZLIB_HEADER);
  startBits(out + 2);
  fastBlock(data, length, 1);
  return putChecksum(adler32(data, length));
}

/** The same with fixed codes, without counting or building a code. */
export function deflateFixed(data: u32, length: u32, out: u32): u32 {
  store<u16>(out, ZLIB_HEADER);
  startBits(out + 2);
  startCounting();
  fixed(data, length, findMatches(data, length, SEQUENCES), lastLiterals, 1);
  return putChecksum(adler32(data, length));
}

/** Writes one block with dynamic codes, or fixed codes or stored where that is smaller. */
function fastBlock(data: u32, length: u32, last: u32): void {
  startCounting();
  const stop = findMatches(data, length, SEQUENCES);
  const tail = lastLiterals;
  const literals = listUsed(LITERAL_FREQUENCY, 286, LITERALS_USED);
  const literalBits = logCode(LITERALS_USED, literals, LITERAL_FREQUENCY, LITERAL_BITS);
  if (literalBits >> 3 >= length) return putStored(data, length, last);
  addPartners();
  const distances = listUsed(DISTANCE_FREQUENCY, 30, DISTANCES_USED);
  const distanceBits = logCode(DISTANCES_USED, distances, DISTANCE_FREQUENCY, DISTANCE_BITS);

  const buffer = bitBuffer;
  const count = bitCount;
  const out = bitOut;
  putFastHeader(LITERALS_USED, literals, LITERAL_BITS, DISTANCES_USED, distances, DISTANCE_BITS, last);
  const bits = (bitOut - out) * 8 + bitCount - count + literalBits + distanceBits;
  if (bits < FEW_BITS && fixedBits(literals, distances) <= bits) {
    continueBits(buffer, count, out);
    return fixed(data, length, stop, tail, last);
  }
  assignCodes(LITERALS_USED, literals, LITERAL_BITS, LITERAL_CODE);
  assignCodes(DISTANCES_USED, distances, DISTANCE_BITS, DISTANCE_CODE);
  putSequences(data, SEQUENCES, stop, tail, LITERAL_CODE, DISTANCE_CODE);
  putEnd(LITERAL_CODE);
  // Longer than a stored one.
  if (bitOut - out + 1 <= length + STORED_OVERHEAD) return;
  continueBits(buffer, count, out);
  putStored(data, length, last);
}

function fixed(data: u32, length: u32, stop: u32, tail: u32, last: u32): void {
  const buffer = bitBuffer;
  const count = bitCount;
  const out = bitOut;
  putBits(2 | last, 3);
  putSequences(data, SEQUENCES, stop, tail, FIXED_LITERAL, FIXED_DISTANCE);
  putEnd(FIXED_LITERAL);
  if (bitOut - out + 1 <= length + STORED_OVERHEAD) return;
  continueBits(buffer, count, out);
  putStored(data, length, last);
}

/** Adds unused distance codes, because decoders may refuse fewer than two. */
export function addPartners(): void {
  let used: u32 = 0;
  for (let s: u32 = 0; s < 30; s++) used += (load<u32>(DISTANCE_FREQUENCY + s * 4) != 0) as u32;
  if (used >= 2) return;
  if (load<u32>(DISTANCE_FREQUENCY) == 0) store<u32>(DISTANCE_FREQUENCY, 1);
  else store<u32>(DISTANCE_FREQUENCY + 4, 1);
  if (used == 0) store<u32>(DISTANCE_FREQUENCY + 4, 1);
}

/** Size in bits of the listed symbols in the fixed codes, without extra bits (which are the same in both). */
export function fixedBits(literals: u32, distances: u32): u32 {
  let sum: u32 = 3;
  for (let at = LITERALS_USED; at < literals; at += 2) {
    const s = (load<u16>(at) as u32) * 4;
    sum += load<u32>(LITERAL_FREQUENCY + s) * (load<u32>(FIXED_LITERAL + s) >> 16);
  }
  for (let at = DISTANCES_USED; at < distances; at += 2) {
    sum += load<u32>(DISTANCE_FREQUENCY + (load<u16>(at) as u32) * 4) * 5;
  }
  return sum;
}
