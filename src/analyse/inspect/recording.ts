import { RamState } from "../../codec/ram/index.js";
import { QemuFileWriter, type ByteSink } from "../../bytes/index.js";
import { mergeRecording, type ChannelRole, type RecordedChannel, type Recording } from "../../io/recording/index.js";
import type { SectionHeader, SectionType, StreamOptions } from "../../codec/stream/index.js";
import { walkChannel, type ChannelFacts, type ChannelSummary } from "./channel.js";
import { Tap } from "./compare.js";
import { inspectSource, type Inspection } from "./inspect.js";
import { verifySource, type CheckOptions, type Verification } from "./verify.js";

/** What `qevm inspect` reports of a recording: the main channel's, with what came over the others. */
export interface RecordingInspection extends Inspection {
  /** The channels other than the main one. */
  channels: ChannelSummary[];
}

/**
 * Reads every channel of a recording once. Errors: as `StreamReader` and `ChannelReader`, each with its file's name.
 */
export async function inspectRecording(
  recording: Recording,
  options: StreamOptions = {},
): Promise<RecordingInspection> {
  const source = recording.main.open();
  const main = await inspectSource(source, mayBreak(recording, options)).finally(() => source.close?.());
  const ram = ramOf(main);
  const all: ChannelFacts[] = [];
  for (const [channel, how] of resumed(recording, main, options)) {
    const input = channel.open();
    const inspection = await inspectSource(input, how).finally(() => input.close?.());
    main.complete = inspection.complete;
    all.push(resumedFacts(channel, inspection));
  }
  for (const [role, channel] of others(recording)) {
    const input = channel.open();
    all.push(await walkChannel(role, channel, input, ram, options).finally(() => input.close?.()));
  }
  return together(main, all);
}

/** One file of a verified recording. */
export interface FileVerification {
  file: string;
  role: ChannelRole;
  channelLength: number;
  identical: boolean;
  /** Offset of the first byte that differs; null: none. */
  firstDifference: number | null;
  opaqueBytes: number;
}

/** What `qevm verify` reports of a recording. */
export interface RecordingVerification extends Verification {
  inspection: RecordingInspection;
  /** Every channel, the main one first. */
  files: FileVerification[];
  /**
   * Marks of the main channel at which the multifd channels were waited for; null: not walked, since payloads stay
   * closed.
   */
  epochs: number | null;
}

/**
 * Proves that every channel was understood, as `verifyStream` does for one: decoded, encoded again from the fields,
 * compared; payloads opened, zlib ones compressed again; and that marks and SYNC packets fit together.
 */
export async function verifyRecording(
  recording: Recording,
  options: CheckOptions = {},
): Promise<RecordingVerification> {
  const source = recording.main.open();
  const main = await verifySource(source, mayBreak(recording, options)).finally(() => source.close?.());
  const ram = ramOf(main.inspection);
  const files = [verifiedStream(recording.main, "main", main)];
  const all: ChannelFacts[] = [];
  for (const [channel, how] of resumed(recording, main.inspection, options)) {
    const input = channel.open();
    const verified = await verifySource(input, { ...options, ...how }).finally(() => input.close?.());
    files.push(verifiedStream(channel, "resumed", verified));
    main.complete = main.inspection.complete = verified.complete;
    all.push(resumedFacts(channel, verified.inspection));
  }
  const recompressed = { ...main.recompressed, levels: [...main.recompressed.levels] };
  for (const [role, channel] of others(recording)) {
    const tap = new Tap(channel.open());
    const writer = new QemuFileWriter(tap.sink);
    tap.writer = writer;
    const facts = await walkChannel(role, channel, tap, ram, options, { writer });
    await tap.close();
    all.push(facts);
    files.push(fileOf(tap, facts));
    if (facts.recompressed === undefined) continue;
    const { pages, identical, levels } = facts.recompressed;
    recompressed.pageCount += pages;
    recompressed.identicalCount += identical;
    for (const level of levels) if (!recompressed.levels.includes(level)) recompressed.levels.push(level);
  }
  const closed = all.some(({ summary }) => summary.method === "qatzip");
  const epochs = closed ? null : (await mergeRecording(recording, NOWHERE, options)).epochs;
  const inspection = together(main.inspection, all);
  const different = files.find(({ identical }) => !identical);
  return {
    ...main,
    identical: different === undefined,
    streamLength: inspection.streamLength,
    opaqueBytes: inspection.opaqueBytes,
    recompressed,
    firstDifference: different?.firstDifference ?? null,
    inspection,
    files,
    epochs,
  };
}

function verifiedStream(channel: RecordedChannel, role: ChannelRole, found: Verification): FileVerification {
  const { streamLength: bytes, identical, firstDifference, opaqueBytes } = found;
  return { file: channel.name, role, channelLength: bytes, identical, firstDifference, opaqueBytes };
}

function mayBreak<T extends StreamOptions>({ resumed: later = [] }: Recording, options: T): T {
  return later.length === 0 ? options : { ...options, broken: true };
}

/** The connections that resumed the main one after it broke, and how each is to be read. */
function* resumed(
  { resumed: channels = [] }: Recording,
  main: Inspection,
  options: StreamOptions,
): Generator<[RecordedChannel, StreamOptions]> {
  const { pageSize, footers } = main;
  const started = main.sections.filter(({ type }) => type === "start" || type === "full");
  const sections = started.map(({ type, id, section: name, instance, version }): SectionHeader => {
    return { type: type as SectionType, sectionId: id, idstr: name, instanceId: instance, versionId: version };
  });
  const after = { pageSize, blocks: ramOf(main).blocks, sections, footers: footers ?? undefined };
  for (const channel of channels) yield [channel, { ...options, after, broken: channel !== channels.at(-1) }];
}

/** What a resumed connection carried, in the form of the other channels; its commands are its messages. */
function resumedFacts(
  channel: RecordedChannel,
  { ram, streamLength, staleBytes, commands, undecoded, warnings }: Inspection,
): ChannelFacts {
  const messageCounts: Record<string, number> = {};
  for (const { name } of commands) messageCounts[name] = (messageCounts[name] ?? 0) + 1;
  const summary: ChannelSummary = {
    file: channel.name,
    role: "resumed",
    channelLength: streamLength,
    channelId: null,
    packets: 0,
    syncs: 0,
    method: null,
    normal: ram.pages.normal,
    zero: ram.pages.zero,
    messages: commands.map(({ streamOffset, ...message }) => ({ channelOffset: streamOffset, ...message })),
    messageCounts,
  };
  const blocks = new Map(ram.blocks.map(({ block: name, normal, zero }) => [name, { normal, zero }]));
  return { summary, blocks, undecoded, stale: staleBytes, warnings, recompressed: undefined };
}

const NOWHERE: ByteSink = {
  write: () => undefined,
};

function fileOf(tap: Tap, { summary, undecoded }: ChannelFacts): FileVerification {
  const { file, role, channelLength: bytes } = summary;
  const differs = tap.difference ?? (tap.pending > 0 ? tap.compared : undefined);
  const opaqueBytes = undecoded.reduce((sum, part) => sum + part.length, 0);
  return {
    file,
    role,
    channelLength: bytes,
    identical: differs === undefined,
    firstDifference: differs ?? null,
    opaqueBytes,
  };
}

function* others({ multifd, preempt, returnPath }: Recording): Generator<[ChannelRole, RecordedChannel]> {
  for (const channel of multifd) yield ["multifd", channel];
  for (const channel of preempt) yield ["preempt", channel];
  for (const channel of returnPath) yield ["return-path", channel];
}

/** What the other channels refer to. */
function ramOf({ pageSize, ram }: Inspection): RamState {
  const state = new RamState(pageSize);
  ram.blocks.forEach(({ block: name, blockLength: length }, index) =>
    state.add({ index, idstr: name, usedLength: length }),
  );
  return state;
}

/** The main channel's inspection with the pages, bytes and warnings of the others. */
function together(main: Inspection, all: readonly ChannelFacts[]): RecordingInspection {
  const blocks = main.ram.blocks.map((block) => ({ ...block }));
  const pages = { ...main.ram.pages };
  let { streamLength, opaqueBytes, staleBytes } = main;
  const undecoded = [...main.undecoded];
  const warnings = [...main.warnings];
  const evident = new Set(main.evident);
  for (const facts of all) {
    const { role, file } = facts.summary;
    if (role !== "resumed") evident.add(role === "preempt" ? "postcopy-preempt" : role);
    streamLength += facts.summary.channelLength;
    staleBytes += facts.stale;
    for (const part of facts.undecoded) {
      opaqueBytes += part.length;
      undecoded.push({ ...part, reason: `${file}: ${part.reason}` });
    }
    warnings.push(...facts.warnings);
    for (const [name, { normal, zero }] of facts.blocks) {
      const block = blocks.find((one) => one.block === name);
      const kind = role === "multifd" ? "multifd" : "normal";
      for (const at of block === undefined ? [pages] : [pages, block]) {
        at[kind] += normal;
        at.zero += zero;
      }
    }
  }
  return {
    ...main,
    container: "recording",
    evident: [...evident],
    ram: { blocks, pages },
    streamLength,
    opaqueBytes,
    staleBytes,
    undecoded,
    warnings,
    channels: all.map(({ summary }) => summary),
  };
}
