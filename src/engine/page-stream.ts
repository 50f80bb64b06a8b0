import { QevmError } from "../bytes/errors.js";
import { suitsPageEngine } from "./page-engine.js";
import { PageMemory } from "./page-memory.js";
import { loadPageModule } from "./page-module.js";

/** Header of a zlib stream: deflate, 32 KiB window, fastest. */
const HEADER = [0x78, 0x01];
/** What the engine may read after the pages, and write after what it then stores instead. */
const READ_SLACK = 64;
const WRITE_SLACK = 8192;
/** What the engine may write after the bytes that it inflates. */
const INFLATE_SLACK = 320;
/** First size of the space for a part. */
const LEAST = 1 << 19;
/** Bytes that a part may refer to before it. */
const WINDOW = 1 << 15;
/** Bytes by which a page may grow. */
const GROWTH = 8;

/**
 * One zlib stream of many pages that is flushed and never finished, by the page engine: a block for some pages, whose
 * codes are made of what came before. No part refers to an earlier one. Memory: the largest part, twice.
 */
export class PageStreamDeflater {
  private begun = false;
  private size = 0;
  private input = 0;
  private output = 0;

  private constructor(
    private readonly memory: PageMemory,
    private readonly pageSize: number,
  ) {}

  /** Errors: usage, where the engine has no pages of that size; io, where the WebAssembly file is missing. */
  static async create(pageSize: number, module?: WebAssembly.Module): Promise<PageStreamDeflater> {
    if (!suitsPageEngine(pageSize)) throw new QevmError("usage", `the page engine has no pages of ${pageSize} bytes`);
    return new PageStreamDeflater(new PageMemory(module ?? (await loadPageModule())), pageSize);
  }

  /** Space for pages, where `encode` finds them without copying; valid until the next call. */
  room(bytes: number): Uint8Array {
    const { memory } = this;
    if (bytes > this.size) {
      this.size = bytes;
      this.input = memory.allocate(bytes + READ_SLACK);
      this.output = memory.allocate(HEADER.length + bytes + GROWTH * (bytes / this.pageSize + 1) + WRITE_SLACK);
    }
    return memory.bytes.subarray(this.input, this.input + bytes);
  }

  /** Everything that a decoder needs for whole pages. Valid until the next call. */
  encode(pages: Uint8Array): Uint8Array {
    const { memory, pageSize } = this;
    const count = pages.length / pageSize;
    const room = this.room(pages.length);
    if (pages.buffer !== room.buffer || pages.byteOffset !== room.byteOffset) room.set(pages);
    const start = this.output + HEADER.length;
    const end = memory.exports.deflateBlocks(this.input, pageSize, count, start);
    if (this.begun) return memory.bytes.subarray(start, end);
    this.begun = true;
    memory.bytes.set(HEADER, this.output);
    return memory.bytes.subarray(this.output, end);
  }
}

/**
 * A deflate stream that is flushed at each part (Z_SYNC_FLUSH) and never ends, by the page engine. Memory: the largest
 * part, as it comes and inflated.
 */
export class PageStreamInflater {
  /** Bytes before the output that the next part may refer to. */
  private history = 0;
  /** Bytes of the last part, in the output. */
  private last = 0;
  private input = 0;
  private inputSize = 0;
  private output = 0;
  private outputSize = 0;

  private constructor(private readonly memory: PageMemory) {}

  /** Errors: io, where the WebAssembly file is missing. */
  static async create(module?: WebAssembly.Module): Promise<PageStreamInflater> {
    return new PageStreamInflater(new PageMemory(module ?? (await loadPageModule())));
  }

  /** The last 32 KiB of all parts, or what there is. */
  get window(): Uint8Array {
    this.settle();
    return this.memory.bytes.slice(this.output - this.history, this.output);
  }

  /**
   * The next part's `length` bytes, valid until the next call; undefined, and nothing changed, unless it gives just
   * these.
   */
  inflate(part: Uint8Array, length: number): Uint8Array | undefined {
    const { memory } = this;
    this.settle();
    this.allocate(part.length, length);
    const { input, output, history } = this;
    memory.bytes.set(part, input);
    if (memory.exports.inflatePart(input, part.length, output, length, history) === 0) return undefined;
    this.last = length;
    return memory.bytes.subarray(output, output + length);
  }

  /** Moves the end of the last part before the space of the next one. */
  private settle(): void {
    const { last, output, memory } = this;
    if (last === 0) return;
    const kept = Math.min(this.history + last, WINDOW);
    memory.bytes.copyWithin(output - kept, output + last - kept, output + last);
    this.history = kept;
    this.last = 0;
  }

  private allocate(input: number, output: number): void {
    const { memory, history } = this;
    if (input > this.inputSize) {
      this.inputSize = Math.max(input, LEAST, 2 * this.inputSize);
      this.input = memory.allocate(this.inputSize + READ_SLACK);
    }
    if (output <= this.outputSize) return;
    const before = this.output;
    this.outputSize = Math.max(output, LEAST, 2 * this.outputSize);
    this.output = memory.allocate(WINDOW + this.outputSize + INFLATE_SLACK) + WINDOW;
    memory.bytes.copyWithin(this.output - history, before - history, before);
  }
}
