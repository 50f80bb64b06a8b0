import { hex } from "../../bytes/errors.js";
import type { QemuFileReader } from "../../bytes/reader.js";
import type { QemuFileWriter } from "../../bytes/writer.js";
import type { MappedRamHeader, RamBlock } from "./state.js";
import { RamFlag } from "./flags.js";

/**
 * The block list of the START chunk.
 *
 * | field                                  | condition                                                             |
 * |----------------------------------------|-----------------------------------------------------------------------|
 * | be64 total bytes, or-ed with MEM_SIZE  |                                                                       |
 * | per block: str8 idstr                  | until the lengths sum to the total; there is no count                  |
 * | be64 used_length                       |                                                                       |
 * | be64 page size                         | postcopy-ram, and a backing page other than the host's (2.9)           |
 * | be64 address                           | capability x-ignore-shared (4.0)                                       |
 * | be32 version, be64 page size, be64 bitmap offset, be64 pages offset | capability mapped-ram (9.0); bitmap and pages follow at those offsets |
 *
 * Source: QEMU migration/ram.c ram_save_setup (5.2 to 10.1).
 */
export interface BlockList {
  /** Sum of the used lengths in bytes, as the stream states it. */
  total: number;
  blocks: RamBlock[];
}

/** What decides which optional parts are there. */
export interface BlockListOptions {
  ignoreShared: boolean;
  mappedRam: boolean;
  /** Target page size in bytes. */
  pageSize: number;
  maxBlocks: number;
}

/**
 * Reads the list after its leading be64, whose upper bits are `total`. Errors: truncated, bad-length, bad-value, limit.
 *
 * @param offsets takes the absolute offset of each entry's first byte
 */
export async function decodeBlockList(
  reader: QemuFileReader,
  total: number,
  options: BlockListOptions,
  offsets: number[] = [],
): Promise<BlockList> {
  const list: BlockList = { total, blocks: [] };
  for (let sum = 0; sum < total; sum += list.blocks.at(-1)!.usedLength) {
    offsets.push(reader.offset);
    list.blocks.push(await decodeBlockEntry(reader, total, sum, list.blocks.length, options));
  }
  return list;
}

/**
 * Reads one entry, its mapped-ram header included. `before`: bytes of the blocks so far; `index`: how many they are.
 */
export async function decodeBlockEntry(
  reader: QemuFileReader,
  total: number,
  before: number,
  index: number,
  options: BlockListOptions,
): Promise<RamBlock> {
  if (index >= options.maxBlocks) throw reader.error("limit", `more than ${options.maxBlocks} RAM blocks`);
  const at = reader.offset;
  await reader.need(1, "RAM block list");
  await reader.need(1 + reader.peek() + 8, "RAM block list");
  const idstr = reader.string8("RAM block name");
  if (idstr === "") throw reader.error("bad-value", "a RAM block without a name", { offset: at });
  const usedLength = reader.length64(`length of RAM block "${idstr}"`);
  const sum = before + usedLength;
  if (sum > total) {
    throw reader.error("bad-length", `the RAM blocks are longer than the total that precedes them`, {
      offset: at,
      expected: hex(total),
      found: hex(sum),
    });
  }
  const block: { -readonly [K in keyof RamBlock]: RamBlock[K] } = { index, idstr, usedLength };
  if (options.mappedRam) {
    // No postcopy, so no page size.
  } else if (!options.ignoreShared && (await hasPageSize(reader, sum === total, options.pageSize))) {
    await reader.need(8, `page size of RAM block "${idstr}"`);
    block.pageSize = reader.u64();
  }
  if (options.ignoreShared) {
    await reader.need(8, `address of RAM block "${idstr}"`);
    block.address = reader.u64();
  }
  if (options.mappedRam) block.mapped = await decodeMappedHeader(reader);
  return block;
}

/** The twin of `decodeBlockList`, its leading be64 included; page areas of mapped-ram are not written here. */
export function encodeBlockList(writer: QemuFileWriter, list: BlockList): void {
  writer.u64(BigInt(list.total) | BigInt(RamFlag.MEM_SIZE));
  for (const block of list.blocks) encodeBlockEntry(writer, block);
}

/** One entry of the list. */
export function encodeBlockEntry(writer: QemuFileWriter, block: RamBlock): void {
  writer.string8(block.idstr, "RAM block name");
  writer.length64(block.usedLength);
  if (block.pageSize !== undefined) writer.u64(block.pageSize);
  if (block.address !== undefined) writer.u64(block.address);
  if (block.mapped !== undefined) {
    writer.u32(block.mapped.version);
    writer.u64(block.mapped.pageSize);
    writer.u64(block.mapped.bitmapOffset);
    writer.u64(block.mapped.pagesOffset);
  }
}

async function decodeMappedHeader(reader: QemuFileReader): Promise<MappedRamHeader> {
  await reader.need(28, "mapped-ram header");
  const version = reader.u32();
  if (version !== 1) {
    throw reader.error("unsupported-version", "mapped-ram header", {
      offset: reader.offset - 4,
      expected: "1",
      found: String(version),
    });
  }
  return { version, pageSize: reader.u64(), bitmapOffset: reader.u64(), pagesOffset: reader.u64() };
}

/**
 * Whether a backing page size follows. Nothing announces it, but the two cases cannot be confused: a page size starts
 * with a zero byte, which no block name does (names are not empty), and is a power of two with no bit below the target
 * page size, which no record's leading word is.
 */
async function hasPageSize(reader: QemuFileReader, last: boolean, pageSize: number): Promise<boolean> {
  if (!(await reader.fill(1)) || reader.peek() !== 0) return false;
  if (!last) return true;
  if (!(await reader.fill(8))) return false;
  let value = 0n;
  for (let i = 0; i < 8; i++) value = (value << 8n) | BigInt(reader.peek(i));
  return value >= BigInt(pageSize) && (value & (value - 1n)) === 0n;
}
