import { hex, QevmError, type Diagnostics } from "../../bytes/errors.js";
import type { QemuFileReader } from "../../bytes/reader.js";
import {
  decodeArea,
  decodeMappedBlock,
  decodeBlockEntry,
  decodeBlockList,
  decodeRecords,
  RamBatch,
  RamFlag,
  skipMappedBlock,
  SKIPPED_FROM,
  unsetRun,
  type BlockList,
  type RamState,
} from "../ram/index.js";
import type { StreamLimits } from "./limits.js";
import type { StreamOptions } from "./options.js";

/** What of a mapped-ram file is not read. */
export type MappedSkips = Pick<StreamOptions, "skipMappedPages" | "skipUnsetPages">;

/**
 * The records of one RAM chunk, a batch at a time, up to and including its EOS.
 *
 * One batch object serves all of them (and, handed in, all sections of a stream): it is one buffer's worth; waiting
 * happens between batches, never a record.
 */
export async function* ramRecords(
  reader: QemuFileReader,
  ram: RamState,
  diagnostics: Diagnostics,
  limits: StreamLimits,
  capabilities: readonly string[],
  batch = new RamBatch(),
  skipping: MappedSkips = {},
): AsyncGenerator<RamBatch> {
  batch.begin();
  for (;;) {
    batch.reset(reader.buffer);
    const status = decodeRecords(reader, ram, batch, diagnostics);
    if (batch.count > 0) yield batch;
    switch (status.kind) {
      case "eos":
        return;
      case "full":
        break;
      case "short":
        if (!(await reader.fill(status.need))) {
          throw new QevmError("truncated", `the input ends inside ${status.what}`, {
            offset: reader.offset + reader.available,
            path: [...reader.path, `record ${batch.firstRecord + batch.count}`],
            expected: `${status.need} bytes from ${reader.offset}`,
            found: `${reader.available}`,
          });
        }
        break;
      case "blocks":
        if (capabilities.includes("mapped-ram"))
          yield* mappedList(reader, ram, batch, diagnostics, limits, capabilities, skipping);
        else yield await blockList(reader, ram, batch, limits, capabilities);
        break;
    }
  }
}

/** A batch that holds the block list alone. */
async function blockList(
  reader: QemuFileReader,
  ram: RamState,
  batch: RamBatch,
  limits: StreamLimits,
  capabilities: readonly string[],
): Promise<RamBatch> {
  const position = reader.offset;
  const total = readTotal(reader, ram);
  reader.path.push("block list");
  const options = {
    ignoreShared: capabilities.includes("x-ignore-shared"),
    mappedRam: capabilities.includes("mapped-ram"),
    pageSize: ram.pageSize,
    maxBlocks: limits.ramBlocks,
  };
  const offsets: number[] = [];
  const list = await decodeBlockList(reader, total, options, offsets);
  reader.path.pop();
  for (const block of list.blocks) ram.add(block);
  return showList(batch, reader, list, position, offsets);
}

function readTotal(reader: QemuFileReader, ram: RamState): number {
  const position = reader.offset;
  const total = reader.u64() & ~BigInt(ram.pageSize - 1);
  if (total > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw reader.error("limit", "total of the RAM blocks", { offset: position, found: `${total} bytes` });
  }
  return Number(total);
}

function showList(
  batch: RamBatch,
  reader: QemuFileReader,
  list: BlockList,
  position: number,
  offsets: number[] = [],
): RamBatch {
  batch.reset(reader.buffer);
  batch.blockList = list;
  batch.entryOffsets = offsets;
  batch.flag[0] = RamFlag.MEM_SIZE;
  batch.continues[0] = 0;
  batch.block[0] = undefined;
  batch.offset[0] = list.total;
  batch.position[0] = position;
  batch.bodyLength[0] = 0;
  batch.count = 1;
  return batch;
}

/**
 * The block list of a mapped-ram file: a batch with the total (and no blocks), then for each block one with its entry
 * and bitmap, and its page area in as many as it takes.
 */
async function* mappedList(
  reader: QemuFileReader,
  ram: RamState,
  batch: RamBatch,
  diagnostics: Diagnostics,
  limits: StreamLimits,
  capabilities: readonly string[],
  { skipMappedPages = false, skipUnsetPages = false }: MappedSkips,
): AsyncGenerator<RamBatch> {
  const position = reader.offset;
  const { pageSize } = ram;
  const total = readTotal(reader, ram);
  yield showList(batch, reader, { total, blocks: [] }, position);
  const options = {
    ignoreShared: capabilities.includes("x-ignore-shared"),
    mappedRam: true,
    pageSize,
    maxBlocks: limits.ramBlocks,
  };
  reader.path.push("block list");
  for (let sum = 0; sum < total;) {
    const block = await decodeBlockEntry(reader, total, sum, ram.blocks.length, options);
    sum += block.usedLength;
    if (block.usedLength % pageSize !== 0) {
      throw reader.error("bad-length", `length of RAM block "${block.idstr}"`, {
        expected: "whole pages",
        found: hex(block.usedLength),
      });
    }
    ram.add(block);
    if (skipMappedPages) {
      await skipMappedBlock(reader, block, block.mapped!, pageSize, limits, diagnostics);
      continue;
    }
    const mapped = await decodeMappedBlock(reader, block, block.mapped!, pageSize, limits, diagnostics);
    batch.reset(reader.buffer);
    batch.mappedBlock = mapped;
    yield batch;
    const what = `page area of RAM block "${block.idstr}"`;
    const pages = block.usedLength / pageSize;
    const least = skipUnsetPages ? Math.ceil(SKIPPED_FROM / pageSize) : Infinity;
    for (let page = 0; page < pages;) {
      const unset = unsetRun(mapped.bitmap, page, pages, least);
      while (page < unset.start) {
        await reader.need(pageSize, what);
        batch.reset(reader.buffer);
        page += decodeArea(reader, mapped, page, batch, pageSize, unset.start);
        yield batch;
      }
      if (page === pages) break;
      await reader.discard((unset.end - page) * pageSize, what);
      batch.reset(reader.buffer);
      batch.skippedBytes = (unset.end - page) * pageSize;
      page = unset.end;
      yield batch;
    }
  }
  reader.path.pop();
}
