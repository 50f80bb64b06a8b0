import { QevmError } from "../../../bytes/errors.js";
import type { QemuFileReader } from "../../../bytes/reader.js";
import { BLOCK_HEADER, LARGEST_WINDOW, readBlockHeader, ZstdDecoder } from "../../../engine/zstd-decoder.js";
import { DEFAULT_LIMITS } from "../../../codec/stream/limits.js";
import { littleU32, littleU64 } from "../little.js";
import { isSkippable, skipFrame } from "../skippable.js";

const MAGIC = 0xfd2fb528;
/** What is read where it is passed over. */
export const SKIPPABLE = "a skippable zstd frame";
/** Bytes of a frame's content that another thread is worth waking for. */
const LONG = 1n << 19n;

/**
 * zstd (RFC 8878), one or more frames, by the page engine; skippable frames are skipped. The frames are parsed here,
 * the engine gets one block at a time, and errors have the block's offset. Memory: the window, at most `window` bytes.
 * Errors: truncated, limit, bad-compressed-data, unsupported (dictionaries, windows).
 */
export async function* unzstd(
  reader: QemuFileReader,
  { decoder: given, ahead, window = DEFAULT_LIMITS.windowBytes, end = Infinity }: Frames = {},
): AsyncGenerator<Uint8Array> {
  const decoder = ahead ?? given ?? (await ZstdDecoder.create());
  for (let frames = 0; reader.offset < end; frames++) {
    const kind = await frameKind(reader);
    if (kind === "skippable") {
      await skipFrame(reader, SKIPPABLE);
      continue;
    }
    if (kind === "none") {
      if (frames > 0) return;
      throw reader.error("bad-magic", "no zstd frame");
    }
    const header = await frameHeader(reader, window);
    await begin(decoder, reader, header);
    let total = 0n;
    for (let last = false; !last;) {
      if (ahead?.isReady === true && (header.size ?? LONG) >= LONG) {
        const { offset, last: isLast, length } = yield* counted(reader, ahead.ahead(reader.offset));
        await reader.discard(offset - reader.offset);
        total += length;
        if (isLast) break;
      }
      await reader.need(BLOCK_HEADER, "a zstd block header");
      const block = blockLength(reader);
      ({ last } = block);
      await reader.need(block.length, "a zstd block");
      const piece = content(decoder, reader, block.length);
      total += BigInt(piece.length);
      yield piece;
    }
    await frameEnd(reader, header, total, () => decoder.checksum());
  }
}

/** Which frames are read, and how. */
interface Frames {
  /** Whose state between frames does not matter. */
  decoder?: ZstdDecoder;
  /** A decoder that may know the blocks of a frame already. */
  ahead?: BlocksAhead;
  /** See {@link StreamLimits.windowBytes}. */
  window?: number | undefined;
  /** The offset that no frame begins at or after. Default: the end of the input. */
  end?: number;
}

/** See {@link ZstdDecoder}. */
export interface BlocksAhead extends Pick<ZstdDecoder, "block" | "checksum"> {
  begin(window: number, hashed: boolean): Promise<void>;
  /** Whether `ahead` may be called. */
  readonly isReady: boolean;
  /**
   * The content of the frame's blocks from an offset of the file on. Returns the offset where the caller goes on: after
   * the last block, or before the one that is for the caller to decode, because it is damaged or not there. Errors:
   * `Error` with the offset of its block.
   */
  ahead(from: number): Generator<Uint8Array, { offset: number; last: boolean }>;
}

async function begin(
  decoder: ZstdDecoder | BlocksAhead,
  reader: QemuFileReader,
  { at, window, checksum }: FrameHeader,
): Promise<void> {
  try {
    await decoder.begin(window, checksum);
  } catch (error) {
    if (!(error instanceof QevmError)) throw error;
    throw reader.error(error.code, error.what, { offset: at, found: `${window} bytes`, cause: error });
  }
}

/** The content of the block that begins here, of `length` bytes. */
function content(decoder: ZstdDecoder | BlocksAhead, reader: QemuFileReader, length: number): Uint8Array {
  const { offset } = reader;
  try {
    return decoder.block(reader.view(length));
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw reader.error("bad-compressed-data", `zstd: ${error.message}`, { offset, cause: error });
  }
}

/** The same pieces, and the number of their bytes. */
function* counted<R>(
  reader: QemuFileReader,
  pieces: Generator<Uint8Array, R>,
): Generator<Uint8Array, R & { length: bigint }> {
  let length = 0n;
  try {
    for (let next = pieces.next(); ; next = pieces.next()) {
      if (next.done === true) return { ...next.value, length };
      length += BigInt(next.value.length);
      yield next.value;
    }
  } catch (error) {
    if (!(error instanceof Error) || error instanceof QevmError) throw error;
    const { offset } = error as { offset?: number };
    throw reader.error("bad-compressed-data", `zstd: ${error.message}`, { offset, cause: error });
  }
}

/** Checks a frame's length and checksum after its last block. */
async function frameEnd(
  reader: QemuFileReader,
  { size, checksum }: FrameHeader,
  total: bigint,
  found: () => number,
): Promise<void> {
  if (size !== undefined && total !== size) {
    throw reader.error("bad-length", "zstd content size", { expected: `${size}`, found: `${total}` });
  }
  if (!checksum) return;
  await reader.need(4, "a zstd checksum");
  const { offset } = reader;
  if (littleU32(reader.view(4), 0) === found()) return;
  throw reader.error("bad-compressed-data", "zstd checksum: restored data doesn't match checksum", { offset });
}

/** What begins here. */
export async function frameKind(reader: QemuFileReader): Promise<"frame" | "skippable" | "none"> {
  if (!(await reader.fill(4))) return "none";
  const magic = littleU32(reader.buffer, reader.position);
  if (magic === MAGIC) return "frame";
  return isSkippable(magic) ? "skippable" : "none";
}

/** Bytes of a block with its header, which is there; whether it is the frame's last. */
export function blockLength(reader: QemuFileReader): { length: number; last: boolean } {
  const { buffer, position } = reader;
  const { bits, length, last } = readBlockHeader(buffer, position);
  if (length === undefined) {
    throw reader.error("bad-compressed-data", "zstd block header", { found: `0x${bits.toString(16)}` });
  }
  return { length, last };
}

/** What a frame header says. */
interface FrameHeader {
  /** Its offset. */
  at: number;
  checksum: boolean;
  /** Bytes of the content, where it is known. */
  size: bigint | undefined;
  window: number;
}

/**
 * Reads a frame header. Errors: limit, for a window of more than `most` bytes; unsupported, for one of more than 2 GiB.
 */
export async function frameHeader(reader: QemuFileReader, most: number): Promise<FrameHeader> {
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
  if (window > most) {
    throw reader.error("limit", "zstd window (--limit windowBytes=N)", {
      offset: at,
      expected: `at most ${most}`,
      found: `${window}`,
    });
  }
  if (window > LARGEST_WINDOW && most !== Infinity) {
    throw reader.error("unsupported", "a zstd window above 2 GiB", { offset: at, found: `${window} bytes` });
  }
  return { at, checksum: (descriptor & 4) !== 0, size, window };
}
