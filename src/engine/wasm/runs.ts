/** Symbols of the code of code lengths after the lengths themselves. */
const REPEAT: u32 = 16;
const ZEROS: u32 = 17;
const MANY_ZEROS: u32 = 18;

/**
 * Code lengths as runs, in zlib's way: `symbol | extra bits << 8 | extra value << 16` from `out` on. Returns the
 * address after the last one. Literals and distances are scanned separately; no run crosses between them.
 */
export function scanRuns(bits: u32, symbols: u32, out: u32): u32 {
  let previous: u32 = 0xff;
  let at = bits;
  const end = bits + symbols;
  while (at < end) {
    const length = load<u8>(at) as u32;
    const most: u32 = length == 0 ? 138 : length == previous ? 6 : 7;
    let to = at + 1;
    const stop = min(end, at + most);
    while (to < stop && (load<u8>(to) as u32) == length) to++;
    let run = to - at;
    at = to;
    if (length == 0 ? run < 3 : run < (length == previous ? 3 : 4)) {
      while (run-- != 0) {
        store<u32>(out, length);
        out += 4;
      }
    } else if (length == 0) {
      store<u32>(out, run < 11 ? ZEROS | (3 << 8) | ((run - 3) << 16) : MANY_ZEROS | (7 << 8) | ((run - 11) << 16));
      out += 4;
    } else {
      if (length != previous) {
        store<u32>(out, length);
        out += 4;
        run--;
      }
      store<u32>(out, REPEAT | (2 << 8) | ((run - 3) << 16));
      out += 4;
    }
    previous = length;
  }
  return out;
}
