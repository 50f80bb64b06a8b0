import { QevmError } from "../../bytes/errors.js";
import type { ByteSink, ByteSource } from "../../bytes/source.js";
import { ExactWriter, StreamReader } from "../../codec/stream/index.js";
import type { GuestBlock } from "./guest-memory.js";
import { RamSave, type SaveOptions } from "./ram-save.js";
import type { MigrationStatistics } from "./statistics.js";

/**
 * Saves live memory as a whole stream. Header, configuration and device state are from a template, the RAM section is
 * ours. For a real destination to load it, the template's blocks must be the same as ours; the caller ensures that.
 */
export async function saveStream(
  template: ByteSource,
  sink: ByteSink,
  blocks: readonly GuestBlock[],
  options: SaveOptions,
): Promise<MigrationStatistics> {
  const writer = new ExactWriter(sink);
  let statistics: MigrationStatistics | undefined;
  let skipFooter = false;
  for await (const item of new StreamReader(template)) {
    if (item.kind === "section" && item.content.kind === "ram") {
      skipFooter = true;
      if (statistics !== undefined) continue;
      const { sectionId } = item;
      statistics = await RamSave.run(writer.file, blocks, { ...options, sectionId });
      if (statistics.status === "cancelled") {
        await writer.file.flush();
        return statistics;
      }
      continue;
    }
    if (skipFooter) {
      skipFooter = false;
      if (item.kind === "footer") continue;
    }
    await writer.item(item);
  }
  if (statistics === undefined) throw new QevmError("unsupported", "the template has no RAM section");
  await writer.finish();
  statistics.ram.transferred = writer.offset;
  return statistics;
}
