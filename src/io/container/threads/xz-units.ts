import { readLeb128 } from "../../../bytes/leb128.js";
import { crc32 } from "../compressed/checksums.js";
import { XzBlocks } from "../compressed/xz-block.js";
import { CHECK_AT, ENDS, readFooter, wrongInHeader } from "../compressed/xz.js";
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
    if (header === undefined || wrongInHeader(header) !== undefined) return undefined;
    if (header[CHECK_AT] !== footer.check) return undefined;
  }
  return streamsFromEnd.toReversed().flat();
}

/** The blocks of an index that begins at `at`, and where their stream begins. */
function blocksOf(index: Uint8Array, at: number, check: number): { blocks: XzBlock[]; from: number } | undefined {
  const end = index.length - 4;
  if (index[0] !== 0 || littleU32(index, end) !== crc32(index.subarray(0, end))) return undefined;
  const [count = Infinity, ...sizes] = numbersIn(index.subarray(1, end));
  if (sizes.length < 2 * count) return undefined;
  let from = at;
  const blocks: XzBlock[] = [];
  for (let k = count - 1; k >= 0; k--) {
    const length = sizes[2 * k]!;
    const plain = sizes[2 * k + 1]!;
    from -= Math.ceil(length / 4) * 4;
    if (length === 0 || plain === 0 || from < ENDS) return undefined;
    blocks.push({ at: from, length, plain, check });
  }
  return { blocks: blocks.toReversed(), from: from - ENDS };
}

/** Numbers of an index, one after the other, up to what is none. Its padding gives zeros. */
function* numbersIn(bytes: Uint8Array): Generator<number> {
  for (let at = 0; ;) {
    const number = readLeb128(bytes, at);
    if (typeof number === "string") return;
    yield number.value;
    at = number.next;
  }
}

async function bytesAt(file: OpenFile, at: number, length: number): Promise<Uint8Array | undefined> {
  if (at < 0) return undefined;
  const reader = readerAt(file, at, { bufferSize: length });
  return (await reader.fill(length)) ? reader.view(length) : undefined;
}
