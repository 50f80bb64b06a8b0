/** A little-endian u32 at `at`. */
export function littleU32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

/** A little-endian u64 at `at`. */
export function littleU64(bytes: Uint8Array, at: number): bigint {
  return BigInt(littleU32(bytes, at)) | (BigInt(littleU32(bytes, at + 4)) << 32n);
}
