import { closeSync, openSync, readdirSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import type { ByteSource } from "../qemu-file/source.js";
import {
  gatherRecording,
  ROLE_BYTES,
  type GatheredRecording,
  type RecordedChannel,
  type Recording,
} from "../recording/index.js";
import { StreamReader } from "../stream/index.js";
import { attempt, FileSource } from "../transport/file.js";

/** The list of a recording: who wrote what when. Reading needs it not; the channels tell themselves apart. */
export const RECORDING_LIST = "recording.json";

/** A folder of channels, and what else lies in it. */
export type RecordingFolder = GatheredRecording;

/** Whether a path is a folder. */
export function isFolder(path: string): boolean {
  return path !== "-" && (statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false);
}

/**
 * Opens a folder as a recording. Files may have any name: the first bytes say what each is. Errors: io; bad-value where there is not
 * exactly one main channel, or a channel id comes twice.
 */
export function openRecording(folder: string): RecordingFolder {
  const entries = attempt(folder, () => readdirSync(folder, { withFileTypes: true }));
  const files = entries.toSorted((a, b) => (a.name < b.name ? -1 : 1)).filter((entry) => entry.isFile());
  const channels = files.map(({ name }) =>
    Object.assign(channelAt(folder, name), { head: headOf(join(folder, name)) }),
  );
  const { others, ...recording } = gatherRecording(folder, channels);
  const rest = entries.filter((entry) => !entry.isFile()).map(({ name }) => name);
  return { ...recording, others: [...others, ...rest].toSorted() };
}

/** Whether the source said, before its first section, that it may switch to postcopy. */
export async function isPostcopy({ main }: Recording): Promise<boolean> {
  const source = main.open();
  try {
    for await (const item of new StreamReader(source, { lenient: true, bufferSize: 1 << 12 })) {
      if (item.kind === "command" && item.command.name === "POSTCOPY_ADVISE") return item.command.ram !== undefined;
      if (item.kind === "section" || item.kind === "opaque") return false;
    }
    return false;
  } finally {
    await source.close?.();
  }
}

function headOf(path: string): Uint8Array {
  const bytes = new Uint8Array(ROLE_BYTES);
  const fd = attempt(path, () => openSync(path, "r"));
  try {
    return bytes.subarray(
      0,
      attempt(path, () => readSync(fd, bytes, 0, bytes.length, 0)),
    );
  } finally {
    closeSync(fd);
  }
}

function channelAt(folder: string, name: string): RecordedChannel {
  const path = join(folder, name);
  return {
    name,
    length: attempt(path, () => statSync(path).size),
    open: () => within(FileSource.open(path), name),
  };
}

/** A file as a source whose errors name it. */
function within(file: FileSource, name: string): ByteSource {
  return {
    length: file.length,
    within: [name],
    read: (into) => file.read(into),
    readAt: (position, into) => file.readAt(position, into),
    seek: (position) => file.seek(position),
    close: () => file.close(),
  };
}
