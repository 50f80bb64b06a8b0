import { readBeside } from "./beside.js";

/** What is used of zstd's C interface. A context takes the frames of a stream one after the other. */
interface Exports {
  readonly memory: WebAssembly.Memory;
  malloc(length: number): number;
  ZSTD_createDCtx(): number;
  ZSTD_freeDCtx(context: number): void;
  /** Zero: a frame is complete. Negative: an error code. Otherwise a hint of what to give next. */
  ZSTD_decompressStream(context: number, output: number, input: number): number;
}

/** Most bytes of one {@link ZstdDecoder.push}: a block with its header, or a frame's header. */
const INPUT = (1 << 17) + 3;
const OUTPUT = 1 << 17;
/** A `ZSTD_inBuffer` or `ZSTD_outBuffer`: address, size, position; 32 bits each. */
const BUFFER = 12;

/** The texts of `ZSTD_getErrorName` for what input can cause (zstd 1.5.7 lib/zstd_errors.h, lib/common/error_private.c). */
const ERRORS: Readonly<Record<number, string>> = {
  10: "unknown frame descriptor",
  12: "version not supported",
  14: "unsupported frame parameter",
  16: "frame requires too much memory for decoding",
  20: "data corruption detected",
  22: "restored data doesn't match checksum",
  24: "header of literals' block doesn't respect format specification",
  30: "dictionary is corrupted",
  32: "dictionary mismatch",
  64: "allocation error: not enough memory",
};

let loaded: Promise<WebAssembly.Module> | undefined;

/**
 * The zstd library's decoder (1.5.7, compiled by the package `zstddec`), for one stream of frames at a time. It is given at most
 * 128 KiB at a time, so that an error has the offset of its block. Memory: the largest window of the frames (at most
 * 128 MiB), and 256 KiB.
 */
export class ZstdDecoder {
  private readonly input: number;
  private readonly output: number;
  private readonly buffers: number;
  private context: number;

  private constructor(private readonly exports: Exports) {
    this.input = exports.malloc(INPUT);
    this.output = exports.malloc(OUTPUT);
    this.buffers = exports.malloc(2 * BUFFER);
    this.context = exports.ZSTD_createDCtx();
  }

  /** Errors: io, where the WebAssembly file is missing. */
  static async create(): Promise<ZstdDecoder> {
    loaded ??= readBeside("zstd.wasm").then((bytes) => WebAssembly.compile(bytes));
    // Each view is made when it is needed: a growth of the memory needs no notice.
    const env = { emscripten_notify_memory_growth: () => undefined };
    const { exports } = await WebAssembly.instantiate(await loaded, { env });
    return new ZstdDecoder(exports as unknown as Exports);
  }

  /** Begins another stream, whatever became of the last one. */
  reset(): void {
    this.exports.ZSTD_freeDCtx(this.context);
    this.context = this.exports.ZSTD_createDCtx();
  }

  /**
   * Decodes the next bytes of the stream, at most 131,075. The pieces are valid until the next one is asked for. Errors:
   * `Error` with zstd's text; the stream cannot go on after it.
   */
  *push(bytes: Uint8Array): Generator<Uint8Array, void> {
    const { memory } = this.exports;
    if (bytes.length > INPUT) throw new RangeError(`${bytes.length} bytes at a time`);
    new Uint8Array(memory.buffer).set(bytes, this.input);
    let taken = 0;
    for (let filled = OUTPUT; taken < bytes.length || filled === OUTPUT;) {
      const given = new Uint32Array(memory.buffer, this.buffers, 6);
      given.set([this.input, bytes.length, taken, this.output, OUTPUT, 0]);
      const result = this.exports.ZSTD_decompressStream(this.context, this.buffers + BUFFER, this.buffers);
      if (result < 0 && result > -128) throw new Error(ERRORS[-result] ?? `error ${-result}`);
      const after = new Uint32Array(memory.buffer, this.buffers, 6);
      taken = after[2]!;
      filled = after[5]!;
      if (filled > 0) yield new Uint8Array(memory.buffer, this.output, filled);
    }
  }
}
