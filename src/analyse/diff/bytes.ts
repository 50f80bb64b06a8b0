import { differsAt } from "../../bytes/difference.js";
import { type Positioned, readFully } from "../../bytes/source.js";
import { hexOf } from "../../bytes/text.js";
import type { ByteRange, Pair } from "./types.js";

/** Bytes compared at a time. */
const PIECE = 1 << 20;

/** A part of a source that can be read anywhere. */
export interface Region {
  source: Positioned;
  /** Position in the source (not the absolute offset). */
  start: number;
  /** Bytes; undefined: to the end. */
  length?: number | undefined;
}

/** How many bytes two regions have in common from their beginnings; undefined: all, and they are of one length. */
export async function firstDifference(a: Region, b: Region): Promise<number | undefined> {
  const pieces: Pair<Uint8Array> = { a: new Uint8Array(PIECE), b: new Uint8Array(PIECE) };
  for (let done = 0; ; done += PIECE) {
    const [inA, inB] = [await readPiece(a, done, pieces.a), await readPiece(b, done, pieces.b)];
    const at = differsAt(inA, inB);
    if (at !== undefined) return done + at;
    if (inA.length < PIECE) return undefined;
  }
}

async function readPiece(
  { source, start, length = Infinity }: Region,
  from: number,
  piece: Uint8Array,
): Promise<Uint8Array> {
  const wanted = Math.max(0, Math.min(piece.length, length - from));
  return piece.subarray(0, await readFully(source, start + from, piece.subarray(0, wanted)));
}

/** Every run of bytes that differ; what only one has counts as different. */
export function byteRanges(a: Uint8Array, b: Uint8Array): ByteRange[] {
  const ranges: ByteRange[] = [];
  const length = Math.max(a.length, b.length);
  for (let at = 0; at < length; at++) {
    if (a[at] === b[at]) continue;
    const offset = at;
    while (at < length && a[at] !== b[at]) at++;
    ranges.push({ fieldOffset: offset, length: at - offset, a: hexDigits(a, offset, at), b: hexDigits(b, offset, at) });
  }
  return ranges;
}

/** Bytes as hex digits. */
export function hexDigits(bytes: Uint8Array, from: number, to: number): string {
  return hexOf(bytes.subarray(from, to));
}
