import { QevmError } from "../../bytes/errors.js";
import { RamFlag, type RamBatch } from "../../codec/ram/index.js";
import { decodeXbzrle } from "../../codec/ram/xbzrle.js";
import type { StreamReader } from "../../codec/stream/index.js";
import { createInflater } from "../../engine/create.js";
import type { PageInflater } from "../../engine/page-engine.js";
import { inflatedPart, PAGE_BEFORE, pageError, replacedPage } from "../../guest/pages/apply.js";

/**
 * Looks into the payloads of a stream's pages: compressed ones are inflated, the runs of an XBZRLE delta are followed. What is
 * wrong is an anomaly of the reader, with the record's address. Nothing of the pages is kept.
 */
export class PayloadCheck {
  private inflater: PageInflater | undefined;
  private page = new Uint8Array(0);

  constructor(private readonly reader: StreamReader) {}

  /** @param path steps to the section, for errors */
  async batch(batch: RamBatch, path: readonly string[]): Promise<void> {
    const { pageSize } = this.reader.ram;
    const compressed = batch.has(RamFlag.COMPRESS_PAGE);
    if (!compressed && !batch.has(RamFlag.XBZRLE)) return;
    if (this.page.length !== pageSize) this.page = new Uint8Array(pageSize);
    if (compressed) this.inflater ??= await createInflater("page", { pageSize });
    for (let i = 0; i < batch.count; i++) this.record(batch, i, path);
  }

  private record(batch: RamBatch, i: number, path: readonly string[]): void {
    const flag = batch.flag[i];
    if (flag !== RamFlag.COMPRESS_PAGE && flag !== RamFlag.XBZRLE) return;
    try {
      if (flag === RamFlag.XBZRLE) decodeXbzrle(this.page, batch.body(i));
      else this.inflater!.inflate(batch.body(i), this.page);
    } catch (error) {
      if (!(error instanceof QevmError)) throw error;
      const by = flag === RamFlag.XBZRLE ? PAGE_BEFORE : inflatedPart(this.inflater!.produced);
      this.reader.diagnostics.anomaly(pageError(error, batch, i, path), replacedPage(batch, i, by));
    }
  }
}
