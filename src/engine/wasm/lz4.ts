import { copyPieces, repeat } from "./copies";

/** A byte of a length that another one follows. */
const MORE: u32 = 255;

/**
 * Decodes one block (LZ4 Block format) of `length` bytes at `input` to `out`, where `history` bytes before it may be
 * copied from, and at most `room` bytes fit. Returns the number of bytes, or -1 - i for an error at input byte i.
 * Input and output have `SLACK` bytes after them.
 */
export function decodeLz4(input: u32, length: u32, out: u32, history: u32, room: u32): i32 {
  const end = input + length;
  const limit = out + room;
  const first = out - history;
  let i = input;
  let o = out;
  while (true) {
    if (i >= end) return -1 - ((i - input) as i32);
    const token = load<u8>(i++) as u32;
    let literals = token >> 4;
    if (literals == 15) {
      let more = MORE;
      while (more == MORE) {
        if (i >= end) return -1 - ((i - input) as i32);
        more = load<u8>(i++) as u32;
        literals += more;
      }
    }
    if (literals > end - i || literals > limit - o) return -1 - ((i - input) as i32);
    if (literals != 0) {
      if (literals <= 64) copyPieces(o, i, literals);
      else memory.copy(o, i, literals);
      i += literals;
      o += literals;
    }
    if (i == end) return (o - out) as i32;
    if (end - i < 2) return -1 - ((i - input) as i32);
    const distance = load<u16>(i) as u32;
    if (distance == 0 || distance > o - first) return -1 - ((i - input) as i32);
    i += 2;
    let match = (token & 15) + 4;
    if (match == 19) {
      let more = MORE;
      while (more == MORE) {
        if (i >= end) return -1 - ((i - input) as i32);
        more = load<u8>(i++) as u32;
        match += more;
      }
    }
    if (match > limit - o) return -1 - ((i - input) as i32);
    repeat(o, distance, match);
    o += match;
  }
}
