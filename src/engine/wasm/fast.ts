import { adler32 } from "./adler";
import { putDynamicHeader, usedSymbols } from "./block-header";
import { assignCodes } from "./canonical";
import { bitOut, putBits, putChecksum, putSequences, putStored, startBits } from "./encode";
import { findMatches, lastLiterals } from "./fast-matches";
import { countSymbols } from "./histogram";
import { logCode } from "./log-code";
import {
  DISTANCE_BITS,
  DISTANCE_CODE,
  DISTANCE_FREQUENCY,
  FAST_PRECODE,
  FAST_PRECODE_BITS,
  FIXED_DISTANCE,
  FIXED_LITERAL,
  LITERAL_BITS,
  LITERAL_CODE,
  LITERAL_FREQUENCY,
  RUNS,
  SEQUENCES,
} from "./memory";
import { runBits, scanRuns } from "./runs";

/** Header of a zlib stream: deflate, 32 KiB window, fastest. What level 1 writes. */
const ZLIB_HEADER: u16 = 0x0178;
/** Block header, code counts and the constant code of code lengths: code lengths 15 and 14 are left out at its end. */
const PRECODES: u32 = 18;
const HEADER_BITS: u32 = 17 + 3 * PRECODES;
/** Below so many symbols the fixed codes may be the smaller ones: they save the header. */
const FEW_SYMBOLS: u32 = 512;
/** A stored page: zlib header, block header, checksum. */
const STORED_OVERHEAD: u32 = 11;

/**
 * One page as a zlib stream at `out`, fast: one block, dynamic codes, or fixed or stored where that is smaller.
 * Returns the address behind the stream. May write 600 bytes beyond a stored page's size.
 */
export function deflateFast(data: u32, length: u32, out: u32): u32 {
  const stop = findMatches(data, length);
  const tail = lastLiterals;
  const symbols = countSymbols(data, stop, tail);
  const literalBits = logCode(LITERAL_FREQUENCY, LITERAL_BITS, 286, symbols);
  if (literalBits >> 3 >= length) return stored(data, length, out);
  const distanceBits = logCode(DISTANCE_FREQUENCY, DISTANCE_BITS, 30, ((stop - SEQUENCES) >> 2) + addPartners());

  const literals = usedSymbols(LITERAL_BITS, 286, 257);
  const distances = usedSymbols(DISTANCE_BITS, 30, 1);
  const runs = scanRuns(DISTANCE_BITS, distances, scanRuns(LITERAL_BITS, literals, RUNS));
  if (symbols < FEW_SYMBOLS) {
    const dynamicBits = HEADER_BITS + runBits(runs, FAST_PRECODE) + literalBits + distanceBits;
    if (fixedBits() <= dynamicBits) return fixed(data, length, out, stop, tail);
  }
  store<u16>(out, ZLIB_HEADER);
  startBits(out + 2);
  putDynamicHeader(literals, distances, PRECODES, FAST_PRECODE_BITS, FAST_PRECODE, runs);
  assignCodes(LITERAL_BITS, LITERAL_CODE, literals);
  assignCodes(DISTANCE_BITS, DISTANCE_CODE, distances);
  putSequences(data, stop, tail, LITERAL_CODE, DISTANCE_CODE);
  return finish(data, length, out);
}

/** The same with the fixed codes: nothing to count, nothing to build. */
export function deflateFixed(data: u32, length: u32, out: u32): u32 {
  const stop = findMatches(data, length);
  return fixed(data, length, out, stop, lastLiterals);
}

function fixed(data: u32, length: u32, out: u32, stop: u32, tail: u32): u32 {
  store<u16>(out, ZLIB_HEADER);
  startBits(out + 2);
  putBits(3, 3);
  putSequences(data, stop, tail, FIXED_LITERAL, FIXED_DISTANCE);
  return finish(data, length, out);
}

/** Ends the stream; where it became longer than a stored page it is made again as one. */
function finish(data: u32, length: u32, out: u32): u32 {
  if (bitOut - out + 5 > length + STORED_OVERHEAD) return stored(data, length, out);
  return putChecksum(adler32(data, length));
}

function stored(data: u32, length: u32, out: u32): u32 {
  store<u16>(out, ZLIB_HEADER);
  startBits(out + 2);
  putStored(data, length);
  return putChecksum(adler32(data, length));
}

/** Decoders may refuse fewer than two distance codes: adds unused ones, and returns how many. */
function addPartners(): u32 {
  let used: u32 = 0;
  for (let s: u32 = 0; s < 30 && used < 2; s++) if (load<u32>(DISTANCE_FREQUENCY + s * 4) != 0) used++;
  if (used >= 2) return 0;
  if (load<u32>(DISTANCE_FREQUENCY) == 0) {
    store<u32>(DISTANCE_FREQUENCY, 1);
    if (used == 1) return 1;
    store<u32>(DISTANCE_FREQUENCY + 4, 1);
    return 2;
  }
  store<u32>(DISTANCE_FREQUENCY + 4, 1);
  return 1;
}

/** Bits of the page in the fixed codes, extra bits left out (they are the same in both). */
function fixedBits(): u32 {
  let sum: u32 = 3;
  for (let s: u32 = 0; s < 286; s++) {
    sum += load<u32>(LITERAL_FREQUENCY + s * 4) * (load<u32>(FIXED_LITERAL + s * 4) >> 16);
  }
  for (let s: u32 = 0; s < 30; s++) sum += load<u32>(DISTANCE_FREQUENCY + s * 4) * 5;
  return sum;
}
