import type { PageInflater } from "../../engine/page-engine.js";
import { inflatedPart, pageError, replacedPage } from "../../guest/pages/apply.js";
import { QevmError, type Diagnostics } from "../../bytes/errors.js";
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

/**
 * In this thread, a page at a time. A payload that does not inflate is the error `bad-compressed-data`; in lenient mode the bytes
 * before the damage count and the rest is zeros (up to 2.12 QEMU sends such pages and sends them again later).
 */
export class SingleInflate implements InflateStage {
  private readonly page: Uint8Array;

  constructor(
    private readonly inflater: PageInflater,
    private readonly diagnostics: Diagnostics,
    private readonly take: PageTaker,
  ) {
    this.page = new Uint8Array(inflater.pageSize);
  }

  add(batch: RamBatch, i: number, path: readonly string[]): void | Promise<void> {
    const { inflater, page } = this;
    try {
      inflater.inflate(batch.body(i), page);
    } catch (error) {
      if (!(error instanceof QevmError)) throw error;
      const by = inflatedPart(inflater.produced);
      this.diagnostics.anomaly(pageError(error, batch, i, path), replacedPage(batch, i, by));
      page.fill(0, inflater.produced);
    }
    return this.take(batch.block[i]!, batch.offset[i]!, page, batch.continues[i] === 1);
  }

  settle(): void {
    // Every page is passed on at once.
  }

  async close(): Promise<void> {
    // Nothing is held open.
  }
}
