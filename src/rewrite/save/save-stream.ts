import { QevmError } from "../../bytes/errors.js";
import type { ByteSink, ByteSource } from "../../bytes/source.js";
import { ExactWriter, StreamReader } from "../../codec/stream/index.js";
import type { GuestBlock } from "./guest-memory.js";
import { RamSave, type SaveOptions } from "./ram-save.js";
import type { MigrationStatistics } from "./statistics.js";

/**
 * Saves live memory as a whole stream: header, configuration and device state are those of a template, the RAM section is ours.
 * The template's blocks and ours must be the same for a real destination to load it; that is the caller's business.
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
