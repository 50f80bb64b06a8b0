import { join } from "node:path";
import { QevmError, type Diagnostics, type Warning } from "../../bytes/errors.js";
import type { ByteSource } from "../../bytes/source.js";
import type { RamBlock } from "../../codec/ram/index.js";
import { StreamReader, type StreamItem, type StreamOptions } from "../../codec/stream/index.js";
import { AtomicFolder } from "../../io/transport/folder.js";
import { writeNewFile } from "../../io/transport/temporary.js";
import { RecordApplier } from "../pages/apply.js";
import { BlockFiles, type BlockFileEntry, type Split } from "./block-files.js";
import { THREAD_AFTER } from "./piece-writer.js";
import type { PageBits } from "../pages/page-bits.js";

/** What was extracted, as `blocks.json` says it. */
export interface ExtractedBlocks {
  machine: string | null;
  pageSize: number;
  complete: boolean;
  warnings: Warning[];
  /**
   * Anomalies that lenient mode skipped, including those that did not fit into `warnings`. If not 0, the contents are
   * unreliable.
   */
  passedOver: number;
  blocks: BlockFileEntry[];
}

/** How guest memory is extracted. */
export interface ExtractOptions extends StreamOptions {
  /** Is given every item of the stream. */
  onItem?: (item: StreamItem) => void;
  /** Called at the end with the warnings, including pages that lenient mode replaced. */
  onDiagnostics?: (diagnostics: Diagnostics) => void;
  /** @internal How a block's bytes are laid into its file; default: one after the other. */
  split?: (block: RamBlock, machine: string | undefined) => Split | undefined;
  /** @internal Called at the end for each block, with the pages that were written. All others are holes in its file. */
  onWritten?: (block: string, pages: PageBits) => void;
  /**
   * Bytes of pages after which another thread writes them. Default: at once for a long source, after 32 MiB where its
   * length is unknown.
   */
  threadAfter?: number;
}

/** Stream size in bytes from which starting a thread pays off. */
const LONG = 1 << 27;

/**
 * Writes guest memory as one sparse file per RAMBlock, with `blocks.json` to map files to blocks. The folder is written
 * atomically; it must not exist, or be empty. Errors: as `StreamReader`; usage, io.
 */
export async function extractBlocks(
  source: ByteSource,
  folder: string,
  options: ExtractOptions = {},
): Promise<ExtractedBlocks> {
  const out = new AtomicFolder(folder);
  try {
    const result = await writeBlocks(source, out.temporary, options);
    const list = `${JSON.stringify(result, undefined, 2)}\n`;
    writeNewFile(join(out.temporary, "blocks.json"), list);
    out.commit();
    return result;
  } finally {
    out.abort();
  }
}

async function writeBlocks(source: ByteSource, folder: string, options: ExtractOptions): Promise<ExtractedBlocks> {
  // Another thread writes, which is the longer half: a third one that reads ahead takes its processor away.
  const reader = new StreamReader(source, { readAhead: false, ...options });
  let files: BlockFiles | undefined;
  let applier: RecordApplier | undefined;
  try {
    for await (const item of reader) {
      options.onItem?.(item);
      if (item.kind !== "section" || item.content.kind !== "ram") continue;
      for await (const batch of item.records()) {
        if (files === undefined || applier === undefined) {
          files = new BlockFiles(folder, reader.ram.pageSize, options.threadAfter ?? threadAfter(source));
          const { pageSize } = reader.ram;
          applier = new RecordApplier(files, pageSize, [`section ${item.sectionId} "ram"`], reader.diagnostics);
        }
        files.addNew(reader.ram.blocks, (block) => options.split?.(block, reader.machine));
        await applier.apply(batch);
      }
    }
    if (files === undefined)
      throw new QevmError("unsupported", "the stream has no RAM section", { offset: reader.offset });
    files.settle();
    const { machine, complete, diagnostics } = reader;
    const { pageSize } = reader.ram;
    const blocks = files.list();
    options.onDiagnostics?.(diagnostics);
    for (const { block: name } of blocks) options.onWritten?.(name, files.written(name));
    return {
      machine: machine ?? null,
      pageSize,
      complete,
      warnings: diagnostics.warnings,
      passedOver: diagnostics.passedOver,
      blocks,
    };
  } finally {
    files?.close();
  }
}

function threadAfter({ length }: ByteSource): number {
  if (length === undefined) return THREAD_AFTER;
  return length < LONG ? Number.POSITIVE_INFINITY : 0;
}
