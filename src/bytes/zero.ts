/**
 * True when bytes `start` to `end` (by default all) are zero. Reads words of four bytes; a page with data is usually
 * recognised by its first ones.
 */
export function isZero(bytes: Uint8Array, start = 0, end = bytes.length): boolean {
  let at = start;
  const aligned = Math.min(end, start + (-(bytes.byteOffset + start) & 3));
  for (; at < aligned; at++) if (bytes[at] !== 0) return false;
  if (end - at >= 32) {
    const words = new Int32Array(bytes.buffer, bytes.byteOffset + at, (end - at) >>> 2);
    const whole = words.length & ~7;
    for (let word = 0; word < whole; word += 8) {
      const any =
        words[word]! |
        words[word + 1]! |
        words[word + 2]! |
        words[word + 3]! |
        words[word + 4]! |
        words[word + 5]! |
        words[word + 6]! |
        words[word + 7]!;
      if (any !== 0) return false;
    }
    at += whole * 4;
  }
  for (; at < end; at++) if (bytes[at] !== 0) return false;
  return true;
}
