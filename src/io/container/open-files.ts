/** A recording by its files, where there is no folder of them: in a browser. */
import { Inflate } from "pako";
import { readFully } from "../../bytes/source.js";
import { ROLE_BYTES, TIMELINE } from "../recording/index.js";
import type { RecordedFile, RecordedFiles } from "./is-recorded.js";
import { merged, recordingOptions } from "./open-folder.js";
import {
  gatherFiles,
  HEAD_BYTES,
  isPacked,
  LIST_TAIL,
  RECORDING_LIST,
  refuseIncomplete,
  type FoundFile,
  type OpenedRecording,
  type RecordingOptions,
} from "./recorded-files.js";
import type { Input, InputOptions } from "./types.js";

/** Opens the files of a recording with its channels merged. Errors: as `openRecordedFiles`. */
export async function openFiles(files: RecordedFiles, options: InputOptions): Promise<Input> {
  const { recording } = await openRecordedFiles(files, recordingOptions(options));
  return await merged(recording, options);
}

/** The first bytes of the files, from which their roles are told. Errors: io; as `gatherFiles`. */
export async function openRecordedFiles(
  { name, files }: RecordedFiles,
  { lenient = false, limits = {} }: RecordingOptions = {},
): Promise<OpenedRecording> {
  const sorted = files.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const list = sorted.find((file) => file.name === RECORDING_LIST);
  if (!lenient && list !== undefined) {
    const from = Math.max(0, list.length - LIST_TAIL);
    refuseIncomplete(name, await piece(list, from, LIST_TAIL));
  }
  const found: FoundFile[] = [];
  for (const file of sorted) {
    const raw = await piece(file, 0, HEAD_BYTES);
    const packed = isPacked(raw);
    const head = (packed ? unpackedHead(raw) : raw).subarray(0, ROLE_BYTES);
    found.push({ name: file.name, length: file.length, open: () => file.open(), packed, head });
  }
  const timeline = sorted.find((file) => file.name === TIMELINE);
  return {
    recording: gatherFiles(name, found, limits.expansion),
    timeline: timeline === undefined ? undefined : () => timeline.open(),
    file: (wanted) => sorted.find((file) => file.name === wanted)!.open(),
  };
}

/** A piece of a file, as much of it as there is. */
async function piece(file: RecordedFile, from: number, length: number): Promise<Uint8Array> {
  const source = file.open();
  const bytes = new Uint8Array(Math.max(0, Math.min(length, file.length - from)));
  const got = await readFully(source, from, bytes);
  await source.close?.();
  return bytes.subarray(0, got);
}

/** Gives what there is, though the end of the file is missing. */
const Z_SYNC_FLUSH = 2;

/** The beginning of a gzip file's content. A damaged gzip file is not a channel: nothing. */
function unpackedHead(raw: Uint8Array): Uint8Array {
  const inflate = new Inflate({ chunkSize: 4 * ROLE_BYTES });
  let head: Uint8Array = new Uint8Array(0);
  inflate.onData = (chunk) => {
    if (head.length === 0) head = chunk;
  };
  inflate.push(raw, Z_SYNC_FLUSH);
  return inflate.err === 0 ? head : new Uint8Array(0);
}
