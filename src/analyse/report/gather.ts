import { basename } from "node:path";
import { isFolder } from "../../io/container/is-folder.js";
import { openInput, type StreamInput } from "../../io/container/input.js";
import { isRecordedFiles, type RecordedFiles } from "../../io/container/is-recorded.js";
import { openContainers } from "../../io/container/open.js";
import type { OpenedRecording } from "../../io/container/recorded-files.js";
import { openRecording, openTimeline } from "../../io/container/recording.js";
import type { Container, Input } from "../../io/container/types.js";
import { QevmError } from "../../bytes/errors.js";
import { explainSource, wrappedIn, type Damage, type Explanation } from "../explain/index.js";
import type { Inspection } from "../inspect/inspect.js";
import { inspectRecording } from "../inspect/recording.js";
import { noteFacts } from "../../guest/layout/facts.js";
import { findLayout } from "../../guest/layout/layout.js";
import { random, type ByteSource } from "../../bytes/source.js";
import { FileSource } from "../../io/transport/file.js";
import type { SectionItem, StreamOptions } from "../../codec/stream/index.js";
import { damageMarks } from "./damage-marks.js";
import { sectionsAfterDamage } from "./after-damage.js";
import { hashing, openRaw } from "./raw-input.js";
import { verifyFolder, verifyInput } from "./verification.js";
import { ReportWatch } from "./watch.js";
import { CELLS, MOST_STRIPS } from "./memory-part.js";
import { migrationTimes, type MigrationTimes } from "./migration-times.js";
import type { InputFile, Progress, ReportFacts, ReportOptions, Verified } from "./types.js";

/**
 * Gathers all facts for the report, in two passes over the file (one without verification). Errors: io,
 * usage, and those of containers.
 */
export async function gather(input: StreamInput, options: ReportOptions): Promise<ReportFacts> {
  const { name, title, program = "qevm", snapshot, offset, verify = true, progress = plain, ...stream } = options;
  const named = name ?? nameOf(input);
  const reading: StreamOptions = { ...stream, lenient: true, skipUnsetPages: false };
  const how = { snapshot, offset, reading, verify, progress, name: named };
  const found = isRecording(input) ? await folder(input, how) : await file(input, how);
  const { watch, explained, files, verified, containers, copied, inspection, afterDamage, times } = found;
  for (const item of afterDamage) noteFacts(item, watch.facts);
  watch.end();
  const unread = await watch.reader.unfinished();
  const damage = allDamage(explained, verified);
  return {
    title: title ?? named,
    name: named,
    program,
    files,
    copied,
    containers,
    explained,
    inspection,
    channels: "channels" in inspection ? (inspection.channels as ReportFacts["channels"]) : [],
    damage,
    times,
    verified,
    use: watch.use.result(unread?.offset ?? watch.reader.offset),
    unread: unread?.length ?? 0,
    blocks: strips(watch),
    marks: damageMarks(damage, explained.inspection.complete, watch.map.last),
    layout: layoutOf(explained.inspection, watch),
    devices: watch.devices,
    afterDamage,
  };
}

function isRecording(input: StreamInput): input is string | RecordedFiles {
  return typeof input === "string" ? isFolder(input) : isRecordedFiles(input);
}

interface How {
  snapshot: string | undefined;
  offset: number | undefined;
  reading: StreamOptions;
  verify: boolean;
  progress: Progress;
  name: string;
}

interface Found {
  watch: ReportWatch;
  explained: Explanation;
  inspection: Inspection;
  files: InputFile[];
  verified: Verified;
  containers: readonly Container[];
  copied: boolean;
  /** Device sections that were found after damage that ended the reading. */
  afterDamage: SectionItem[];
  times: MigrationTimes | undefined;
}

async function file(input: Exclude<StreamInput, RecordedFiles>, how: How): Promise<Found> {
  const { snapshot, offset, reading, name } = how;
  const raw = await openRaw(input, how.progress);
  try {
    const open = (source: ByteSource): Promise<Input> =>
      openContainers(source, { snapshot, offset, unfinished: true, stream: reading });
    const hashed = await hashing(raw.open());
    const watch = new ReportWatch();
    try {
      const opened = await open(hashed.source);
      const { containers } = opened;
      const explained = await explain(opened, { ...how, containers, watch });
      const isCut = explained.faults.length > 0 && !explained.inspection.complete;
      const afterDamage = isCut ? await sectionsAfterDamage(opened, watch.reader, reading) : [];
      const { inspection } = explained;
      const verified = await verifyInput(() => open(raw.open()), inspection, how);
      // Last: another thread may be hashing all the while.
      const sha256 = raw.sha256 ?? (await hashed.sha256());
      const files = [{ name, bytes: hashed.source.length, sha256 }];
      return {
        watch,
        explained,
        inspection,
        files,
        verified,
        containers,
        copied: raw.copied,
        afterDamage,
        times: undefined,
      };
    } finally {
      await hashed.close();
    }
  } finally {
    raw.close();
  }
}

/** The channels are read as one stream, then each by itself. */
async function folder(where: string | RecordedFiles, how: How): Promise<Found> {
  const { reading, snapshot, offset } = how;
  const opened = await openInput(where, { snapshot, offset, stream: reading });
  const { containers } = opened;
  const recorded = await recordedAt(where, reading);
  const { recording, timeline } = recorded;
  const watch = new ReportWatch(timeline !== undefined);
  const explained = await explain(opened, { ...how, containers, watch }).finally(() => opened.close?.());
  const verified = await verifyFolder(recording, explained.inspection, how);
  let inspection: Inspection = explained.inspection;
  if (verified.kind === "done") ({ inspection } = verified.result);
  else if (verified.kind === "left out") inspection = await inspectRecording(recording, reading);
  const files: InputFile[] = [];
  for (const container of containers) {
    if (container.kind !== "recording") continue;
    for (const name of container.files) files.push(await hashedFile(recorded, name));
  }
  const times =
    timeline === undefined || watch.rounds === undefined
      ? undefined
      : await migrationTimes(recording, timeline(), watch.rounds, reading);
  return { watch, explained, inspection, files, verified, containers, copied: false, afterDamage: [], times };
}

async function recordedAt(where: string | RecordedFiles, reading: StreamOptions): Promise<OpenedRecording> {
  if (typeof where === "string") {
    const recording = openRecording(where, reading);
    return { recording, timeline: openTimeline(where), file: (name) => random(FileSource.below(where, name)) };
  }
  const { openRecordedFiles } = await import("../../io/container/open-files.js");
  return await openRecordedFiles(where, reading);
}

async function hashedFile(recorded: OpenedRecording, name: string): Promise<InputFile> {
  const hashed = await hashing(recorded.file(name));
  try {
    return { name, bytes: hashed.source.length, sha256: await hashed.sha256() };
  } finally {
    await hashed.close();
  }
}

/** Errors: an input that is not a stream has no report: the first error of its header. */
async function explain(
  source: ByteSource,
  { reading, name, progress, containers, watch }: How & { containers: readonly Container[]; watch: ReportWatch },
): Promise<Explanation> {
  const shown = progress(source, "reading");
  const about = { name, ...wrappedIn(containers), watch };
  const explained = await explainSource(shown, undefined, { ...reading, ...about }).finally(() => shown.done?.());
  const [first] = explained.faults;
  if (explained.inspection.streamVersion !== 3 && first !== undefined) throw first.error;
  return explained;
}

const plain: Progress = (source) => source;

function nameOf(input: StreamInput): string {
  if (typeof input !== "string") return isRecordedFiles(input) ? input.name : "stream";
  return input === "-" ? "standard input" : basename(input);
}

/** Damage that only verification finds (a damaged page). */
function allDamage({ faults: damage }: Explanation, verified: Verified): Damage[] {
  if (verified.kind !== "refused") return damage;
  const { error } = verified;
  const known = damage.some((one) => one.error.code === error.code && one.error.offset === error.offset);
  return known
    ? damage
    : [
        ...damage,
        { error, times: 1, streamOffsets: [], means: ["found when everything was encoded again"], remedies: [] },
      ];
}

/** The largest blocks, as many as are drawn, in the order of the list. */
function strips({ reader, map }: ReportWatch): ReportFacts["blocks"] {
  return reader.ram.blocks
    .map((block, index) => ({ block, index }))
    .toSorted((a, b) => b.block.usedLength - a.block.usedLength || a.index - b.index)
    .slice(0, MOST_STRIPS)
    .toSorted((a, b) => a.index - b.index)
    .map(({ block, index }) => ({ index, strip: map.strip(block, CELLS) }));
}

function layoutOf({ machine, ram }: Inspection, { facts }: ReportWatch): ReportFacts["layout"] {
  try {
    const blocks = ram.blocks.map(({ block: name, blockLength: length }) => ({ name, length }));
    const { segments, how } = findLayout({ ...facts, machine: machine ?? undefined, blocks });
    return { segments, how };
  } catch (error) {
    if (error instanceof QevmError && error.code === "unsupported") return { none: error.message };
    throw error;
  }
}
