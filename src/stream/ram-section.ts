import { QevmError, type Diagnostics } from "../errors.js";
import type { QemuFileReader } from "../qemu-file/reader.js";
import { decodeBlockList, decodeRecords, RamBatch, RamFlag, type RamState } from "../ram/index.js";
import type { StreamLimits } from "./limits.js";

/**
 * The records of one RAM chunk, a batch at a time, up to and including its EOS.
 *
 * One batch object serves all of them (and, handed in, all sections of a stream): it is one buffer's worth; waiting happens between batches, never a record.
 */
export async function* ramRecords(
  reader: QemuFileReader,
  ram: RamState,
  diagnostics: Diagnostics,
  limits: StreamLimits,
  capabilities: readonly string[],
  batch = new RamBatch(),
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
        yield await blockList(reader, ram, batch, limits, capabilities);
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
  batch.reset(reader.buffer);
  const lead = reader.u64();
  const total = lead & ~BigInt(ram.pageSize - 1);
  if (total > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw reader.error("limit", "total of the RAM blocks", { offset: position, found: `${total} bytes` });
  }
  reader.path.push("block list");
  const list = await decodeBlockList(reader, Number(total), {
    ignoreShared: capabilities.includes("x-ignore-shared"),
    mappedRam: capabilities.includes("mapped-ram"),
    pageSize: ram.pageSize,
    maxBlocks: limits.ramBlocks,
  });
  reader.path.pop();
  for (const block of list.blocks) ram.add(block);
  batch.blockList = list;
  batch.flag[0] = RamFlag.MEM_SIZE;
  batch.continues[0] = 0;
  batch.block[0] = undefined;
  batch.offset[0] = Number(total);
  batch.position[0] = position;
  batch.bodyLength[0] = 0;
  batch.count = 1;
  return batch;
}
