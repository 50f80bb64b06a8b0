import type { QemuFileWriter } from "../../bytes/writer.js";
import type { RamBatch } from "./batch.js";
import { RamFlag } from "./flags.js";
import { encodePageBody, encodeRecord, encodeRecordHeader } from "./records.js";
import type { RamBlock } from "./state.js";

/**
 * Writes the records of a RAM section one by one and decides on CONTINUE: a page names its block unless the page before
 * was of the same one. One writer a channel, across its sections.
 */
export class RecordWriter {
  /** The block of the last page, which CONTINUE refers to; undefined: the next page names its block. */
  current: RamBlock | undefined;

  constructor(readonly file: QemuFileWriter) {}

  /** A PAGE record, or a ZERO record where `page` is undefined. @param continues whether the name is left out */
  plain(block: RamBlock, offset: number, page: Uint8Array | undefined, continues = this.current === block): void {
    this.header(page === undefined ? RamFlag.ZERO : RamFlag.PAGE, block, offset, continues);
    if (page === undefined) this.file.u8(0);
    else this.file.bytes(page);
  }

  /** @param fill the byte that the page is full of; QEMU writes 0 since 1.5 */
  zero(block: RamBlock, offset: number, fill = 0): void {
    this.header(RamFlag.ZERO, block, offset, this.current === block);
    this.file.u8(fill);
  }

  /** PAGE, COMPRESS_PAGE or XBZRLE. @param body the page, the zlib stream, the delta */
  page(flag: number, block: RamBlock, offset: number, body: Uint8Array): void {
    this.header(flag, block, offset, this.current === block);
    encodePageBody(this.file, flag, body);
  }

  /** Record `i` of a batch: a page unchanged except for CONTINUE, any other record exactly. */
  record(batch: RamBatch, i: number): void {
    const block = batch.block[i];
    const flag = batch.flag[i]!;
    if (block === undefined) encodeRecord(this.file, batch, i);
    else if (flag === RamFlag.ZERO) this.zero(block, batch.offset[i]!, batch.fill[i]);
    else this.page(flag, block, batch.offset[i]!, batch.body(i));
  }

  /**
   * Finished records that all have CONTINUE. If the last page was in another block, the first record gets the block's
   * name.
   */
  finished(block: RamBlock, records: Uint8Array): void {
    const { file } = this;
    if (this.current === block) {
      file.bytes(records);
      return;
    }
    file.bytes(records.subarray(0, 7));
    file.u8(records[7]! & ~RamFlag.CONTINUE);
    file.string8(block.idstr, "RAM block name");
    file.bytes(records.subarray(8));
    this.current = block;
  }

  /** EOS, HOOK or MULTIFD_FLUSH. @param upper the bits above the flags, a multiple of the page size; QEMU writes 0 */
  mark(flag: number, upper = 0): void {
    encodeRecordHeader(this.file, flag, upper, undefined, false);
  }

  private header(flag: number, block: RamBlock, offset: number, continues: boolean): void {
    encodeRecordHeader(this.file, flag, offset, block.idstr, continues);
    this.current = block;
  }
}
