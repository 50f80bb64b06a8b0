import {
  Z_BUF_ERROR,
  Z_DEFAULT_STRATEGY,
  Z_NO_FLUSH,
  Z_OK,
  Z_SYNC_FLUSH,
  zlibDeflate,
  zlibDeflateInit2,
  zlibInflate,
  zlibInflateInit,
  ZStream,
} from "pako";
import { QevmError } from "../../bytes/errors.js";
import { giveInput, giveOutput } from "../../engine/pako-buffers.js";
import { PageStreamInflater } from "../../engine/page-stream.js";
import type { PayloadDecoder } from "./payload-decoder.js";

/**
 * One zlib stream for the whole channel. Each packet's pages are appended and flushed (Z_SYNC_FLUSH, so a payload ends
 * in `00 00 ff ff`). The stream is never finished, so there is one header and no checksum.
 *
 * Source: QEMU migration/multifd-zlib.c (5.0 to 11.1).
 */
export class ZlibStreamDecoder implements PayloadDecoder {
  private readonly stream = new ZStream();

  /** @param window @internal where the stream goes on after its header: the last 32 KiB, or what there is */
  constructor(window?: Uint8Array) {
    zlibInflateInit(this.stream);
    if (window !== undefined) this.decode(storedBlock(window), new Uint8Array(window.length));
  }

  decode(payload: Uint8Array, into: Uint8Array): Uint8Array {
    const { stream } = this;
    stream.msg = "";
    giveInput(stream, payload);
    giveOutput(stream, into);
    const status = zlibInflate(stream, Z_SYNC_FLUSH);
    if ((status !== Z_OK && status !== Z_BUF_ERROR) || stream.next_out !== into.length || stream.avail_in > 0) {
      const words = stream.msg === "" ? `status ${status}` : stream.msg;
      throw new QevmError("bad-compressed-data", `zlib payload of a multifd packet (${words})`, {
        expected: `${into.length} bytes out of ${payload.length}`,
        found: `${stream.next_out} out of ${stream.next_in}`,
      });
    }
    return into;
  }
}

/** A zlib stream that begins with these bytes, at most 65535, and goes on. */
function storedBlock(bytes: Uint8Array): Uint8Array {
  const { length } = bytes;
  const block = new Uint8Array(7 + length);
  block.set([0x78, 0x01, 0, length, length >> 8, ~length, ~length >> 8]);
  block.set(bytes, 7);
  return block;
}

/** Headers of a zlib stream with a window of 32 KiB, by level. */
const HEADERS: ReadonlySet<number> = new Set([0x7801, 0x785e, 0x789c, 0x78da]);

/** The same stream by the page engine; what it refuses is described, or decoded after all, by {@link ZlibStreamDecoder}. */
export class FastZlibStreamDecoder implements PayloadDecoder {
  private begun = false;
  /** Has taken over. */
  private slow: ZlibStreamDecoder | undefined;

  private constructor(private readonly inflater: PageStreamInflater) {}

  /** Errors: io, where the WebAssembly file is missing. */
  static async create(module?: WebAssembly.Module): Promise<FastZlibStreamDecoder> {
    return new FastZlibStreamDecoder(await PageStreamInflater.create(module));
  }

  decode(payload: Uint8Array, into: Uint8Array): Uint8Array {
    if (this.slow !== undefined) return this.slow.decode(payload, into);
    const deflated = this.begun ? payload : payload.subarray(2);
    const known = this.begun || HEADERS.has((payload[0]! << 8) | payload[1]!);
    const pages = known ? this.inflater.inflate(deflated, into.length) : undefined;
    if (pages !== undefined) {
      this.begun = true;
      return pages;
    }
    this.slow = new ZlibStreamDecoder(this.begun ? this.inflater.window : undefined);
    return this.slow.decode(payload, into);
  }
}

/**
 * Encodes the same stream as QEMU, page by page, with zlib's exact bytes (pako's classic hash): the inverse of {@link
 * ZlibStreamDecoder}.
 */
export class ZlibStreamEncoder {
  private readonly stream = new ZStream();
  private output: Uint8Array<ArrayBuffer> = new Uint8Array(1 << 16);

  /** @param level `multifd-zlib-level`, 0 to 9 (default 1) */
  constructor(
    readonly level = 1,
    private readonly pageSize = 4096,
  ) {
    const status = zlibDeflateInit2(this.stream, level, 8, 15, 8, Z_DEFAULT_STRATEGY, true);
    if (status !== Z_OK) throw new QevmError("usage", `pako refuses level ${level} (status ${status})`);
  }

  /** The payload for whole pages; valid until the next call. */
  encode(pages: Uint8Array): Uint8Array {
    const { stream, pageSize } = this;
    giveOutput(stream, this.output);
    for (let at = 0; at < pages.length; at += pageSize) {
      giveInput(stream, pages.subarray(at, at + pageSize));
      this.run(at + pageSize >= pages.length ? Z_SYNC_FLUSH : Z_NO_FLUSH);
    }
    return this.output.subarray(0, stream.next_out);
  }

  /** Runs until all input is consumed and, when flushing, all output is written. */
  private run(flush: typeof Z_SYNC_FLUSH | typeof Z_NO_FLUSH): void {
    const { stream } = this;
    for (;;) {
      if (stream.avail_out === 0) {
        const grown = new Uint8Array(this.output.length * 2);
        grown.set(this.output);
        this.output = grown;
        stream.output = grown;
        stream.avail_out = grown.length - stream.next_out;
      }
      const status = zlibDeflate(stream, flush);
      if (status !== Z_OK && status !== Z_BUF_ERROR) {
        throw new QevmError("does-not-fit", `pako cannot deflate pages (status ${status})`);
      }
      if (stream.avail_in === 0 && stream.avail_out > 0) return;
    }
  }
}
