import { RamFlag, type RamBatch } from "../../codec/ram/index.js";
import type { SectionItem, StreamReader } from "../../codec/stream/index.js";
import type { StreamVisitor } from "../../codec/stream/visit.js";
import { PageDecoder, type PageBefore } from "../../guest/pages/page-decoder.js";

/** Nothing of the pages is kept: the runs of a delta can be followed all the same. */
const NOTHING: PageBefore = { read: () => undefined };

/**
 * Looks into the payloads of a stream's pages: compressed ones are inflated, the runs of an XBZRLE delta are followed.
 * What is wrong is an anomaly of the reader, with the record's address.
 */
export class PayloadCheck implements StreamVisitor {
  private decoder: PageDecoder | undefined;

  constructor(private readonly reader: StreamReader) {}

  async batch(batch: RamBatch, { sectionId, idstr }: SectionItem): Promise<void> {
    if (!batch.has(RamFlag.COMPRESS_PAGE) && !batch.has(RamFlag.XBZRLE)) return;
    const { ram, diagnostics } = this.reader;
    this.decoder ??= new PageDecoder(ram.pageSize, { diagnostics });
    this.decoder.path = [`section ${sectionId} ${JSON.stringify(idstr)}`];
    await this.decoder.prepare(batch);
    for (let i = 0; i < batch.count; i++) {
      const flag = batch.flag[i];
      if (batch.block[i] === undefined) continue;
      if (flag === RamFlag.COMPRESS_PAGE || flag === RamFlag.XBZRLE) this.decoder.pageOf(batch, i, NOTHING);
    }
  }
}
