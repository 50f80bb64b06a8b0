import type { Warning } from "../../bytes/errors.js";
import type { PageCounts } from "../inspect/inspect.js";
import type { PlainValue } from "../../codec/vmstate/index.js";

/** The same thing of both streams. */
export interface Pair<T> {
  a: T;
  b: T;
}

/** One of the two streams. */
export type Side = keyof Pair<unknown>;

/**
 * `identical`: the streams have the same bytes. `same`: a destination gets the same of both, written in another way.
 * `different`: it does not, or that cannot be told.
 */
export type Verdict = "identical" | "same" | "different";

/**
 * What two streams have not in common. Offsets are absolute bytes in the file that people hold, or in what `container`
 * holds.
 */
export interface StreamDiff {
  verdict: Verdict;
  a: StreamSummary;
  b: StreamSummary;
  /**
   * The first byte of the streams, inside their containers, that differs, and the part that it is in;
   * null: none.
   */
  firstByte: { streamOffset: Pair<number>; part: Pair<string | null> } | null;
  /** Everything but page contents and values of devices. */
  differences: PartDifference[];
  ram: RamDiff;
  /** Devices that are in both streams, and are not the same; by stream A's order. */
  devices: DeviceDiff[];
}

/** One of the two streams in short. */
export interface StreamSummary {
  /** The containers of the stream; null: none. */
  container: string | null;
  /** Version of the stream header (3). */
  streamVersion: number;
  machine: string | null;
  /** Target page size in bytes. */
  pageSize: number;
  complete: boolean;
  /** Bytes of the whole stream. */
  streamLength: number;
  /** Bytes that no field explains: carried along, not understood. */
  opaqueBytes: number;
  /** Whose VMDESCRIPTION device state was read by. */
  describedBy: "own" | "lent" | "of the other" | null;
  warnings: readonly Warning[];
  /** Anomalies that lenient mode skipped: the comparison of this stream is not reliable. */
  passedOver: number;
}

/** What a part is in one of the streams; null: it has none. */
export type PartValue = string | number | boolean | readonly string[] | null;

/** A part of the streams that is not the same. */
export interface PartDifference {
  /** `meaning`: a destination gets something else. `encoding`: it gets the same in another encoding. */
  level: "meaning" | "encoding";
  part:
    | "container"
    | "configuration"
    | "RAM block"
    | "section"
    | "records"
    | "command"
    | "VMDESCRIPTION"
    | "end"
    | "undecoded";
  /** What of the part: a name, a field. */
  subject: string;
  /** null: not there. */
  a: PartValue;
  b: PartValue;
  /** Where it is; null: nowhere, or not known. */
  streamOffset: Pair<number | null>;
}

/** How the final contents of pages compare. */
export interface PageTotals {
  /** The same content, in any encoding. */
  same: number;
  /** Of these, those that the last round wrote in another encoding. */
  otherEncoding: number;
  different: number;
  /** Pages that hold data and that only one stream carries. */
  onlyA: number;
  onlyB: number;
}

/** What is not the same in RAM. */
export interface RamDiff {
  /** Why contents were not compared; null: they were. */
  notCompared: string | null;
  /** How the guest-physical layout was found; null: it is not known. */
  layout: readonly string[] | null;
  compared: PageTotals;
  /** Bytes that differ in the different pages. */
  differentBytes: number;
  blocks: BlockDiff[];
  /** Every run of pages that differ, by block and ascending offset. */
  ranges: PageRange[];
}

/** One RAM block that both streams have. */
export interface BlockDiff {
  block: string;
  blockLength: Pair<number>;
  compared: PageTotals;
  differentBytes: number;
  /** Records by encoding, all rounds counted. */
  recordCounts: Pair<PageCounts>;
}

/** Pages that differ, side by side. Bytes. */
export interface PageRange {
  block: string;
  blockOffset: number;
  length: number;
  /** Guest-physical address of the first page; null: not known, or not mapped. */
  physical: number | null;
  /** The first byte that differs and up to 16 bytes from there, as hex digits; in the first ranges of a block. */
  first?: { blockOffset: number; a: string; b: string };
}

/** A device whose state is not the same. */
export interface DeviceDiff {
  section: string;
  instance: number;
  /** Of the section. */
  streamOffset: Pair<number>;
  fields: FieldDifference[];
}

/** One value of a device that is not the same. Plain values are those of `devices --json`. */
export type FieldDifference = FieldPlace &
  (
    | { kind: "value"; a: PlainValue; b: PlainValue }
    /** Elements of an array. */
    | { kind: "length"; a: number; b: number }
    /** How the description names its form on the wire. */
    | { kind: "type"; a: string; b: string }
    /** Version of a struct or subsection. */
    | { kind: "version"; a: number; b: number }
    | { kind: "only"; side: Side; value: PlainValue }
    | { kind: "bytes"; length: Pair<number>; ranges: ByteRange[] }
  );

/** Where a field is: its path in the device, and in the file. */
export interface FieldPlace {
  /** `env.eip`, `ports[3].status`, `subsections.NAME.field`. */
  field: string;
  /** Where the field is, or what it is a part of; null: it is not there. */
  streamOffset: Pair<number | null>;
}

/** Bytes of a buffer that differ; `a` and `b` as hex digits, shorter where a buffer ends. */
export interface ByteRange {
  fieldOffset: number;
  length: number;
  a: string;
  b: string;
}
