import type { RamBlock, RecordWriter } from "../../codec/ram/index.js";
import { noPages, type PageEncoder } from "./types.js";

/** Pages as PAGE and ZERO records, which every QEMU loads. */
export class NormalEncoder implements PageEncoder {
  readonly pages = noPages();

  constructor(private readonly wire: RecordWriter) {}

  page(block: RamBlock, offset: number, page: Uint8Array | undefined, continues?: boolean): void | Promise<void> {
    this.pages[page === undefined ? "zero" : "normal"]++;
    this.wire.plain(block, offset, page, continues);
    return this.wire.file.drain();
  }

  settle(): void {
    // Nothing is buffered.
  }

  async close(): Promise<void> {
    // Nothing is held open.
  }
}
