import type { Container } from "../../io/container/types.js";
import type { QevmError } from "../../bytes/errors.js";
import type { Damage, Explanation } from "../explain/index.js";
import type { Inspection } from "../inspect/inspect.js";
import type { ChannelSummary } from "../inspect/channel.js";
import type { RecordingVerification } from "../inspect/recording.js";
import type { Verification } from "../inspect/verify.js";
import type { Segment } from "../../guest/layout-types.js";
import type { ByteSource } from "../../bytes/source.js";
import type { SectionItem, StreamOptions } from "../../codec/stream/index.js";
import type { Use } from "./byte-use.js";
import type { DamageMark } from "./damage-marks.js";
import type { BlockStrip } from "./page-map.js";
import type { MigrationTimes } from "./migration-times.js";

/** A source that may report how far it was read. */
export type Progress = (source: ByteSource, what: string) => ByteSource & { done?(): void };

/** What a report is made of. */
export interface ReportOptions extends Omit<StreamOptions, "lenient" | "offset"> {
  /** What the file is called in the report. Default: a path's last part, or "stream". */
  name?: string;
  /** Heading of the page. Default: the name. */
  title?: string;
  /** Name or id of a qcow2 snapshot. */
  snapshot?: string | undefined;
  /** Where the stream begins in the file, in bytes. Default: it is looked for in the first MiB. */
  offset?: number | undefined;
  /** Encode everything again and compare: one more pass. Default true. */
  verify?: boolean;
  /** What made the report, for its last line. */
  program?: string;
  progress?: Progress;
}

/** A report, and facts about it for a program. */
export interface StreamReport {
  /** The whole page. */
  html: string;
  /** What is wrong in the stream; empty: nothing. */
  damage: QevmError[];
  /** Re-encoding gave identical bytes; undefined: not tried. */
  identical: boolean | undefined;
}

/** One file that was read. */
export interface InputFile {
  name: string;
  /** What it is in a recording. */
  role?: string;
  bytes: number;
  /** Hexadecimal digits, of the file as it is. */
  sha256: string;
}

/** How far it was proved that the stream was understood. */
export type Verified =
  | { kind: "done"; result: Verification | RecordingVerification }
  | { kind: "refused"; error: QevmError }
  | { kind: "left out" };

interface ReportBlock {
  strip: BlockStrip;
  /** Place in the inspection's list. */
  index: number;
}

/** Everything that a report shows. */
export interface ReportFacts {
  title: string;
  name: string;
  program: string;
  files: InputFile[];
  /** The input was a pipe, read through a temporary file. */
  copied: boolean;
  containers: readonly Container[];
  explained: Explanation;
  /** The stream's; a recording's with the pages of all channels. */
  inspection: Inspection;
  channels: readonly ChannelSummary[];
  /** Of a recording with a timeline. */
  times: MigrationTimes | undefined;
  damage: Damage[];
  verified: Verified;
  use: { use: Use; bytes: number }[];
  /** Bytes of the stream after the last part that was decoded, where reading ended early. */
  unread: number;
  blocks: ReportBlock[];
  /** Pages that are damaged, and where reading ended. */
  marks: readonly DamageMark[];
  layout: { segments: readonly Segment[]; how: readonly string[] } | { none: string };
  devices: readonly SectionItem[];
  /** Device sections that were looked for, and found, after damage that ended the reading. */
  afterDamage: readonly SectionItem[];
}
