import { QevmError } from "../../../bytes/errors.js";
import type { QemuFileReader } from "../../../bytes/reader.js";
import { bzip2Limit, expand, HEADER, LARGEST, LARGEST_PACKED, OUT, readBegin } from "../compressed/bzip2.js";
import { BitReader, decodeBzip2Block, type Bzip2Block } from "../compressed/bzip2-block.js";
import { readerAt } from "./file-part.js";
import type { LaneStart } from "./lane-start.js";
import { Mark, UNIT_END, type Piece } from "./pieces.js";

/** Compressed bytes of a unit. */
const UNIT = 1 << 20;
const BLOCK_MAGIC = 0x314159265359n;
/** Bytes that a magic may reach into, from any bit of its first one. */
const MAGIC_BYTES = 7;

/**
 * The lane's units of a bzip2 file: the blocks that begin in a mebibyte of it. The first one is where its magic is
 * found, at any bit; the others follow each other. What is found is a guess (48 bits may occur anywhere), so the marks
 * say where each block and stream begins and ends, and what is not a block ends the unit without an error.
 */
export async function* bzip2Units(lane: LaneStart, limit: number): AsyncGenerator<Piece | typeof UNIT_END> {
  const block: Bzip2Block = { table: new Uint32Array(LARGEST), length: 0, start: 0, crc: 0 };
  const out = new Uint8Array(OUT);
  for (let from = lane.start + lane.lane * UNIT; ; from += lane.lanes * UNIT) {
    const search = readerAt(lane.file, from, { bufferSize: UNIT + MAGIC_BYTES });
    await search.fill(UNIT + MAGIC_BYTES - 1);
    if (search.available === 0) return;
    const first = findBlock(search.buffer.subarray(search.position, search.end), UNIT * 8);
    if (first >= 0) {
      const reader = readerAt(lane.file, from + (first >> 3), { bufferSize: LARGEST_PACKED });
      try {
        yield* unit(reader, first & 7, from + UNIT, limit, block, out);
      } catch (error) {
        if (!(error instanceof QevmError)) throw error;
      }
    }
    yield UNIT_END;
  }
}

async function* unit(
  reader: QemuFileReader,
  first: number,
  to: number,
  limit: number,
  block: Bzip2Block,
  out: Uint8Array,
): AsyncGenerator<Piece> {
  const mark = (kind: number, bit: number): Piece => ({
    bytes: out.subarray(0, 0),
    offset: reader.offset,
    mark: { kind, bit, sum: block.crc },
  });
  for (let bit = first; ;) {
    await reader.fill(LARGEST_PACKED);
    const bits = new BitReader(reader.buffer.subarray(reader.position, reader.end), bit);
    const kind = readBegin(bits, block);
    if (kind === "other" || (kind === "block" && reader.offset >= to)) return;
    if (kind === "end") {
      reader.skip(bits.bytes);
      if ((await bzip2Limit(reader)) !== limit) return;
      reader.skip(HEADER);
      bit = 0;
      yield mark(Mark.STREAM_END, bit);
      continue;
    }
    yield mark(Mark.BLOCK, bit);
    decodeBzip2Block(bits, limit, block);
    bit = bits.position & 7;
    reader.skip(bits.position >> 3);
    for (const bytes of expand(block, out, reader, reader.offset)) yield { bytes, offset: reader.offset };
    yield mark(Mark.BLOCK_END, bit);
  }
}

/** By the second byte of a magic that begins at bit n of the byte before: n as a bit of the entry. */
const SECOND = new Uint8Array(256);
for (let bit = 0; bit < 8; bit++) {
  const second = Number((BLOCK_MAGIC >> BigInt(32 + bit)) & 0xffn);
  SECOND[second] = SECOND[second]! | (1 << bit);
}

/** The first bit, below `end`, of a block's magic; -1: there is none. */
export function findBlock(bytes: Uint8Array, end: number): number {
  for (let at = 1; at < bytes.length; at++) {
    const shifts = SECOND[bytes[at]!]!;
    for (let bit = 0; shifts >> bit !== 0; bit++) {
      if (((shifts >> bit) & 1) === 0) continue;
      const place = (at - 1) * 8 + bit;
      if (place < end && isMagic(bytes, at - 1, bit)) return place;
    }
  }
  return -1;
}

function isMagic(bytes: Uint8Array, at: number, bit: number): boolean {
  const bits = new BitReader(bytes.subarray(at, at + MAGIC_BYTES), bit);
  if (bit + 48 > (bytes.length - at) * 8) return false;
  return bits.read(24) === 0x314159 && bits.read(24) === 0x265359;
}
