/** True when `length` bytes (a multiple of 64) are all zero. */
export function isZero(data: u32, length: u32): bool {
  const end = data + length;
  if (ASC_FEATURE_SIMD) {
    for (let at = data; at < end; at += 64) {
      const some = v128.or(v128.or(v128.load(at), v128.load(at, 16)), v128.or(v128.load(at, 32), v128.load(at, 48)));
      if (v128.any_true(some)) return false;
    }
  } else {
    for (let at = data; at < end; at += 32) {
      if ((load<u64>(at) | load<u64>(at, 8) | load<u64>(at, 16) | load<u64>(at, 24)) != 0) return false;
    }
  }
  return true;
}
