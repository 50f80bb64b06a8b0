import type { QemuFileWriter } from "../../bytes/writer.js";
import { encodeRecordHeader, RamFlag, type RamBlock } from "../../codec/ram/index.js";
import { noPages, type PageEncoder } from "./types.js";

/** Pages as PAGE and ZERO records, which every QEMU loads. */
export class NormalEncoder implements PageEncoder {
  readonly pages = noPages();

  constructor(private readonly writer: QemuFileWriter) {}

  page(block: RamBlock, offset: number, page: Uint8Array, continues: boolean): void | Promise<void> {
    this.pages.normal++;
    encodeRecordHeader(this.writer, RamFlag.PAGE, offset, block.idstr, continues);
    this.writer.bytes(page);
    return this.writer.drain();
  }

  zero(block: RamBlock, offset: number, continues: boolean): void | Promise<void> {
    this.pages.zero++;
    encodeRecordHeader(this.writer, RamFlag.ZERO, offset, block.idstr, continues);
    this.writer.u8(0);
    return this.writer.drain();
  }

  settle(): void {
    // Nothing is held back.
  }

  async close(): Promise<void> {
    // Nothing is held open.
  }
}
