import { derive, type ByteSource } from "../../bytes/source.js";
import { closeSync, fstatSync, readdirSync } from "node:fs";
import { constants, gunzipSync } from "node:zlib";
import { QevmError } from "../../bytes/errors.js";
import { QemuFileReader } from "../../bytes/reader.js";
import {
  announced,
  gatherRecording,
  ROLE_BYTES,
  TIMELINE,
  type GatheredRecording,
  type RecordedChannel,
  type Recording,
} from "../recording/index.js";
import { attempt, readAll } from "../transport/attempt.js";
import { openBelow } from "../transport/below.js";
import { FileSource } from "../transport/file.js";
import { detect } from "./detect.js";
import { decompressed } from "./compressed/decompressed.js";
import type { StreamLimits } from "../../codec/stream/limits.js";

/**
 * The list of a recording: what was written when. It is not needed for reading, since the first bytes identify each
 * channel.
 */
const RECORDING_LIST = "recording.json";

/**
 * Opens a folder as a recording. Links and files that are not plain files are ignored. Files may have any name and may
 * be gzipped; their first bytes identify them. Errors: io; bad-value where there is not exactly one main channel, or a
 * channel id occurs twice; truncated where the list says that the migration failed and `lenient` is not set.
 */
export function openRecording(
  folder: string,
  { lenient = false, limits = {} }: { lenient?: boolean | undefined; limits?: Partial<StreamLimits> | undefined } = {},
): GatheredRecording {
  if (!lenient) checkComplete(folder);
  const entries = attempt(folder, () => readdirSync(folder, { withFileTypes: true }));
  const files = entries.toSorted((a, b) => (a.name < b.name ? -1 : 1)).filter((entry) => entry.isFile());
  const channels = files.map(({ name }) => {
    const { head, length, packed } = headOf(folder, name);
    return Object.assign(channelAt(folder, name, length, packed, limits.expansion), { head });
  });
  const { others, ...recording } = gatherRecording(folder, channels);
  const rest = entries.filter((entry) => !entry.isFile()).map(({ name }) => name);
  return { ...recording, others: [...others, ...rest].toSorted() };
}

/** The times of a recording, from their first byte; undefined where it has none. Errors: io; bad-value (not a file). */
export function openTimeline(folder: string): (() => ByteSource) | undefined {
  const entries = attempt(folder, () => readdirSync(folder));
  if (!entries.includes(TIMELINE)) return undefined;
  return () => FileSource.below(folder, TIMELINE);
}

/** Whether the source announced postcopy before its first section. Errors: io. */
export async function isPostcopy({ main }: Recording): Promise<boolean> {
  const source = main.open();
  try {
    return (await announced(source)).postcopy;
  } finally {
    await source.close?.();
  }
}

/** The size of the list's tail that states whether the recording is complete. */
const LIST_TAIL = 1 << 17;

/** Errors: truncated, with the reason from the list. */
function checkComplete(folder: string): void {
  if (
    !attempt(folder, () => readdirSync(folder, { withFileTypes: true })).some(
      (one) => one.name === RECORDING_LIST && one.isFile(),
    )
  )
    return;
  const fd = openBelow(folder, RECORDING_LIST);
  let bytes: Buffer;
  try {
    const { size } = fstatSync(fd);
    bytes = Buffer.alloc(Math.min(LIST_TAIL, size));
    readAll(RECORDING_LIST, fd, bytes, size - bytes.length);
  } finally {
    closeSync(fd);
  }
  const text = bytes.toString("utf8");
  // A quote inside a string is escaped, so this matches only the member.
  if (!/(?<!\\)"complete"\s*:\s*false/u.test(text)) return;
  const [, reason = ""] = /(?<!\\)"reason"\s*:\s*"((?:[^"\\]|\\.){0,1000})/u.exec(text) ?? [];
  const why = reason === "" ? "" : ` (${reason})`;
  throw new QevmError(
    "truncated",
    `${folder} is not complete: the migration failed${why}; read what came with --lenient`,
  );
}

/** Bytes of a file, plain or gzipped, that its role is detected from. */
const HEAD_BYTES = 4096;

function rawHead(folder: string, name: string): { raw: Uint8Array; length: number } {
  const bytes = new Uint8Array(HEAD_BYTES);
  const fd = openBelow(folder, name);
  try {
    return { raw: bytes.subarray(0, readAll(name, fd, bytes, 0)), length: fstatSync(fd).size };
  } finally {
    closeSync(fd);
  }
}

function isPacked(head: Uint8Array): boolean {
  return detect(head).kind === "gzip";
}

/** The first bytes of a channel. A damaged gzip file is not a channel. */
function headOf(folder: string, name: string): { head: Uint8Array; length: number; packed: boolean } {
  const { raw, length } = rawHead(folder, name);
  if (!isPacked(raw)) return { head: raw.subarray(0, ROLE_BYTES), length, packed: false };
  try {
    const head = gunzipSync(raw, { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: MOST_HEAD });
    return { head: head.subarray(0, ROLE_BYTES), length, packed: true };
  } catch {
    return { head: new Uint8Array(0), length, packed: true };
  }
}

/** 4 KiB of deflate data expand to at most 1032 times as much. */
const MOST_HEAD = 1032 * HEAD_BYTES + 1024;

function channelAt(
  folder: string,
  name: string,
  length: number,
  packed: boolean,
  most: number | undefined,
): RecordedChannel {
  const source = (): FileSource => FileSource.below(folder, name);
  return {
    name,
    length,
    open: () => (packed ? unpacked(source(), name, most) : within(source(), name)),
  };
}

/** The contents of a gzip file, as a source whose errors name the file. */
function unpacked(file: FileSource, name: string, most: number | undefined): ByteSource {
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
function within(file: FileSource, name: string): ByteSource {
  return Object.assign(
    derive(file, (into) => file.read(into)),
    { within: [name] },
  );
}
