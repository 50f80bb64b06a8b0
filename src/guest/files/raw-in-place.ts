import { closeSync, ftruncateSync, openSync } from "node:fs";
import { attempt, readAll, writeAll } from "../../io/transport/attempt.js";
import { moveInto, type OutputPlace } from "../../io/transport/output-place.js";
import { fileOffset, type Split } from "./block-files.js";
import type { Segment } from "../layout-types.js";

/** Bytes of main memory that may stand in the file without being seen by the guest: the first megabyte's ROMs and windows. */
const MOST_HIDDEN = 1 << 20;
const PIECE = 1 << 16;

/** A block's file, whose bytes were laid where its addresses were expected. */
export interface PlacedFile {
  block: string;
  path: string;
  length: number;
  split: Split;
}

/**
 * Whether the file of a block can become the raw file: every part that the guest sees stands at its address already, and little more is in it.
 */
export function fitsInPlace({ block, length, split }: PlacedFile, ranges: readonly Segment[]): boolean {
  const own = ranges.filter((range) => range.block === block);
  const seen = own.reduce((sum, range) => sum + range.length, 0);
  const stands = ({ start, offset, length: bytes }: Segment): boolean =>
    fileOffset(split, offset) === start && fileOffset(split, offset + bytes - 1) === start + bytes - 1;
  return own.every((range) => stands(range)) && length - seen <= MOST_HIDDEN;
}

/**
 * Makes a raw file of a block's file: hides what the guest does not see, lets `others` write the rest, cuts it to length and gives it its
 * name. Errors: io.
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
      hide(fd, path, fileOffset(split, at), offset - at);
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

/** Zeros where something else stands; a hole stays one. */
function hide(fd: number, path: string, at: number, length: number): void {
  const buffer = Buffer.alloc(Math.min(PIECE, length));
  for (let done = 0; done < length; done += buffer.length) {
    const wanted = Math.min(buffer.length, length - done);
    const bytes = buffer.subarray(0, readAll(path, fd, buffer.subarray(0, wanted), at + done));
    if (!bytes.some((byte) => byte !== 0)) continue;
    writeAll(path, fd, bytes.fill(0), at + done);
  }
}
