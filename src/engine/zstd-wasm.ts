import { MOST_INPUT, PIECE, zstdError, type ZstdDecoder } from "./zstd-decoder.js";
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

/** zstd's own bound where it is not told another one: 128 MiB. */
const LARGEST_WINDOW = 2 ** 27;

/** The zstd library's decoder in WebAssembly. Memory: the largest window of the frames, and 256 KiB. */
export class WasmZstdDecoder implements ZstdDecoder {
  readonly largestWindow = LARGEST_WINDOW;
  private readonly input: number;
  private readonly output: number;
  /** Two positions, of the output and the input. */
  private readonly positions: number;
  private context: number;

  private constructor(private readonly exports: Exports) {
    this.input = exports.malloc(MOST_INPUT);
    this.output = exports.malloc(PIECE);
    this.positions = exports.malloc(8);
    this.context = exports.ZSTD_createDStream();
  }

  /** Errors: io, where the WebAssembly file is missing. */
  static async create(): Promise<WasmZstdDecoder> {
    return new WasmZstdDecoder(await zstdInstance<Exports>("zstd.wasm.gz"));
  }

  reset(): void {
    this.exports.ZSTD_freeDStream(this.context);
    this.context = this.exports.ZSTD_createDStream();
  }

  *push(bytes: Uint8Array): Generator<Uint8Array, void> {
    const { memory } = this.exports;
    if (bytes.length > MOST_INPUT) throw new RangeError(`${bytes.length} bytes at a time`);
    new Uint8Array(memory.buffer).set(bytes, this.input);
    let taken = 0;
    for (let filled = PIECE; taken < bytes.length || filled === PIECE;) {
      new Uint32Array(memory.buffer, this.positions, 2).set([0, taken]);
      const result = this.decode(bytes.length);
      if (result < 0 && result > -128) throw zstdError(-result);
      const after = new Uint32Array(memory.buffer, this.positions, 2);
      filled = after[0]!;
      taken = after[1]!;
      if (filled > 0) yield new Uint8Array(memory.buffer, this.output, filled);
    }
  }

  private decode(length: number): number {
    const { exports, context, input, output, positions } = this;
    return exports.ZSTD_decompressStream_simpleArgs(context, output, PIECE, positions, input, length, positions + 4);
  }
}
