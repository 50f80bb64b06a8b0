/**
 * LZO1X, the compression in lzop files. The first byte of an instruction determines its kind:
 *
 * | byte       | state 0                    | states 1 to 3                       | state 4                          |
 * | ---------- | -------------------------- | ----------------------------------- | -------------------------------- |
 * | 0 to 15    | literals, 3 + L            | copy 2 from (H << 2) + D + 1        | copy 3 from (H << 2) + D + 2049  |
 * | 16 to 31   | copy 2 + L (3 bits) from 16384 + (h << 14) + d; d and h zero: the end                          |||
 * | 32 to 63   | copy 2 + L (5 bits) from d + 1                                                                 |||
 * | 64 to 255  | copy 3 to 8 from (H << 3) + D + 1                                                              |||
 *
 * The state is the number of literals (0 to 3) after the last instruction, or 4 after a run of literals. Source: Linux
 * Documentation/staging/lzo.rst.
 *
 * Decompresses `block` into all of `out`. Returns -1 on success, or the index of the wrong input byte.
 */
export function decodeLzo1x(block: Uint8Array, out: Uint8Array): number {
  const n = block.length;
  let i = 0;
  let o = 0;
  let state = 0;
  if (n > 0 && block[0]! > 17) {
    const literals = block[0]! - 17;
    i = 1;
    if (i + literals > n || literals > out.length) return i;
    out.set(block.subarray(i, i + literals), 0);
    i += literals;
    o = literals;
    state = Math.min(literals, 4);
  }
  while (i < n) {
    const at = i;
    const code = block[i++]!;
    let length: number;
    let distance: number;
    let literals = code & 3;
    if (code >= 64) {
      if (i >= n) return at;
      length = (code >> 5) + 1;
      distance = (block[i++]! << 3) + ((code >> 2) & 7) + 1;
    } else if (code >= 16 || state === 0) {
      const bits = code >= 32 ? 31 : code >= 16 ? 7 : 15;
      length = code & bits;
      if (length === 0) {
        length = bits;
        while (i < n && block[i] === 0) {
          length += 255;
          i++;
        }
        if (i >= n) return at;
        length += block[i++]!;
      }
      if (code < 16) {
        length += 3;
        if (i + length > n || o + length > out.length) return at;
        out.set(block.subarray(i, i + length), o);
        i += length;
        o += length;
        state = 4;
        continue;
      }
      if (i + 2 > n) return at;
      const word = block[i]! | (block[i + 1]! << 8);
      i += 2;
      literals = word & 3;
      length += 2;
      distance = (word >> 2) + 1;
      if (code < 32) {
        distance += ((code & 8) << 11) + 16383;
        if (distance === 16384) return i === n && o === out.length ? -1 : at;
      }
    } else {
      if (i >= n) return at;
      const far = state === 4;
      length = far ? 3 : 2;
      distance = (block[i++]! << 2) + (code >> 2) + (far ? 2049 : 1);
    }
    if (distance > o || o + length > out.length) return at;
    if (distance >= length) out.copyWithin(o, o - distance, o - distance + length);
    else for (let k = 0; k < length; k++) out[o + k] = out[o + k - distance]!;
    o += length;
    if (i + literals > n || o + literals > out.length) return at;
    for (let k = 0; k < literals; k++) out[o++] = block[i++]!;
    state = literals;
  }
  return n;
}
