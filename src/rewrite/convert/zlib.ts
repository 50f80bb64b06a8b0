import { QevmError } from "../../bytes/errors.js";
import { createDeflater } from "../../engine/create.js";
import { isZero } from "../../bytes/zero.js";
import type { DeflateBatch, EngineKind } from "../../engine/page-engine.js";
import { RamFlag, type RamBlock, type RecordWriter } from "../../codec/ram/index.js";
import { CompressThreads } from "../threads/compress-threads.js";
import { noPages, type ConvertEngine, type PageEncoder, type PageTally } from "./types.js";

/** Pages a batch: enough that handing it over costs little next to the work, few enough that memory stays small. */
export const BATCH_PAGES = 64;

/**
 * The engine that compresses: `exact` promises the bytes of QEMU's zlib, the others any bytes that inflate. Left out:
 * the faster of these.
 * Errors: usage where `page`, which knows one effort, is asked for another level.
 */
function deflaterKind(level: number, engine: ConvertEngine | undefined): EngineKind {
  if (engine === "exact") return level === 1 ? "page-exact" : "exact";
  if (engine === "page" && level !== 1) {
    throw new QevmError("usage", "the page engine compresses at level 1", { found: `level ${level}` });
  }
  return engine ?? (level === 1 ? "page" : "fast");
}

export interface ZlibOptions {
  level: number;
  engine: ConvertEngine | undefined;
  threads: number;
  pageSize: number;
}

/**
 * Pages as COMPRESS_PAGE records, by QEMU's rule (migration/ram.c 3.0 to 9.0): a page that names its block goes raw,
 * zero pages go as ZERO, all others compressed. Pages that follow each other are compressed together, and their order
 * is kept.
 */
export async function createZlibEncoder(wire: RecordWriter, options: ZlibOptions): Promise<PageEncoder> {
  const { level, engine, threads, pageSize } = options;
  const kind = deflaterKind(level, engine);
  if (threads > 1) return await ThreadedEncoder.start(wire, { kind, level, threads, pageSize });
  const deflater = await createDeflater(kind, { level, pageSize });
  return new SingleEncoder(wire, deflater.batch(BATCH_PAGES), pageSize);
}

/** What both have in common: the records that are never compressed. */
abstract class ZlibEncoder implements PageEncoder {
  readonly pages = noPages();

  constructor(protected readonly wire: RecordWriter) {}

  page(
    block: RamBlock,
    offset: number,
    page: Uint8Array | undefined,
    continues = this.wire.current === block,
  ): void | Promise<void> {
    if (continues) return this.add(block, offset, page);
    const settled = this.settle();
    if (settled !== undefined) return settled.then(() => this.raw(block, offset, page));
    return this.raw(block, offset, page);
  }

  abstract settle(): void | Promise<void>;
  abstract close(): Promise<void>;
  /** A page of the current block; undefined: of zeros. */
  protected abstract add(block: RamBlock, offset: number, page: Uint8Array | undefined): void | Promise<void>;

  private raw(block: RamBlock, offset: number, page: Uint8Array | undefined): void | Promise<void> {
    const zero = page === undefined || isZero(page);
    this.pages[zero ? "zero" : "normal"]++;
    this.wire.plain(block, offset, zero ? undefined : page, false);
    return this.wire.file.drain();
  }
}

/** In this thread. */
class SingleEncoder extends ZlibEncoder {
  private count = 0;
  private block!: RamBlock;

  constructor(
    wire: RecordWriter,
    private readonly batch: DeflateBatch,
    private readonly pageSize: number,
  ) {
    super(wire);
  }

  settle(): void | Promise<void> {
    const { batch, count } = this;
    if (count === 0) return;
    const length = batch.runRecords(count);
    countRecords(this.pages, batch.zero, count);
    this.count = 0;
    this.wire.finished(this.block, batch.output.subarray(0, length));
    return this.wire.file.drain();
  }

  async close(): Promise<void> {
    // Nothing is held open.
  }

  protected add(block: RamBlock, offset: number, page: Uint8Array | undefined): void | Promise<void> {
    const { batch, pageSize } = this;
    this.block = block;
    const at = this.count++ * pageSize;
    if (page === undefined) batch.pages.fill(0, at, at + pageSize);
    else batch.pages.set(page, at);
    batch.words[this.count - 1] = BigInt(offset + RamFlag.CONTINUE);
    return this.count === batch.capacity ? this.settle() : undefined;
  }
}

/** In worker threads: batches go out as they fill and come back in the order in which they were sent. */
class ThreadedEncoder extends ZlibEncoder {
  private readonly zeros: Uint8Array;
  private threads!: CompressThreads<RamBlock>;

  private constructor(wire: RecordWriter, pageSize: number) {
    super(wire);
    this.zeros = new Uint8Array(pageSize);
  }

  static async start(
    wire: RecordWriter,
    { kind, level, threads, pageSize }: Omit<ZlibOptions, "engine"> & { kind: EngineKind },
  ): Promise<ThreadedEncoder> {
    const encoder = new ThreadedEncoder(wire, pageSize);
    const options = { threads, engine: kind, level, pageSize, batch: BATCH_PAGES, help: false };
    encoder.threads = await CompressThreads.start<RamBlock>(options, ({ tag, records, zero, count }) => {
      countRecords(encoder.pages, zero, count);
      wire.finished(tag, records);
    });
    return encoder;
  }

  settle(): void | Promise<void> {
    return this.threads.busy ? this.threads.settle().then(() => this.wire.file.drain()) : undefined;
  }

  close(): Promise<void> {
    return this.threads.close();
  }

  protected add(block: RamBlock, offset: number, page: Uint8Array | undefined): void | Promise<void> {
    const ready = this.threads.ready(block);
    return ready === undefined ? this.put(block, offset, page) : ready.then(() => this.put(block, offset, page));
  }

  private put(block: RamBlock, offset: number, page = this.zeros): void | Promise<void> {
    this.threads.add(block, offset, page);
    return this.wire.file.drain();
  }
}

function countRecords(pages: PageTally, zero: Uint8Array, count: number): void {
  let zeros = 0;
  for (let i = 0; i < count; i++) zeros += zero[i]!;
  pages.zero += zeros;
  pages.compressed += count - zeros;
}
