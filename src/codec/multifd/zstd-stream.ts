import { hex, QevmError } from "../../bytes/errors.js";
import { ZstdCompressor } from "../../engine/zstd-compressor.js";
import { ZstdDecoder } from "../../engine/zstd-decoder.js";
import type { PayloadDecoder } from "./payload-decoder.js";

const MAGIC = 0xfd2fb528;
/** Maximum window: 128 MiB. QEMU's levels 0 to 20 use at most 32 MiB. */
const LARGEST_WINDOW = 1 << 27;
/** Maximum block size. */
const LARGEST_BLOCK = 1 << 17;

/**
 * One zstd frame for the whole channel (RFC 8878). Each packet's pages are appended and flushed (ZSTD_e_flush), so a
 * payload ends at a block boundary. The frame is never ended. It is decoded a block at a time. Memory: the
 * window, and 300 KB.
 *
 * Source: QEMU migration/multifd-zstd.c (5.0 to 11.1).
 */
export class ZstdStreamDecoder implements PayloadDecoder {
  private begun = false;

  private constructor(private readonly decoder: ZstdDecoder) {}

  /** Errors: io, where the WebAssembly file is missing. */
  static async create(module?: WebAssembly.Module): Promise<ZstdStreamDecoder> {
    return new ZstdStreamDecoder(await ZstdDecoder.create(module));
  }

  decode(payload: Uint8Array, into: Uint8Array): Uint8Array {
    let filled = 0;
    let at = 0;
    if (!this.begun) {
      this.begun = true;
      const header = frameHeader(payload);
      this.decoder.begin(header.window, false);
      at = header.length;
    }
    while (at < payload.length) {
      const end = blockEnd(payload, at);
      const piece = this.block(payload.subarray(at, end));
      if (piece.length > into.length - filled) throw refuse(`more than ${into.length} bytes`);
      into.set(piece, filled);
      filled += piece.length;
      at = end;
    }
    if (filled !== into.length) throw refuse(`${filled} of ${into.length} bytes`);
    return into;
  }

  private block(bytes: Uint8Array): Uint8Array {
    try {
      return this.decoder.block(bytes);
    } catch (error) {
      throw refuse(error instanceof Error ? error.message : String(error), error);
    }
  }
}

/** Encodes the stream that {@link ZstdStreamDecoder} reads, with the zstd library. */
export class ZstdStreamEncoder {
  private constructor(private readonly compressor: ZstdCompressor) {}

  /**
   * @param level `multifd-zstd-level`, 1 to 20 (default 1)
   *
   *   Errors: usage; io, where the WebAssembly file is missing; limit, where there is no memory for the level.
   */
  static async create(level = 1): Promise<ZstdStreamEncoder> {
    return new ZstdStreamEncoder(await ZstdCompressor.create(level));
  }

  /** Space for pages, where `encode` finds them without copying; valid until the next call. */
  room(bytes: number): Uint8Array {
    return this.compressor.room(bytes) ?? new Uint8Array(bytes);
  }

  /** The payload for whole pages; valid until the next call. */
  encode(pages: Uint8Array): Uint8Array {
    return this.compressor.flush(pages);
  }
}

/** Checks the block at `at`. Returns the start of the next one. */
function blockEnd(payload: Uint8Array, at: number): number {
  if (payload.length - at < 3) throw refuse("ends inside a block header");
  const header = payload[at]! | (payload[at + 1]! << 8) | (payload[at + 2]! << 16);
  const type = (header >> 1) & 3;
  const size = header >> 3;
  if (type === 3 || size > LARGEST_BLOCK) throw refuse(`block header ${hex(header)}`);
  if ((header & 1) === 1) throw refuse("the frame ends, and the channel's stream with it");
  const end = at + 3 + (type === 1 ? 1 : size);
  if (end > payload.length) throw refuse("ends inside a block");
  return end;
}

/** Checks the frame header. Returns its length and the window. */
function frameHeader(payload: Uint8Array): { length: number; window: number } {
  const [descriptor = 0, window = 0] = payload.subarray(4, 6);
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  if (payload.length < 6 || view.getUint32(0, true) !== MAGIC) throw refuse("no zstd frame");
  const sizeBytes = descriptor >> 6 === 0 ? 0 : 2 ** (descriptor >> 6);
  // Single segment, reserved bit, checksum or dictionary: a stream of unknown length has none of them.
  if ((descriptor & 0x2f) !== 0) throw refuse(`frame header descriptor ${hex(descriptor)}`);
  const size = 2 ** (10 + (window >> 3)) * (1 + (window & 7) / 8);
  if (size > LARGEST_WINDOW) {
    throw new QevmError("limit", "zstd window", { expected: `at most ${LARGEST_WINDOW}`, found: `${size}` });
  }
  if (payload.length < 6 + sizeBytes) throw refuse("ends inside the frame header");
  return { length: 6 + sizeBytes, window: size };
}

function refuse(what: string, cause?: unknown): QevmError {
  return new QevmError("bad-compressed-data", `zstd payload of a multifd packet: ${what}`, { cause });
}
