import { QevmError, type Diagnostics, type Replaced } from "../../bytes/errors.js";
import { createInflater } from "../../engine/create.js";
import type { PageInflater } from "../../engine/page-engine.js";
import { RamFlag, type RamBatch, type RamBlock } from "../../codec/ram/index.js";
import { decodeXbzrle } from "../../codec/ram/xbzrle.js";
import type { PageStore } from "./page-store.js";

/**
 * Applies RAM records to a memory in stream order: the last writer of a page wins, XBZRLE changes what is there.
 * Records that are not pages are passed over. The engine that inflates is loaded when the first compressed page comes.
 *
 * In lenient mode a page outside its block is left out, and what is damaged is replaced: a compressed page by what was
 * inflated before the damage and zeros, an XBZRLE page by what it was before. Each is told to `diagnostics`.
 */
export class RecordApplier {
  private readonly page: Uint8Array;
  private inflater: PageInflater | undefined;

  constructor(
    private readonly memory: PageStore,
    private readonly pageSize: number,
    /** Steps for errors, for example `['section 2 "ram"']`. */
    private readonly path: readonly string[] = ['section "ram"'],
    /** Default: what is damaged is refused. */
    private readonly diagnostics?: Diagnostics,
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
      // Lenient reading has told of it.
      if (offset >= block.usedLength) continue;
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
          try {
            this.inflater!.inflate(batch.body(i), page);
          } catch (error) {
            this.damaged(error, batch, i, inflatedPart(this.inflater!.produced));
            page.fill(0, this.inflater!.produced);
          }
          memory.write(block, offset, page);
          break;
        case RamFlag.XBZRLE:
          memory.read(block, offset, page);
          try {
            decodeXbzrle(page, batch.body(i));
          } catch (error) {
            this.damaged(error, batch, i, PAGE_BEFORE);
          }
          memory.write(block, offset, page);
          break;
      }
    }
  }

  private damaged(error: unknown, batch: RamBatch, i: number, by: string): void {
    if (!(error instanceof QevmError) || error.code === "io") throw error;
    const located = pageError(error, batch, i, this.path);
    if (this.diagnostics === undefined) throw located;
    this.diagnostics.anomaly(located, replacedPage(batch, i, by));
  }
}

/** What is put in the place of a compressed page that is damaged after so many bytes. */
export function inflatedPart(produced: number): string {
  return produced === 0 ? "zeros" : `the ${produced} bytes before the damage, and zeros`;
}

/** What is put in the place of a page whose XBZRLE delta is damaged. */
export const PAGE_BEFORE = "the page as it was before";

/** The page of a record, replaced. */
export function replacedPage(batch: RamBatch, i: number, by: string): Replaced {
  return { block: batch.block[i]!.idstr, page: batch.offset[i]!, by };
}

/** Gives an error of a page codec its address in the stream. */
export function pageError(error: QevmError, batch: RamBatch, i: number, path: readonly string[]): QevmError {
  const block = batch.block[i];
  return new QevmError(error.code, error.what, {
    offset: batch.position[i]!,
    path: pagePath(path, batch.firstRecord + i, block, batch.offset[i]!),
    expected: error.expected,
    found: error.found,
    cause: error,
  });
}

/** The steps to a page record, for errors. @param path those to its section */
export function pagePath(
  path: readonly string[],
  record: number,
  block: RamBlock | undefined,
  offset: number,
): string[] {
  return [...path, `record ${record}`, `page of ${JSON.stringify(block?.idstr)} at 0x${offset.toString(16)}`];
}
