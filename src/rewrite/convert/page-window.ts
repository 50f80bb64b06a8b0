import type { RamBlock } from "../../codec/ram/index.js";
import type { PageBefore } from "../../guest/pages/page-decoder.js";

/** Bytes that are read at a time; at least a page. */
const WINDOW = 1 << 18;

/** Pages of memory in files, looked at mostly in order: a call of the system for each would take longer than the copy. */
export class PageWindow {
  private readonly bytes: Uint8Array;
  private block: RamBlock | undefined;
  private start = 0;

  constructor(
    private readonly files: PageBefore,
    private readonly pageSize: number,
  ) {
    this.bytes = new Uint8Array(Math.max(WINDOW, pageSize));
  }

  /** The page at an offset of a block, valid until the next call. Nothing may write to the files after the first one. */
  page(block: RamBlock, offset: number): Uint8Array {
    const { bytes, pageSize } = this;
    if (this.block !== block || offset < this.start || offset + pageSize > this.start + bytes.length) {
      this.files.read(block, offset, bytes);
      this.block = block;
      this.start = offset;
    }
    return bytes.subarray(offset - this.start, offset - this.start + pageSize);
  }
}
