import { QevmError } from "../bytes/errors.js";
import { zstdInstance, type ZstdExports } from "./zstd-module.js";

/** What is used of zstd's C interface. */
interface Exports extends ZstdExports {
  ZSTD_createCStream(): number;
  ZSTD_initCStream(stream: number, level: number): number;
  /** Positions are addresses of 32 bits each, read and written. Zero: all of it is done; negative: an error code. */
  ZSTD_compressStream2_simpleArgs(
    stream: number,
    output: number,
    room: number,
    outputPosition: number,
    input: number,
    length: number,
    inputPosition: number,
    directive: number,
  ): number;
}

/** ZSTD_e_flush: ends the block, not the frame. */
const FLUSH = 1;
/** Bytes of input at a time. */
const INPUT = 1 << 19;
/** What zstd makes of so much at most, and what it held back. */
const OUTPUT = INPUT + (INPUT >> 7) + (1 << 12);

/**
 * The zstd library's compressor, for one frame that is flushed and never ended. Memory: 3 MB at level 1, 200 MB at
 * level 20.
 */
export class ZstdCompressor {
  private readonly stream: number;
  private readonly input: number;
  private readonly output: number;
  /** Two positions, of the output and the input. */
  private readonly positions: number;
  private result = new Uint8Array(OUTPUT);

  private constructor(
    private readonly exports: Exports,
    readonly level: number,
  ) {
    this.input = this.allocated(exports.malloc(INPUT));
    this.output = this.allocated(exports.malloc(OUTPUT));
    this.positions = this.allocated(exports.malloc(8));
    this.stream = this.allocated(exports.ZSTD_createCStream());
    this.checked(exports.ZSTD_initCStream(this.stream, level));
  }

  /**
   * @param level 1 to 20
   *
   *   Errors: usage; io, where the WebAssembly file is missing; limit, where there is no memory for the level.
   */
  static async create(level = 1): Promise<ZstdCompressor> {
    if (!Number.isInteger(level) || level < 1 || level > 20) {
      throw new QevmError("usage", "level of zstd", { expected: "1 to 20", found: String(level) });
    }
    return new ZstdCompressor(await zstdInstance<Exports>(), level);
  }

  /**
   * Space for bytes, where `flush` finds them without copying; valid until the next call. Undefined for more than 512
   * KiB.
   */
  room(length: number): Uint8Array | undefined {
    return length > INPUT ? undefined : new Uint8Array(this.exports.memory.buffer, this.input, length);
  }

  /** Everything that a decoder needs for `bytes` and what came before. Valid until the next call. */
  flush(bytes: Uint8Array): Uint8Array {
    let filled = 0;
    // Views of the memory are empty once it has grown.
    const all = bytes.length;
    for (let at = 0; at < all; at += INPUT) {
      const piece = bytes.subarray(at, at + INPUT);
      const { length } = piece;
      const { buffer } = this.exports.memory;
      if (piece.buffer !== buffer || piece.byteOffset !== this.input) new Uint8Array(buffer).set(piece, this.input);
      for (let taken = 0, left = 1; left !== 0;) {
        const { memory } = this.exports;
        new Uint32Array(memory.buffer, this.positions, 2).set([0, taken]);
        left = this.checked(this.run(length));
        const after = new Uint32Array(memory.buffer, this.positions, 2);
        taken = after[1]!;
        filled = this.keep(new Uint8Array(memory.buffer, this.output, after[0]), filled);
      }
    }
    return this.result.subarray(0, filled);
  }

  private run(length: number): number {
    const { stream, input, output, positions, exports } = this;
    return exports.ZSTD_compressStream2_simpleArgs(
      stream,
      output,
      OUTPUT,
      positions,
      input,
      length,
      positions + 4,
      FLUSH,
    );
  }

  private keep(bytes: Uint8Array, filled: number): number {
    const end = filled + bytes.length;
    if (end > this.result.length) {
      const larger = new Uint8Array(2 * end);
      larger.set(this.result.subarray(0, filled));
      this.result = larger;
    }
    this.result.set(bytes, filled);
    return end;
  }

  private allocated(address: number): number {
    if (address === 0) throw new QevmError("limit", `no memory for zstd at level ${this.level}`);
    return address;
  }

  private checked(result: number): number {
    if (result >= 0 || result <= -128) return result;
    if (result === -64) return this.allocated(0);
    throw new QevmError("does-not-fit", `zstd cannot compress (error ${-result})`);
  }
}
