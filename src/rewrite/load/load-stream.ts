import { QevmError, type Warning } from "../../bytes/errors.js";
import type { EngineKind } from "../../engine/page-engine.js";
import { PageDecoder } from "../../guest/pages/page-decoder.js";
import type { ByteSource } from "../../bytes/source.js";
import { RamFlag, type RamBatch, type RamBlock } from "../../codec/ram/index.js";
import { StreamReader } from "../../codec/stream/index.js";
import { incomplete } from "../../codec/stream/rest.js";
import type { Input } from "../../io/container/types.js";
import type { Recording } from "../../io/recording/index.js";
import {
  readingOf,
  sourceOf,
  withInput,
  type OpenOptions,
  type ReadingOf,
  type StreamInput,
} from "../../io/container/input.js";
import { SocketSource } from "../../io/transport/socket-source.js";
import { DecompressThreads, type DecompressOptions } from "../threads/decompress-threads.js";
import { canLoadChannels, connectedChannels, LoadChannels } from "./load-channels.js";
import type { LoadSink } from "../threads/load-sink.js";

/** How RAM is loaded; parameters have the names of QEMU. */
export interface LoadOptions extends OpenOptions {
  /**
   * QEMU's `decompress-threads`, default 2; of multifd channels: default one for each processor, at most one a channel.
   */
  decompressThreads?: number | undefined;
  engine?: EngineKind | undefined;
  /** QEMU's `decompress-error-check`. As in QEMU, the default is on, and off for machine types up to 2.12. */
  decompressErrorCheck?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

type Connections = readonly (AsyncIterable<Uint8Array> | ByteSource)[];

/** The result of a load. */
export interface Loaded {
  machine: string | undefined;
  blocks: readonly RamBlock[];
  pages: { normal: number; zero: number; compressed: number; xbzrle: number };
  /** Damaged pages that were skipped with `decompressErrorCheck` off. */
  damaged: number;
  /** Warnings, among them each damaged page with its replacement; after the first 10,000 they are only counted. */
  warnings: readonly Warning[];
  /** Bytes read. */
  bytes: number;
}

/**
 * Loads the RAM of a whole stream into a sink, with COMPRESS_PAGE records inflated by threads. Device state is skipped.
 *
 * A list is the connections of one migration with multifd, in any order, which stay open: the channels are read side by
 * side and decoded by threads, as those of a recording are. The source must not wait for an answer (no return path).
 * Pages have 4096 bytes unless `pageSize` says otherwise: what is not sent yet cannot show it.
 *
 * A source that was given stays open. Errors: as `openInput` and `StreamReader`; bad-compressed-data and bad-xbzrle
 * with the record's byte offset, block and page; truncated where the stream has no EOF; bad-value where connections are
 * not the channels of one migration.
 */
export async function loadStream(
  input: StreamInput | readonly (AsyncIterable<Uint8Array> | ByteSource)[],
  sink: LoadSink,
  options: LoadOptions = {},
): Promise<Loaded> {
  if (isList(input)) {
    return await loadConnections(input, sink, { ...readingOf(options), pageSize: options.pageSize ?? 4096 });
  }
  return await withInput(input, options, async (source, reading) => await loadSource(source, sink, reading));
}

function isList(input: StreamInput | Connections): input is Connections {
  return Array.isArray(input);
}

async function loadConnections(input: Connections, sink: LoadSink, options: ReadingOf<LoadOptions>): Promise<Loaded> {
  const sockets = input.map((one) => SocketSource.over(one));
  try {
    const recording = await connectedChannels(input.map((one, k) => sockets[k] ?? sourceOf(one)));
    return await loadRecording(recording, sink, options);
  } finally {
    for (const socket of sockets) socket?.close();
  }
}

async function loadRecording(recording: Recording, sink: LoadSink, options: ReadingOf<LoadOptions>): Promise<Loaded> {
  const channels = new LoadChannels(recording, sink, options.decompressThreads);
  try {
    return await loadFrom(channels.main, sink, { ...options, unreached: "count" }, channels);
  } finally {
    await channels.close();
  }
}

async function loadSource(source: Input, sink: LoadSink, options: ReadingOf<LoadOptions>): Promise<Loaded> {
  const { recording } = source;
  // What lenient mode passes over is the merger's to know.
  if (recording !== undefined && options.lenient !== true && canLoadChannels(recording)) {
    return await loadRecording(recording, sink, options);
  }
  return await loadFrom(source, sink, options);
}

async function loadFrom(
  source: ByteSource,
  sink: LoadSink,
  options: ReadingOf<LoadOptions>,
  channels?: LoadChannels,
): Promise<Loaded> {
  const reader = new StreamReader(source, options);
  const loader = new RamLoader(sink, reader, options);
  try {
    for await (const item of reader) {
      if (item.kind === "command") channels?.command(item.command.name);
      if (item.kind !== "section" || item.content.kind !== "ram") continue;
      loader.path = [`section ${item.sectionId} "ram"`];
      const mark = (flag: number): Promise<void> | undefined => channels?.mark(flag, item.type, reader);
      try {
        for await (const batch of item.records()) {
          if (options.signal?.aborted === true) throw new QevmError("io", "the load was cancelled");
          await loader.apply(batch, mark);
        }
      } catch (error) {
        // Report damage that occurs earlier in the stream first.
        loader.threads?.flush();
        throw error;
      }
      loader.threads?.flush();
    }
    if (!reader.complete) throw incomplete(reader.offset);
    await channels?.end();
    sink.flush?.();
    const { pages } = loader;
    pages.normal += channels?.pages.normal ?? 0;
    pages.zero += channels?.pages.zero ?? 0;
    const damaged = loader.threads?.damaged ?? 0;
    const { machine, ram, diagnostics, offset } = reader;
    return {
      machine,
      blocks: ram.blocks,
      pages,
      damaged,
      warnings: diagnostics.warnings,
      bytes: offset + (channels?.bytes ?? 0),
    };
  } finally {
    await loader.threads?.close();
  }
}

class RamLoader {
  readonly pages = { normal: 0, zero: 0, compressed: 0, xbzrle: 0 };
  /** Started at the first compressed page. */
  threads: DecompressThreads | undefined;
  path: readonly string[] = [];
  private known = 0;
  private decoder: PageDecoder | undefined;

  constructor(
    private readonly sink: LoadSink,
    private readonly reader: StreamReader,
    private readonly options: LoadOptions,
  ) {}

  /** @param mark is called for each record without a page */
  async apply(batch: RamBatch, mark: (flag: number) => Promise<void> | undefined): Promise<void> {
    const { blocks, pageSize } = this.reader.ram;
    for (; this.known < blocks.length; this.known++) this.sink.add?.(blocks[this.known]!);
    const decoder = (this.decoder ??= new PageDecoder(pageSize));
    decoder.path = this.path;
    const { threads, sink } = this;
    for (let i = 0; i < batch.count; i++) {
      const block = batch.block[i];
      if (block === undefined) {
        const wait = mark(batch.flag[i]!);
        if (wait !== undefined) await wait;
        continue;
      }
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
    const { ram, machine, diagnostics } = this.reader;
    const { decompressThreads = 2, engine, decompressErrorCheck = !isBefore30(machine) } = this.options;
    const setup: DecompressOptions = {
      threads: decompressThreads,
      engine,
      pageSize: ram.pageSize,
      errorCheck: decompressErrorCheck,
      onDamaged: (error, replaced) => diagnostics.passOver(error, replaced),
    };
    return (this.threads = await DecompressThreads.start(this.sink, setup, ram.blocks, this.path));
  }

  private count(flag: number): void {
    if (flag === RamFlag.PAGE) this.pages.normal++;
    else if (flag === RamFlag.ZERO) this.pages.zero++;
    else this.pages.xbzrle++;
  }
}

/** Machine types whose QEMU ignored damaged pages and relied on their being sent again (wire: 2.4 to 2.12). */
function isBefore30(machine: string | undefined): boolean {
  const [, major] = /-(\d+)\.\d+$/u.exec(machine ?? "") ?? [];
  return major !== undefined && Number(major) < 3;
}
