import { closeSync, ftruncateSync, openSync } from "node:fs";
import { isZero } from "../../bytes/zero.js";
import { attempt, readAll, writeAll } from "../../io/transport/attempt.js";
import { moveInto, type OutputPlace } from "../../io/transport/output-place.js";
import { fileOffset, type Split } from "./block-files.js";
import type { Segment } from "../layout-types.js";

/**
 * Maximum bytes of main memory that may be in the file without being visible to the guest: the first megabyte's ROMs
 * and windows.
 */
const MOST_HIDDEN = 1 << 20;
const PIECE = 1 << 16;

/** A block's file, whose split was predicted. */
export interface PlacedFile {
  block: string;
  path: string;
  length: number;
  split: Split;
}

/**
 * Whether a block's file can become the raw file: every visible part is at its address already, and little else is in
 * it.
 */
export function fitsInPlace({ block, length, split }: PlacedFile, ranges: readonly Segment[]): boolean {
  const own = ranges.filter((range) => range.block === block);
  const seen = own.reduce((sum, range) => sum + range.length, 0);
  const isPlaced = ({ start, offset, length: bytes }: Segment): boolean =>
    fileOffset(split, offset) === start && fileOffset(split, offset + bytes - 1) === start + bytes - 1;
  return own.every((range) => isPlaced(range)) && length - seen <= MOST_HIDDEN;
}

/**
 * Turns a block's file into a raw file: zeroes what the guest does not see, calls `others` for the rest, truncates and
 * renames it. Errors: io.
 */
export function becomeRaw(
  file: PlacedFile,
  ranges: readonly Segment[],
  out: OutputPlace,
  others: (fd: number, rest: readonly Segment[]) => void,
): number {
  const { block, path, length, split } = file;
  const own = ranges.filter((range) => range.block === block).toSorted((a, b) => a.offset - b.offset);
  const last = ranges.at(-1)!;
  const bytes = last.start + last.length;
  const fd = attempt(path, () => openSync(path, "r+"));
  try {
    let at = 0;
    for (const { offset, length: seen } of [...own, { offset: length, length: 0 }]) {
      zeroRange(fd, path, fileOffset(split, at), offset - at);
      at = offset + seen;
    }
    const rest = ranges.filter((range) => range.block !== block);
    others(fd, rest);
    attempt(path, () => ftruncateSync(fd, bytes));
  } finally {
    closeSync(fd);
  }
  moveInto(path, out);
  return bytes;
}

/** Zeroes a range; a hole stays a hole. */
function zeroRange(fd: number, path: string, at: number, length: number): void {
  const buffer = Buffer.alloc(Math.min(PIECE, length));
  for (let done = 0; done < length; done += buffer.length) {
    const wanted = Math.min(buffer.length, length - done);
    const bytes = buffer.subarray(0, readAll(path, fd, buffer.subarray(0, wanted), at + done));
    if (isZero(bytes)) continue;
    writeAll(path, fd, bytes.fill(0), at + done);
  }
}
