import type { QemuFileWriter } from "../../bytes/writer.js";
import { encodePageBody, encodeRecordHeader, RamFlag } from "../../codec/ram/index.js";
import type { GuestBlock } from "./guest-memory.js";

/** Writes page records and tracks the block that CONTINUE refers to. */
export class RecordWriter {
  /** The block of the last record. */
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

  /**
   * Complete records that all have CONTINUE. If the block differs from that of the last record, the first one gets the
   * block name.
   */
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
