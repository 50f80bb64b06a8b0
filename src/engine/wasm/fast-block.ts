import { assignCodes, listUsed } from "./canonical";
import { bitBuffer, bitCount, bitOut, continueBits, putBits, putEnd, putStored } from "./encode";
import { putFastHeader } from "./fast-header";
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
} from "./memory";

/** Below this size in bits, the fixed codes may be smaller because they need no header. */
const FEW_BITS: u32 = 4096;
/** Bytes by which a stored block is longer than its data. */
const STORED_OVERHEAD: u32 = 5;

/** Where the block begins, to go back to. */
let startBuffer: u64 = 0;
let startCount: u32 = 0;
let startOut: u32 = 0;

/** The codes of the block that has begun; `blockLiterals` is 0 where it was stored, and is whole. */
export let blockLiterals: u32 = 0;
export let blockDistances: u32 = 0;

/**
 * Begins a stream's only block, of `length` bytes, by the counted frequencies: with dynamic codes, or with fixed ones
 * where that is smaller. Where the literals alone are not smaller than the bytes it is stored.
 */
export function beginBlock(data: u32, length: u32): void {
  const literals = listUsed(LITERAL_FREQUENCY, 286, LITERALS_USED);
  const literalBits = logCode(LITERALS_USED, literals, LITERAL_FREQUENCY, LITERAL_BITS);
  if (literalBits >> 3 >= length) {
    blockLiterals = 0;
    return putStored(data, length, 1);
  }
  addPartners();
  const distances = listUsed(DISTANCE_FREQUENCY, 30, DISTANCES_USED);
  const distanceBits = logCode(DISTANCES_USED, distances, DISTANCE_FREQUENCY, DISTANCE_BITS);
  start();
  putFastHeader(LITERALS_USED, literals, LITERAL_BITS, DISTANCES_USED, distances, DISTANCE_BITS, 1);
  const bits = (bitOut - startOut) * 8 + bitCount - startCount + literalBits + distanceBits;
  if (bits < FEW_BITS && fixedBits(literals, distances) <= bits) {
    continueBits(startBuffer, startCount, startOut);
    return beginFixed();
  }
  assignCodes(LITERALS_USED, literals, LITERAL_BITS, LITERAL_CODE);
  assignCodes(DISTANCES_USED, distances, DISTANCE_BITS, DISTANCE_CODE);
  blockLiterals = LITERAL_CODE;
  blockDistances = DISTANCE_CODE;
}

/** Begins a block with fixed codes. */
export function beginFixed(): void {
  start();
  putBits(3, 3);
  blockLiterals = FIXED_LITERAL;
  blockDistances = FIXED_DISTANCE;
}

/** Ends a block that is not stored, after its sequences; where it is longer than a stored one, it becomes one. */
export function endBlock(data: u32, length: u32): void {
  putEnd(blockLiterals);
  if (bitOut - startOut + 1 <= length + STORED_OVERHEAD) return;
  continueBits(startBuffer, startCount, startOut);
  putStored(data, length, 1);
}

function start(): void {
  startBuffer = bitBuffer;
  startCount = bitCount;
  startOut = bitOut;
}

/** Adds unused distance codes, because decoders may refuse fewer than two. */
function addPartners(): void {
  let used: u32 = 0;
  for (let s: u32 = 0; s < 30; s++) used += (load<u32>(DISTANCE_FREQUENCY + s * 4) != 0) as u32;
  if (used >= 2) return;
  if (load<u32>(DISTANCE_FREQUENCY) == 0) store<u32>(DISTANCE_FREQUENCY, 1);
  else store<u32>(DISTANCE_FREQUENCY + 4, 1);
  if (used == 0) store<u32>(DISTANCE_FREQUENCY + 4, 1);
}

/** Size in bits of the listed symbols in the fixed codes, without extra bits (which are the same in both). */
function fixedBits(literals: u32, distances: u32): u32 {
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
