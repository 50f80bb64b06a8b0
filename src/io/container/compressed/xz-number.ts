/** Bytes of a number at most: 63 bits. */
const MOST_BYTES = 9;

/**
 * A number of xz: seven bits a byte, the low ones first, bit 7 set in all bytes but the last. Source: .xz file format
 * 1.2.1, section 1.2.
 */
export function xzNumber(value: number): number[] {
  const bytes: number[] = [];
  let left = value;
  for (; left >= 128; left = Math.floor(left / 128)) bytes.push((left % 128) + 128);
  return [...bytes, left];
}

/**
 * The number at `at`, and where the next byte is. Undefined where none is: cut off, more than nine bytes, or more than
 * it needs.
 */
export function readXzNumber(bytes: Uint8Array, at: number): { value: number; next: number } | undefined {
  let value = 0;
  for (let k = 0, weight = 1; k < MOST_BYTES; k++, weight *= 128) {
    const byte = bytes[at + k];
    if (byte === undefined || (byte === 0 && k > 0)) return undefined;
    value += (byte & 127) * weight;
    if (byte < 128) return { value, next: at + k + 1 };
  }
  return undefined;
}
