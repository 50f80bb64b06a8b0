import { QevmError } from "../errors.js";
import { createInflater } from "../engine/create.js";
import type { PageInflater } from "../engine/page-engine.js";
import { RamFlag, type RamBatch } from "../ram/index.js";
import { decodeXbzrle } from "../ram/xbzrle.js";
import type { PageStore } from "./page-store.js";

/**
 * Applies RAM records to a memory in stream order: the last writer of a page wins, XBZRLE changes what is there.
 * Records that are not pages are passed over. The engine that inflates is loaded when the first compressed page comes.
 */
export class RecordApplier {
  private readonly page: Uint8Array;
  private inflater: PageInflater | undefined;

  constructor(
    private readonly memory: PageStore,
    private readonly pageSize: number,
    /** Steps for errors, for example `['section 2 "ram"']`. */
    private readonly path: readonly string[] = ['section "ram"'],
  ) {
    this.page = new Uint8Array(pageSize);
  }

  /** Errors: bad-compressed-data and bad-xbzrle, with the record's offset in the stream. */
  async apply(batch: RamBatch): Promise<void> {
    const { pageSize } = this;
    if (batch.has(RamFlag.COMPRESS_PAGE)) this.inflater ??= await createInflater("page", { pageSize });
    this.applyNow(batch);
  }

  private applyNow(batch: RamBatch): void {
    const { memory, page, pageSize } = this;
    for (let i = 0; i < batch.count; i++) {
      const block = batch.block[i];
      if (block === undefined) continue;
      const offset = batch.offset[i]!;
      switch (batch.flag[i]) {
        case RamFlag.PAGE:
          if (memory.writeRun === undefined) memory.write(block, offset, batch.body(i));
          else i += memory.writeRun(batch, i) - 1;
          break;
        case RamFlag.ZERO:
          if (batch.fill[i] === 0) memory.zero(block, offset, pageSize);
          else memory.write(block, offset, page.fill(batch.fill[i]!));
          break;
        case RamFlag.COMPRESS_PAGE:
          this.located(batch, i, () => this.inflater!.inflate(batch.body(i), page));
          memory.write(block, offset, page);
          break;
        case RamFlag.XBZRLE:
          memory.read(block, offset, page);
          this.located(batch, i, () => decodeXbzrle(page, batch.body(i)));
          memory.write(block, offset, page);
          break;
      }
    }
  }

  private located(batch: RamBatch, i: number, work: () => unknown): void {
    try {
      work();
    } catch (error) {
      if (error instanceof QevmError && error.code !== "io") throw pageError(error, batch, i, this.path);
      throw error;
    }
  }
}

/** Gives an error of a page codec its address in the stream. */
export function pageError(error: QevmError, batch: RamBatch, i: number, path: readonly string[]): QevmError {
  const block = batch.block[i];
  return new QevmError(error.code, error.what, {
    offset: batch.position[i]!,
    path: [
      ...path,
      `record ${batch.firstRecord + i}`,
      `page of ${JSON.stringify(block?.idstr)} at 0x${batch.offset[i]!.toString(16)}`,
    ],
    expected: error.expected,
    found: error.found,
    cause: error,
  });
}
