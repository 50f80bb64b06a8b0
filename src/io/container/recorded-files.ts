/** What the files of a recording are, wherever they are: in a folder, or chosen in a browser. */
import { QevmError } from "../../bytes/errors.js";
import { QemuFileReader } from "../../bytes/reader.js";
import { derive, type ByteSource, type RandomSource } from "../../bytes/source.js";
import type { StreamLimits } from "../../codec/stream/limits.js";
import { gatherRecording, type GatheredRecording, type RecordedChannel } from "../recording/index.js";
import { decompressed } from "./compressed/decompressed.js";
import { detect } from "./detect.js";

/** How a recording is opened. */
export interface RecordingOptions {
  /** A recording of a migration that failed is opened, too. */
  lenient?: boolean | undefined;
  limits?: Partial<StreamLimits> | undefined;
}

/** An opened recording, and the other files that belong to it. */
export interface OpenedRecording {
  readonly recording: GatheredRecording;
  /** When each byte came; undefined where that was not written down. */
  readonly timeline: (() => ByteSource) | undefined;
  /** A file of the folder as it is. */
  file(name: string): RandomSource;
}

/** A file whose beginning was read. */
export interface FoundFile {
  readonly name: string;
  readonly length: number;
  open(): ByteSource;
  readonly packed: boolean;
  /** The first `ROLE_BYTES` bytes, without gzip. */
  readonly head: Uint8Array;
}

/**
 * The channels among some files. Errors: bad-value where there is not exactly one main channel, or a channel id occurs
 * twice.
 */
export function gatherFiles(
  place: string,
  files: readonly FoundFile[],
  expansion: number | undefined,
): GatheredRecording {
  return gatherRecording(
    place,
    files.map((file) => ({ ...channelOf(file, expansion), head: file.head })),
  );
}

/**
 * The list of a recording: what was written when. It is not needed for reading, since the first bytes identify each
 * channel.
 */
export const RECORDING_LIST = "recording.json";

/** The size of the list's tail that states whether the recording is complete. */
export const LIST_TAIL = 1 << 17;

/** Bytes of a file, plain or gzipped, that its role is detected from. */
export const HEAD_BYTES = 4096;

/** @param tail the last `LIST_TAIL` bytes of the list. Errors: truncated, with the reason from the list. */
export function refuseIncomplete(place: string, tail: Uint8Array): void {
  const text = new TextDecoder().decode(tail);
  // A quote inside a string is escaped, so this matches only the member.
  if (!/(?<!\\)"complete"\s*:\s*false/u.test(text)) return;
  const [, reason = ""] = /(?<!\\)"reason"\s*:\s*"((?:[^"\\]|\\.){0,1000})/u.exec(text) ?? [];
  const why = reason === "" ? "" : ` (${reason})`;
  throw new QevmError(
    "truncated",
    `${place} is not complete: the migration failed${why}; read what came with --lenient`,
  );
}

/** Whether a file that begins so is gzipped. */
export function isPacked(raw: Uint8Array): boolean {
  return detect(raw).kind === "gzip";
}

function channelOf(file: FoundFile, most: number | undefined): RecordedChannel {
  const { name, length, packed } = file;
  return { name, length, open: () => (packed ? unpacked(file.open(), name, most) : within(file.open(), name)) };
}

/** The contents of a gzip file, as a source whose errors name the file. */
function unpacked(file: ByteSource, name: string, most: number | undefined): ByteSource {
  const opened = decompressed("gzip", new QemuFileReader(within(file, name)), { most });
  // If the source is never read, the error would be an unhandled rejection.
  opened.catch(() => {});
  return {
    within: [name, "inside gzip"],
    read: async (into) => await (await opened).read(into),
    close: async () => await (await opened).close?.(),
  };
}

/** A file as a source whose errors name it. */
function within(file: ByteSource, name: string): ByteSource {
  return Object.assign(
    derive(file, (into) => file.read(into)),
    { within: [name] },
  );
}
