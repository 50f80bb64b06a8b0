import type { Diagnostics } from "../../bytes/errors.js";
import { QemuFileReader } from "../../bytes/reader.js";
import type { ByteSource } from "../../bytes/source.js";
import { decodeRecords, RamBatch, RamState } from "../../codec/ram/index.js";

/**
 * The records of a preempt channel, a batch at a time: no header, no sections, and a separate CONTINUE state. It ends
 * with EOS (7.2, 10.0) or when it is closed. Anomaly: truncated, where it ends inside a record.
 *
 * Source: QEMU migration/ram.c ram_load_postcopy on the preempt channel (7.1 to 11.1).
 */
export async function* preemptRecords(
  source: ByteSource,
  ram: RamState,
  diagnostics: Diagnostics,
): AsyncGenerator<RamBatch> {
  const reader = new QemuFileReader(source);
  const own = new RamState(ram.pageSize, ram.maxBlocks);
  for (const block of ram.blocks) own.add(block);
  const batch = new RamBatch();
  batch.begin();
  while (await reader.fill(1)) {
    batch.reset(reader.buffer);
    const status = decodeRecords(reader, own, batch, diagnostics);
    if (batch.count > 0) yield batch;
    if (status.kind === "short") {
      // An end after a whole record is a clean end.
      if (reader.available === 0 || (await reader.fill(status.need))) continue;
      diagnostics.anomaly(reader.short(status.need, status.what));
      return;
    } else if (status.kind === "blocks") {
      throw reader.error("unknown-type", "a block list on the preempt channel");
    }
  }
}
