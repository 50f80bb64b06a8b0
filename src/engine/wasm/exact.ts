// The exact mode follows zlib 1.2.13 step by step where its output depends on it. It is a new implementation, in
// another language and for one page only, but it is made after zlib, whose notice is:
//
//   Copyright (C) 1995-2022 Jean-loup Gailly and Mark Adler
//
//   This software is provided 'as-is', without any express or implied warranty. In no event will the authors be held liable
//   for any damages arising from the use of this software.
//
//   Permission is granted to anyone to use this software for any purpose, including commercial applications, and to alter it
//   and redistribute it freely, subject to the following restrictions:
//
//   1. The origin of this software must not be misrepresented; you must not claim that you wrote the original software.
//      If you use this software in a product, an acknowledgment in the product documentation would be appreciated but
//      is not required.
//   2. Altered source versions must be plainly marked as such, and must not be misrepresented as being the original
//      software.
//   3. This notice may not be removed or altered from any source distribution.
//
// This is an altered version.
import { adler32 } from "./adler";
import { putDynamicHeader } from "./block-header";
import { assignCodes } from "./canonical";
import { putBits, putChecksum, putEnd, putSequences, putStored, startBits } from "./encode";
import { exactLastLiterals, findExactMatches } from "./exact-matches";
import { exactCode } from "./exact-tree";
import {
  CODE_LENGTHS_USED,
  DISTANCE_BITS,
  DISTANCE_CODE,
  DISTANCE_FREQUENCY,
  DISTANCE_RESULTS,
  DISTANCES_USED,
  FIXED_DISTANCE,
  FIXED_LITERAL,
  LITERAL_BITS,
  LITERAL_CODE,
  LITERAL_FREQUENCY,
  LITERAL_RESULTS,
  LITERALS_USED,
  PRECODE_BITS,
  PRECODE_CODE,
  PRECODE_FREQUENCY,
  PRECODE_ORDER,
  RUNS,
  SEQUENCES,
} from "./memory";
import { scanRuns } from "./runs";

/** Header of a zlib stream at level 1: deflate, 32 KiB window, fastest. */
const ZLIB_HEADER: u16 = 0x0178;

/**
 * Compresses one page to the zlib stream that zlib 1.2.13 writes at level 1 (windowBits 15, memLevel 8, one finishing
 * call), at `out`. Returns the address after it. A page never fills zlib's symbol buffer, so there is always exactly
 * one block.
 */
export function deflateExact(data: u32, length: u32, out: u32): u32 {
  const stop = findExactMatches(data, length);
  const tail = exactLastLiterals;

  const literals = exactCode(LITERAL_FREQUENCY, LITERAL_BITS, 286, 15, LITERALS_USED);
  const distances = exactCode(DISTANCE_FREQUENCY, DISTANCE_BITS, 30, 15, DISTANCES_USED);
  const literalCount = (load<u16>(literals - 2) as u32) + 1;
  const distanceCount = (load<u16>(distances - 2) as u32) + 1;
  const runs = scanRuns(DISTANCE_BITS, distanceCount, scanRuns(LITERAL_BITS, literalCount, RUNS));
  memory.fill(PRECODE_FREQUENCY, 0, 19 * 4);
  let runExtra: u32 = 0;
  for (let at = RUNS; at < runs; at += 4) {
    const run = load<u32>(at);
    const counter = PRECODE_FREQUENCY + (run & 0xff) * 4;
    store<u32>(counter, load<u32>(counter) + 1);
    runExtra += (run >> 8) & 0xff;
  }
  const codeLengths = exactCode(PRECODE_FREQUENCY, PRECODE_BITS, 19, 7, CODE_LENGTHS_USED);
  let precodes: u32 = 19;
  while (precodes > 4 && load<u8>(PRECODE_BITS + (load<u8>(PRECODE_ORDER + precodes - 1) as u32)) == 0) precodes--;

  // Size of the block in bits in both forms. Forced codes have frequency 0.
  let dynamicBits: u32 = 14 + 3 * precodes + runExtra;
  for (let s: u32 = 0; s < 19; s++) {
    dynamicBits += load<u32>(PRECODE_FREQUENCY + s * 4) * (load<u8>(PRECODE_BITS + s) as u32);
  }
  let fixedBits: u32 = 0;
  for (let at = LITERALS_USED; at < literals; at += 2) {
    const s = load<u16>(at) as u32;
    const f = load<u32>(LITERAL_FREQUENCY + s * 4);
    const extra = load<u32>(LITERAL_RESULTS + s * 4) & 0xff;
    dynamicBits += f * ((load<u8>(LITERAL_BITS + s) as u32) + extra);
    fixedBits += f * ((load<u32>(FIXED_LITERAL + s * 4) >> 16) + extra);
  }
  for (let at = DISTANCES_USED; at < distances; at += 2) {
    const s = load<u16>(at) as u32;
    const f = load<u32>(DISTANCE_FREQUENCY + s * 4);
    const extra = load<u32>(DISTANCE_RESULTS + s * 4) & 0xff;
    dynamicBits += f * ((load<u8>(DISTANCE_BITS + s) as u32) + extra);
    fixedBits += f * (5 + extra);
  }

  store<u16>(out, ZLIB_HEADER);
  startBits(out + 2);
  const fixedBytes = (fixedBits + 10) >> 3;
  const dynamicBytes = (dynamicBits + 10) >> 3;
  const bytes = min(fixedBytes, dynamicBytes);
  if (length + 4 <= bytes) {
    putStored(data, length, 1);
  } else if (fixedBytes == bytes) {
    putBits(3, 3);
    putSequences(data, SEQUENCES, stop, tail, FIXED_LITERAL, FIXED_DISTANCE);
    putEnd(FIXED_LITERAL);
  } else {
    assignCodes(CODE_LENGTHS_USED, codeLengths, PRECODE_BITS, PRECODE_CODE);
    assignCodes(LITERALS_USED, literals, LITERAL_BITS, LITERAL_CODE);
    assignCodes(DISTANCES_USED, distances, DISTANCE_BITS, DISTANCE_CODE);
    putDynamicHeader(literalCount, distanceCount, precodes, PRECODE_BITS, PRECODE_CODE, runs);
    putSequences(data, SEQUENCES, stop, tail, LITERAL_CODE, DISTANCE_CODE);
    putEnd(LITERAL_CODE);
  }
  return putChecksum(adler32(data, length));
}
