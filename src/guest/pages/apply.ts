import type { Diagnostics } from "../../bytes/errors.js";
import { RamFlag, type RamBatch } from "../../codec/ram/index.js";
import { PageDecoder } from "./page-decoder.js";
import type { PageStore } from "./page-store.js";

/**
 * Applies RAM records to a memory in stream order: the last writer of a page wins, XBZRLE changes what is there.
 * Records that are not pages are skipped. The engine that inflates is loaded when the first compressed page comes.
 * In lenient mode a page outside its block is left out, and what is damaged is replaced as `PageDecoder` does it.
 */
export class RecordApplier {
  private readonly decoder: PageDecoder;

  constructor(
    private readonly memory: PageStore,
    pageSize: number,
    /** Steps for errors, for example `['section 2 "ram"']`. */
    path: readonly string[] = ['section "ram"'],
    /** Default: damage is refused. */
    diagnostics?: Diagnostics,
  ) {
    this.decoder = new PageDecoder(pageSize, { path, diagnostics });
  }

  /** Errors: bad-compressed-data and bad-xbzrle, with the record's offset in the stream. */
  async apply(batch: RamBatch): Promise<void> {
    await this.decoder.prepare(batch);
    this.applyNow(batch);
  }

  private applyNow(batch: RamBatch): void {
    const { memory, decoder } = this;
    for (let i = 0; i < batch.count; i++) {
      const block = batch.block[i];
      if (block === undefined) continue;
      // Lenient reading has reported a page outside its block.
      if (batch.offset[i]! >= block.usedLength) continue;
      if (batch.flag[i] === RamFlag.PAGE && memory.writeRun !== undefined) i += memory.writeRun(batch, i) - 1;
      else decoder.applyTo(memory, batch, i);
    }
  }
}
