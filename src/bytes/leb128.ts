/**
 * LEB128 without sign: seven bits a byte, the low ones first, bit 7 set in all bytes but the last; here at most nine
 * bytes. Numbers above 2^53 are rounded.
 */

const MOST_BYTES = 9;

/** Writes a number, of up to 2^53 - 1, at `at`. Returns where the next byte goes. */
export function writeLeb128(value: number, into: Uint8Array, at: number): number {
  let left = value;
  let next = at;
  for (; left >= 0x80; left = Math.floor(left / 0x80)) into[next++] = (left % 0x80) + 0x80;
  into[next++] = left;
  return next;
}

/**
 * The number at `at`, and where the next byte is. "cut": the bytes end before it does; "wrong": it has more than nine
 * bytes, or more than it needs.
 */
export function readLeb128(bytes: Uint8Array, at: number): { value: number; next: number } | "cut" | "wrong" {
  let value = 0;
  for (let k = 0, weight = 1; k < MOST_BYTES; k++, weight *= 0x80) {
    const byte = bytes[at + k];
    if (byte === undefined) return "cut";
    if (byte === 0 && k > 0) return "wrong";
    value += (byte & 0x7f) * weight;
    if (byte < 0x80) return { value, next: at + k + 1 };
  }
  return "wrong";
}
