import { QevmError } from "../../bytes/errors.js";
import { QemuFileWriter, fromLatin1 } from "../../bytes/writer.js";
import type { ByteSink } from "../../bytes/source.js";
import { encodeRecords, RecordWriter, type RamBatch } from "../ram/index.js";
import { encodeSectionRecord } from "../sections/index.js";
import { encodeDevice, printVmDescription } from "../vmstate/index.js";
import { encodeCommand } from "./command.js";
import { encodeConfiguration } from "./configuration.js";
import { encodeHeader } from "./header.js";
import type { SectionItem, StreamItem } from "./items.js";
import { encodeFooter, encodeSectionHeader } from "./section.js";
import { TypeByte } from "./types.js";
import { walkItem, type StreamVisitor } from "./visit.js";

/** Records that are encoded before the writer may pass its buffer on: a quarter of a megabyte of pages. */
const AT_ONCE = 64;

/**
 * Writes the parts of a stream exactly as their fields say: the twin of `StreamReader`. What the fields get wrong, the
 * stream gets wrong: verifying and fuzzing need that.
 *
 * Source: QEMU migration/savevm.c qemu_savevm_state (5.2 to 11.1).
 */
export class ExactWriter {
  readonly file: QemuFileWriter;
  /** For page records that are not those of an item: it decides on CONTINUE. */
  readonly wire: RecordWriter;

  /**
   * @param offset of the stream's first byte in the file that it goes into: mapped-ram counts from that file's
   * beginning
   */
  constructor(sink: ByteSink, offset = 0) {
    this.file = new QemuFileWriter(sink, undefined, offset);
    this.wire = new RecordWriter(this.file);
  }

  get offset(): number {
    return this.file.offset;
  }

  /** Writes an item and all that it holds; consumes the records and chunks of the item. */
  async item(item: StreamItem): Promise<void> {
    await walkItem(item, [this.visitor], false);
  }

  /** Writes what it is shown. */
  readonly visitor: StreamVisitor = {
    item: (item) => this.begin(item),
    batch: (batch) => this.records(batch),
    record: async (record) => {
      encodeSectionRecord(this.file, record);
      await this.file.drain();
    },
    chunk: async (chunk) => {
      this.file.bytes(chunk);
      await this.file.drain();
    },
    itemEnd: () => this.file.drain(),
  };

  /** The bytes of an item before its records and chunks. */
  private begin(item: StreamItem): void {
    const { file } = this;
    switch (item.kind) {
      case "header":
        encodeHeader(file, item);
        break;
      case "configuration":
        encodeConfiguration(file, item.configuration);
        break;
      case "section":
        this.section(item);
        break;
      case "footer":
        encodeFooter(file, item.sectionId);
        break;
      case "command":
        encodeCommand(file, item.command);
        break;
      case "package-end":
        // Its length comes before it, in PACKAGED.
        break;
      case "eof":
        file.u8(TypeByte.EOF);
        break;
      case "vmdescription":
        this.description(item.description.exact ? printVmDescription(item.description) : item.text);
        break;
      case "opaque":
      case "trailing":
        break;
    }
  }

  /** Records of a "ram" section, exactly as they are. */
  async records(batch: RamBatch): Promise<void> {
    const { file } = this;
    // At least once: a block's header and bitmap come without records.
    for (let from = 0; from === 0 || from < batch.count; from += AT_ONCE) {
      encodeRecords(file, batch, from, Math.min(batch.count, from + AT_ONCE));
      const wait = file.drain();
      if (wait !== undefined) await wait;
    }
  }

  /** The JSON after EOF. */
  private description(json: string): void {
    const text = fromLatin1(json, "VMDESCRIPTION");
    this.file.u8(TypeByte.VMDESCRIPTION);
    this.file.u32(text.length);
    this.file.bytes(text);
  }

  async finish(): Promise<void> {
    await this.file.finish();
  }

  private section(item: SectionItem): void {
    encodeSectionHeader(this.file, item);
    switch (item.content.kind) {
      case "ram":
      case "records":
        break;
      case "device":
        encodeDevice(this.file, item.content.state);
        break;
      case "opaque":
        this.file.bytes(item.content.bytes);
        break;
      default:
        throw new QevmError("usage", "a section without content");
    }
  }
}
