import { copyPieces, repeat } from "./copies";

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
 * Decodes `length` bytes at `input` to exactly `size` bytes at `out`. Returns -1 on success, or the index of the wrong
 * input byte. Input and output have `SLACK` bytes after them.
 */
export function decodeLzo1x(input: u32, length: u32, out: u32, size: u32): i32 {
  const end = input + length;
  const limit = out + size;
  let i = input;
  let o = out;
  let state: u32 = 0;
  if (length > 0 && load<u8>(i) > 17) {
    const literals = (load<u8>(i++) as u32) - 17;
    if (literals > end - i || literals > size) return 1;
    copyLiterals(o, i, literals);
    i += literals;
    o += literals;
    state = min<u32>(literals, 4);
  }
  while (i < end) {
    const at = i - input;
    const code = load<u8>(i++) as u32;
    let copied: u32;
    let distance: u32;
    let literals = code & 3;
    if (code >= 64) {
      if (i >= end) return at;
      copied = (code >> 5) + 1;
      distance = ((load<u8>(i++) as u32) << 3) + ((code >> 2) & 7) + 1;
    } else if (code >= 16 || state == 0) {
      const bits: u32 = code >= 32 ? 31 : code >= 16 ? 7 : 15;
      copied = code & bits;
      if (copied == 0) {
        copied = bits;
        while (i < end && load<u8>(i) == 0) {
          if (copied > size) return at;
          copied += 255;
          i++;
        }
        if (i >= end) return at;
        copied += load<u8>(i++) as u32;
      }
      if (code < 16) {
        copied += 3;
        if (copied > end - i || copied > limit - o) return at;
        copyLiterals(o, i, copied);
        i += copied;
        o += copied;
        state = 4;
        continue;
      }
      if (end - i < 2) return at;
      const word = load<u16>(i) as u32;
      i += 2;
      literals = word & 3;
      copied += 2;
      distance = (word >> 2) + 1;
      if (code < 32) {
        distance += ((code & 8) << 11) + 16383;
        if (distance == 16384) return i == end && o == limit ? -1 : at;
      }
    } else {
      if (i >= end) return at;
      const far = state == 4;
      copied = far ? 3 : 2;
      distance = ((load<u8>(i++) as u32) << 2) + (code >> 2) + (far ? 2049 : 1);
    }
    if (distance > o - out || copied > limit - o) return at;
    repeat(o, distance, copied);
    o += copied;
    if (literals > end - i || literals > limit - o) return at;
    if (literals != 0) {
      store<u32>(o, load<u32>(i));
      i += literals;
      o += literals;
    }
    state = literals;
  }
  return length;
}

function copyLiterals(to: u32, from: u32, length: u32): void {
  if (length <= 64) copyPieces(to, from, length);
  else memory.copy(to, from, length);
}
