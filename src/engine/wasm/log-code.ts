import { BUCKETS, NEXT_IN_BUCKET } from "./memory";

/** Maximum code length: with frequencies as they are taken below, the rule never exceeds it. */
const LIMIT: u32 = 13;

/** 8,192 less 288, rounded down. */
const PLENTY: u32 = 7900;

/**
 * Code lengths without a tree. `ceil(log2(total / frequency))` bits per symbol leave part of the code space unused (the
 * Kraft sum is at most 1). The spare space goes to the symbols that lost most by rounding up. The final sum is exactly
 * 1, since decoders refuse incomplete codes. Returns the total bits of all symbols.
 *
 * Of many symbols the rare ones count for more than they are, so that no code is longer than 13 bits: with `more` for
 * each of 288 and a total below `PLENTY * (more + 1)`, a share is at least a 8,192nd of all.
 *
 * The symbols are listed from `used` to `stop`, at least two; frequencies (u32) are at `frequency`; one byte each is
 * written to `bits`.
 */
export function logCode(used: u32, stop: u32, frequency: u32, bits: u32): u32 {
  memory.fill(BUCKETS, 0xff, 32);
  let total: u32 = 0;
  for (let at = used; at < stop; at += 2) total += load<u32>(frequency + (load<u16>(at) as u32) * 4);
  const more = total / PLENTY;
  total += (more * (stop - used)) >> 1;
  let spare: i32 = 1 << LIMIT;
  let sum: u32 = 0;
  const shift: u32 = more == 0 ? 16 : 20;
  const scale = (16 << shift) / total;
  const width = clz(total);
  for (let at = used; at < stop; at += 2) {
    const s = load<u16>(at) as u32;
    const f = load<u32>(frequency + s * 4);
    const share = f + more;
    let length = clz(share) - width;
    length += (share << length < total) as u32;
    length = max(length, 1);
    store<u8>(bits + s, length);
    spare -= 1 << (LIMIT - length);
    sum += f * length;
    // share << length is between total and twice total; the larger it is, the more was lost by rounding.
    const bucket = BUCKETS + ((((share << length) * scale) >> shift) & 15) * 2;
    store<u16>(NEXT_IN_BUCKET + s * 2, load<u16>(bucket));
    store<u16>(bucket, s);
  }
  for (let bucket = BUCKETS + 30; bucket >= BUCKETS && spare > 0; bucket -= 2) {
    let s = load<u16>(bucket) as u32;
    while (s != 0xffff) {
      const length = load<u8>(bits + s) as u32;
      const cost = 1 << (LIMIT - length);
      const fits = (cost <= spare && length > 1) as u32;
      store<u8>(bits + s, length - fits);
      spare -= cost & -fits;
      sum -= load<u32>(frequency + s * 4) & (0 - fits);
      s = load<u16>(NEXT_IN_BUCKET + s * 2);
    }
  }
  // All shares are multiples of the longest code's share, so some code always fits into the rest.
  while (spare > 0) {
    for (let at = used; at < stop; at += 2) {
      const s = load<u16>(at) as u32;
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
