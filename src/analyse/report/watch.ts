import type { StreamWatch } from "../explain/index.js";
import { noFacts, noteFacts, noteTables, type DeviceFacts } from "../../guest/layout/facts.js";
import { ACPI_TABLES, MOST_TABLES } from "../../guest/layout/srat.js";
import { PageDecoder, type PageBefore } from "../../guest/pages/page-decoder.js";
import type { RamBatch } from "../../codec/ram/index.js";
import type { SectionItem, StreamItem, StreamReader } from "../../codec/stream/index.js";
import { ByteUse } from "./byte-use.js";
import { PageMap } from "./page-map.js";
import { RoundWatch } from "./round-watch.js";

/**
 * What a report needs besides the explanation, gathered in the same pass. It holds the device state, the head of the
 * ACPI tables, and the page map.
 */
export class ReportWatch implements StreamWatch {
  readonly use = new ByteUse();
  readonly facts: DeviceFacts = noFacts();
  readonly devices: SectionItem[] = [];
  map!: PageMap;
  reader!: StreamReader;
  /** Where the times of the migration are known. */
  rounds: RoundWatch | undefined;
  private readonly tables = new TablesHead();

  /** @param timed the times of the migration are known */
  constructor(private readonly timed = false) {}

  begin(reader: StreamReader): void {
    this.reader = reader;
    if (this.timed) this.rounds = new RoundWatch(reader.ram);
    this.map = new PageMap(reader.ram);
  }

  item(item: StreamItem): void {
    this.use.item(item);
    this.rounds?.item(item);
    noteFacts(item, this.facts);
    if (item.kind === "section" && item.type === "full") this.devices.push(item);
  }

  batch(batch: RamBatch): void {
    this.use.batch(batch);
    this.rounds?.batch(batch);
    this.map.note(batch);
    this.tables.note(batch, this.reader.ram.pageSize);
  }

  /** The end of the input. */
  end(): void {
    if (this.tables.bytes !== undefined) noteTables(this.tables.bytes, this.facts);
  }
}

/** The first bytes of the block with the ACPI tables, which list the NUMA nodes. */
class TablesHead {
  bytes: Uint8Array | undefined;
  private broken = false;
  private decoder: PageDecoder | undefined;
  private readonly before: PageBefore = {
    read: (_, offset, into) => into.set(this.bytes!.subarray(offset, offset + into.length)),
  };

  note(batch: RamBatch, pageSize: number): void {
    if (this.broken) return;
    for (let i = 0; i < batch.count; i++) {
      if (batch.block[i]?.idstr !== ACPI_TABLES) continue;
      try {
        this.page(batch, i, pageSize);
      } catch {
        // Verification names the record; the layout does without the tables.
        this.bytes = undefined;
        this.broken = true;
        return;
      }
    }
  }

  private page(batch: RamBatch, i: number, pageSize: number): void {
    const offset = batch.offset[i]!;
    const length = Math.min(batch.block[i]!.usedLength, MOST_TABLES);
    if (offset + pageSize > length) return;
    this.bytes ??= new Uint8Array(length);
    this.decoder ??= new PageDecoder(pageSize);
    this.bytes.set(this.decoder.pageOf(batch, i, this.before), offset);
  }
}
