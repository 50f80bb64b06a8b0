import { QevmError } from "../../bytes/errors.js";
import type { EngineKind } from "../../engine/page-engine.js";
import { PageDecoder } from "../../guest/pages/page-decoder.js";
import type { ByteSource } from "../../bytes/source.js";
import { RamFlag, type RamBatch, type RamBlock } from "../../codec/ram/index.js";
import { StreamReader, type StreamOptions } from "../../codec/stream/index.js";
import { incomplete } from "../../codec/stream/rest.js";
import { DecompressThreads } from "../threads/decompress-threads.js";
import type { LoadSink } from "../threads/load-sink.js";

/** How RAM is loaded; parameters have the names of QEMU. */
export interface LoadOptions extends StreamOptions {
  /** QEMU's `decompress-threads`, default 2. */
  decompressThreads?: number | undefined;
  engine?: EngineKind | undefined;
  /** QEMU's `decompress-error-check`; default on, and off for machine types up to 2.12, as in QEMU. */
  decompressErrorCheck?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

/** What was loaded. */
export interface Loaded {
  machine: string | undefined;
  blocks: readonly RamBlock[];
  pages: { normal: number; zero: number; compressed: number; xbzrle: number };
  /** Damaged pages that were passed over, with `decompressErrorCheck` off. */
  damaged: number;
  /** Bytes read. */
  bytes: number;
}

/**
 * Loads the RAM of a whole stream into a sink, COMPRESS_PAGE by threads. Device state is passed over.
 *
 * Errors: as `StreamReader`; bad-compressed-data and bad-xbzrle with the record's byte offset, block and page; truncated where the
 * stream has no EOF.
 */
export async function loadStream(source: ByteSource, sink: LoadSink, options: LoadOptions = {}): Promise<Loaded> {
  const reader = new StreamReader(source, { readAhead: true, ...options });
  const loader = new RamLoader(sink, reader, options);
  try {
    for await (const item of reader) {
      if (item.kind !== "section" || item.content.kind !== "ram") continue;
      loader.path = [`section ${item.sectionId} "ram"`];
      try {
        for await (const batch of item.records()) {
          if (options.signal?.aborted === true) throw new QevmError("io", "the load was cancelled");
          await loader.apply(batch);
        }
      } catch (error) {
        // Damage that came earlier in the stream is what there is to say first.
        loader.threads?.flush();
        throw error;
      }
      loader.threads?.flush();
    }
    if (!reader.complete) throw incomplete(reader.offset);
    sink.flush?.();
    const { pages } = loader;
    const damaged = loader.threads?.damaged ?? 0;
    return { machine: reader.machine, blocks: reader.ram.blocks, pages, damaged, bytes: reader.offset };
  } finally {
    await loader.threads?.close();
  }
}

class RamLoader {
  readonly pages = { normal: 0, zero: 0, compressed: 0, xbzrle: 0 };
  /** They start at the first compressed page. */
  threads: DecompressThreads | undefined;
  path: readonly string[] = [];
  private known = 0;
  private decoder: PageDecoder | undefined;

  constructor(
    private readonly sink: LoadSink,
    private readonly reader: StreamReader,
    private readonly options: LoadOptions,
  ) {}

  async apply(batch: RamBatch): Promise<void> {
    const { blocks, pageSize } = this.reader.ram;
    for (; this.known < blocks.length; this.known++) this.sink.add?.(blocks[this.known]!);
    const decoder = (this.decoder ??= new PageDecoder(pageSize));
    decoder.path = this.path;
    const { threads, sink } = this;
    for (let i = 0; i < batch.count; i++) {
      const block = batch.block[i];
      if (block === undefined) continue;
      if (batch.flag[i] === RamFlag.COMPRESS_PAGE) {
        this.pages.compressed++;
        (threads ?? this.threads ?? (await this.startThreads())).add(batch, i);
      } else {
        this.threads?.settle(block, batch.offset[i]!);
        this.count(batch.flag[i]!);
        decoder.applyTo(sink, batch, i);
      }
    }
  }

  private async startThreads(): Promise<DecompressThreads> {
    const { ram, machine } = this.reader;
    const { decompressThreads = 2, engine, decompressErrorCheck = !isBefore30(machine) } = this.options;
    const setup = { threads: decompressThreads, engine, pageSize: ram.pageSize, errorCheck: decompressErrorCheck };
    return (this.threads = await DecompressThreads.start(this.sink, setup, ram.blocks, this.path));
  }

  private count(flag: number): void {
    if (flag === RamFlag.PAGE) this.pages.normal++;
    else if (flag === RamFlag.ZERO) this.pages.zero++;
    else this.pages.xbzrle++;
  }
}

/** Machine types whose QEMU let damaged pages pass, trusting that they come again (wire: 2.4 to 2.12). */
function isBefore30(machine: string | undefined): boolean {
  const [, major] = /-(\d+)\.\d+$/u.exec(machine ?? "") ?? [];
  return major !== undefined && Number(major) < 3;
}
