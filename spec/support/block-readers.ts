/**
 * LZ4 and LZO1X blocks read byte by byte: the second reader that the decoders in WebAssembly are held against. Sources:
 * LZ4 Block format; Linux Documentation/staging/lzo.rst.
 */

/**
 * Decodes one block (LZ4 Block format). `out[0 .. start)` is history, the output goes to `out[start .. limit)`. Returns
 * the end of the output, or -1 - i for an error at input byte i.
 */
export function readLz4(block: Uint8Array, out: Uint8Array, start: number, limit: number): number {
  let i = 0;
  let o = start;
  for (;;) {
    if (i >= block.length) return -1 - i;
    const token = block[i++]!;
    let literals = token >> 4;
    if (literals === 15) {
      for (let more = 255; more === 255; literals += more) {
        if (i >= block.length) return -1 - i;
        more = block[i++]!;
      }
    }
    if (i + literals > block.length || o + literals > limit) return -1 - i;
    out.set(block.subarray(i, i + literals), o);
    i += literals;
    o += literals;
    if (i === block.length) return o;
    if (i + 2 > block.length) return -1 - i;
    const distance = block[i]! | (block[i + 1]! << 8);
    if (distance === 0 || distance > o) return -1 - i;
    i += 2;
    let length = (token & 15) + 4;
    if (length === 19) {
      for (let more = 255; more === 255; length += more) {
        if (i >= block.length) return -1 - i;
        more = block[i++]!;
      }
    }
    if (o + length > limit) return -1 - i;
    if (distance >= length) out.copyWithin(o, o - distance, o - distance + length);
    else for (let k = 0; k < length; k++) out[o + k] = out[o + k - distance]!;
    o += length;
  }
}

/** One LZO1X block into all of `out`: -1, or the index of the wrong input byte. */
export function readLzo1x(block: Uint8Array, out: Uint8Array): number {
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
