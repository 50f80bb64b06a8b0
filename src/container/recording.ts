import { closeSync, openSync, readdirSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { QevmError } from "../errors.js";
import { decodeInitPacket, INIT_LENGTH } from "../multifd/index.js";
import type { ByteSource } from "../qemu-file/source.js";
import { roleOf, ROLE_BYTES, type ChannelRole, type RecordedChannel, type Recording } from "../recording/index.js";
import { StreamReader } from "../stream/index.js";
import { attempt, FileSource } from "../transport/file.js";

/** The list of a recording: who wrote what when. Reading needs it not; the channels tell themselves apart. */
export const RECORDING_LIST = "recording.json";

/** A folder of channels, and what else lies in it. */
export interface RecordingFolder extends Recording {
  /** Files that are no channel. */
  readonly others: readonly string[];
}

/** Whether a path is a folder. */
export function isFolder(path: string): boolean {
  return path !== "-" && (statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false);
}

/**
 * Opens a folder as a recording. Files may have any name: the first bytes say what each is. Errors: io; bad-value where there is not
 * exactly one main channel, or a channel id comes twice.
 */
export function openRecording(folder: string): RecordingFolder {
  const found: Record<ChannelRole, RecordedChannel[]> = {
    main: [],
    multifd: [],
    preempt: [],
    "return-path": [],
    resumed: [],
  };
  const others: string[] = [];
  const ids = new Map<RecordedChannel, number>();
  const entries = attempt(folder, () => readdirSync(folder, { withFileTypes: true }));
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const head = entry.isFile() ? headOf(join(folder, entry.name)) : new Uint8Array(0);
    const role = entry.name.endsWith(".json") ? undefined : roleOf(head);
    if (role === undefined) {
      others.push(entry.name);
      continue;
    }
    const channel = channelAt(folder, entry.name);
    found[role].push(channel);
    if (role === "multifd" && head.length >= INIT_LENGTH) {
      ids.set(channel, decodeInitPacket(head, 0, [entry.name]).channel);
    }
  }
  const [main, second] = found.main;
  if (main === undefined) {
    throw new QevmError("bad-value", `${folder} is no recording: no file in it begins as a migration stream does`);
  }
  if (second !== undefined) {
    throw new QevmError(
      "bad-value",
      `${folder} is no recording: ${main.name} and ${second.name} are both main channels`,
    );
  }
  const multifd = found.multifd.toSorted((a, b) => (ids.get(a) ?? 256) - (ids.get(b) ?? 256));
  multifd.forEach((channel, k) => {
    const before = multifd[k - 1];
    if (before === undefined || ids.get(before) !== ids.get(channel) || !ids.has(channel)) return;
    throw new QevmError(
      "bad-value",
      `${before.name} and ${channel.name} are both multifd channel ${ids.get(channel)}`,
      {
        offset: 24,
        path: [channel.name],
      },
    );
  });
  return { main, multifd, preempt: found.preempt, returnPath: found["return-path"], resumed: found.resumed, others };
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
