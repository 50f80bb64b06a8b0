import { QevmError } from "../../bytes/errors.js";
import type { ByteSink, ByteSource } from "../../bytes/source.js";
import { ExactWriter, StreamReader } from "../../codec/stream/index.js";
import { machineRelease, releaseNumber } from "../../guest/machines/index.js";
import type { GuestBlock } from "./guest-memory.js";
import { RamSave, type SaveOptions } from "./ram-save.js";
import type { SaveMultifd } from "./save-channels.js";
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
  let saved = 0;
  let skipFooter = false;
  const reader = new StreamReader(template);
  for await (const item of reader) {
    if (item.kind === "section" && item.content.kind === "ram") {
      skipFooter = true;
      if (statistics !== undefined) continue;
      const { sectionId } = item;
      const multifd = options.multifd === undefined ? undefined : marked(options.multifd, reader.machine);
      statistics = await RamSave.run(writer.file, blocks, { ...options, multifd, sectionId });
      saved = writer.offset;
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
  statistics.ram.transferred += writer.offset - saved;
  return statistics;
}

/** The marks that a destination with this machine type expects. */
function marked(multifd: SaveMultifd, machine: string | undefined): SaveMultifd {
  const { release = 1000, marks = release >= 801 && (releaseNumber(machineRelease(machine)) ?? release) >= 801 } =
    multifd;
  return { ...multifd, marks };
}
