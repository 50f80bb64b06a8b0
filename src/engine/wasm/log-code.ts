import { BUCKETS, NEXT_IN_BUCKET, USED } from "./memory";

/** No code is longer: with at most 4,097 symbols the rule below never asks for more. */
const LIMIT: u32 = 13;

/**
 * Code lengths without a tree: `ceil(log2(total / frequency))` bits for each symbol leaves part of the code space unused
 * (the Kraft sum is at most 1), and the spare space goes to the symbols that lost most by rounding up. The sum is exactly
 * 1 in the end, since decoders refuse incomplete codes. Returns the bits that all symbols take together.
 *
 * `symbols` frequencies (u32) at `frequency` whose sum is `total`, at least two of them not 0; one byte each to `bits`.
 */
export function logCode(frequency: u32, bits: u32, symbols: u32, total: u32): u32 {
  memory.fill(BUCKETS, 0xff, 32);
  let spare: i32 = 1 << LIMIT;
  let used = USED;
  let sum: u32 = 0;
  const scale = (16 << 16) / total;
  const width = clz(total);
  for (let s: u32 = 0; s < symbols; s++) {
    const f = load<u32>(frequency + s * 4);
    if (f == 0) {
      store<u8>(bits + s, 0);
      continue;
    }
    let length = clz(f) - width;
    if (f << length < total) length++;
    if (length == 0) length = 1;
    store<u8>(bits + s, length);
    spare -= 1 << (LIMIT - length);
    sum += f * length;
    store<u16>(used, s);
    used += 2;
    // f << length is from total to twice of it: the more, the more was lost.
    const bucket = (((f << length) * scale) >> 16) & 15;
    store<u16>(NEXT_IN_BUCKET + s * 2, load<u16>(BUCKETS + bucket * 2));
    store<u16>(BUCKETS + bucket * 2, s);
  }
  for (let bucket: i32 = 15; bucket >= 0 && spare > 0; bucket--) {
    let s = load<u16>(BUCKETS + bucket * 2) as u32;
    while (s != 0xffff) {
      const length = load<u8>(bits + s) as u32;
      const cost = 1 << (LIMIT - length);
      if (cost <= spare && length > 1) {
        store<u8>(bits + s, length - 1);
        spare -= cost;
        sum -= load<u32>(frequency + s * 4);
      }
      s = load<u16>(NEXT_IN_BUCKET + s * 2);
    }
  }
  // All lengths are multiples of the longest code's share, so some code always fits into what is left.
  while (spare > 0) {
    for (let u = USED; u < used; u += 2) {
      const s = load<u16>(u) as u32;
      const length = load<u8>(bits + s) as u32;
      const cost = 1 << (LIMIT - length);
      if (cost > spare || length == 1) continue;
      store<u8>(bits + s, length - 1);
      spare -= cost;
      sum -= load<u32>(frequency + s * 4);
    }
  }
  return sum;
}
