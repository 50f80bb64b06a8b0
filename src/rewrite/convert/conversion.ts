import { PageDecoder } from "../../guest/pages/page-decoder.js";
import { QevmError } from "../../bytes/errors.js";
import { createInflater } from "../../engine/create.js";
import { placedAt, RamFlag } from "../../codec/ram/index.js";
import { ScratchMemory } from "../../guest/files/scratch.js";
import {
  encodeSectionHeader,
  type ExactWriter,
  type SectionItem,
  type StreamItem,
  type StreamReader,
} from "../../codec/stream/index.js";
import { SingleInflate, type InflateStage, type PageTaker } from "./inflate.js";
import { NormalEncoder } from "./normal.js";
import { RecordConverter, tallyBatch } from "./records.js";
import { noPages, type ConvertOptions, type PageEncoder, type PageTally } from "./types.js";
import { ThreadedInflate } from "./threaded-inflate.js";
import { createZlibEncoder } from "./zlib.js";

/** Takes the items of a stream in order and writes the converted ones. */
export interface ItemConverter {
  readonly pages: { in: PageTally; out: PageTally };
  item(item: StreamItem): Promise<void>;
  /** All items were given. */
  end(): Promise<void>;
  /** Lets go of threads and temporary files, after success or failure. */
  close(): Promise<void>;
}

/** Writes everything unchanged. */
export class KeepItems implements ItemConverter {
  readonly pages: { in: PageTally; out: PageTally };

  constructor(private readonly writer: ExactWriter) {
    const pages = noPages();
    this.pages = { in: pages, out: pages };
  }

  async item(item: StreamItem): Promise<void> {
    if (item.kind !== "section" || item.content.kind !== "ram") {
      await this.writer.item(item);
      return;
    }
    encodeSectionHeader(this.writer.file, item);
    for await (const batch of item.records()) {
      tallyBatch(this.pages.in, batch);
      // Places in a mapped-ram file count from its first byte, which may have moved.
      if (batch.mappedBlock !== undefined) batch.mappedBlock = placedAt(batch.mappedBlock, this.writer.file.offset);
      await this.writer.records(batch);
    }
  }

  async end(): Promise<void> {
    // Nothing is buffered.
  }

  async close(): Promise<void> {
    // Nothing is held open.
  }
}

/** Page records in another encoding, in place. */
export class ReencodePages implements ItemConverter {
  readonly pages = { in: noPages(), out: noPages() };
  private parts: { records: RecordConverter; encoder: PageEncoder; inflate: InflateStage } | undefined;
  private memory: ScratchMemory | undefined;

  constructor(
    private readonly reader: StreamReader,
    private readonly writer: ExactWriter,
    private readonly options: ConvertOptions,
    /** Folder for the guest's memory; undefined: the stream is known to hold no XBZRLE page. */
    private scratch: string | undefined,
  ) {}

  async item(item: StreamItem): Promise<void> {
    if (item.kind === "command" && item.command.name === "PACKAGED") this.forget();
    if (item.kind === "section" && item.content.kind === "ram") await this.section(item);
    else await this.writer.item(item);
  }

  async end(): Promise<void> {
    // Every section was settled at its end.
  }

  async close(): Promise<void> {
    await this.parts?.encoder.close();
    await this.parts?.inflate.close();
    this.memory?.close();
  }

  /**
   * The switch to postcopy: no XBZRLE page follows (QEMU migration/ram.c ram_save_page, 5.2 to 11.1), and a full disk would
   * end a migration that can no longer go back.
   */
  private forget(): void {
    this.parts?.records.forget();
    this.memory?.close();
    this.memory = undefined;
    this.scratch = undefined;
  }

  private async section(item: SectionItem): Promise<void> {
    encodeSectionHeader(this.writer.file, item);
    const path = [`section ${item.sectionId} ${JSON.stringify(item.idstr)}`];
    const { records } = (this.parts ??= await this.prepare());
    for await (const batch of item.records()) {
      tallyBatch(this.pages.in, batch);
      await records.batch(batch, path);
      // Views into the batch end here; threads hold copies.
    }
    await records.settle();
  }

  private async prepare(): Promise<NonNullable<typeof this.parts>> {
    const { reader, options } = this;
    const { pageSize } = reader.ram;
    const { wire } = this.writer;
    const threads = options.threads ?? 1;
    if (this.scratch !== undefined) this.memory = new ScratchMemory(this.scratch, pageSize);
    const encoder = await createEncoder(this.writer, options, pageSize);
    this.pages.out = encoder.pages;
    const kind = options.engine ?? "page";
    let records: RecordConverter;
    const take: PageTaker = (...page) => records.inflated(...page);
    // One pool is enough: where the pages are compressed again, that is the longer work.
    const inflate =
      threads > 1 && options.ram === "normal"
        ? await ThreadedInflate.start(threads, { engine: kind, pageSize }, reader.diagnostics, take)
        : new SingleInflate(
            new PageDecoder(pageSize, {
              inflater: await createInflater(kind, { pageSize }),
              diagnostics: reader.diagnostics,
            }),
            take,
          );
    records = new RecordConverter(wire, encoder, inflate, pageSize, this.memory?.files, reader.diagnostics);
    return { records, encoder, inflate };
  }
}

/** What puts plain pages into the output. */
export async function createEncoder(
  writer: ExactWriter,
  options: ConvertOptions,
  pageSize: number,
): Promise<PageEncoder> {
  if (options.ram !== "zlib") return new NormalEncoder(writer.wire);
  if (pageSize <= RamFlag.COMPRESS_PAGE) {
    throw new QevmError("unsupported", `compressed pages of ${pageSize} bytes: the flag has no place below the offset`);
  }
  const { level = 1, engine, threads = 1 } = options;
  return await createZlibEncoder(writer.wire, { level, engine, threads, pageSize });
}
