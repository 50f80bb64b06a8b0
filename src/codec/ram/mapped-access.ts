import { QevmError } from "../../bytes/errors.js";
import { QemuFileReader } from "../../bytes/reader.js";
import { readFully, type Positioned } from "../../bytes/source.js";
import { decodeBlockEntry } from "./block-list.js";
import { RamFlag } from "./flags.js";
import type { RamBlock } from "./state.js";

/** Where the RAM of a mapped-ram file is. */
export interface MappedRamIndex {
  /** Target page size in bytes. */
  pageSize: number;
  blocks: RamBlock[];
}

/** What must be known from the parts in front of the block list. */
export interface MappedRamStart {
  /** Absolute offset of the block list's leading be64 in the source. */
  offset: number;
  pageSize: number;
  ignoreShared: boolean;
  /** RAM blocks at most. */
  maxBlocks: number;
}

/**
 * Reads the block list alone: a few hundred bytes a block, wherever the blocks' pages end. Errors: as
 * `decodeBlockList`; usage.
 */
export async function indexMappedRam(source: Positioned, start: MappedRamStart): Promise<MappedRamIndex> {
  const { pageSize, ignoreShared, maxBlocks } = start;
  const options = { ignoreShared, mappedRam: true, pageSize, maxBlocks };
  const lead = await readerAt(source, start.offset, 8);
  const leading = lead.u64();
  if ((leading & BigInt(pageSize - 1)) !== BigInt(RamFlag.MEM_SIZE)) {
    throw lead.error("bad-value", "block list", { offset: start.offset, found: `0x${leading.toString(16)}` });
  }
  const total = Number(leading - BigInt(RamFlag.MEM_SIZE));
  const blocks: RamBlock[] = [];
  let at = start.offset + 8;
  for (let sum = 0; sum < total; sum += blocks.at(-1)!.usedLength) {
    const reader = await readerAt(source, at, ENTRY_BYTES);
    const block = await decodeBlockEntry(reader, total, sum, blocks.length, options);
    blocks.push(block);
    const pages = block.mapped!.pagesOffset;
    if (pages < BigInt(at) || pages + BigInt(block.usedLength) > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw reader.error("bad-offset", "pages offset of the mapped-ram header", { found: `0x${pages.toString(16)}` });
    }
    at = Number(pages) + block.usedLength;
  }
  return { pageSize, blocks };
}

/**
 * Where in the file the page at an offset of a block is; 0: the file has no such page. Reads the byte that holds its
 * bit.
 * Errors: usage, truncated.
 */
export async function findMappedPage(
  source: Positioned,
  { idstr, usedLength, mapped }: RamBlock,
  offset: number,
  pageSize: number,
): Promise<number> {
  if (mapped === undefined || offset < 0 || offset >= usedLength || offset % pageSize !== 0) {
    throw new QevmError("usage", `no page at offset ${offset} of RAM block ${JSON.stringify(idstr)}`);
  }
  const page = offset / pageSize;
  const bits = (await readerAt(source, Number(mapped.bitmapOffset) + Math.floor(page / 8), 1)).u8();
  return (bits & (1 << (page % 8))) === 0 ? 0 : Number(mapped.pagesOffset) + offset;
}

/**
 * One page, read from its place; and the byte that holds its bit; no other byte of the file is read. False: the file
 * has no such page, and `into` (one page long) is zeros. Errors: usage, truncated.
 */
export async function readMappedPage(
  source: Positioned,
  block: RamBlock,
  offset: number,
  into: Uint8Array,
): Promise<boolean> {
  const place = await findMappedPage(source, block, offset, into.length);
  if (place === 0) into.fill(0);
  else into.set((await readerAt(source, place, into.length)).view(into.length, "a page of a mapped-ram file"));
  return place !== 0;
}

/** str8, length, address, header. */
const ENTRY_BYTES = 256 + 8 + 8 + 28;

async function readerAt(source: Positioned, offset: number, length: number): Promise<QemuFileReader> {
  const bytes = new Uint8Array(length);
  return QemuFileReader.over(bytes.subarray(0, await readFully(source, offset, bytes)), offset);
}
