import type { PageDecoder } from "../../guest/pages/page-decoder.js";
import type { RamBatch, RamBlock } from "../../codec/ram/index.js";

/** Inflates COMPRESS_PAGE records and passes their pages on, in order. */
export interface InflateStage {
  /** Record `i` of a batch. A promise means: wait before the next call. */
  add(batch: RamBatch, i: number, path: readonly string[]): void | Promise<void>;
  /** After this, every page given so far has been passed on. */
  settle(): void | Promise<void>;
  close(): Promise<void>;
}

/** Takes a page from an inflate stage. */
export type PageTaker = (block: RamBlock, offset: number, page: Uint8Array, continues: boolean) => void | Promise<void>;

/** In this thread, a page at a time. */
export class SingleInflate implements InflateStage {
  constructor(
    private readonly decoder: PageDecoder,
    private readonly take: PageTaker,
  ) {}

  add(batch: RamBatch, i: number, path: readonly string[]): void | Promise<void> {
    const { decoder } = this;
    decoder.path = path;
    const page = decoder.pageOf(batch, i, undefined);
    return this.take(batch.block[i]!, batch.offset[i]!, page, batch.continues[i] === 1);
  }

  settle(): void {
    // Every page is passed on at once.
  }

  async close(): Promise<void> {
    // Nothing is held open.
  }
}
