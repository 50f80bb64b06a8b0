import { PERIODS } from "./memory";

/** Bytes that must be accessible after the end of a decoder's input and of its output: copies are made in pieces. */
export const SLACK: u32 = 32;

/** Copies sixteen bytes that do not overlap. */
export function copy16(to: u32, from: u32): void {
  if (ASC_FEATURE_SIMD) {
    v128.store(to, v128.load(from));
  } else {
    const low = load<u64>(from);
    const high = load<u64>(from + 8);
    store<u64>(to, low);
    store<u64>(to + 8, high);
  }
}

/**
 * Copies `length` bytes forwards in pieces of 16; writes and reads up to 15 bytes more. Regions apart by 16 or more.
 */
export function copyPieces(to: u32, from: u32, length: u32): void {
  const end = to + length;
  do {
    copy16(to, from);
    to += 16;
    from += 16;
  } while (to < end);
}

/** Repeats what is `distance` bytes before `to`, as LZ77 does: byte by byte, in effect. Writes up to 15 bytes more. */
export function repeat(to: u32, distance: u32, length: u32): void {
  let from = to - distance;
  if (distance >= 16) {
    if (length > 256 && distance >= length) memory.copy(to, from, length);
    else copyPieces(to, from, length);
    return;
  }
  if (distance == 1 && (!ASC_FEATURE_SIMD || length > 512)) {
    memory.fill(to, load<u8>(from), length);
    return;
  }
  const end = to + length;
  if (ASC_FEATURE_SIMD) {
    const sixteen = i8x16.swizzle(v128.load(from), v128.load(PERIODS + distance * 16));
    const step = load<u8>(PERIODS + distance) as u32;
    do {
      v128.store(to, sixteen);
      to += step;
    } while (to < end);
    return;
  }
  while (to < end) store<u8>(to++, load<u8>(from++));
}
