import { hex, QevmError, type Diagnostics } from "../../bytes/errors.js";
import { Tally, type Inspection } from "../inspect/inspect.js";
import type { ByteSource } from "../../bytes/source.js";
import { RamFlag, type RamBatch } from "../../codec/ram/index.js";
import type { SectionRecord } from "../../codec/sections/index.js";
import {
  StreamReader,
  ENDS_INSIDE,
  UNDESCRIBED,
  type Configuration,
  type OpaqueItem,
  type StreamItem,
  type StreamOptions,
  type TrailingItem,
} from "../../codec/stream/index.js";
import { walkStream, type StreamVisitor } from "../../codec/stream/visit.js";
import { DiskNames, type NamedDisk } from "./disks.js";
import { PayloadCheck } from "./payloads.js";
import { SectionSearch } from "./section-search.js";
import type { DeviceState } from "../../codec/vmstate/index.js";

/** A RAM record worth noting: the first of its kind. */
export interface FirstRecord {
  /** Absolute byte offset of the record's leading be64. */
  offset: number;
  block: string | undefined;
  /** Offset of the page in its block. */
  page: number;
  /** Of a ZERO record. */
  fill?: number;
}

/** A device section that was decoded, and where its payload begins. */
export interface SurveyedDevice {
  name: string;
  instance: number;
  version: number;
  /** Of the section's type byte. */
  offset: number;
  /** Of the first byte after the section's header. */
  payload: number;
  length: number;
  state: DeviceState | undefined;
}

/**
 * What explaining needs to know of a stream, gathered in one pass; payloads of pages are checked. Whatever is wrong in
 * it, what came before is known.
 */
export interface Survey {
  inspection: Inspection;
  /** Absolute byte offset of the stream's first byte. */
  start: number;
  configuration: { offset: number; value: Configuration } | undefined;
  /** Entries of the block list; `offset` is that of the name's length byte, undefined in mapped-ram files. */
  blocks: Map<string, { length: number; offset: number | undefined }>;
  /** The first record with each flag; "fill" is the first ZERO record whose byte is not zero. */
  first: Map<number | "fill", FirstRecord>;
  devices: SurveyedDevice[];
  /** Disks that sections other than those of devices name. */
  disks: ReadonlyMap<string, NamedDisk>;
  eof: number | undefined;
  vmdescription: number | undefined;
  /** Sections that were asked for by name and are in a part that could not be decoded: offset of their type byte. */
  seen: Map<string, number>;
  /**
   * What is wrong in the stream itself, in stream order, as a strict reader finds it; the last one may have ended the
   * reading.
   */
  damage: QevmError[];
  /** What the reading ended at, where a lenient reader cannot go on. */
  stopped: QevmError | undefined;
}

/** Looks on while the stream is read, for a purpose of its own. */
export interface StreamWatch extends StreamVisitor {
  /** Before the first item. */
  begin(reader: StreamReader): void;
}

/**
 * Reads a stream once. `wanted` are names of sections to look for in parts that cannot be decoded. Errors of the source
 * itself (io, usage) are thrown; those of the stream are its `damage`.
 */
export async function surveyStream(
  source: ByteSource,
  options: StreamOptions = {},
  wanted: readonly string[] = [],
  watch?: StreamWatch,
): Promise<Survey> {
  const reader = new StreamReader(source, { skipUnsetPages: true, ...options, lenient: true });
  const damage = keepAnomalies(reader.diagnostics);
  const tally = new Tally(reader, true);
  const survey = new Surveyor(wanted);
  const payloads = new PayloadCheck(reader);
  watch?.begin(reader);
  let stopped: QevmError | undefined;
  try {
    await walkStream(reader, [tally, survey, payloads, ...(watch === undefined ? [] : [watch])]);
  } catch (error) {
    if (!(error instanceof QevmError) || error.code === "io" || error.code === "usage") throw error;
    damage.push(error);
    stopped = error;
  }
  const inspection = await tally.result();
  damage.push(...skippedWarnings(source.diagnostics?.()));
  if (damage.length === 0 && !inspection.complete)
    damage.push(...cutWarnings(reader.diagnostics), ...cutRest(survey, reader));
  return { ...survey.result, disks: survey.disks.found, inspection, start: reader.start, damage, stopped };
}

/**
 * Device state that nothing describes, and that does not end as a stream does: the description is missing since the end
 * is.
 */
function cutRest({ rest }: Surveyor, { offset }: StreamReader): QevmError[] {
  if (rest === undefined) return [];
  const found = "the end of the input";
  if (rest.reason === ENDS_INSIDE) {
    const what = "the input ends inside the VMDESCRIPTION, after the whole device state";
    return [new QevmError("truncated", what, { offset, expected: "the rest of its text", found })];
  }
  if (rest.reason !== UNDESCRIBED) return [];
  const what = `the input ends before the stream's EOF, in device state that began at byte ${hex(rest.offset)}`;
  return [new QevmError("truncated", what, { offset, expected: "EOF and VMDESCRIPTION", found })];
}

/** Anomalies that lenient reading passes over, kept with all they say; other warnings are none. */
function keepAnomalies(diagnostics: Diagnostics): QevmError[] {
  const kept: QevmError[] = [];
  diagnostics.anomaly = (error) => {
    if (kept.length < MOST) kept.push(error);
    diagnostics.warn(error);
  };
  return kept;
}

/** Anomalies that are kept. */
const MOST = 100;

/** What was skipped while the channels of a recording were merged. */
function skippedWarnings(made: Diagnostics | undefined): QevmError[] {
  const skipped = made?.warnings.filter(({ skipped: is }) => is === true) ?? [];
  return skipped
    .slice(0, MOST)
    .map(({ code, message, offset, path }) => new QevmError(code, message, { offset, path }));
}

/** A cut stream ends with a warning: it is damage. */
function cutWarnings({ warnings }: Diagnostics): QevmError[] {
  return warnings
    .filter(({ code }) => code === "truncated")
    .map(({ code, message, offset, path }) => new QevmError(code, message, { offset, path }));
}

class Surveyor implements StreamVisitor {
  readonly result: Omit<Survey, "inspection" | "start" | "damage" | "stopped" | "disks"> = {
    configuration: undefined,
    blocks: new Map(),
    first: new Map(),
    devices: [],
    eof: undefined,
    vmdescription: undefined,
    seen: new Map(),
  };
  readonly disks = new DiskNames();
  /** The rest of the stream, where it could not be decoded. */
  rest: OpaqueItem | undefined;
  private readonly search: SectionSearch;

  constructor(wanted: readonly string[]) {
    this.search = new SectionSearch(wanted, this.result.seen);
  }

  chunk(bytes: Uint8Array, { kind }: OpaqueItem | TrailingItem): void {
    if (kind === "opaque") this.search.chunk(bytes);
  }

  item(item: StreamItem): void {
    const { result } = this;
    if (item.kind === "configuration") result.configuration = { offset: item.offset, value: item.configuration };
    else if (item.kind === "opaque") {
      this.rest = item;
      this.search.begin(item.offset);
    } else if (item.kind === "eof") result.eof = item.offset;
    else if (item.kind === "vmdescription") result.vmdescription = item.offset;
    else if (item.kind === "section" && item.type === "full") {
      const { idstr, instanceId, versionId, offset, payloadOffset: payload, content } = item;
      const [state, length] =
        content.kind === "device"
          ? [content.state, content.length]
          : [undefined, content.kind === "opaque" ? content.bytes.length : 0];
      result.devices.push({ name: idstr, instance: instanceId, version: versionId, offset, payload, length, state });
    }
  }

  record(record: SectionRecord): void {
    this.disks.record(record);
  }

  batch(batch: RamBatch): void {
    const { first, blocks } = this.result;
    if (batch.blockList !== undefined) {
      const { blockList, entryOffsets } = batch;
      for (const [k, { idstr, usedLength }] of blockList.blocks.entries())
        blocks.set(idstr, { length: usedLength, offset: entryOffsets[k] });
    }
    if (batch.mappedBlock !== undefined) {
      const { idstr, usedLength } = batch.mappedBlock.block;
      blocks.set(idstr, { length: usedLength, offset: undefined });
    }
    if (batch.area) return;
    for (let i = 0; i < batch.count; i++) {
      const flag = batch.flag[i]!;
      if (!first.has(flag)) first.set(flag, recordAt(batch, i));
      if (flag === RamFlag.ZERO && batch.fill[i] !== 0 && !first.has("fill")) first.set("fill", recordAt(batch, i));
    }
  }
}

function recordAt(batch: RamBatch, i: number): FirstRecord {
  return {
    offset: batch.position[i]!,
    block: batch.block[i]?.idstr,
    page: batch.offset[i]!,
    ...(batch.flag[i] === RamFlag.ZERO ? { fill: batch.fill[i]! } : {}),
  };
}
