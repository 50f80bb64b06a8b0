import type { QemuFileReader } from "../../../bytes/reader.js";
import { isSkippable, littleU32, littleU64 } from "../little.js";

const MAGIC = 0xfd2fb528;
/** Maximum window, the zstd program's default: 128 MiB. */
const LARGEST_WINDOW = 1 << 27;
/** fzstd takes the whole window for each frame and moves it with each block: so many bytes of that are free ... */
const FREE_MOVES = 2 ** 34;
/** ... and so many for each plain byte. A block of 128 KiB in the largest window takes 1024. */
const MOVES = 2048;

/**
 * zstd (RFC 8878), one or more frames, by `fzstd`; skippable frames are skipped. The frames are parsed here, so that
 * fzstd gets one block at a time: a block expands to at most 128 KiB, and errors have the block's offset. fzstd ignores
 * the checksum, so it is checked here. Memory: the window, at most 128 MiB. Errors: truncated, limit,
 * bad-compressed-data, unsupported (dictionaries).
 */
export async function* unzstd(reader: QemuFileReader): AsyncGenerator<Uint8Array> {
  const [{ Decompress }, { default: xxhash }] = await Promise.all([import("fzstd"), import("xxhash-wasm")]);
  const hashes = await xxhash();
  let moved = 0;
  let made = 0;
  for (let frames = 0; ; frames++) {
    const kind = await frameKind(reader);
    if (kind === "skippable") {
      await reader.need(8, "a skippable zstd frame");
      const length = littleU32(reader.view(8), 4);
      await reader.discard(length, "a skippable zstd frame");
      continue;
    }
    if (kind === "none") {
      if (frames > 0) return;
      throw reader.error("bad-magic", "no zstd frame");
    }
    const { bytes, checksum, size, window } = await frameHeader(reader);
    moved += window;
    const pieces: Uint8Array[] = [];
    const decoder = new Decompress((piece) => void pieces.push(piece));
    const hash = checksum ? hashes.create64() : undefined;
    let head: Uint8Array | undefined = bytes;
    let total = 0n;
    for (let last = false; !last;) {
      const at = reader.offset;
      moved += window;
      if (moved > FREE_MOVES + MOVES * made) {
        throw reader.error("limit", "zstd: small blocks or frames with a large window", {
          expected: `at least a plain byte for ${MOVES} bytes of window`,
          found: `${made} for ${moved}`,
        });
      }
      await reader.need(3, "a zstd block header");
      const header =
        reader.buffer[reader.position]! |
        (reader.buffer[reader.position + 1]! << 8) |
        (reader.buffer[reader.position + 2]! << 16);
      last = (header & 1) === 1;
      const type = (header >> 1) & 3;
      const length = 3 + (type === 1 ? 1 : header >> 3);
      if (type === 3 || header >> 3 > 1 << 17) {
        throw reader.error("bad-compressed-data", "zstd block header", { found: `0x${header.toString(16)}` });
      }
      await reader.need(length, "a zstd block");
      const block = reader.view(length);
      try {
        // fzstd waits for 18 bytes before it parses a header; it parses a shorter frame at its end.
        if (head !== undefined) decoder.push(head.slice());
        head = undefined;
        decoder.push(block.slice(), last);
        // fzstd skips a frame's checksum as 4 bytes; they are read here instead.
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        throw reader.error("bad-compressed-data", `zstd: ${message}`, { offset: at, cause: error });
      }
      for (const piece of pieces.splice(0)) {
        hash?.update(piece);
        total += BigInt(piece.length);
        made += piece.length;
        yield piece;
      }
    }
    if (size !== undefined && total !== size) {
      throw reader.error("bad-length", "zstd content size", { expected: `${size}`, found: `${total}` });
    }
    if (hash === undefined) continue;
    await reader.need(4, "a zstd checksum");
    const expected = littleU32(reader.view(4), 0);
    const found = Number(hash.digest() & 0xffffffffn);
    if (expected !== found) {
      throw reader.error("bad-compressed-data", "zstd checksum", {
        offset: reader.offset - 4,
        expected: `0x${expected.toString(16)}`,
        found: `0x${found.toString(16)}`,
      });
    }
  }
}

async function frameKind(reader: QemuFileReader): Promise<"frame" | "skippable" | "none"> {
  if (!(await reader.fill(4))) return "none";
  const magic = littleU32(reader.buffer, reader.position);
  if (magic === MAGIC) return "frame";
  return isSkippable(magic) ? "skippable" : "none";
}

/** The header bytes for the decoder, and the parsed values. */
async function frameHeader(
  reader: QemuFileReader,
): Promise<{ bytes: Uint8Array; checksum: boolean; size: bigint | undefined; window: number }> {
  const at = reader.offset;
  await reader.need(6, "a zstd frame header");
  const start = reader.position;
  const descriptor = reader.buffer[start + 4]!;
  const single = (descriptor & 0x20) !== 0;
  const dictionary = [0, 1, 2, 4][descriptor & 3]!;
  const code = descriptor >> 6;
  const sizeBytes = code === 0 ? (single ? 1 : 0) : 2 ** code;
  const length = 5 + (single ? 0 : 1) + dictionary + sizeBytes;
  await reader.need(length, "a zstd frame header");
  const bytes = reader.view(length);
  if ((descriptor & 8) !== 0)
    throw reader.error("unsupported", "reserved bit of a zstd frame header", { offset: at + 4 });
  if (bytes.subarray(length - sizeBytes - dictionary, length - sizeBytes).some((byte) => byte !== 0)) {
    throw reader.error("unsupported", "zstd with a dictionary", { offset: at });
  }
  const field = bytes.subarray(length - sizeBytes);
  let size: bigint | undefined;
  if (sizeBytes === 1) size = BigInt(field[0]!);
  else if (sizeBytes === 2) size = BigInt(field[0]! + (field[1]! << 8)) + 256n;
  else if (sizeBytes === 4) size = BigInt(littleU32(field, 0));
  else if (sizeBytes === 8) size = littleU64(field, 0);
  const exponent = 10 + (bytes[5]! >> 3);
  const window = single ? Number(size) : 2 ** exponent + (2 ** exponent / 8) * (bytes[5]! & 7);
  if (window > LARGEST_WINDOW) {
    throw reader.error("limit", "zstd window", {
      offset: at,
      expected: `at most ${LARGEST_WINDOW}`,
      found: `${window}`,
    });
  }
  const copy = bytes.slice();
  // Clears the checksum flag for the decoder: the checksum is checked here.
  copy[4]! &= ~4;
  return { bytes: copy, checksum: (descriptor & 4) !== 0, size, window };
}
