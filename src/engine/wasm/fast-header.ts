import { assignCodes, listUsed } from "./canonical";
import { bitBuffer, bitCount, bitOut, continueBits, putBits } from "./encode";
import { DISTANCES_USED, FAST_PRECODE, FAST_PRECODE_BITS, PRECODE_FREQUENCY, PRECODE_ORDER } from "./memory";

/** Code lengths 15 and 14 are last in the order of code lengths and never occur here. */
const PRECODES: u32 = 18;

/**
 * The code of code lengths in the fast mode. It is constant, derived from statistics of guest pages: building one for
 * each page costs more time than the bytes it saves.
 */
export function initFastHeader(): void {
  // Symbols 0 to 7, 8 to 15, 16 to 18, one byte each.
  store<u64>(FAST_PRECODE_BITS, 0x0404040507070703);
  store<u64>(FAST_PRECODE_BITS + 8, 0x0000070704030203);
  store<u32>(FAST_PRECODE_BITS + 16, 0x00070506);
  for (let s: u32 = 0; s < 19; s++) store<u32>(PRECODE_FREQUENCY + s * 4, load<u8>(FAST_PRECODE_BITS + s));
  assignCodes(DISTANCES_USED, listUsed(PRECODE_FREQUENCY, 19, DISTANCES_USED), FAST_PRECODE_BITS, FAST_PRECODE);
}

/** Writes the header of a block with dynamic codes for the listed symbols; `last` is 1 for the stream's last one. */
export function putFastHeader(
  literals: u32,
  literalsStop: u32,
  literalBits: u32,
  distances: u32,
  distancesStop: u32,
  distanceBits: u32,
  last: u32,
): void {
  const lastLiteral = load<u16>(literalsStop - 2) as u32;
  const lastDistance = load<u16>(distancesStop - 2) as u32;
  // Type 2.
  putBits(4 | last | ((lastLiteral - 256) << 3) | (lastDistance << 8) | ((PRECODES - 4) << 13), 17);
  for (let i: u32 = 0; i < PRECODES; i++) {
    putBits(load<u8>(FAST_PRECODE_BITS + (load<u8>(PRECODE_ORDER + i) as u32)) as u64, 3);
  }
  putLengths(literals, literalsStop, literalBits);
  putLengths(distances, distancesStop, distanceBits);
}

/**
 * Writes the lengths of the listed symbols; those between them are 0. Repeated lengths are written one by one, which
 * avoids checking each for runs.
 */
function putLengths(used: u32, stop: u32, bits: u32): void {
  let buffer = bitBuffer;
  let count = bitCount;
  let out = bitOut;
  let next: u32 = 0;
  for (let at = used; at < stop; at += 2) {
    const s = load<u16>(at) as u32;
    let gap = s - next;
    while (gap != 0) {
      // 1 or 2 zeros singly, up to 10 by symbol 17 and three bits, up to 138 by symbol 18 and seven bits.
      const run: u32 = gap < 3 ? 1 : min(gap, 138);
      const symbol: u32 = run == 1 ? 0 : run < 11 ? 17 : 18;
      const extra: u32 = run == 1 ? 0 : run < 11 ? run - 3 : run - 11;
      const code = load<u32>(FAST_PRECODE + symbol * 4);
      buffer |= ((code & 0xffff) as u64) << count;
      count += code >> 16;
      buffer |= (extra as u64) << count;
      count += run == 1 ? 0 : run < 11 ? 3 : 7;
      gap -= run;
      store<u64>(out, buffer);
      out += count >> 3;
      buffer >>= count & 56;
      count &= 7;
    }
    next = s + 1;
    const code = load<u32>(FAST_PRECODE + (load<u8>(bits + s) as u32) * 4);
    buffer |= ((code & 0xffff) as u64) << count;
    count += code >> 16;
    store<u64>(out, buffer);
    out += count >> 3;
    buffer >>= count & 56;
    count &= 7;
  }
  continueBits(buffer, count, out);
}
