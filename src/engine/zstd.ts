import { zstdInstance, type ZstdExports } from "./zstd-module.js";

/** What is used of zstd's C interface. A context takes the frames of a stream one after the other. */
interface Exports extends ZstdExports {
  ZSTD_createDStream(): number;
  ZSTD_freeDStream(context: number): void;
  /**
   * Positions are addresses of 32 bits each, read and written. Zero: a frame is complete. Negative: an error code.
   * Otherwise a hint of what to give next.
   */
  ZSTD_decompressStream_simpleArgs(
    context: number,
    output: number,
    room: number,
    outputPosition: number,
    input: number,
    length: number,
    inputPosition: number,
  ): number;
}

/** Most bytes of one {@link ZstdDecoder.push}: a block with its header, or a frame's header. */
const INPUT = (1 << 17) + 3;
const OUTPUT = 1 << 17;

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

/**
 * The zstd library's decoder, for one stream of frames at a time. It is given at most
 * 128 KiB at a time, so that an error has the offset of its block. Memory: the largest window of the frames (at most
 * 128 MiB), and 256 KiB.
 */
export class ZstdDecoder {
  private readonly input: number;
  private readonly output: number;
  /** Two positions, of the output and the input. */
  private readonly positions: number;
  private context: number;

  private constructor(private readonly exports: Exports) {
    this.input = exports.malloc(INPUT);
    this.output = exports.malloc(OUTPUT);
    this.positions = exports.malloc(8);
    this.context = exports.ZSTD_createDStream();
  }

  /** Errors: io, where the WebAssembly file is missing. */
  static async create(): Promise<ZstdDecoder> {
    return new ZstdDecoder(await zstdInstance<Exports>("zstd.wasm.gz"));
  }

  /** Begins another stream, whatever became of the last one. */
  reset(): void {
    this.exports.ZSTD_freeDStream(this.context);
    this.context = this.exports.ZSTD_createDStream();
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
      new Uint32Array(memory.buffer, this.positions, 2).set([0, taken]);
      const result = this.decode(bytes.length);
      if (result < 0 && result > -128) throw new Error(ERRORS[-result] ?? `error ${-result}`);
      const after = new Uint32Array(memory.buffer, this.positions, 2);
      filled = after[0]!;
      taken = after[1]!;
      if (filled > 0) yield new Uint8Array(memory.buffer, this.output, filled);
    }
  }

  private decode(length: number): number {
    const { exports, context, input, output, positions } = this;
    return exports.ZSTD_decompressStream_simpleArgs(context, output, OUTPUT, positions, input, length, positions + 4);
  }
}
