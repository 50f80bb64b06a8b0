import type { Diagnostics } from "../../bytes/errors.js";
import { PageDecoder } from "../../guest/pages/page-decoder.js";
import type { BlockFiles } from "../../guest/files/block-files.js";
import { RamFlag, type RamBatch, type RecordWriter } from "../../codec/ram/index.js";
import type { InflateStage, PageTaker } from "./inflate.js";
import type { PageEncoder, PageTally } from "./types.js";

/** Counts the page records of a batch. */
export function tallyBatch(tally: PageTally, batch: RamBatch): void {
  for (let i = 0; i < batch.count; i++) {
    switch (batch.flag[i]) {
      case RamFlag.PAGE:
        tally.normal++;
        break;
      case RamFlag.ZERO:
        tally.zero++;
        break;
      case RamFlag.COMPRESS_PAGE:
        tally.compressed++;
        break;
      case RamFlag.XBZRLE:
        tally.xbzrle++;
        break;
    }
  }
}

/** Gives every page record to an encoder as a plain page, in order; other records are written as they are. */
export class RecordConverter {
  private readonly decoder: PageDecoder;

  constructor(
    private readonly wire: RecordWriter,
    private readonly encoder: PageEncoder,
    private readonly inflate: InflateStage,
    pageSize: number,
    /** Guest memory; needed where there are XBZRLE records. */
    private memory: BlockFiles | undefined,
    diagnostics: Diagnostics,
  ) {
    this.decoder = new PageDecoder(pageSize, { diagnostics });
  }

  async batch(batch: RamBatch, path: readonly string[]): Promise<void> {
    this.decoder.path = path;
    if (batch.blockList !== undefined) for (const block of batch.blockList.blocks) this.memory?.add(block);
    for (let i = 0; i < batch.count; i++) {
      const wait = this.record(batch, i, path);
      if (wait !== undefined) await wait;
    }
    await this.wire.file.drain();
  }

  /** No XBZRLE record follows. Everything was settled. */
  forget(): void {
    this.memory = undefined;
  }

  /** After this, everything given so far is in the writer. */
  async settle(): Promise<void> {
    await this.inflate.settle();
    await this.encoder.settle();
  }

  /** Takes an inflated page. */
  readonly inflated: PageTaker = (block, offset, page, continues) => {
    this.memory?.write(block, offset, page);
    return this.encoder.page(block, offset, page, continues);
  };

  private record(batch: RamBatch, i: number, path: readonly string[]): void | Promise<void> {
    const block = batch.block[i];
    if (block === undefined) return this.other(batch, i);
    if (batch.flag[i] === RamFlag.COMPRESS_PAGE) return this.inflate.add(batch, i, path);
    const settled = this.inflate.settle();
    if (settled !== undefined) return settled.then(() => this.plain(batch, i));
    return this.plain(batch, i);
  }

  private plain(batch: RamBatch, i: number): void | Promise<void> {
    const page = this.decoder.applyTo(this.memory, batch, i);
    return this.encoder.page(batch.block[i]!, batch.offset[i]!, page, batch.continues[i] === 1);
  }

  private async other(batch: RamBatch, i: number): Promise<void> {
    await this.settle();
    this.wire.record(batch, i);
  }
}
