import { PageMemory } from "./page-memory.js";
import { loadPageModule } from "./page-module.js";

/** What the decoders may read and write after the end of a region: `SLACK` in src/engine/wasm/copies.ts. */
const SLACK = 32;
/** How far back an lz4 match may go. */
const HISTORY = 1 << 16;
/** Blocks that fit in the output before the history is moved to its start. */
const BLOCKS = 4;

/** A part of the engine's memory that grows to what is asked for. */
class Region {
  private at = 0;
  private length = 0;

  constructor(private readonly memory: PageMemory) {}

  /** Its address, with room for `length` bytes. What it held is lost when it grows. Errors: RangeError. */
  of(length: number): number {
    if (length > this.length) {
      this.length = Math.max(length, 2 * this.length);
      this.at = this.memory.allocate(this.length + SLACK);
    }
    return this.at;
  }
}

/**
 * Decodes the blocks of lz4 and lzop files in WebAssembly. One instance a file. Memory: the largest input, and for lz4
 * 64 KiB and four of the largest blocks, for LZO one. Results are valid until the next call.
 */
export class BlockDecoder {
  private readonly input: Region;
  private readonly output: Region;
  private most = 0;
  private linked = false;
  /** Bytes of lz4 blocks in the output. */
  private filled = 0;
  /** The tables of CRC-32 are built. */
  private hasCrc = false;

  private constructor(private readonly memory: PageMemory) {
    this.input = new Region(memory);
    this.output = new Region(memory);
  }

  /** Errors: io, where the WebAssembly file is missing. */
  static async create(): Promise<BlockDecoder> {
    return new BlockDecoder(new PageMemory(await loadPageModule()));
  }

  /**
   * Begins a frame of lz4 blocks.
   *
   * @param most most plain bytes of a block
   * @param linked whether matches may reach into the blocks before
   */
  beginLz4(most: number, linked: boolean): void {
    this.most = most;
    this.linked = linked;
    this.filled = 0;
  }

  /**
   * Decodes the frame's next block. Returns the bytes, or -1 - i for an error at input byte i.
   *
   * @param stored whether the block is not compressed; it has at most the frame's bytes of a block then
   */
  lz4(block: Uint8Array, stored: boolean): Uint8Array | number {
    const room = this.linked ? HISTORY + BLOCKS * this.most : this.most;
    const base = this.output.of(room);
    const input = stored ? 0 : this.take(block);
    const { bytes, exports } = this.memory;
    if (!this.linked) this.filled = 0;
    else if (this.filled + this.most > room) {
      bytes.copyWithin(base, base + this.filled - HISTORY, base + this.filled);
      this.filled = HISTORY;
    }
    const out = base + this.filled;
    if (stored) bytes.set(block, out);
    const history = Math.min(this.filled, HISTORY);
    const made = stored ? block.length : exports.decodeLz4(input, block.length, out, history, this.most);
    if (made < 0) return made;
    this.filled += made;
    return bytes.subarray(out, out + made);
  }

  /** Decodes one LZO1X block to exactly `size` bytes. Returns them, or the index of the wrong input byte. */
  lzo1x(block: Uint8Array, size: number): Uint8Array | number {
    const out = this.output.of(size);
    const input = this.take(block);
    const wrong = this.memory.exports.decodeLzo1x(input, block.length, out, size);
    return wrong < 0 ? this.memory.bytes.subarray(out, out + size) : wrong;
  }

  /** Adler-32 of bytes; of a result of this decoder without a copy. */
  adler32(bytes: Uint8Array): number {
    return this.memory.exports.adler32Long(this.placeOf(bytes), bytes.length) >>> 0;
  }

  /** CRC-32 of bytes; of a result of this decoder without a copy. */
  crc32(bytes: Uint8Array): number {
    const { exports } = this.memory;
    if (!this.hasCrc) exports.crc32Begin();
    this.hasCrc = true;
    return exports.crc32(0, this.placeOf(bytes), bytes.length) >>> 0;
  }

  /** The address of bytes in the engine: of a copy, where they are not there. */
  private placeOf(bytes: Uint8Array): number {
    return bytes.buffer === this.memory.bytes.buffer ? bytes.byteOffset : this.take(bytes);
  }

  /** The address of a copy of `bytes`. */
  private take(bytes: Uint8Array): number {
    const at = this.input.of(bytes.length);
    this.memory.bytes.set(bytes, at);
    return at;
  }
}
