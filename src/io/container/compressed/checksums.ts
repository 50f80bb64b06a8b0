const CRC = table((value) => {
  let crc = value;
  for (let bit = 0; bit < 8; bit++) crc = (crc & 1) !== 0 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  return crc;
});

const BZIP2_CRC = table((value) => {
  let crc = value << 24;
  for (let bit = 0; bit < 8; bit++) crc = crc < 0 ? (crc << 1) ^ 0x04c11db7 : crc << 1;
  return crc;
});

/**
 * CRC-32 as in xz (reflected, 0xedb88320) of what gave `before`, and these bytes. For headers and indexes, which are read
 * without an engine; long data has `Crc` and `BlockDecoder` (src/engine).
 */
export function crc32(bytes: Uint8Array, before = 0): number {
  let crc = ~before;
  for (const byte of bytes) crc = (crc >>> 8) ^ CRC[(crc ^ byte) & 0xff]!;
  return ~crc >>> 0;
}

/** Adds one byte to bzip2's CRC-32 (not reflected, 0x04c11db7); begin with -1, end with `~`. */
export function bzip2Crc(crc: number, byte: number): number {
  return (crc << 8) ^ BZIP2_CRC[((crc >>> 24) ^ byte) & 0xff]!;
}

function table(entry: (value: number) => number): Int32Array {
  return Int32Array.from({ length: 256 }, (_, value) => entry(value));
}
