import { QevmError } from "../../../bytes/errors.js";
import type { QemuFileReader } from "../../../bytes/reader.js";
import { BitReader, decodeBzip2Block, INSIDE_BLOCK, type Bzip2Block } from "./bzip2-block.js";
import { bzip2Crc } from "./checksums.js";

/** Upper bound of a compressed block of 900,000 bytes, with its tables. */
export const LARGEST_PACKED = 1_300_000;
/** Most bytes of a block before its last step. */
export const LARGEST = 900_000;
/** Most bytes of a piece. */
export const OUT = 1 << 18;

/**
 * bzip2, one or more streams. Stream: "BZh", level '1' to '9', blocks, 0x177245385090 and the combined CRC, padded to a
 * byte.
 *
 * Decoded here because the available packages (seek-bzip, unbzip2-stream: the same decoder) loop forever on a run
 * length that overflows to a negative number, and hold a whole block's output of up to 46 MB as an array of numbers.
 * Memory: 3.6 MB for a block, 1.3 MB of input, 256 KiB of output. Errors: truncated, bad-compressed-data, with the
 * block's offset.
 */
export async function* bunzip2(reader: QemuFileReader, from?: Bzip2Place): AsyncGenerator<Uint8Array> {
  const out = new Uint8Array(OUT);
  const block: Bzip2Block = { table: new Uint32Array(LARGEST), length: 0, start: 0, crc: 0 };
  let place = from;
  for (let streams = 0; ; streams++) {
    if (place === undefined) {
      const limit = await bzip2Limit(reader);
      if (limit === undefined) {
        if (streams > 0) return;
        throw reader.error("bad-magic", "no bzip2 header");
      }
      reader.skip(HEADER);
      place = { bit: 0, limit, combined: 0 };
    }
    for (;;) {
      const ended = !(await reader.fill(LARGEST_PACKED));
      const at = reader.offset;
      const bits = new BitReader(reader.buffer.subarray(reader.position, reader.end), place.bit);
      try {
        const kind = readBegin(bits, block);
        if (kind === "end") {
          if (block.crc !== place.combined) throw new QevmError("bad-compressed-data", "bzip2: checksum of the stream");
          reader.skip(bits.bytes);
          break;
        }
        if (kind === "other") throw new QevmError("bad-compressed-data", "bzip2: no block header");
        decodeBzip2Block(bits, place.limit, block);
      } catch (error) {
        if (!(error instanceof QevmError)) throw error;
        if (error.code !== "truncated" && !(ended && bits.isSpent)) {
          throw reader.error(error.code, error.what, { offset: at, cause: error });
        }
        // The decoder read zeros past the end, so any other error there means truncation.
        throw reader.error("truncated", INSIDE_BLOCK, { offset: reader.offset + reader.available, cause: error });
      }
      place.combined = combine(place.combined, block.crc);
      place.bit = bits.position & 7;
      reader.skip(bits.position >> 3);
      yield* expand(block, out, reader, at);
    }
    place = undefined;
  }
}

/** A place between blocks. */
interface Bzip2Place {
  /** The first bit of the reader's next byte. */
  bit: number;
  /** Most bytes of a block of this stream. */
  limit: number;
  /** The checksums of the stream's blocks so far. */
  combined: number;
}

/** Bytes of a stream's header. */
export const HEADER = 4;

/** The checksum of a stream that has had one more block. */
export function combine(combined: number, crc: number): number {
  return (((combined << 1) | (combined >>> 31)) ^ crc) >>> 0;
}

/** What begins here; a block's or a stream's checksum is then in `block`. Errors: truncated. */
export function readBegin(bits: BitReader, block: Bzip2Block): "block" | "end" | "other" {
  const high = bits.read(24);
  const low = bits.read(24);
  block.crc = bits.read(32);
  if (high === 0x177245 && low === 0x385090) return "end";
  return high === 0x314159 && low === 0x265359 ? "block" : "other";
}

/** Most bytes of a block of the stream that begins here; undefined where none begins. */
export async function bzip2Limit(reader: QemuFileReader): Promise<number | undefined> {
  if (!(await reader.fill(HEADER))) return undefined;
  const { buffer, position } = reader;
  const level = buffer[position + 3]!;
  const begins =
    buffer[position] === 0x42 &&
    buffer[position + 1] === 0x5a &&
    buffer[position + 2] === 0x68 &&
    level >= 0x31 &&
    level <= 0x39;
  return begins ? (level - 0x30) * 100_000 : undefined;
}

/** Follows the Burrows-Wheeler table and undoes the initial run-length step: a count follows four equal bytes. */
export function* expand(block: Bzip2Block, out: Uint8Array, reader: QemuFileReader, at: number): Generator<Uint8Array> {
  const { table } = block;
  let used = 0;
  let crc = -1;
  let run = 0;
  let previous = -1;
  let entry = table[block.start]!;
  for (let k = 0; k < block.length; k++) {
    entry = table[entry >>> 8]!;
    const byte = entry & 0xff;
    if (run === 4) {
      for (let n = 0; n < byte; n++) {
        out[used++] = previous;
        crc = bzip2Crc(crc, previous);
      }
      run = 0;
      previous = -1;
    } else {
      run = byte === previous ? run + 1 : 1;
      previous = byte;
      out[used++] = byte;
      crc = bzip2Crc(crc, byte);
    }
    if (used > OUT - 256) {
      yield out.subarray(0, used);
      used = 0;
    }
  }
  if (~crc >>> 0 !== block.crc) throw reader.error("bad-compressed-data", "bzip2: checksum of a block", { offset: at });
  if (used > 0) yield out.subarray(0, used);
}
