// The page engine: AssemblyScript, compiled to page.wasm and, with SIMD, page-simd.wasm (tools/build.mjs). Explained in
// spec/07-page-engine.md.
import { deflateExact } from "./exact";
import { deflateFast, deflateFixed } from "./fast";
import { inflatePage } from "./inflate";
import { isZero } from "./zero";

export { init } from "./init";
export { SCRATCH_END } from "./memory";
export { inflatePage, inflatePart } from "./inflate";
export { adler32Long } from "./adler";
export { deflateBlocks } from "./fast-group";
export { decodeLz4 } from "./lz4";
export { decodeLzo1x } from "./lzo1x";
export { lzmaDecode } from "./lzma";
export { lzmaBegin, lzmaEnds, lzmaNext, lzmaReset, lzmaRing, lzmaWrap } from "./lzma-state";
export { crc32, crc32Begin, crc64, crc64Begin } from "./crc";
export * from "./unzstd-exports";
export { ZSTD_WORK, zstdBegin, zstdBlocks } from "./zstd";

const FLAG_ZERO: u64 = 0x02;
const FLAG_COMPRESS_PAGE: u64 = 0x100;

/** Modes of {@link deflatePage}. */
const FIXED: u32 = 1;
const EXACT: u32 = 2;

/** Compresses one page to one zlib stream. Returns the address after it. */
export function deflatePage(mode: u32, data: u32, length: u32, out: u32): u32 {
  if (mode == EXACT) return deflateExact(data, length, out);
  if (mode == FIXED) return deflateFixed(data, length, out);
  return deflateFast(data, length, out);
}

/**
 * Compresses `count` pages of `length` bytes at `pages` to payloads or, with `words` (u64 each), to complete records of
 * the ram section. Starts (from `output`) and lengths go to u32 arrays, zero pages are marked in a byte array. Returns
 * the bytes written.
 */
export function deflateBatch(
  mode: u32,
  pages: u32,
  length: u32,
  count: u32,
  output: u32,
  starts: u32,
  lengths: u32,
  zero: u32,
  words: u32,
): u32 {
  let out = output;
  for (let i: u32 = 0; i < count; i++) {
    const page = pages + i * length;
    const start = out;
    const empty = isZero(page, length);
    store<u8>(zero + i, empty ? 1 : 0);
    if (words != 0) {
      const word = load<u64>(words + i * 8);
      if (empty) {
        store<u64>(out, bswap<u64>(word | FLAG_ZERO));
        store<u8>(out + 8, 0);
        out += 9;
      } else {
        store<u64>(out, bswap<u64>(word | FLAG_COMPRESS_PAGE));
        out = deflatePage(mode, page, length, out + 12);
        store<u32>(start + 8, bswap<u32>(out - start - 12));
      }
    } else if (!empty) {
      out = deflatePage(mode, page, length, out);
    }
    store<u32>(starts + i * 4, start - output);
    store<u32>(lengths + i * 4, out - start);
  }
  return out - output;
}

/**
 * Inflates `count` payloads to pages of `size` bytes at `pages`. Starts (from `input`) and lengths give their
 * positions. A byte array marks the valid pages. Returns the number of invalid ones.
 */
export function inflateBatch(input: u32, starts: u32, lengths: u32, count: u32, pages: u32, size: u32, good: u32): u32 {
  let bad: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const ok = inflatePage(input + load<u32>(starts + i * 4), load<u32>(lengths + i * 4), pages + i * size, size);
    store<u8>(good + i, ok ? 1 : 0);
    if (!ok) bad++;
  }
  return bad;
}
