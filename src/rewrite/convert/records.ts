import { QevmError, type Diagnostics } from "../../bytes/errors.js";
import { PAGE_BEFORE, pageError, replacedPage } from "../../guest/pages/apply.js";
import type { BlockFiles } from "../../guest/files/block-files.js";
import type { QemuFileWriter } from "../../bytes/index.js";
import { encodeRecord, RamFlag, type RamBatch } from "../../codec/ram/index.js";
import { decodeXbzrle } from "../../codec/ram/xbzrle.js";
import type { InflateStage } from "./inflate.js";
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
  private readonly page: Uint8Array;

  constructor(
    private readonly writer: QemuFileWriter,
    private readonly encoder: PageEncoder,
    private readonly inflate: InflateStage,
    pageSize: number,
    /** Guest memory; needed where there are XBZRLE records. */
    private readonly memory: BlockFiles | undefined,
    private readonly diagnostics: Diagnostics,
  ) {
    this.page = new Uint8Array(pageSize);
  }

  async batch(batch: RamBatch, path: readonly string[]): Promise<void> {
    if (batch.blockList !== undefined) for (const block of batch.blockList.blocks) this.memory?.add(block);
    for (let i = 0; i < batch.count; i++) {
      const wait = this.record(batch, i, path);
      if (wait !== undefined) await wait;
    }
    await this.writer.drain();
  }

  /** Everything given so far is in the writer afterwards. */
  async settle(): Promise<void> {
    await this.inflate.settle();
    await this.encoder.settle();
  }

  /** What an inflated page goes through. */
  readonly inflated = (...page: Parameters<PageEncoder["page"]>): void | Promise<void> => {
    this.memory?.write(page[0], page[1], page[2]);
    return this.encoder.page(...page);
  };

  private record(batch: RamBatch, i: number, path: readonly string[]): void | Promise<void> {
    const block = batch.block[i];
    if (block === undefined) return this.other(batch, i);
    if (batch.flag[i] === RamFlag.COMPRESS_PAGE) return this.inflate.add(batch, i, path);
    const settled = this.inflate.settle();
    if (settled !== undefined) return settled.then(() => this.plain(batch, i, path));
    return this.plain(batch, i, path);
  }

  private plain(batch: RamBatch, i: number, path: readonly string[]): void | Promise<void> {
    const { memory, encoder, page } = this;
    const block = batch.block[i]!;
    const offset = batch.offset[i]!;
    const continues = batch.continues[i] === 1;
    switch (batch.flag[i]) {
      case RamFlag.ZERO:
        if (batch.fill[i] === 0) {
          memory?.zero(block, offset, page.length);
          return encoder.zero(block, offset, continues);
        }
        page.fill(batch.fill[i]!);
        break;
      case RamFlag.XBZRLE:
        if (memory === undefined) throw new QevmError("usage", "an XBZRLE page, but guest memory was not kept");
        memory.read(block, offset, page);
        this.delta(batch, i, path);
        break;
      default: {
        const body = batch.body(i);
        memory?.write(block, offset, body);
        return encoder.page(block, offset, body, continues);
      }
    }
    memory?.write(block, offset, page);
    return encoder.page(block, offset, page, continues);
  }

  private delta(batch: RamBatch, i: number, path: readonly string[]): void {
    try {
      decodeXbzrle(this.page, batch.body(i));
    } catch (error) {
      if (!(error instanceof QevmError)) throw error;
      this.diagnostics.anomaly(pageError(error, batch, i, path), replacedPage(batch, i, PAGE_BEFORE));
    }
  }

  private async other(batch: RamBatch, i: number): Promise<void> {
    await this.settle();
    encodeRecord(this.writer, batch, i);
  }
}
