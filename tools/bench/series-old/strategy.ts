import { RamFlag } from "../../../src/codec/ram/index.js";
import { PageStrategy, type GuestBlock } from "../../../src/rewrite/save/index.js";

/** Milliseconds that the migration thread spent compressing. */
export const spent = { inline: 0 };

/**
 * The strategy before the series: on entering another block the threads are flushed, and the migration thread
 * compresses that block's first page itself.
 */
export function oldStrategy(compress: (page: Uint8Array) => Uint8Array): typeof PageStrategy {
  return class extends PageStrategy {
    private entered: GuestBlock | undefined;

    protected override compress(block: GuestBlock, offset: number): boolean {
      const { threads } = this.parts;
      if (this.entered === block || threads === undefined) return super.compress(block, offset);
      this.entered = block;
      // Called so that the base class notes the block; its decision about the page is replaced below.
      super.compress(block, offset);
      threads.flush();
      const began = performance.now();
      const payload = compress(block.page(offset));
      spent.inline += performance.now() - began;
      this.statistics.compression.pages++;
      this.wire.page(RamFlag.COMPRESS_PAGE, block, offset, payload);
      return true;
    }
  };
}
