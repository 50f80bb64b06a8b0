import type { Container } from "../../io/container/types.js";
import { QevmError, type Diagnostics } from "../../bytes/errors.js";
import { Tally, type Inspection } from "../inspect/inspect.js";
import { PagePlaces } from "../../guest/pages/page-places.js";
import { noFacts, noteFacts, type DeviceFacts } from "../../guest/layout/facts.js";
import type { ByteSource, Positioned } from "../../bytes/source.js";
import type { RamBatch, RamBlock } from "../../codec/ram/index.js";
import {
  StreamReader,
  UNDESCRIBED,
  type ConfigurationItem,
  type OpaqueItem,
  type SectionContent,
  type SectionItem,
  type StreamItem,
  type StreamOptions,
  type TrailingItem,
} from "../../codec/stream/index.js";
import { walkStream, type StreamVisitor } from "../../codec/stream/visit.js";
import type { SectionRecord } from "../../codec/sections/index.js";
import { Keys } from "../../codec/vmstate/groups.js";
import type { VmDescription } from "../../codec/vmstate/index.js";
import { RecordDigest } from "./record-digest.js";
import type { Again } from "../../io/transport/spool.js";
import type { StreamSummary } from "./types.js";

/** One stream as it was walked: everything but page contents, and where those are. */
export interface Scanned {
  source: ByteSource & Positioned;
  containers: readonly Container[];
  inspection: Inspection;
  diagnostics: Diagnostics;
  configuration: ConfigurationItem | undefined;
  blocks: readonly RamBlock[];
  /** Absolute offset of the block list; null without one. */
  blockList: number | null;
  pages: PagePlaces;
  /**
   * FULL sections and those that no codec knows, in stream order, by "name/instance" (a second one of a name:
   * "name/instance#2").
   */
  devices: Map<string, ScannedDevice>;
  /** Sections that consist of records of their own. */
  records: Map<string, RecordDigest>;
  description: { offset: number; textOffset: number; text: string; parsed: VmDescription } | undefined;
  describedBy: StreamSummary["describedBy"];
  /** What could not be decoded up to the end of the stream or package. */
  rests: Rest[];
  /** What the stream was cut off in. */
  unfinished: Rest | undefined;
  trailing: Rest | undefined;
  facts: DeviceFacts;
}

export interface ScannedDevice {
  idstr: string;
  instanceId: number;
  versionId: number;
  offset: number;
  payloadOffset: number;
  content: Extract<SectionContent, { kind: "device" | "opaque" }>;
}

/** A part of a stream without known structure. */
export interface Rest {
  offset: number;
  length: number;
  reason: string;
}

/**
 * Walks a stream once, from its first byte. A schema serves device state that the stream does not describe itself, and
 * then the stream is walked again. Errors: as `StreamReader`; limit.
 */
export async function scanStream(
  again: Again,
  containers: readonly Container[],
  { schema, ...options }: StreamOptions,
): Promise<Scanned> {
  const scanned = await new Scan(again.source, containers, options).run();
  if (schema === undefined || !isUndescribed(scanned)) return scanned;
  again.rewind();
  return { ...(await new Scan(again.source, containers, { ...options, schema }).run()), describedBy: "lent" };
}

/** The same with the other stream's description, where that fits. */
export async function scanBorrowing(
  again: Again,
  scanned: Scanned,
  other: Scanned,
  options: StreamOptions,
): Promise<Scanned> {
  if (other.description === undefined || !isUndescribed(scanned)) return scanned;
  again.rewind();
  try {
    const schema = [other.description.parsed];
    const read = await new Scan(again.source, scanned.containers, { ...options, schema }).run();
    // Lenient: what does not fit stays opaque.
    const [left, before] = [read.inspection.opaqueBytes, scanned.inspection.opaqueBytes];
    // The other's description says more than the catalogue.
    const fits = scanned.inspection.catalogue === null ? left < before : left <= before;
    return fits ? { ...read, describedBy: "of the other" } : scanned;
  } catch (error) {
    if (error instanceof QevmError) return scanned;
    throw error;
  }
}

function isUndescribed({ inspection }: Scanned): boolean {
  return inspection.catalogue !== null || inspection.undecoded.some(({ reason }) => reason === UNDESCRIBED);
}

class Scan implements StreamVisitor {
  private readonly reader: StreamReader;
  private readonly pages: PagePlaces;
  private readonly devices = new Map<string, ScannedDevice>();
  private readonly keys = new Keys();
  private readonly records = new Map<string, RecordDigest>();
  private readonly rests: Rest[] = [];
  private readonly facts = noFacts();
  private configuration: ConfigurationItem | undefined;
  private description: Scanned["description"];
  private blockList: number | null = null;
  private trailing: Rest | undefined;

  constructor(
    private readonly source: ByteSource & Positioned,
    private readonly containers: readonly Container[],
    options: StreamOptions,
  ) {
    this.reader = new StreamReader(source, options);
    this.pages = new PagePlaces(this.reader, source);
  }

  async run(): Promise<Scanned> {
    const tally = new Tally(this.reader);
    await walkStream(this.reader, [tally, this], false);
    const inspection = await tally.result();
    const unfinished = await this.reader.unfinished();
    const { source, containers, configuration, blockList, pages, devices, records, rests, trailing, facts } = this;
    const { description } = this;
    return {
      source,
      containers,
      inspection,
      diagnostics: this.reader.diagnostics,
      configuration,
      blocks: this.reader.ram.blocks,
      blockList,
      pages,
      devices,
      records,
      description,
      describedBy: description === undefined ? null : "own",
      rests,
      unfinished,
      trailing,
      facts,
    };
  }

  item(item: StreamItem): void {
    noteFacts(item, this.facts);
    if (item.kind === "section") this.section(item);
    else if (item.kind === "configuration") this.configuration = item;
    else if (item.kind === "vmdescription") {
      const { offset, payloadOffset: textOffset, text, description: parsed } = item;
      this.description = { offset, textOffset, text, parsed };
    } else if (item.kind === "opaque") this.rests.push({ offset: item.offset, length: 0, reason: item.reason });
    else if (item.kind === "trailing") this.trailing = { offset: item.offset, length: 0, reason: item.what };
  }

  batch(batch: RamBatch): void {
    this.pages.note(batch);
    if (batch.blockList !== undefined) this.blockList ??= batch.position[0]!;
  }

  record(record: SectionRecord, section: SectionItem): void {
    this.records.get(keyOf(section))!.add(record);
  }

  chunk(chunk: Uint8Array, { kind }: OpaqueItem | TrailingItem): void {
    const rest = kind === "opaque" ? this.rests.at(-1)! : this.trailing!;
    rest.length += chunk.length;
  }

  private section(item: SectionItem): void {
    const { idstr, instanceId, versionId, offset, payloadOffset, content } = item;
    const key = keyOf(item);
    if (content.kind === "records") {
      if (!this.records.has(key)) this.records.set(key, new RecordDigest());
    } else if (content.kind !== "ram") {
      const device = { idstr, instanceId, versionId, offset, payloadOffset, content };
      this.devices.set(this.keys.unique(key), device);
    }
  }
}

function keyOf({ idstr, instanceId }: SectionItem): string {
  return `${idstr}/${instanceId}`;
}
