import type { Warning } from "../../bytes/errors.js";
import { withInput, type OpenOptions, type StreamInput } from "../../io/container/input.js";
import { containerName } from "../../io/container/types.js";
import { isZero } from "../../bytes/zero.js";
import type { ByteSource } from "../../bytes/source.js";
import { RamFlag, type RamBatch, type RamBlock } from "../../codec/ram/index.js";
import { privateBytes, type SectionRecord } from "../../codec/sections/index.js";
import {
  type CatalogueMark,
  BEHIND,
  commandToPlain,
  StreamReader,
  type CommandItem,
  type OpaqueItem,
  type PlainCommand,
  type StreamItem,
  type StreamOptions,
  type TrailingItem,
} from "../../codec/stream/index.js";
import { walkStream, type StreamVisitor } from "../../codec/stream/visit.js";

/** Pages of one block by encoding. */
export interface PageCounts {
  normal: number;
  zero: number;
  compressed: number;
  xbzrle: number;
  /** Pages on multifd channels; only recordings have them. */
  multifd: number;
  /** Pages in the page area of a mapped-ram file. */
  mapped: number;
}

/** What `qevm inspect` reports; the keys are fixed. */
export interface Inspection {
  /** The containers of the stream; null: none. */
  container: string | null;
  /** Version of the stream header (3). */
  streamVersion: number;
  /** Machine type; null without a configuration section. */
  machine: string | null;
  /** Capabilities that the configuration announces. */
  capabilities: string[];
  /** Capabilities that the stream's contents show (`compress`, `xbzrle`, `postcopy-ram`, ...). */
  evident: string[];
  /** Target page size in bytes. */
  pageSize: number;
  ram: {
    blocks: ({ block: string; blockLength: number } & PageCounts)[];
    pages: PageCounts;
  };
  sections: SectionSummary[];
  /** Commands with the fields of their payloads. The sections of a package are in `sections`. */
  commands: (PlainCommand & { streamOffset: number })[];
  /** Every device, in stream order. */
  devices: DeviceId[];
  /** Bytes of the whole stream. */
  streamLength: number;
  /** Bytes that no field explains: carried along, not understood. */
  opaqueBytes: number;
  /** Bytes of device-private codecs that are kept by name and not decoded further. */
  namedBytes: number;
  /** Bytes left over where a mapped-ram file has no page: earlier copies, which no reader looks at. */
  staleBytes: number;
  /**
   * Bytes where a mapped-ram file has no page that were not read, so nothing is said of what is left over there; 0
   * after `verify`, which reads all.
   */
  skippedBytes: number;
  /** Bytes after the stream, which are not part of it. */
  trailingBytes: number;
  /**
   * Device state that was read by the catalogue, since nothing describes it; null: none. `bytes` of `devices` devices,
   * of which `uncertain` bytes in `uncertainDevices` devices have no certain value.
   */
  catalogue: {
    deviceCount: number;
    catalogueBytes: number;
    uncertainBytes: number;
    uncertainDeviceCount: number;
  } | null;
  /** What is opaque, and why. */
  undecoded: { streamOffset: number; length: number; reason: string }[];
  /** Payloads of pages that were skipped without being decompressed or applied: `verify` checks them. */
  uncheckedPayloads: number;
  /** EOF was reached. */
  complete: boolean;
  /** Whether sections have footers; null without sections. */
  footers: boolean | null;
  vmdescription: boolean;
  warnings: Warning[];
}

/** Which section or device it is: by its name, its instance, and its id in the stream. */
export interface DeviceId {
  section: string;
  instance: number;
  id: number;
}

/** One section as `inspect` reports it. */
export interface SectionSummary {
  type: string;
  id: number;
  section: string;
  instance: number;
  version: number;
  streamOffset: number;
  /** Bytes of header, payload and footer. */
  sectionLength: number;
  /** Device state read by the catalogue: whose layout it is, `catalogue x86_64 7.2`. */
  describedBy?: string;
  /**
   * Fields that another layout that fits gives otherwise; `true`: no value is certain, since no QEMU that may have
   * written the stream is known to have this layout.
   */
  uncertain?: true | string[];
  /** Records by kind, of sections other than "ram" that consist of records ("block", "dirty-bitmap", ...). */
  recordCounts?: Record<string, number>;
}

/**
 * Reads a stream once and reports what is in it: machine, RAM blocks and page counts, sections, devices, commands, and
 * the bytes that are not understood. Offsets and lengths are in bytes. A recording (a folder) is read as one stream.
 *
 * Errors: as `openStream` and `StreamReader`. A source passed in stays open.
 * @example
 * const { machine, ram, devices } = await inspectStream("vm.mig");
 * console.log(machine, ram.pages.normal, devices);
 */
export async function inspectStream(input: StreamInput, options: OpenOptions = {}): Promise<Inspection> {
  return await withInput(input, options, async (source, reading) => {
    const inspection = await inspectSource(source, reading);
    return { ...inspection, container: containerName(source.containers) };
  });
}

/** The same for a source whose containers are already opened. Errors: as `StreamReader`. */
export async function inspectSource(source: ByteSource, options: StreamOptions = {}): Promise<Inspection> {
  const reader = new StreamReader(source, { unreached: "count", skipUnsetPages: true, ...options });
  const tally = new Tally(reader);
  await walkStream(reader, [tally]);
  return await tally.result();
}

/** Bytes of which a volume is a multiple. */
const SECTOR = 512;

/** The visitor that gathers an inspection. */
export class Tally implements StreamVisitor {
  private version = 0;
  private readonly counts = new Map<RamBlock, PageCounts>();
  private readonly sections: SectionSummary[] = [];
  private readonly commands: Inspection["commands"] = [];
  private readonly devices: DeviceId[] = [];
  private undecoded: { streamOffset: number; length: number; reason: string }[] = [];
  private readonly evident = new Set<string>();
  private named = 0;
  private catalogue: Inspection["catalogue"] = null;
  private stale = 0;
  private skipped = 0;
  private trailing = 0;
  private unread = 0;
  private vmdescription = false;

  /** @param checksPayloads the caller looks into the payloads of pages itself */
  constructor(
    private readonly reader: StreamReader,
    private readonly checksPayloads = false,
  ) {}

  item(item: StreamItem): void {
    switch (item.kind) {
      case "header":
        this.version = item.version;
        break;
      case "section": {
        const { type, sectionId, idstr, instanceId, versionId, offset, content } = item;
        this.sections.push({
          type,
          id: sectionId,
          section: idstr,
          instance: instanceId,
          version: versionId,
          streamOffset: offset,
          sectionLength: 0,
        });
        if (content.kind === "records") this.sections.at(-1)!.recordCounts = {};
        if (type === "full") this.devices.push({ section: idstr, instance: instanceId, id: sectionId });
        if (content.kind === "device") {
          if (content.catalogue !== undefined) this.byCatalogue(content.catalogue, content.length);
          this.named += content.state.bytes.named;
          if (content.state.bytes.opaque > 0) {
            const reason = `parts of device ${JSON.stringify(idstr)}`;
            this.undecoded.push({ streamOffset: offset, length: content.state.bytes.opaque, reason });
          }
        } else if (content.kind === "opaque") {
          this.undecoded.push({ streamOffset: offset, length: content.bytes.length, reason: content.reason });
        }
        break;
      }
      case "command":
        this.command(item);
        break;
      case "vmdescription":
        this.vmdescription = true;
        if (!item.description.exact) {
          const reason = "VMDESCRIPTION in a text form that QEMU does not write: kept as it is";
          this.undecoded.push({ streamOffset: item.payloadOffset, length: item.text.length, reason });
        }
        break;
      case "opaque":
        this.undecoded.push({ streamOffset: item.offset, length: 0, reason: item.reason });
        break;
      case "trailing":
        this.unread = item.unread;
        break;
      default:
        break;
    }
  }

  /** Device state of the section noted last. */
  private byCatalogue({ schema, uncertain }: CatalogueMark, length: number): void {
    const section = this.sections.at(-1)!;
    section.describedBy = schema;
    const sum = (this.catalogue ??= { deviceCount: 0, catalogueBytes: 0, uncertainBytes: 0, uncertainDeviceCount: 0 });
    sum.deviceCount++;
    sum.catalogueBytes += length;
    if (uncertain === undefined) return;
    section.uncertain = uncertain.fields.length === 0 ? true : uncertain.fields;
    sum.uncertainDeviceCount++;
    sum.uncertainBytes += uncertain.bytes;
  }

  private command({ command, name, offset, payloadOffset }: CommandItem): void {
    this.commands.push({ streamOffset: offset, ...commandToPlain(command) });
    if (command.name === "POSTCOPY_ADVISE") {
      this.evident.add(command.ram === undefined ? "dirty-bitmaps" : "postcopy-ram");
    }
    if (command.name === "OPEN_RETURN_PATH") this.evident.add("return-path");
    if (command.name === "OPAQUE") {
      const reason = `payload of the command ${name}`;
      this.undecoded.push({ streamOffset: payloadOffset, length: command.payload.length, reason });
    }
  }

  batch(batch: RamBatch): void {
    const { counts } = this;
    this.stale += batch.mappedBlock?.gap?.length ?? 0;
    this.skipped += batch.skippedBytes;
    if (batch.area) {
      this.area(batch);
      return;
    }
    let block: RamBlock | undefined;
    let at: PageCounts | undefined;
    for (let i = 0; i < batch.count; i++) {
      const of = batch.block[i];
      if (of === undefined) continue;
      if (of !== block || at === undefined) {
        block = of;
        at = counts.get(of);
        if (at === undefined) counts.set(of, (at = noPages()));
      }
      switch (batch.flag[i]) {
        case RamFlag.PAGE:
          at.normal++;
          break;
        case RamFlag.ZERO:
          at.zero++;
          break;
        case RamFlag.COMPRESS_PAGE:
          at.compressed++;
          break;
        case RamFlag.XBZRLE:
          at.xbzrle++;
          break;
      }
    }
  }

  /** A record of the section noted last. */
  record(record: SectionRecord): void {
    const { recordCounts: records } = this.sections.at(-1)!;
    if (records !== undefined) records[record.kind] = (records[record.kind] ?? 0) + 1;
    this.named += privateBytes(record);
  }

  /** Pages of a mapped-ram page area. */
  private area(batch: RamBatch): void {
    const block = batch.block[0];
    if (block === undefined) return;
    let at = this.counts.get(block);
    if (at === undefined) this.counts.set(block, (at = noPages()));
    for (let i = 0; i < batch.count; i++) {
      if (batch.flag[i] === RamFlag.PAGE) at.mapped++;
      else this.stale += batch.bodyLength[i]!;
    }
  }

  chunk(chunk: Uint8Array, item: OpaqueItem | TrailingItem): void {
    if (item.kind === "trailing") {
      const offset = item.offset + this.trailing;
      this.trailing += chunk.length;
      if (isZero(chunk)) return;
      const last = this.undecoded.at(-1);
      if (last?.reason === item.what && last.streamOffset + last.length === offset) last.length += chunk.length;
      else this.undecoded.push({ streamOffset: offset, length: chunk.length, reason: item.what });
    } else {
      this.undecoded.at(-1)!.length += chunk.length;
    }
  }

  itemEnd({ kind }: StreamItem): void {
    if (kind !== "section" && kind !== "footer") return;
    const section = this.sections.at(-1);
    if (section !== undefined) section.sectionLength = this.reader.offset - section.streamOffset;
  }

  /** When the walk is over, or has failed: then what is left of the input is counted as not understood. Errors: io. */
  async result(): Promise<Inspection> {
    const { reader } = this;
    const unfinished = await reader.unfinished();
    if (unfinished !== undefined) {
      const { offset, length, reason } = unfinished;
      this.undecoded.push({ streamOffset: offset, length, reason });
    }
    if (this.unread > 0) {
      const offset = reader.offset - this.unread;
      this.undecoded.push({
        streamOffset: offset,
        length: this.unread,
        reason: "bytes after the end that were not read (tailBytes)",
      });
      this.trailing += this.unread;
    }
    // A volume is whole sectors, and after the stream it has what it held before: no QEMU reads it.
    if (reader.offset % SECTOR === 0) this.undecoded = this.undecoded.filter(({ reason }) => reason !== BEHIND);
    const pages = noPages();
    const blocks = reader.ram.blocks.map((block) => {
      const at = this.counts.get(block) ?? noPages();
      for (const key of PAGE_KEYS) pages[key] += at[key];
      return { block: block.idstr, blockLength: block.usedLength, ...at };
    });
    if (pages.compressed > 0) this.evident.add("compress");
    if (pages.xbzrle > 0) this.evident.add("xbzrle");
    return {
      container: null,
      streamVersion: this.version,
      machine: reader.machine ?? null,
      capabilities: reader.capabilities,
      evident: [...this.evident],
      pageSize: reader.ram.pageSize,
      ram: { blocks, pages },
      sections: this.sections,
      commands: this.commands,
      devices: this.devices,
      streamLength: reader.offset - reader.start,
      opaqueBytes: this.undecoded.reduce((sum, part) => sum + part.length, 0),
      namedBytes: this.named,
      staleBytes: this.stale,
      skippedBytes: this.skipped,
      trailingBytes: this.trailing,
      catalogue: this.catalogue,
      undecoded: this.undecoded,
      uncheckedPayloads: this.checksPayloads ? 0 : pages.compressed + pages.xbzrle,
      complete: reader.complete,
      footers: reader.footers ?? null,
      vmdescription: this.vmdescription,
      warnings: reader.diagnostics.warnings,
    };
  }
}

const PAGE_KEYS: readonly (keyof PageCounts)[] = ["normal", "zero", "compressed", "xbzrle", "multifd", "mapped"];

function noPages(): PageCounts {
  return { normal: 0, zero: 0, compressed: 0, xbzrle: 0, multifd: 0, mapped: 0 };
}
