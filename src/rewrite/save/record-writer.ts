import type { QemuFileWriter } from "../../bytes/writer.js";
import { encodePageBody, encodeRecordHeader, RamFlag } from "../../codec/ram/index.js";
import type { GuestBlock } from "./guest-memory.js";

/** Writes page records and knows which block CONTINUE stands for. */
export class RecordWriter {
  /** The block of the record written last. */
  current: GuestBlock | undefined;

  constructor(readonly file: QemuFileWriter) {}

  zero(block: GuestBlock, offset: number): void {
    this.header(RamFlag.ZERO, block, offset);
    this.file.u8(0);
  }

  /** PAGE or XBZRLE. */
  page(flag: number, block: GuestBlock, offset: number, body: Uint8Array): void {
    this.header(flag, block, offset);
    encodePageBody(this.file, flag, body);
  }

  /** Finished records that all have CONTINUE. Where another block came between, the first of them gets its name. */
  records(block: GuestBlock, records: Uint8Array): void {
    const { file } = this;
    if (this.current === block) {
      file.bytes(records);
      return;
    }
    file.bytes(records.subarray(0, 7));
    file.u8(records[7]! & ~RamFlag.CONTINUE);
    file.string8(block.idstr);
    file.bytes(records.subarray(8));
    this.current = block;
  }

  private header(flag: number, block: GuestBlock, offset: number): void {
    encodeRecordHeader(this.file, flag, offset, block.idstr, this.current === block);
    this.current = block;
  }
}
