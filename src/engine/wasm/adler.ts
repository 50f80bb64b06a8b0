/**
 * Adler-32 of a page. One sum is at most 1 + 4096 * 255, the other at most 2.14e9 with all bytes 255. Both fit 32 bits,
 * so the modulo is taken once at the end.
 */
export function adler32(data: u32, length: u32): u32 {
  let a: u32 = 1;
  let b: u32 = 0;
  let at = data;
  const end = data + length;
  if (ASC_FEATURE_SIMD) {
    // b = sum over blocks of 16 * (sum before the block) + weights 16..1 times the block's bytes.
    let sums = i32x4.splat(0);
    let before = i32x4.splat(0);
    let weighted = i32x4.splat(0);
    const high = i16x8(16, 15, 14, 13, 12, 11, 10, 9);
    const low = i16x8(8, 7, 6, 5, 4, 3, 2, 1);
    const whole = data + (length & ~15);
    while (at < whole) {
      const bytes = v128.load(at);
      before = i32x4.add(before, sums);
      sums = i32x4.add(sums, i32x4.extadd_pairwise_i16x8_u(i16x8.extadd_pairwise_i8x16_u(bytes)));
      weighted = i32x4.add(weighted, i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_u(bytes), high));
      weighted = i32x4.add(weighted, i32x4.dot_i16x8_s(i16x8.extend_high_i8x16_u(bytes), low));
      at += 16;
    }
    a += sum(sums);
    b = (length & ~15) + 16 * sum(before) + sum(weighted);
  } else {
    // Even and odd bytes of eight at a time in 16-bit lanes. After 16 rounds every lane of the prefix sums is below
    // 65,536.
    while (at + 128 <= end) {
      let even: u64 = 0;
      let odd: u64 = 0;
      let evenBefore: u64 = 0;
      let oddBefore: u64 = 0;
      const stop = at + 128;
      do {
        const bytes = load<u64>(at);
        evenBefore += even;
        oddBefore += odd;
        even += bytes & 0x00ff00ff00ff00ff;
        odd += (bytes >> 8) & 0x00ff00ff00ff00ff;
        at += 8;
      } while (at < stop);
      b += 128 * a + 8 * (lanes(evenBefore) + lanes(oddBefore));
      // Weights of bytes 0, 2, 4, 6 are 8, 6, 4, 2; of 1, 3, 5, 7 they are 7, 5, 3, 1.
      b += 8 * lane(even, 0) + 6 * lane(even, 16) + 4 * lane(even, 32) + 2 * lane(even, 48);
      b += 7 * lane(odd, 0) + 5 * lane(odd, 16) + 3 * lane(odd, 32) + lane(odd, 48);
      a += lanes(even) + lanes(odd);
    }
  }
  while (at < end) {
    a += load<u8>(at);
    b += a;
    at++;
  }
  return ((b % 65521) << 16) | (a % 65521);
}

function lane(x: u64, shift: u64): u32 {
  return ((x >> shift) & 0xffff) as u32;
}

function lanes(x: u64): u32 {
  return lane(x, 0) + lane(x, 16) + lane(x, 32) + lane(x, 48);
}

function sum(x: v128): u32 {
  return i32x4.extract_lane(x, 0) + i32x4.extract_lane(x, 1) + i32x4.extract_lane(x, 2) + i32x4.extract_lane(x, 3);
}

const LARGEST: u32 = 65521;

/** Adler-32 of any number of bytes, a page at a time. */
export function adler32Long(data: u32, length: u32): u32 {
  let a: u32 = 1;
  let b: u32 = 0;
  for (let at: u32 = 0; at < length; at += 4096) {
    const some = min<u32>(4096, length - at);
    const sums = adler32(data + at, some);
    // The sums of the part began with a = 1.
    b = (b + some * (a + LARGEST - 1) + (sums >> 16)) % LARGEST;
    a = (a + (sums & 0xffff) + LARGEST - 1) % LARGEST;
  }
  return (b << 16) | a;
}
