import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { Diagnostics, QevmError } from "../../bytes/errors.js";
import type { ByteSource } from "../../bytes/source.js";
import { ACPI_TABLES, tablesOf } from "../layout/srat.js";
import { attempt, readAll } from "../../io/transport/attempt.js";
import { systemFolder, temporaryFolder } from "../../io/transport/temporary.js";
import { extractBlocks } from "../files/extract-blocks.js";
import { noFacts, noteFacts, noteTables, type DeviceFacts } from "../layout/facts.js";
import type { GuestPages, ScanOptions } from "./guest-memory.js";

/**
 * The RAM of a stream that comes through a pipe or a decompressor: it is extracted into a temporary folder of sparse files, which `close`
 * removes. Errors: as `extractBlocks`.
 */
export async function extractedPages(
  source: ByteSource,
  options: ScanOptions,
): Promise<GuestPages & { close(): void }> {
  const made = temporaryFolder(systemFolder(), "qevm-read");
  const work = made.path;
  const close = (): void => made.remove();
  try {
    const facts: DeviceFacts = noFacts();
    const folder = join(work, "blocks");
    let diagnostics = new Diagnostics();
    const found = await extractBlocks(source, folder, {
      ...options,
      onItem: (item) => noteFacts(item, facts),
      onDiagnostics: (told) => (diagnostics = told),
    });
    const tables = found.blocks.find(({ name }) => name === ACPI_TABLES);
    if (tables !== undefined) noteTables(tablesOf(join(folder, tables.file)), facts);
    return {
      machine: found.machine ?? undefined,
      pageSize: found.pageSize,
      blocks: found.blocks,
      facts,
      diagnostics,
      places: undefined,
      close,
      read: (block, offset, into) => {
        const { file, inStream } = found.blocks.find(({ name }) => name === block)!;
        if (!inStream) {
          const what = `the stream carries no page of RAM block ${JSON.stringify(block)}`;
          return Promise.reject(new QevmError("unsupported", what));
        }
        const fd = attempt(work, () => openSync(join(folder, file), "r"));
        try {
          into.fill(0);
          readAll(work, fd, into, offset);
        } finally {
          closeSync(fd);
        }
        return Promise.resolve();
      },
    };
  } catch (error) {
    close();
    throw error;
  }
}
