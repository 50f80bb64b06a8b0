import { QevmError } from "../../../bytes/errors.js";
import { QemuFileReader } from "../../../bytes/reader.js";
import { IterableSource } from "../../../bytes/source.js";
import { crc32 } from "../compressed/checksums.js";
import { unxz } from "../compressed/xz.js";
import { littleU32 } from "../little.js";
import { readerAt, type OpenFile } from "./file-part.js";
import type { LaneStart, XzBlock } from "./lane-start.js";
import { UNIT_END, type Piece } from "./pieces.js";

/** Bytes of a stream's header, and of its footer. */
const ENDS = 12;
const HEADER_MAGIC = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00];
/** Most bytes of an index that is read: of about two million blocks. */
const LARGEST_INDEX = 16 << 20;
const PIECE = 1 << 16;

/**
 * The lane's units of an xz file: one block each. xz-embedded takes streams, one after the other, so each block gets
 * a header, an index and a footer of its own. A unit ends after its check, its index and its footer.
 */
export async function* xzUnits(lane: LaneStart, blocks: readonly XzBlock[]): AsyncGenerator<Piece | typeof UNIT_END> {
  const own = blocks.filter((_, k) => k % lane.lanes === lane.lane);
  let offset = lane.start;
  const source = new IterableSource(streams(lane.file, own, (at) => (offset = at)));
  const reader = new QemuFileReader(source, { bufferSize: PIECE });
  reader.path.push(...lane.path);
  let unit = 0;
  let left = own[0]?.plain ?? 0;
  for await (const bytes of unxz(reader)) {
    for (let at = 0; at < bytes.length;) {
      if (left === 0) {
        yield UNIT_END;
        left = own[++unit]?.plain ?? 0;
        if (left === 0) throw new QevmError("bad-length", "xz: more bytes than the index has");
      }
      const n = Math.min(left, bytes.length - at);
      yield { bytes: bytes.subarray(at, at + n), offset };
      left -= n;
      at += n;
    }
  }
  if (left !== 0 || unit + 1 < own.length) throw new QevmError("bad-length", "xz: fewer bytes than the index has");
  yield UNIT_END;
}

/** @param passed is given the offset in the file of what was read last */
async function* streams(
  file: OpenFile,
  blocks: readonly XzBlock[],
  passed: (at: number) => void,
): AsyncGenerator<Uint8Array> {
  for (const block of blocks) {
    yield headerOf(block.flags);
    const padded = Math.ceil(block.length / 4) * 4;
    const reader = readerAt(file, block.at, { end: block.at + padded, bufferSize: PIECE });
    while (await reader.fill(1)) {
      const bytes = reader.view(reader.available);
      passed(reader.offset);
      yield bytes;
    }
    yield endOf(block);
  }
}

function headerOf(flags: number): Uint8Array {
  const bytes = Uint8Array.from([...HEADER_MAGIC, 0, flags, 0, 0, 0, 0]);
  new DataView(bytes.buffer).setUint32(8, crc32(bytes.subarray(6, 8)), true);
  return bytes;
}

/** Index and footer of a stream of one block. */
function endOf({ length, plain, flags }: XzBlock): Uint8Array {
  const index = [0, 1, ...variable(length), ...variable(plain)];
  while (index.length % 4 !== 0) index.push(0);
  const bytes = Uint8Array.from([...index, ...new Uint8Array(4 + ENDS)]);
  const view = new DataView(bytes.buffer);
  const n = index.length;
  view.setUint32(n, crc32(bytes.subarray(0, n)), true);
  const footer = n + 4;
  view.setUint32(footer + 4, footer / 4 - 1, true);
  bytes.set([0, flags, 0x59, 0x5a], footer + 8);
  view.setUint32(footer, crc32(bytes.subarray(footer + 4, footer + 10)), true);
  return bytes;
}

/** Seven bits a byte, the low ones first. */
function variable(value: number): number[] {
  const bytes: number[] = [];
  let left = value;
  for (; left >= 128; left = Math.floor(left / 128)) bytes.push((left % 128) + 128);
  return [...bytes, left];
}

/**
 * All blocks of an xz file, by the indexes at the ends of its streams. Undefined where they do not fit what is there:
 * a cut or damaged file, padding, or bytes after it.
 */
export async function xzBlocks(file: OpenFile, start: number, length: number): Promise<XzBlock[] | undefined> {
  const streamsFromEnd: XzBlock[][] = [];
  let end = length;
  while (end > start) {
    const footer = await bytesAt(file, end - ENDS, ENDS);
    if (footer === undefined) return undefined;
    const size = (littleU32(footer, 4) + 1) * 4;
    const at = end - ENDS - size;
    const isFooter =
      footer[8] === 0 &&
      footer[10] === 0x59 &&
      footer[11] === 0x5a &&
      littleU32(footer, 0) === crc32(footer.subarray(4, 10));
    if (!isFooter || size > LARGEST_INDEX || at < start + ENDS) return undefined;
    const stream = blocksOf((await bytesAt(file, at, size))!, at, footer[9]!);
    if (stream === undefined || stream.from < start) return undefined;
    streamsFromEnd.push(stream.blocks);
    end = stream.from;
    const header = await bytesAt(file, end, ENDS);
    if (header === undefined || !header.every((byte, k) => byte === headerOf(footer[9]!)[k])) return undefined;
  }
  return streamsFromEnd.toReversed().flat();
}

/** The blocks of an index that begins at `at`, and where their stream begins. */
function blocksOf(index: Uint8Array, at: number, flags: number): { blocks: XzBlock[]; from: number } | undefined {
  const end = index.length - 4;
  if (index[0] !== 0 || littleU32(index, end) !== crc32(index.subarray(0, end))) return undefined;
  let position = 1;
  const next = (): number => {
    let value = 0;
    for (let weight = 1; position < end; weight *= 128) {
      const byte = index[position++]!;
      value += (byte & 127) * weight;
      if (byte < 128) break;
    }
    return value;
  };
  const sizes = Array.from({ length: Math.min(next(), index.length) }, () => ({ length: next(), plain: next() }));
  let from = at;
  const blocks: XzBlock[] = [];
  for (const { length, plain } of sizes.toReversed()) {
    from -= Math.ceil(length / 4) * 4;
    if (length === 0 || plain === 0 || from < ENDS) return undefined;
    blocks.push({ at: from, length, plain, flags });
  }
  return { blocks: blocks.toReversed(), from: from - ENDS };
}

async function bytesAt(file: OpenFile, at: number, length: number): Promise<Uint8Array | undefined> {
  if (at < 0) return undefined;
  const reader = readerAt(file, at, { bufferSize: length });
  return (await reader.fill(length)) ? reader.view(length) : undefined;
}
