import { QevmError } from "../bytes/errors.js";
import { suitsPageEngine } from "./page-engine.js";
import { PageMemory } from "./page-memory.js";
import { loadPageModule } from "./page-module.js";

/** Header of a zlib stream: deflate, 32 KiB window, fastest. */
const HEADER = [0x78, 0x01];
/** What the engine may read after the pages, and write after what it then stores instead. */
const READ_SLACK = 64;
const WRITE_SLACK = 1024;
/** Bytes by which a page may grow. */
const GROWTH = 8;

/**
 * One zlib stream of many pages that is flushed and never finished, by the page engine: a block for each page, so that
 * no page refers to another one. Memory: the largest part, twice.
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
