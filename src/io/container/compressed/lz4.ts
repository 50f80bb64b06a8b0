import type { QemuFileReader } from "../../../bytes/reader.js";
import { isSkippable, littleU32, littleU64 } from "../little.js";

const MAGIC = 0x184d2204;
const LEGACY_MAGIC = 0x184c2102;
const HISTORY = 1 << 16;
/** Block size of a legacy frame (all but the last block), and the maximum compressed size. */
const LEGACY_BLOCK = 1 << 23;
const LEGACY_LARGEST = LEGACY_BLOCK + Math.trunc(LEGACY_BLOCK / 255) + 16;

/**
 * lz4 frames (LZ4 Frame format 1.6.x), one or more, linked or independent blocks. Skippable frames are skipped; header,
 * block and content checksums are checked (xxhash-wasm). Also legacy frames (`lz4 -l`), which have no checksums.
 *
 * Decoded here because no package streams the frame format: lz4js and lz4-wasm need the whole file in memory, and
 * report errors without an offset. Memory: 64 KiB of history and a block for each of the four sizes (64 KiB to 4 MiB;
 * legacy: 8 MiB). Errors: truncated, bad-compressed-data, unsupported (dictionaries).
 */
export async function* unlz4(reader: QemuFileReader): AsyncGenerator<Uint8Array> {
  const { default: xxhash } = await import("xxhash-wasm");
  const hashes = await xxhash();
  // For all frames of a size: a frame takes 11 bytes, and its window up to 4 MiB.
  const windows = new Map<number, Uint8Array>();
  const windowOf = (length: number): Uint8Array => {
    const window = windows.get(length) ?? new Uint8Array(length);
    windows.set(length, window);
    return window;
  };
  for (let frames = 0; ; frames++) {
    const at = reader.offset;
    const magic = (await reader.fill(4)) ? littleU32(reader.buffer, reader.position) : 0;
    if (isSkippable(magic)) {
      await reader.need(8, "a skippable lz4 frame");
      await reader.discard(littleU32(reader.view(8), 4), "a skippable lz4 frame");
      continue;
    }
    if (magic === LEGACY_MAGIC) {
      yield* legacyFrame(reader, windowOf(LEGACY_BLOCK));
      continue;
    }
    if (magic !== MAGIC) {
      if (frames > 0) return;
      throw reader.error("bad-magic", "no lz4 frame");
    }
    await reader.need(7, "an lz4 frame header");
    const flags = reader.buffer[reader.position + 4]!;
    const descriptor = reader.buffer[reader.position + 5]!;
    const sized = (flags & 8) !== 0;
    const length = 7 + (sized ? 8 : 0);
    await reader.need(length, "an lz4 frame header");
    const header = reader.view(length);
    if (((hashes.h32Raw(header.subarray(4, length - 1)) >>> 8) & 0xff) !== header[length - 1]) {
      throw reader.error("bad-compressed-data", "lz4 frame header checksum", { offset: at });
    }
    if (flags >> 6 !== 1 || (flags & 1) !== 0) {
      throw reader.error("unsupported", "lz4 frame flags", { offset: at + 4, found: `0x${flags.toString(16)}` });
    }
    const largest = 2 ** (8 + 2 * ((descriptor >> 4) & 7));
    if (largest < 1 << 16) throw reader.error("bad-value", "lz4 block size", { offset: at + 5 });
    const size = sized ? littleU64(header, 6) : undefined;
    const independent = (flags & 0x20) !== 0;
    const content = (flags & 4) !== 0 ? hashes.create32() : undefined;
    const window = windowOf(HISTORY + largest);
    let history = 0;
    let total = 0n;
    for (;;) {
      const place = reader.offset;
      await reader.need(4, "an lz4 block header");
      const word = littleU32(reader.view(4), 0);
      if (word === 0) break;
      const bytes = word & 0x7fffffff;
      if (bytes > largest) {
        throw reader.error("bad-compressed-data", "lz4 block longer than the frame allows", {
          offset: place,
          expected: `${largest}`,
          found: `${bytes}`,
        });
      }
      const checked = (flags & 0x10) !== 0;
      await reader.need(bytes + (checked ? 4 : 0), "an lz4 block");
      const block = reader.view(bytes);
      if (checked && hashes.h32Raw(block) !== littleU32(reader.view(4), 0)) {
        throw reader.error("bad-compressed-data", "lz4 block checksum", { offset: place });
      }
      if (independent) history = 0;
      let end: number;
      if (word >= 0x80000000) {
        window.set(block, history);
        end = history + bytes;
      } else {
        end = decodeBlock(block, window, history, history + largest);
        if (end < 0) throw reader.error("bad-compressed-data", "lz4 block", { offset: place + 4 - end - 1 });
      }
      const plain = window.subarray(history, end);
      content?.update(plain);
      total += BigInt(plain.length);
      yield plain;
      const keep = Math.min(HISTORY, end);
      window.copyWithin(0, end - keep, end);
      history = keep;
    }
    if (size !== undefined && size !== total) {
      throw reader.error("bad-length", "lz4 content size", { expected: `${size}`, found: `${total}` });
    }
    if (content === undefined) continue;
    await reader.need(4, "an lz4 checksum");
    if (littleU32(reader.view(4), 0) !== content.digest() >>> 0) {
      throw reader.error("bad-compressed-data", "lz4 content checksum", { offset: reader.offset - 4 });
    }
  }
}

/** A legacy frame: length and independent block, repeated up to the end of the file or the next frame's magic. */
async function* legacyFrame(reader: QemuFileReader, plain: Uint8Array): AsyncGenerator<Uint8Array> {
  await reader.discard(4, "an lz4 frame header");
  while (await reader.fill(4)) {
    const place = reader.offset;
    const bytes = littleU32(reader.buffer, reader.position);
    if (bytes === MAGIC || bytes === LEGACY_MAGIC || isSkippable(bytes)) return;
    if (bytes > LEGACY_LARGEST) {
      throw reader.error("bad-compressed-data", "lz4 block longer than the frame allows", {
        expected: `at most ${LEGACY_LARGEST}`,
        found: `${bytes}`,
      });
    }
    await reader.needLarge(4 + bytes, "an lz4 block");
    const end = decodeBlock(reader.view(4 + bytes).subarray(4), plain, 0, LEGACY_BLOCK);
    if (end < 0) throw reader.error("bad-compressed-data", "lz4 block", { offset: place + 4 - end - 1 });
    yield plain.subarray(0, end);
  }
}

/**
 * Decodes one block (LZ4 Block format). `out[0 .. start)` is history, the output goes to `out[start .. limit)`. Returns
 * the end of the output, or -1 - i for an error at input byte i.
 */
function decodeBlock(block: Uint8Array, out: Uint8Array, start: number, limit: number): number {
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
