import { Decompress } from "fzstd";
import { hex, QevmError } from "../../bytes/errors.js";
import type { PayloadDecoder } from "./payload-decoder.js";

const MAGIC = 0xfd2fb528;
/** Maximum window: 128 MiB. QEMU's levels 0 to 20 use at most 32 MiB. */
const LARGEST_WINDOW = 1 << 27;
/** Maximum block size. */
const LARGEST_BLOCK = 1 << 17;

/**
 * One zstd frame for the whole channel (RFC 8878). Each packet's pages are appended and flushed, so a payload ends at a
 * block boundary. The frame is never ended. `fzstd` decodes one block at a time, so the output size is known before
 * memory is allocated.
 *
 * Source: QEMU migration/multifd-zstd.c (5.0 to 11.1).
 */
export class ZstdStreamDecoder implements PayloadDecoder {
  private decoder: Decompress | undefined;
  private readonly pieces: Uint8Array[] = [];

  decode(payload: Uint8Array, into: Uint8Array): Uint8Array {
    let at = 0;
    let filled = 0;
    if (this.decoder === undefined) {
      this.decoder = new Decompress((piece) => void this.pieces.push(piece));
      at = begin(this.decoder, payload);
    }
    while (at < payload.length) {
      at = this.block(payload, at);
      for (const piece of this.pieces.splice(0)) {
        if (piece.length > into.length - filled) throw refuse(`more than ${into.length} bytes`);
        into.set(piece, filled);
        filled += piece.length;
      }
    }
    if (filled !== into.length) throw refuse(`${filled} of ${into.length} bytes`);
    return into;
  }

  /** Decodes the block at `at`. Returns the start of the next one. */
  private block(payload: Uint8Array, at: number): number {
    if (payload.length - at < 3) throw refuse("ends inside a block header");
    const header = payload[at]! | (payload[at + 1]! << 8) | (payload[at + 2]! << 16);
    const type = (header >> 1) & 3;
    const size = header >> 3;
    if (type === 3 || size > LARGEST_BLOCK) throw refuse(`block header ${hex(header)}`);
    if ((header & 1) === 1) throw refuse("the frame ends, and the channel's stream with it");
    const end = at + 3 + (type === 1 ? 1 : size);
    if (end > payload.length) throw refuse("ends inside a block");
    try {
      // Pushed in two pieces: fzstd keeps an empty rest of every block that arrives whole, and never frees it.
      this.decoder!.push(payload.slice(at, end - 1));
      this.decoder!.push(payload.slice(end - 1, end));
    } catch (error) {
      throw refuse(error instanceof Error ? error.message : String(error), error);
    }
    return end;
  }
}

/** Checks the frame header and passes a longer equivalent to the decoder, which ignores input shorter than 18 bytes. */
function begin(decoder: Decompress, payload: Uint8Array): number {
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
  // An 8-byte content size and a 4-byte dictionary id of 0: both mean "unknown".
  const head = new Uint8Array(18);
  head.set(payload.subarray(0, 4));
  head[4] = 0xc3;
  head[5] = window;
  decoder.push(head);
  return 6 + sizeBytes;
}

function refuse(what: string, cause?: unknown): QevmError {
  return new QevmError("bad-compressed-data", `zstd payload of a multifd packet: ${what}`, { cause });
}
