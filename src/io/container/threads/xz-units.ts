import { crc32 } from "../compressed/checksums.js";
import { XzBlocks } from "../compressed/xz-block.js";
import { ENDS, HEADER_MAGIC, readFooter } from "../compressed/xz.js";
import { CHECKS } from "../compressed/xz-check.js";
import { littleU32 } from "../little.js";
import { READ, readerAt, type OpenFile } from "./file-part.js";
import type { LaneStart, XzBlock } from "./lane-start.js";
import { UNIT_END, type Piece } from "./pieces.js";

/** Most bytes of an index that is read: of about two million blocks. */
const LARGEST_INDEX = 16 << 20;

/** The lane's units of an xz file: one block each, with its check. */
export async function* xzUnits(lane: LaneStart, blocks: readonly XzBlock[]): AsyncGenerator<Piece | typeof UNIT_END> {
  const decoder = await XzBlocks.create(lane.window);
  // One for all units: a new buffer is fresh memory.
  const reader = readerAt(lane.file, lane.start, { bufferSize: READ });
  reader.path.push(...lane.path);
  for (const { at, length, plain, check } of blocks.filter((_, k) => k % lane.lanes === lane.lane)) {
    await reader.discard(at - reader.offset);
    const pieces = decoder.read(reader, check);
    for (;;) {
      const { done, value } = await pieces.next();
      if (done !== true) {
        yield { bytes: value, offset: reader.offset };
        continue;
      }
      // The reading thread begins again, and will find what is wrong where it is.
      if (value.length !== length || value.plain !== plain) throw reader.error("bad-length", "xz block");
      break;
    }
    yield UNIT_END;
  }
}

/**
 * All blocks of an xz file, by the indexes at the ends of its streams. Undefined where they do not fit what is there:
 * a cut or damaged file, padding, or bytes after it.
 */
export async function xzBlocks(file: OpenFile, start: number, length: number): Promise<XzBlock[] | undefined> {
  const streamsFromEnd: XzBlock[][] = [];
  let end = length;
  while (end > start) {
    const bytes = await bytesAt(file, end - ENDS, ENDS);
    const footer = bytes === undefined ? undefined : readFooter(bytes);
    if (footer === undefined) return undefined;
    const at = end - ENDS - footer.indexBytes;
    if (footer.indexBytes > LARGEST_INDEX || at < start + ENDS) return undefined;
    const stream = blocksOf((await bytesAt(file, at, footer.indexBytes))!, at, footer.check);
    if (stream === undefined || stream.from < start) return undefined;
    streamsFromEnd.push(stream.blocks);
    end = stream.from;
    const header = await bytesAt(file, end, ENDS);
    if (header === undefined || !isHeader(header, footer.check)) return undefined;
  }
  return streamsFromEnd.toReversed().flat();
}

function isHeader(bytes: Uint8Array, check: number): boolean {
  const isMagic = HEADER_MAGIC.every((byte, k) => byte === bytes[k]);
  return (
    isMagic &&
    CHECKS.includes(check) &&
    bytes[6] === 0 &&
    bytes[7] === check &&
    littleU32(bytes, 8) === crc32(bytes.subarray(6, 8))
  );
}

/** The blocks of an index that begins at `at`, and where their stream begins. */
function blocksOf(index: Uint8Array, at: number, check: number): { blocks: XzBlock[]; from: number } | undefined {
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
    blocks.push({ at: from, length, plain, check });
  }
  return { blocks: blocks.toReversed(), from: from - ENDS };
}

async function bytesAt(file: OpenFile, at: number, length: number): Promise<Uint8Array | undefined> {
  if (at < 0) return undefined;
  const reader = readerAt(file, at, { bufferSize: length });
  return (await reader.fill(length)) ? reader.view(length) : undefined;
}
