import { distanceSymbol } from "./histogram";
import { LENGTHS } from "./memory";

/** State of the bit writer between calls: the bits of the unfinished byte, and the address of the next byte. */
export let bitBuffer: u64 = 0;
export let bitCount: u32 = 0;
export let bitOut: u32 = 0;

/** Starts writing at a byte boundary. */
export function startBits(out: u32): void {
  bitBuffer = 0;
  bitCount = 0;
  bitOut = out;
}

/** Continues after a caller's own write loop. */
export function continueBits(buffer: u64, count: u32, out: u32): void {
  bitBuffer = buffer;
  bitCount = count;
  bitOut = out;
}

/** Writes up to 56 bits. */
export function putBits(value: u64, count: u32): void {
  const buffer = bitBuffer | (value << bitCount);
  const total = bitCount + count;
  store<u64>(bitOut, buffer);
  bitOut += total >> 3;
  bitBuffer = buffer >> (total & 56);
  bitCount = total & 7;
}

/** Pads the last byte with zero bits and returns the address after it. */
export function finishBits(): u32 {
  store<u64>(bitOut, bitBuffer);
  const end = bitOut + ((bitCount + 7) >> 3);
  startBits(end);
  return end;
}

/**
 * The body of a block: the page as literals and the sequences from `first` to `stop`. No code is longer than
 * 15 bits, so three literals, or two and a length with its extra bits (5), fit beside seven pending bits.
 */
export function putSequences(
  data: u32,
  first: u32,
  stop: u32,
  lastLiterals: u32,
  literalCode: u32,
  distanceCode: u32,
): void {
  let buffer = bitBuffer;
  let count = bitCount;
  let out = bitOut;
  let at = data;
  for (let sequence = first; sequence < stop; sequence += 4) {
    const s = load<u32>(sequence);
    let left = s >> 20;
    while (left > 2) {
      const a = load<u32>(literalCode + (load<u8>(at) as u32) * 4);
      const b = load<u32>(literalCode + (load<u8>(at, 1) as u32) * 4);
      const c = load<u32>(literalCode + (load<u8>(at, 2) as u32) * 4);
      buffer |= ((a & 0xffff) as u64) << count;
      count += a >> 16;
      buffer |= ((b & 0xffff) as u64) << count;
      count += b >> 16;
      buffer |= ((c & 0xffff) as u64) << count;
      count += c >> 16;
      store<u64>(out, buffer);
      out += count >> 3;
      buffer >>= count & 56;
      count &= 7;
      at += 3;
      left -= 3;
    }
    // Zero, one or two literals remain. A code that is not needed is masked out instead of branched over.
    const a = load<u32>(literalCode + (load<u8>(at) as u32) * 4) & (0 - ((left + 1) >> 1));
    const b = load<u32>(literalCode + (load<u8>(at, 1) as u32) * 4) & (0 - (left >> 1));
    buffer |= ((a & 0xffff) as u64) << count;
    count += a >> 16;
    buffer |= ((b & 0xffff) as u64) << count;
    count += b >> 16;
    const entry = load<u32>(LENGTHS + (s & 0xff) * 4);
    const lengthCode = load<u32>(literalCode + (entry & 0xffff) * 4);
    buffer |= ((lengthCode & 0xffff) as u64) << count;
    count += lengthCode >> 16;
    buffer |= ((entry >> 24) as u64) << count;
    count += (entry >> 16) & 0xff;
    store<u64>(out, buffer);
    out += count >> 3;
    buffer >>= count & 56;
    count &= 7;

    const less = ((s >> 8) & 0xfff) - 1;
    const symbol = distanceSymbol(less);
    const code = load<u32>(distanceCode + symbol * 4);
    buffer |= ((code & 0xffff) as u64) << count;
    count += code >> 16;
    const extra: u32 = symbol < 4 ? 0 : (symbol >> 1) - 1;
    buffer |= ((less & ((1 << extra) - 1)) as u64) << count;
    count += extra;
    store<u64>(out, buffer);
    out += count >> 3;
    buffer >>= count & 56;
    count &= 7;
    at += left + (s & 0xff) + 3;
  }
  const end = at + lastLiterals;
  while (at < end) {
    const a = load<u32>(literalCode + (load<u8>(at) as u32) * 4);
    buffer |= ((a & 0xffff) as u64) << count;
    count += a >> 16;
    store<u64>(out, buffer);
    out += count >> 3;
    buffer >>= count & 56;
    count &= 7;
    at++;
  }
  continueBits(buffer, count, out);
}

/** Ends a block. */
export function putEnd(literalCode: u32): void {
  const last = load<u32>(literalCode + 256 * 4);
  putBits((last & 0xffff) as u64, last >> 16);
}

/** One stored block of so many bytes, less than 64 KiB; `last` is 1 for the last one of the stream, else 0. */
export function putStored(data: u32, length: u32, last: u32): void {
  putBits(last, 3);
  const out = finishBits();
  store<u16>(out, length);
  store<u16>(out + 2, length ^ 0xffff);
  memory.copy(out + 4, data, length);
  startBits(out + 4 + length);
}

/** Ends a part of a stream at a byte boundary, as Z_SYNC_FLUSH does. Returns the address after it. */
export function putFlush(): u32 {
  putBits(0, 3);
  const out = finishBits();
  store<u32>(out, 0xffff0000);
  startBits(out + 4);
  return out + 4;
}

/** Writes Adler-32, big-endian, after the block. Returns the address after the stream. */
export function putChecksum(sum: u32): u32 {
  const out = finishBits();
  store<u32>(out, bswap<u32>(sum));
  return out + 4;
}
