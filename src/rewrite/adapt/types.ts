import type { Diagnostics, Warning } from "../../bytes/errors.js";
import type { RamBlock } from "../../codec/ram/index.js";
import type { Configuration, SectionType } from "../../codec/stream/index.js";
import type { DeviceState } from "../../codec/vmstate/index.js";

/**
 * How much a change is to the guest.
 *
 * | weight   | meaning                                                                                      |
 * |----------|----------------------------------------------------------------------------------------------|
 * | `form`   | other bytes for the same state: an order, a name, a version                                  |
 * | `unused` | state that this guest does not use, or that QEMU makes anew                                  |
 * | `guest`  | the guest may notice: refused unless its name is accepted                                    |
 * | `never`  | no QEMU would load it, or the guest would not survive it: refused always                     |
 */
export type Weight = "form" | "unused" | "guest" | "never";

/** One thing that is not as it was in the old stream. */
export interface Change {
  /** Section and path in it, or the RAM block: `"0000:00:03.0/virtio-net"/0 > queues > [2]`. */
  where: string;
  /** Absolute offset in the old stream of its section or block; undefined: only the destination has it. */
  streamOffset?: number | undefined;
  old: string;
  new: string;
  /** The rule that did it; what `--accept` takes. */
  rule: string;
  weight: Weight;
  /** Why this is right, or what is lost. */
  reason: string;
  /** What can be done instead; only where something can. */
  remedy?: string | undefined;
  /** The property of a device of the destination that settles it; only where one does. */
  setting?: PlacedSetting | undefined;
}

/** A property of a device, and the value that the guest needs. */
export interface PlacedSetting {
  /** Where the device is: `0000:00:03.0`. */
  place: string;
  /** As `-device` and `-global` take it: `vectors`. */
  property: string;
  value: string;
}

/** The same of the device at hand. */
export type Setting = Omit<PlacedSetting, "place">;

/** A section of the device part. */
export interface Section {
  offset: number;
  sectionId: number;
  idstr: string;
  instanceId: number;
  versionId: number;
  /** In front of the RAM section (QEMU 8.1 and later write some devices early). */
  early: boolean;
  /** Decoded state, or the payload of sections that no description decodes. */
  state: DeviceState | undefined;
  bytes: Uint8Array | undefined;
}

/** What a walk over a stream finds, its pages aside. */
export interface Survey {
  machine: string | undefined;
  configuration: Configuration | undefined;
  pageSize: number;
  /** Sections have footers. */
  footers: boolean;
  blocks: readonly RamBlock[];
  /** Offset of the section with the block list. */
  ramOffset: number;
  ramSectionId: number;
  sections: Section[];
  /** Sections that come in chunks, beside "ram". */
  chunked: { idstr: string; offset: number; type: SectionType }[];
  /** Pages are at fixed places. */
  mapped: boolean;
  /** What was noticed, and what lenient mode skipped. */
  diagnostics: Pick<Diagnostics, "warnings" | "passedOver">;
}

/** What a destination knows or offers that its pattern does not show. */
export interface PatternFacts {
  /** Release of its QEMU: `11.1`. */
  readonly release?: string | undefined;
  /** Feature bits of its virtio devices, by their place: `0000:00:03.0`. Undefined, or not there: not known. */
  readonly features?: ReadonlyMap<string, bigint> | undefined;
  /** Names of the subsections that it knows, by the name of what has them. Not there: not known. */
  readonly subsections?: ReadonlyMap<string, ReadonlySet<string>> | undefined;
  /** Properties that no argument sets for one device alone: `0000:00:03.0 vectors`. */
  readonly apart?: ReadonlySet<string> | undefined;
}

/** What becomes of a RAM block of the destination. */
export interface BlockPlan {
  /** As the destination knows it; its length is what is written. */
  block: RamBlock;
  /** Whose pages are written: of the old block of this name, or of the pattern's. */
  from: { old: string } | "pattern";
}

/** A stream that is ready to be written. */
export interface AdaptPlan {
  old: Survey;
  pattern: Survey;
  blocks: BlockPlan[];
  /** In the order in which they are written. */
  sections: Section[];
  changes: Change[];
}

/** What was adapted, or would be: every change, and what is refused. */
export interface AdaptReport {
  /** Machine types as the streams name them; null without a configuration section. */
  machines: { old: string | null; new: string | null };
  /** Nothing is left that is refused. */
  enough: boolean;
  changes: Change[];
  /** Changes that are refused: not accepted, or never possible. */
  refused: Change[];
  /** What was noticed in the old stream. */
  warnings: readonly Warning[];
  /** How many anomalies of it lenient mode skipped. */
  passedOver: number;
  /** Bytes written; absent where nothing was. */
  streamLength?: number;
}
