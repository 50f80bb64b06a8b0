import { adler32 } from "./adler";
import { putChecksum, putSequences, startBits } from "./encode";
import { beginBlock, beginFixed, blockDistances, blockLiterals, endBlock } from "./fast-block";
import { findMatches, lastLiterals } from "./fast-matches";
import { startCounting } from "./histogram";
import { SEQUENCES } from "./memory";

/** Header of a zlib stream: deflate, 32 KiB window, fastest. What level 1 writes. */
const ZLIB_HEADER: u16 = 0x0178;

/**
 * Compresses one page to a zlib stream at `out`, in the fast mode. Returns the address after the stream. May write 600
 * bytes past the size of a stored page.
 */
export function deflateFast(data: u32, length: u32, out: u32): u32 {
  return deflate(data, length, out, false);
}

/** The same with fixed codes, without building a code. */
export function deflateFixed(data: u32, length: u32, out: u32): u32 {
  return deflate(data, length, out, true);
}

function deflate(data: u32, length: u32, out: u32, isFixed: bool): u32 {
  store<u16>(out, ZLIB_HEADER);
  startBits(out + 2);
  startCounting();
  const stop = findMatches(data, length, SEQUENCES);
  const tail = lastLiterals;
  if (isFixed) beginFixed();
  else beginBlock(data, length);
  if (blockLiterals != 0) {
    putSequences(data, SEQUENCES, stop, tail, blockLiterals, blockDistances);
    endBlock(data, length);
  }
  return putChecksum(adler32(data, length));
}
