import { closeSync, fstatSync, readdirSync } from "node:fs";
import { constants, gunzipSync } from "node:zlib";
import type { ByteSource } from "../../bytes/source.js";
import { ROLE_BYTES, TIMELINE, type GatheredRecording } from "../recording/index.js";
import { attempt, readAll } from "../transport/attempt.js";
import { openBelow } from "../transport/below.js";
import { FileSource } from "../transport/file.js";
import {
  gatherFiles,
  HEAD_BYTES,
  isPacked,
  LIST_TAIL,
  RECORDING_LIST,
  refuseIncomplete,
  type RecordingOptions,
} from "./recorded-files.js";

/**
 * Opens a folder as a recording. Links and files that are not plain files are ignored. Files may have any name and may
 * be gzipped; their first bytes identify them. Errors: io; bad-value where there is not exactly one main channel, or a
 * channel id occurs twice; truncated where the list says that the migration failed and `lenient` is not set.
 */
export function openRecording(
  folder: string,
  { lenient = false, limits = {} }: RecordingOptions = {},
): GatheredRecording {
  if (!lenient) checkComplete(folder);
  const entries = attempt(folder, () => readdirSync(folder, { withFileTypes: true }));
  const files = entries.toSorted((a, b) => (a.name < b.name ? -1 : 1)).filter((entry) => entry.isFile());
  const found = files.map(({ name }) => {
    const { head, length, packed } = headOf(folder, name);
    return { name, head, length, packed, open: () => FileSource.below(folder, name) };
  });
  const { others, ...recording } = gatherFiles(folder, found, limits.expansion);
  const rest = entries.filter((entry) => !entry.isFile()).map(({ name }) => name);
  return { ...recording, others: [...others, ...rest].toSorted() };
}

/** The times of a recording, from their first byte; undefined where it has none. Errors: io; bad-value (not a file). */
export function openTimeline(folder: string): (() => ByteSource) | undefined {
  const entries = attempt(folder, () => readdirSync(folder));
  if (!entries.includes(TIMELINE)) return undefined;
  return () => FileSource.below(folder, TIMELINE);
}

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
  refuseIncomplete(folder, bytes);
}

function rawHead(folder: string, name: string): { raw: Uint8Array; length: number } {
  const bytes = new Uint8Array(HEAD_BYTES);
  const fd = openBelow(folder, name);
  try {
    return { raw: bytes.subarray(0, readAll(name, fd, bytes, 0)), length: fstatSync(fd).size };
  } finally {
    closeSync(fd);
  }
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
