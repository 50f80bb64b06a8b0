import { QevmError } from "../../bytes/errors.js";
import type { QemuFileReader } from "../../bytes/reader.js";
import { CommandNumber } from "./command.js";
import { TypeByte } from "./types.js";

/** Bytes of a file that are searched at most. */
const MOST_SEARCHED = 2 ** 30;
/** Bytes of a pipe or of chunks, which may come slowly and never end. */
const MOST_OF_ENDLESS = 2 ** 26;
/** Most streams that are reported. */
const MOST_FOUND = 8;
/** Bytes that identify a header. */
const LOOK = 32;
const WINDOW = 1 << 20;

/** Where streams begin. */
interface FoundStreams {
  /** Absolute offsets, ascending; at most eight. */
  offsets: number[];
  /** The input was searched to its end. */
  whole: boolean;
  /** Bytes that are searched at most. */
  most: number;
}

/** Magic, version 3, and a first part that a stream can begin with: configuration, section or command. */
export function isStreamHead(bytes: Uint8Array, at = 0): boolean {
  const has = (offset: number, ...wanted: number[]): boolean => wanted.every((b, k) => bytes[at + offset + k] === b);
  if (!has(0, 0x51, 0x45, 0x56, 0x4d, 0, 0, 0, 3)) return false;
  const text = (offset: number, length: number): boolean => {
    for (let k = 0; k < length && at + offset + k < bytes.length; k++) {
      const byte = bytes[at + offset + k]!;
      if (byte < 0x20 || byte > 0x7e) return false;
    }
    return length > 0;
  };
  switch (bytes[at + 8]) {
    case TypeByte.CONFIGURATION:
      return has(9, 0, 0, 0) && text(13, bytes[at + 12] ?? 0);
    case TypeByte.SECTION_START:
    case TypeByte.SECTION_FULL:
      return text(14, bytes[at + 13] ?? 0);
    case TypeByte.COMMAND:
      return has(9, 0) && Object.values(CommandNumber).includes(bytes[at + 10] as never);
    default:
      return false;
  }
}

/**
 * Looks for streams in what a reader has left, at most 1 GiB of it, or 64 MiB where the source may be endless. What
 * cannot be read ends the search.
 */
export async function findStreams(reader: QemuFileReader): Promise<FoundStreams> {
  const offsets: number[] = [];
  const most = reader.source.stored?.endless === true ? MOST_OF_ENDLESS : MOST_SEARCHED;
  const end = reader.offset + most;
  try {
    while (reader.offset < end) {
      const more = await reader.fill(WINDOW);
      const { buffer, position } = reader;
      const last = more ? reader.end - LOOK : reader.end;
      let at = buffer.subarray(0, reader.end).indexOf(0x51, position);
      for (; at >= 0 && at < last; at = buffer.subarray(0, reader.end).indexOf(0x51, at + 1)) {
        if (!isStreamHead(buffer.subarray(0, reader.end), at)) continue;
        offsets.push(reader.offset + at - position);
        if (offsets.length === MOST_FOUND) return { offsets, whole: false, most };
      }
      reader.skip(Math.max(0, last - position));
      if (!more) return { offsets, whole: true, most };
    }
  } catch (error) {
    if (!(error instanceof QevmError)) throw error;
  }
  return { offsets, whole: false, most };
}

/** An offset as `--stream-offset` takes it: `2M` where it is whole mebibytes, else hexadecimal. */
export function offsetText(offset: number): string {
  return offset > 0 && offset % 2 ** 20 === 0 ? `${offset / 2 ** 20}M` : `0x${offset.toString(16)}`;
}
