import { PageMemory } from "./page-memory.js";
import { loadPageModule } from "./page-module.js";

/** Most compressed bytes of a chunk. */
const INPUT = 1 << 16;
/** Bytes of a chunk before which no symbol can be decoded. */
const FIRST = 5;
/** What the ring has beyond the dictionary, and what is after its end: see `lzmaRing` in src/engine/wasm. */
const SPARE = 512;
/** Plain bytes of a piece at most, and a match. They are still in the processor's cache when they are used. */
const PIECE = 1 << 17;
/** The largest dictionary that fits the memory; `xz` makes none above 1.5 GiB. */
export const LARGEST_DICTIONARY = 3 * 2 ** 30;

/**
 * Decodes the chunks of LZMA2 data in WebAssembly, into a ring which is also the dictionary. Memory: the largest
 * dictionary that was begun with, as far as it is written; 64 KiB of input. Pieces are valid until the next one.
 */
export class Lzma2Decoder {
  /** The engine that has the dictionary and the checksums of the data that was begun. */
  memory: PageMemory;
  private input = 0;
  private base = 0;
  private size = 0;
  private most = 0;
  /** Where the next byte goes. */
  private out = 0;

  private constructor(private readonly module: WebAssembly.Module) {
    this.memory = new PageMemory(module);
  }

  /** Errors: io, where the WebAssembly file is missing. */
  static async create(module?: WebAssembly.Module): Promise<Lzma2Decoder> {
    return new Lzma2Decoder(module ?? (await loadPageModule()));
  }

  /**
   * Begins data with a dictionary of `most` bytes, at most {@link LARGEST_DICTIONARY}. Errors: RangeError, where there
   * is no memory for it.
   */
  begin(most: number): void {
    const size = (Math.max(most, PIECE) + SPARE + 15) & ~15;
    if (size > this.size) {
      // Memory is never given back, but an engine is.
      if (this.size > 0) this.memory = new PageMemory(this.module);
      this.input = this.memory.allocate(INPUT + SPARE);
      this.base = this.memory.allocate(64 + size + SPARE) + 64;
      this.size = size;
    }
    this.most = most;
    this.forget();
  }

  /** Empties the dictionary. */
  forget(): void {
    this.memory.exports.lzmaRing(this.base, this.size, this.most);
    this.out = this.base;
  }

  /** Resets the model, with new properties where they are given: lc + lp at most 4, pb at most 4. */
  reset(lc = 255, lp = 0, pb = 0): void {
    this.memory.exports.lzmaReset(lc, lp, pb);
  }

  /** Takes bytes that are not compressed, at most 64 KiB. */
  *stored(bytes: Uint8Array): Generator<Uint8Array, void> {
    for (let at = 0; at < bytes.length;) {
      const n = Math.min(bytes.length - at, this.base + this.size - this.out);
      this.memory.bytes.set(bytes.subarray(at, at + n), this.out);
      yield this.memory.bytes.subarray(this.out, this.out + n);
      this.moveTo(this.out + n);
      at += n;
    }
  }

  /**
   * Decodes a chunk of `plain` bytes, or of the first bytes of one as much as they say. Returns undefined where it is
   * right and whole, else the index of the input byte where it is not: `chunk.length` where bytes are missing.
   */
  *compressed(chunk: Uint8Array, plain: number): Generator<Uint8Array, number | undefined> {
    const { input, memory } = this;
    const { exports } = memory;
    if (chunk.length < FIRST) return chunk.length;
    memory.bytes.set(chunk, input);
    if (exports.lzmaBegin(input) === 0) return 0;
    const end = input + chunk.length;
    for (let left = plain; left > 0;) {
      const from = this.out;
      const wanted = Math.min(left, PIECE, this.base + this.size - from);
      const to = exports.lzmaDecode(from, from + wanted, end) >>> 0;
      const n = Math.min(to - from, left);
      if (n > 0) yield memory.bytes.subarray(from, from + n);
      // A symbol that is damaged or cut off, or a match beyond the end of the chunk.
      if (to < from + wanted || to > from + left) return Math.min(exports.lzmaNext() - input, chunk.length);
      this.moveTo(to);
      left -= n;
    }
    return exports.lzmaEnds(end) === 0 ? Math.min(exports.lzmaNext() - input, chunk.length) : undefined;
  }

  private moveTo(out: number): void {
    this.out = out < this.base + this.size ? out : this.memory.exports.lzmaWrap(out) >>> 0;
  }
}
