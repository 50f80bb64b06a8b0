import { setImmediate as breathe } from "node:timers/promises";
import { QevmError } from "../../bytes/errors.js";
import type { EngineKind } from "../../engine/page-engine.js";
import type { QemuFileWriter } from "../../bytes/writer.js";
import { encodeBlockList, RamFlag, RecordWriter } from "../../codec/ram/index.js";
import { encodeFooter, encodeSectionHeader } from "../../codec/stream/section.js";
import { CompressThreads, type CompressOptions } from "../threads/compress-threads.js";
import { DirtyBitmap } from "./dirty-bitmap.js";
import type { GuestBlock } from "./guest-memory.js";
import { PageCache } from "./page-cache.js";
import { PageStrategy, type SavePageHook } from "./page-strategy.js";
import { RateLimit } from "./rate-limit.js";
import { SaveChannels, type SaveMultifd } from "./save-channels.js";
import { emptyStatistics, Period, type MigrationStatistics } from "./statistics.js";

/** Parameters with QEMU's names and defaults. */
export interface SaveParameters {
  /** Capability `compress`: on from 1. */
  compressThreads?: number | undefined;
  compressLevel?: number | undefined;
  compressWaitThread?: boolean | undefined;
  /** Default "page", the fastest. "exact" gives the bytes of QEMU's zlib. */
  engine?: EngineKind | undefined;
  /** Capability `xbzrle`, with `xbzrle-cache-size` in bytes (64 MiB). */
  xbzrle?: boolean | undefined;
  xbzrleCacheSize?: number | undefined;
  /** Capability `multifd`, without `compress` and `xbzrle`. */
  multifd?: SaveMultifd | undefined;
  /** Bytes per second over all channels, 0: no limit. Default 128 MiB. */
  maxBandwidth?: number | undefined;
  /** Milliseconds, default 300. */
  downtimeLimit?: number | undefined;
  pageSize?: number | undefined;
}

/** How RAM is saved. */
export interface SaveOptions extends SaveParameters {
  /** Stops the guest: resolves when its memory is not written any more and all writes are logged. */
  stop?: (() => Promise<void>) | undefined;
  /** Is asked before each page: true where it has sent the page itself. */
  hook?: SavePageHook | undefined;
  /** Cancels: the stream stops at its current position and the threads end. */
  signal?: AbortSignal | undefined;
  /** Section id, default 2 as in QEMU's own streams of a PC. */
  sectionId?: number | undefined;
  /** Whether sections have footers, default true. */
  footers?: boolean | undefined;
  /** @internal More about the compress threads than QEMU has parameters for: batches, who helps, another module. */
  threads?: Pick<CompressOptions, "batch" | "help" | "slots" | "script"> | undefined;
  /** @internal Creates the strategy; default: `PageStrategy`. */
  strategy?: typeof PageStrategy | undefined;
}

/** Number of pages between two checks of the clock and the sink. */
const LOOK = 64;
/** Milliseconds after which a PART ends even if the limit is not reached (QEMU's MAX_WAIT). */
const PART = 50;

/**
 * Saves the memory of a running guest as the "ram" section: START, PARTs while it runs, END when it is stopped.
 *
 * Source: QEMU migration/ram.c ram_save_setup, ram_save_iterate, ram_save_complete; migration/migration.c (5.2 to 7.2).
 */
export class RamSave {
  readonly statistics: MigrationStatistics;
  private readonly file: QemuFileWriter;
  private readonly bitmaps: DirtyBitmap[];
  private readonly pageSize: number;
  private readonly limit: RateLimit;
  private readonly period: Period;
  private readonly began = performance.now();
  private place = { block: 0, page: 0 };
  private readonly found = { block: 0, offset: 0 };
  private dirtied = 0;

  private constructor(
    private readonly wire: RecordWriter,
    private readonly blocks: readonly GuestBlock[],
    private readonly options: SaveOptions,
    private readonly strategy: PageStrategy,
    private readonly threads: CompressThreads<GuestBlock> | undefined,
    private readonly channels: SaveChannels | undefined,
    statistics: MigrationStatistics,
  ) {
    this.pageSize = options.pageSize ?? 4096;
    this.statistics = statistics;
    const { file } = wire;
    this.file = file;
    this.bitmaps = blocks.map((block) => new DirtyBitmap(block, this.pageSize));
    this.limit = new RateLimit(options.maxBandwidth ?? 128 << 20, this.sent);
    this.period = new Period(this.began);
  }

  /**
   * Writes the whole section. Returns the statistics when it is done or was cancelled, and throws when it failed. The
   * blocks' `index` is their position in the list. Errors: usage, io, and errors of the sink.
   */
  static async run(
    file: QemuFileWriter,
    blocks: readonly GuestBlock[],
    options: SaveOptions,
  ): Promise<MigrationStatistics> {
    const { pageSize = 4096, compressThreads = 0, xbzrle = false, xbzrleCacheSize = 64 << 20, multifd } = options;
    if (multifd !== undefined && (compressThreads > 0 || xbzrle)) {
      throw new QevmError("usage", "multifd goes neither with compress threads nor with XBZRLE");
    }
    const total = blocks.reduce((sum, { usedLength }) => sum + usedLength, 0);
    const statistics = emptyStatistics(total, pageSize, xbzrle ? xbzrleCacheSize : 0);
    const cache = xbzrle ? new PageCache(xbzrleCacheSize, pageSize) : undefined;
    const parts: ConstructorParameters<typeof PageStrategy>[1] = { hook: options.hook, cache };
    const Strategy = options.strategy ?? PageStrategy;
    const wire = new RecordWriter(file);
    const strategy = new Strategy(wire, parts, statistics, blocks, pageSize);
    const threads = compressThreads > 0 ? await startThreads(blocks, options, strategy) : undefined;
    parts.threads = threads;
    const count = (normal: number, zero: number): void => {
      statistics.ram.normal += normal;
      statistics.ram["normal-bytes"] += normal * pageSize;
      statistics.ram.duplicate += zero;
    };
    const channels = multifd === undefined ? undefined : await SaveChannels.create(multifd, pageSize, blocks, count);
    parts.channels = channels;
    try {
      const save = new RamSave(wire, blocks, options, strategy, threads, channels, statistics);
      await save.saveAll();
      return statistics;
    } catch (error) {
      statistics.status = "failed";
      throw error;
    } finally {
      await threads?.close();
      await channels?.close();
    }
  }

  /** Bytes written to all channels. */
  private get sent(): number {
    return this.file.offset + (this.channels?.bytes ?? 0);
  }

  private async saveAll(): Promise<void> {
    const { statistics, options, limit } = this;
    this.open("start");
    encodeBlockList(this.file, { total: statistics.ram.total, blocks: [...this.blocks] });
    await this.channels?.start(this.wire);
    await this.close();
    // The first sync: every page is set already, so the log's marks are redundant.
    this.sync();
    statistics["setup-time"] = performance.now() - this.began;
    statistics.status = "active";
    let threshold = 0;
    for (;;) {
      if (this.cancelled()) return;
      let remaining = this.remaining();
      if (remaining < Math.max(threshold, 1)) {
        this.sync();
        remaining = this.remaining();
        if (remaining === 0 || remaining < threshold) break;
      }
      await this.part();
      if (limit.exceeded(this.sent)) await limit.wait(this.sent, options.signal);
      else await breathe();
      if (!limit.over) continue;
      limit.next(this.sent);
      threshold = (limit.bandwidth * (options.downtimeLimit ?? 300)) / 1000;
      statistics.ram.mbps = (limit.bandwidth * 8) / 1e6;
      statistics["expected-downtime"] = limit.bandwidth > 0 ? (remaining / limit.bandwidth) * 1000 : 0;
    }
    const stopped = performance.now();
    await options.stop?.();
    await this.complete();
    statistics.downtime = performance.now() - stopped;
    this.finish();
  }

  /** One PART: pages until the window's budget is used, the round is over, or the time is up. */
  private async part(): Promise<void> {
    const until = performance.now() + PART;
    this.open("part");
    let more = this.find();
    for (let pages = 0; more; pages++, more = this.find()) {
      const saved = this.save();
      if (saved !== undefined) await saved;
      if (pages % LOOK !== LOOK - 1) continue;
      const written = this.file.drain();
      if (written !== undefined) await written;
      if (this.limit.exceeded(this.sent) || performance.now() > until || this.options.signal?.aborted) break;
    }
    if (!more) await this.channels?.endRound(this.wire);
    await this.close();
  }

  /** END: all remaining pages, without a limit. */
  private async complete(): Promise<void> {
    this.strategy.lastStage = true;
    this.open("end");
    this.threads?.flush();
    this.sync();
    await this.channels?.endRound(this.wire);
    while (this.remaining() > 0) {
      while (this.find()) {
        const saved = this.save();
        if (saved !== undefined) await saved;
        const written = this.file.drain();
        if (written !== undefined) await written;
      }
    }
    this.threads?.flush();
    await this.channels?.endRound(this.wire);
    await this.close();
  }

  /** Sends the page that `find` found. */
  private save(): Promise<void> | undefined {
    const { found, channels, strategy } = this;
    const wait = channels?.ready(this.blocks[found.block]!.idstr);
    if (wait !== undefined) return wait.then(() => strategy.save(this.blocks[found.block]!, found.offset));
    strategy.save(this.blocks[found.block]!, found.offset);
    return undefined;
  }

  /** Finds the next dirty page after the last one; false at the end of a round. */
  private find(): boolean {
    const { place, bitmaps } = this;
    for (; place.block < bitmaps.length; place.block++, place.page = 0) {
      const bitmap = bitmaps[place.block]!;
      const page = bitmap.pages === 0 ? -1 : bitmap.take(place.page);
      if (page < 0) continue;
      place.page = page + 1;
      this.found.block = place.block;
      this.found.offset = page * this.pageSize;
      return true;
    }
    // A page of the next round must not overtake its earlier copy in a thread.
    this.threads?.flush();
    this.place = { block: 0, page: 0 };
    this.strategy.firstRound = false;
    return false;
  }

  private sync(): void {
    const { ram } = this.statistics;
    let added = 0;
    for (const bitmap of this.bitmaps) added += bitmap.sync();
    this.dirtied += added;
    ram["dirty-sync-count"]++;
    this.strategy.generation++;
    this.period.end(this.statistics, performance.now(), added);
    ram.remaining = this.remaining();
  }

  private remaining(): number {
    let pages = 0;
    for (const bitmap of this.bitmaps) pages += bitmap.pages;
    return pages * this.pageSize;
  }

  private cancelled(): boolean {
    if (this.options.signal?.aborted !== true) return false;
    this.finish();
    this.statistics.status = "cancelled";
    return true;
  }

  private finish(): void {
    const { statistics } = this;
    const { ram, compression } = statistics;
    const time = performance.now() - this.began;
    statistics.status = "completed";
    statistics["total-time"] = time;
    ram.transferred = this.sent;
    ram.remaining = this.remaining();
    ram.mbps = (ram.transferred * 8) / (time * 1000);
    const pages = ram.normal + ram.duplicate + compression.pages + statistics["xbzrle-cache"].pages;
    ram["pages-per-second"] = (pages * 1000) / time;
    this.period.end(statistics, performance.now(), 0);
  }

  private open(type: "start" | "part" | "end"): void {
    const sectionId = this.options.sectionId ?? 2;
    encodeSectionHeader(this.file, { type, sectionId, idstr: "ram", instanceId: 0, versionId: 4 });
  }

  private async close(): Promise<void> {
    await this.channels?.endSection();
    this.wire.mark(RamFlag.EOS);
    if (this.options.footers ?? true) encodeFooter(this.file, this.options.sectionId ?? 2);
    // The destination's channels wait for the marks, and we for its channels.
    await (this.channels === undefined ? this.file.drain() : this.file.flush());
    this.statistics.ram.transferred = this.sent;
  }
}

async function startThreads(
  blocks: readonly GuestBlock[],
  options: SaveOptions,
  strategy: PageStrategy,
): Promise<CompressThreads<GuestBlock>> {
  const { compressThreads = 8, compressLevel = 1, engine = "page", pageSize = 4096 } = options;
  if (blocks.some(({ index }, i) => index !== i))
    throw new QevmError("usage", "blocks out of the order of their index");
  const none = new SharedArrayBuffer(0);
  return await CompressThreads.start<GuestBlock>(
    {
      threads: compressThreads,
      engine: engine === "exact" && compressLevel === 1 ? "page-exact" : engine,
      level: compressLevel,
      pageSize,
      wait: options.compressWaitThread ?? true,
      ...options.threads,
      memories: blocks.map(({ shared }) => shared ?? { buffer: none, start: 0, length: 0 }),
    },
    (batch) => strategy.finished(batch),
  );
}
