import type { QemuFileReader } from "../../../bytes/reader.js";
import { BlockDecoder } from "../../../engine/blocks.js";
import { littleU32, littleU64 } from "../little.js";
import { isSkippable, skipFrame } from "../skippable.js";

const MAGIC = 0x184d2204;
const LEGACY_MAGIC = 0x184c2102;
/** Block size of a legacy frame (all but the last block), and the maximum compressed size. */
const LEGACY_BLOCK = 1 << 23;
const LEGACY_LARGEST = LEGACY_BLOCK + Math.trunc(LEGACY_BLOCK / 255) + 16;

/**
 * lz4 frames (LZ4 Frame format 1.6.x), one or more, linked or independent blocks. Skippable frames are skipped; header,
 * block and content checksums are checked (xxhash-wasm). Also legacy frames (`lz4 -l`), which have no checksums.
 *
 * Decoded here because no package streams the frame format: lz4js and lz4-wasm need the whole file in memory, and
 * report errors without an offset. The blocks are decoded in WebAssembly. Memory: 64 KiB, four blocks of the largest
 * size (64 KiB to 4 MiB; legacy: 8 MiB), and a compressed one. Errors: truncated, bad-compressed-data, unsupported (dictionaries).
 */
export async function* unlz4(reader: QemuFileReader): AsyncGenerator<Uint8Array> {
  const { default: xxhash } = await import("xxhash-wasm");
  const hashes = await xxhash();
  const blocks = await BlockDecoder.create();
  for (let frames = 0; ; frames++) {
    const at = reader.offset;
    const magic = (await reader.fill(4)) ? littleU32(reader.buffer, reader.position) : 0;
    if (isSkippable(magic)) {
      await skipFrame(reader, "a skippable lz4 frame");
      continue;
    }
    if (magic === LEGACY_MAGIC) {
      yield* legacyFrame(reader, blocks);
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
    blocks.beginLz4(largest, !independent);
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
      const plain = blocks.lz4(block, word >= 0x80000000);
      if (typeof plain === "number") {
        throw reader.error("bad-compressed-data", "lz4 block", { offset: place + 4 - plain - 1 });
      }
      content?.update(plain);
      total += BigInt(plain.length);
      yield plain;
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
async function* legacyFrame(reader: QemuFileReader, blocks: BlockDecoder): AsyncGenerator<Uint8Array> {
  await reader.discard(4, "an lz4 frame header");
  blocks.beginLz4(LEGACY_BLOCK, false);
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
    const block = reader.view(4 + bytes).subarray(4);
    const plain = blocks.lz4(block, false);
    if (typeof plain === "number") {
      throw reader.error("bad-compressed-data", "lz4 block", { offset: place + 4 - plain - 1 });
    }
    yield plain;
  }
}
