/** Stands for `guest/files/scratch.ts` where there are no files: guest memory, for what XBZRLE pages are applied to. */
import { QevmError } from "../../bytes/errors.js";
import type { RamBlock } from "../../codec/ram/index.js";
import { MemoryPages, type PageStore } from "../../guest/pages/page-store.js";

/** Bytes of pages with data at most: a tab has little memory. */
const MOST = 1 << 30;

export class ScratchMemory {
  readonly files: PageStore & { add: (block: RamBlock) => void };

  constructor(_parent: string, _pageSize: number) {
    const pages = new MemoryPages();
    let written = 0;
    this.files = {
      add: () => undefined,
      read: (block, offset, into) => pages.read(block, offset, into),
      write: (block, offset, page) => {
        written += page.length;
        if (written > MOST)
          throw new QevmError(
            "limit",
            "verification of XBZRLE pages needs more memory than a page has: qevm verify FILE",
          );
        pages.write(block, offset, page);
      },
      zero: (block, offset, length) => pages.zero(block, offset, length),
    };
  }

  get pages(): PageStore {
    return this.files;
  }

  close(): void {}
}
