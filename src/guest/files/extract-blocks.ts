import { join } from "node:path";
import { QevmError, type Diagnostics, type Warning } from "../../bytes/errors.js";
import type { ByteSource } from "../../bytes/source.js";
import type { RamBlock } from "../../codec/ram/index.js";
import { StreamReader, type StreamItem, type StreamOptions } from "../../codec/stream/index.js";
import { AtomicFolder } from "../../io/transport/folder.js";
import { writeNewFile } from "../../io/transport/temporary.js";
import { RecordApplier } from "../pages/apply.js";
import { BlockFiles, type BlockFileEntry, type Split } from "./block-files.js";
import type { PageBits } from "../pages/page-bits.js";

export interface ExtractedBlocks {
  machine: string | null;
  pageSize: number;
  complete: boolean;
  warnings: Warning[];
  /** Anomalies that lenient mode passed over, also those that `warnings` has no room for: the contents are doubtful. */
  passedOver: number;
  blocks: BlockFileEntry[];
}

export interface ExtractOptions extends StreamOptions {
  onItem?: (item: StreamItem) => void;
  /** Told at the end: what was noticed, and what lenient mode replaced. */
  onDiagnostics?: (diagnostics: Diagnostics) => void;
  /** How a block's bytes are laid into its file; default: one after the other. */
  split?: (block: RamBlock, machine: string | undefined) => Split | undefined;
  /** Told at the end, of each block: which of its pages were ever written. All others are holes in its file. */
  onWritten?: (block: string, pages: PageBits) => void;
  /** Bytes of pages after which another thread writes them. Default: at once where the source is long, after 32 MiB where its length is not known. */
  threadAfter?: number;
}

/** Bytes of a stream from which on another thread is worth its start. */
const LONG = 1 << 27;

/**
 * Writes guest memory as one sparse file a RAM block, with `blocks.json` that says which file holds which block. The
 * folder appears whole or not at all; it must not exist yet, or be empty. Errors: as `StreamReader`; usage, io.
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
  const reader = new StreamReader(source, options);
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
    for (const { name } of blocks) options.onWritten?.(name, files.written(name));
    return {
      machine: machine ?? null,
      pageSize,
      complete,
      warnings: diagnostics.warnings,
      passedOver: diagnostics.passedOver,
      blocks,
    };
  } finally {
    await files?.end();
  }
}

function threadAfter({ length }: ByteSource): number {
  if (length === undefined) return LONG / 4;
  return length < LONG ? Number.POSITIVE_INFINITY : 0;
}
