import { Diagnostics, hex, QevmError } from "../../bytes/errors.js";
import { QemuFileReader } from "../../bytes/reader.js";
import type { ByteSource } from "../../bytes/source.js";
import { BATCH_RECORDS, RamBatch, RamState } from "../ram/index.js";
import { chunkDecoder, type ChunkDecoder } from "../sections/index.js";
import { Schema, type DeviceDescription } from "../vmstate/index.js";
import { COMMAND_HEADER, commandName, decodeCommand } from "./command.js";
import { capabilitiesOf, decodeConfiguration, targetPageSize, type Configuration } from "./configuration.js";
import { DevicePart, UNDESCRIBED } from "./device-part.js";
import { fullDecoder, wholeChunk } from "./chunk.js";
import { decodeEarly, earlyDescription } from "./early.js";
import { decodeHeader } from "./header.js";
import { ItemCount } from "./item-count.js";
import type { CommandItem, SectionItem, StreamItem } from "./items.js";
import { DEFAULT_LIMITS, type StreamLimits } from "./limits.js";
import type { Continued, StreamOptions } from "./options.js";
import { pageSizeIsOpen, shownPageSize } from "./page-size.js";
import { Progress } from "./progress.js";
import { showsMappedRam } from "./shown-mapped-ram.js";
import { ramRecords, type MappedSkips } from "./ram-section.js";
import {
  BEHIND,
  BROKEN,
  ENDS_INSIDE,
  endOfStream,
  leavable,
  noRecords,
  restOfPackage,
  restOfStream,
  type Unfinished,
} from "./rest.js";
import {
  checkPackageEnd,
  checkRamVersion,
  decodeFullHeader,
  decodePartHeader,
  nextFooter,
  type SectionHeader,
} from "./section.js";
import { TypeByte } from "./types.js";
import { refuseUnreached, unknownPayload } from "./unknown-section.js";

/**
 * Walks a migration stream part by part.
 *
 * One pass, bounded memory: RAM comes in batches that live in the read buffer; only the device part is held whole,
 * because its description is at the very end.
 *
 * Source: QEMU migration/savevm.c qemu_loadvm_state (5.2 to 11.1).
 */
export class StreamReader implements AsyncIterable<StreamItem> {
  readonly diagnostics: Diagnostics;
  readonly limits: StreamLimits;
  readonly ram: RamState;
  configuration: Configuration | undefined;
  /** Whether sections have footers; undefined before the first section has ended. */
  footers: boolean | undefined;
  /** EOF was reached, or the undecodable rest ends in one. */
  complete = false;
  /** Absolute offset of the stream's first byte. */
  readonly start: number;
  private readonly reader: QemuFileReader;
  private readonly progress: Progress;
  /** The source said that it continues with checkpoints after the stream. */
  private colo = false;
  /** Absolute offset of the end of the package that is being read. */
  private packageEnd: number | undefined;
  private readonly batch: RamBatch;
  private readonly sections = new Map<number, SectionHeader>();
  private readonly items: ItemCount;
  /** Ids of iterative sections whose END was read. */
  private readonly ended = new Set<number>();
  /** A PART or END of "ram" was read: state of devices comes after all of it. */
  private pagesCame = false;
  private readonly unreached: "refuse" | "count";
  private readonly devices: DevicePart;
  private readonly skipping: MappedSkips;
  private readonly broken: boolean;
  private readonly goesOn: boolean;
  private unannounced: string[] | undefined;
  private readonly pageSizeGiven: boolean;

  constructor(source: ByteSource, options: StreamOptions = {}) {
    this.diagnostics = new Diagnostics({ lenient: options.lenient ?? false });
    this.diagnostics.warnings.push(...(source.warnings ?? []));
    this.limits = { ...DEFAULT_LIMITS, ...options.limits };
    const { bufferSize, offset, readAhead = bufferSize === undefined } = options;
    this.reader = new QemuFileReader(source, { ...(bufferSize !== undefined && { bufferSize }), offset, readAhead });
    // No record is shorter than 8 bytes: a small stream needs no room for thousands.
    this.batch = new RamBatch(Math.max(1, Math.min(BATCH_RECORDS, Math.ceil((source.length ?? Infinity) / 8))));
    this.start = this.reader.offset;
    this.items = new ItemCount(this.reader, this.start, this.limits.items);
    const { after } = options;
    this.ram = new RamState(after?.pageSize ?? options.pageSize ?? 4096, this.limits.ramBlocks);
    for (const block of after?.blocks ?? []) this.ram.add(block);
    for (const header of after?.sections ?? []) this.sections.set(header.sectionId, header);
    this.footers = after?.footers;
    this.goesOn = after !== undefined;
    this.pageSizeGiven = options.pageSize !== undefined;
    this.broken = options.broken ?? false;
    this.progress = new Progress(this.reader, this.diagnostics, this.start + (this.goesOn ? 0 : 8), this.broken);
    this.unreached = options.unreached ?? "refuse";
    this.skipping = options;
    const { schema } = options;
    const lent = schema === undefined || schema instanceof Schema ? schema : new Schema(schema);
    this.devices = new DevicePart(this.reader, this.limits, this.diagnostics, lent, options.catalogue);
  }

  /** Machine type, or undefined before the configuration or without one. */
  get machine(): string | undefined {
    return this.configuration?.machine;
  }

  /** Those that the configuration announces; without one, mapped-ram where the RAM shows it. */
  get capabilities(): string[] {
    return this.unannounced ?? capabilitiesOf(this.configuration);
  }

  /** What a connection that resumes this one relies on. */
  get known(): Continued {
    const { ram, sections, footers } = this;
    return { pageSize: ram.pageSize, blocks: ram.blocks, sections: [...sections.values()], footers };
  }

  /** Absolute offset of the next byte. */
  get offset(): number {
    return this.reader.offset;
  }

  /** Bytes that were not decoded, after the walk: reads to the end of the input to count them. Errors: io. */
  async unfinished(): Promise<Unfinished | undefined> {
    return await this.progress.unfinished();
  }

  /** Lenient: a stream that is cut off ends with a warning and `complete` false; what came before the cut counts. */
  async *[Symbol.asyncIterator](): AsyncGenerator<StreamItem> {
    try {
      for await (const item of this.walk()) {
        this.progress.settle();
        yield item;
      }
    } catch (error) {
      if (!this.progress.passOver(error)) throw error;
      this.complete = false;
      if (this.broken && this.reader.available > 0) yield* restOfStream(this, this.reader, BROKEN);
    }
    const made = this.reader.source.diagnostics?.();
    if (made !== undefined) this.diagnostics.absorb(made);
    // The part in which the connection broke is a separate one.
    if (!this.progress.cut || this.broken) this.progress.settle();
  }

  private async *walk(): AsyncGenerator<StreamItem> {
    if (!this.goesOn) yield* this.head();
    yield* this.elements();
  }

  private async *head(): AsyncGenerator<StreamItem> {
    const { reader } = this;
    yield { kind: "header", offset: reader.offset, ...(await decodeHeader(reader)) };
    if ((await reader.fill(1)) && reader.peek() === TypeByte.CONFIGURATION) {
      const offset = reader.offset;
      reader.path.push("configuration");
      this.configuration = await decodeConfiguration(reader, this.limits);
      reader.path.pop();
      this.ram.pageSize =
        targetPageSize(this.configuration, offset) ?? (await this.shownPageSize()) ?? this.ram.pageSize;
      yield { kind: "configuration", offset, configuration: this.configuration };
    } else if (await showsMappedRam(reader)) {
      this.unannounced = ["mapped-ram"];
    }
  }

  /** The page size that the first pages show, where neither the options nor the machine's name give it. */
  private async shownPageSize(): Promise<number | undefined> {
    const { configuration, capabilities, pageSizeGiven } = this;
    if (pageSizeGiven || capabilities.includes("mapped-ram") || !pageSizeIsOpen(configuration?.machine))
      return undefined;
    return await shownPageSize(this.reader, (source, pageSize) => {
      const after = { pageSize, blocks: [], sections: [], footers: undefined };
      const reader = new StreamReader(source, { after, limits: this.limits, unreached: "count" });
      reader.configuration = configuration;
      return reader;
    });
  }

  private async *elements(): AsyncGenerator<StreamItem> {
    const { reader } = this;
    for (;;) {
      const offset = reader.offset;
      await reader.need(1, "the stream: a section, command or EOF");
      switch (reader.peek()) {
        case TypeByte.EOF:
          reader.skip(1);
          this.complete = true;
          yield { kind: "eof", offset };
          if (await this.devices.isDescriptionCut()) yield* restOfStream(this, reader, ENDS_INSIDE);
          else yield* endOfStream(reader, this.limits, this.devices, this.colo ? "checkpoints of COLO" : BEHIND);
          return;
        case TypeByte.COMMAND:
          yield* this.command(offset);
          break;
        case TypeByte.SECTION_START:
        case TypeByte.SECTION_FULL:
        case TypeByte.SECTION_PART:
        case TypeByte.SECTION_END:
          if ((yield* this.section(offset)) === "rest") return;
          break;
        default:
          throw this.unknownType("a section, a command or EOF");
      }
    }
  }

  private async *command(offset: number): AsyncGenerator<StreamItem> {
    const { reader } = this;
    this.items.add(offset);
    const command = await decodeCommand(reader, this.limits, this.diagnostics);
    this.checkPackage();
    if (command.name === "ENABLE_COLO") this.colo = true;
    const at = { offset, payloadOffset: offset + COMMAND_HEADER };
    const item: CommandItem = { kind: "command", ...at, name: commandName(command), command };
    if (command.name !== "PACKAGED") {
      yield item;
      return;
    }
    if (this.packageEnd !== undefined) throw reader.error("unsupported", "PACKAGED in PACKAGED", { offset });
    await reader.needLarge(command.length, "the package");
    this.packageEnd = reader.offset + command.length;
    yield item;
    reader.path.push("PACKAGED");
    yield* this.package(this.packageEnd);
    reader.path.pop();
    this.packageEnd = undefined;
  }

  /** The content of a package: FULL sections and commands, no header and no EOF. All of it is in the buffer. */
  private async *package(end: number): AsyncGenerator<StreamItem> {
    const { reader } = this;
    while (reader.offset < end) {
      const type = reader.peek();
      if (type === TypeByte.COMMAND) yield* this.command(reader.offset);
      else if (type === TypeByte.SECTION_FULL) yield* this.section(reader.offset);
      else throw this.unknownType("a FULL section or a command");
    }
    yield { kind: "package-end", offset: end };
  }

  /** What was read last must have ended within the package. */
  private checkPackage(): void {
    checkPackageEnd(this.reader, this.packageEnd);
  }

  private unknownType(expected: string): QevmError {
    const { reader } = this;
    return reader.error("unknown-type", "unknown section type", { expected, found: hex(reader.peek()) });
  }

  /** One section with its footer. Returns "rest" where nothing that follows can be decoded. */
  private async *section(offset: number): AsyncGenerator<StreamItem, "rest" | undefined> {
    const { reader } = this;
    this.items.add(offset);
    const type = reader.peek();
    let header: SectionHeader;
    let early: DeviceDescription | undefined;
    if (type === TypeByte.SECTION_START || type === TypeByte.SECTION_FULL) {
      const full = type === TypeByte.SECTION_FULL;
      if (full) early = await earlyDescription(reader, this.limits);
      const needsDescription = full && early === undefined && (await fullDecoder(reader)) === undefined;
      const { footers, packageEnd, machine } = this;
      if (needsDescription && (await this.devices.prepare({ footers, packageEnd, machine })) === "absent") {
        return yield* this.undescribed(offset);
      }
      header = await decodeFullHeader(reader, full ? "full" : "start");
      if (this.sections.size >= this.limits.sections) throw reader.error("limit", "too many sections", { offset });
      this.sections.set(header.sectionId, header);
    } else {
      const sectionId = await decodePartHeader(reader);
      const start = this.sections.get(sectionId);
      if (start === undefined) {
        throw reader.error("unknown-reference", "a part of a section that was never started", {
          offset,
          found: `section_id ${sectionId}`,
        });
      }
      header = { ...start, type: type === TypeByte.SECTION_PART ? "part" : "end" };
    }
    reader.path.push(`section ${header.sectionId} ${JSON.stringify(header.idstr)}`);
    if (header.type === "end") this.ended.add(header.sectionId);
    const at = { offset, payloadOffset: reader.offset };
    const item: SectionItem = { kind: "section", ...at, ...header, content: { kind: "ram" }, records: noRecords };
    const decoder = chunkDecoder(header.idstr, header.type);
    if (header.idstr === "ram") {
      checkRamVersion(reader, this.diagnostics, header);
      const { ram, diagnostics, limits, capabilities, batch, skipping } = this;
      const records = this.progress.following(
        ramRecords(reader, ram, diagnostics, limits, capabilities, batch, skipping),
      );
      item.records = () => leavable(records);
      yield item;
      // What the consumer left unread is skipped here, so that the walk continues at the footer.
      for await (const _ of records);
      if (header.type !== "start") this.pagesCame = true;
    } else if (decoder !== undefined) {
      yield* this.chunk(item, decoder);
      if (!this.progress.cut) this.checkPackage();
    } else if (header.type === "full") {
      item.content =
        early === undefined
          ? await this.devices.decode(header, this.footers, this.packageEnd)
          : decodeEarly(reader, early);
      this.checkPackage();
      yield item;
    } else if (!(yield* this.unknown(item))) {
      return "rest";
    }
    if (this.progress.cut) {
      if (this.broken && reader.available > 0) yield* restOfStream(this, reader, BROKEN);
      return "rest";
    }
    yield* this.footer(header);
    reader.path.pop();
    return undefined;
  }

  /**
   * An iterative section that has no codec: up to its footer where that is proved, or else all that is left. Returns
   * whether the stream continues after it.
   */
  private async *unknown(item: SectionItem): AsyncGenerator<StreamItem, boolean> {
    const { reader, sections, ended, limits } = this;
    const reason = `no codec for the iterative section ${JSON.stringify(item.idstr)}`;
    const before = { sections, ended, pageSize: this.ram.pageSize };
    const length =
      this.footers === false
        ? undefined
        : await unknownPayload(reader, item.sectionId, before, limits.sectionRecordBytes);
    if (length !== undefined) {
      item.content = { kind: "opaque", bytes: reader.bytes(length), reason };
      yield item;
      return true;
    }
    reader.path.pop();
    if (![...sections.values()].some(({ sectionId, idstr }) => idstr === "ram" && ended.has(sectionId))) {
      refuseUnreached(reader, this.diagnostics, this.unreached, item.offset, reason);
    }
    yield item;
    yield* restOfStream(this, reader, reason);
    return false;
  }

  /** Device state that nothing describes: up to its end where that is known, or else all that is left. */
  private async *undescribed(offset: number): AsyncGenerator<StreamItem, "rest" | undefined> {
    const { reader, packageEnd } = this;
    const start = reader.position;
    const header = await decodeFullHeader(reader, "full");
    const payloadOffset = reader.offset;
    const content = this.devices.opaque(header, this.footers, packageEnd);
    if (content === undefined) {
      reader.position = start;
      if (packageEnd !== undefined) {
        yield* restOfPackage(reader, packageEnd, UNDESCRIBED);
        return undefined;
      }
      if (!this.pagesCame && !this.goesOn)
        refuseUnreached(reader, this.diagnostics, this.unreached, offset, UNDESCRIBED);
      yield* restOfStream(this, reader, UNDESCRIBED);
      return "rest";
    }
    reader.path.push(`section ${header.sectionId} ${JSON.stringify(header.idstr)}`);
    yield { kind: "section", offset, ...header, payloadOffset, content, records: noRecords };
    yield* this.footer(header);
    reader.path.pop();
    return undefined;
  }

  /** A section that consists of records, which its consumer may leave. */
  private async *chunk(item: SectionItem, decoder: ChunkDecoder): AsyncGenerator<StreamItem> {
    if (item.type === "full") {
      item.content = { kind: "records", entries: await wholeChunk(decoder, this.reader, this.limits) };
      yield item;
      return;
    }
    const entries = this.progress.following(decoder(this.reader, this.limits.sectionRecordBytes));
    item.content = { kind: "records", entries: () => leavable(entries) };
    yield item;
    for await (const _ of entries);
  }

  private async *footer(header: SectionHeader): AsyncGenerator<StreamItem> {
    const { reader } = this;
    const offset = reader.offset;
    const sectionId = await nextFooter(reader, this.diagnostics, header.sectionId, this.footers);
    this.footers ??= sectionId !== undefined;
    if (sectionId === undefined) return;
    this.checkPackage();
    yield { kind: "footer", offset, sectionId };
  }
}
