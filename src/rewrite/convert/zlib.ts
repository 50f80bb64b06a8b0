import { QevmError } from "../../bytes/errors.js";
import { createDeflater } from "../../engine/create.js";
import { isZeroPage } from "../../engine/zero.js";
import type { DeflateBatch, EngineKind } from "../../engine/page-engine.js";
import type { QemuFileWriter } from "../../bytes/writer.js";
import { encodeRecordHeader, RamFlag, type RamBlock } from "../../codec/ram/index.js";
import { CompressThreads } from "../threads/compress-threads.js";
import { noPages, type ConvertEngine, type PageEncoder, type PageTally } from "./types.js";

/** Pages a batch: enough that handing it over costs nothing beside the work, few enough that memory stays small. */
export const BATCH_PAGES = 64;

/**
 * The engine that compresses: `exact` promises the bytes of QEMU's zlib, the others any bytes that inflate. Left out: the faster of these.
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
 * Pages as COMPRESS_PAGE records, by QEMU's rule (migration/ram.c 3.0 to 9.0): a page that names its block goes raw, zero pages go as
 * ZERO, all others compressed. Pages that follow each other are compressed together, and their order is kept.
 */
export async function createZlibEncoder(writer: QemuFileWriter, options: ZlibOptions): Promise<PageEncoder> {
  const { level, engine, threads, pageSize } = options;
  const kind = deflaterKind(level, engine);
  if (threads > 1) return await ThreadedEncoder.start(writer, { kind, level, threads, pageSize });
  const deflater = await createDeflater(kind, { level, pageSize });
  return new SingleEncoder(writer, deflater.batch(BATCH_PAGES), pageSize);
}

/** What both have in common: the records that are never compressed. */
abstract class ZlibEncoder implements PageEncoder {
  readonly pages = noPages();

  constructor(protected readonly writer: QemuFileWriter) {}

  page(block: RamBlock, offset: number, page: Uint8Array, continues: boolean): void | Promise<void> {
    if (continues) return this.add(offset, page);
    const settled = this.settle();
    if (settled !== undefined) return settled.then(() => this.raw(block, offset, page));
    return this.raw(block, offset, page);
  }

  zero(block: RamBlock, offset: number, continues: boolean): void | Promise<void> {
    if (continues) return this.add(offset, undefined);
    const settled = this.settle();
    if (settled !== undefined) return settled.then(() => this.rawZero(block, offset));
    return this.rawZero(block, offset);
  }

  abstract settle(): void | Promise<void>;
  abstract close(): Promise<void>;
  /** A page of the current block; undefined: of zeros. */
  protected abstract add(offset: number, page: Uint8Array | undefined): void | Promise<void>;

  private raw(block: RamBlock, offset: number, page: Uint8Array): void | Promise<void> {
    if (isZeroPage(page)) return this.rawZero(block, offset);
    this.pages.normal++;
    encodeRecordHeader(this.writer, RamFlag.PAGE, offset, block.idstr, false);
    this.writer.bytes(page);
    return this.writer.drain();
  }

  private rawZero(block: RamBlock, offset: number): void | Promise<void> {
    this.pages.zero++;
    encodeRecordHeader(this.writer, RamFlag.ZERO, offset, block.idstr, false);
    this.writer.u8(0);
    return this.writer.drain();
  }
}

/** In this thread. */
class SingleEncoder extends ZlibEncoder {
  private count = 0;

  constructor(
    writer: QemuFileWriter,
    private readonly batch: DeflateBatch,
    private readonly pageSize: number,
  ) {
    super(writer);
  }

  settle(): void | Promise<void> {
    const { batch, count } = this;
    if (count === 0) return;
    const length = batch.runRecords(count);
    countRecords(this.pages, batch.zero, count);
    this.count = 0;
    this.writer.bytes(batch.output.subarray(0, length));
    return this.writer.drain();
  }

  async close(): Promise<void> {
    // Nothing is held open.
  }

  protected add(offset: number, page: Uint8Array | undefined): void | Promise<void> {
    const { batch, pageSize } = this;
    const at = this.count++ * pageSize;
    if (page === undefined) batch.pages.fill(0, at, at + pageSize);
    else batch.pages.set(page, at);
    batch.words[this.count - 1] = BigInt(offset + RamFlag.CONTINUE);
    return this.count === batch.capacity ? this.settle() : undefined;
  }
}

/** In worker threads: batches go out as they fill and come back in the order in which they went. */
class ThreadedEncoder extends ZlibEncoder {
  private readonly zeros: Uint8Array;
  private threads!: CompressThreads<undefined>;

  private constructor(writer: QemuFileWriter, pageSize: number) {
    super(writer);
    this.zeros = new Uint8Array(pageSize);
  }

  static async start(
    writer: QemuFileWriter,
    { kind, level, threads, pageSize }: Omit<ZlibOptions, "engine"> & { kind: EngineKind },
  ): Promise<ThreadedEncoder> {
    const encoder = new ThreadedEncoder(writer, pageSize);
    const options = { threads, engine: kind, level, pageSize, batch: BATCH_PAGES, help: false };
    encoder.threads = await CompressThreads.start<undefined>(options, ({ records, zero, count }) => {
      countRecords(encoder.pages, zero, count);
      writer.bytes(records);
    });
    return encoder;
  }

  settle(): void | Promise<void> {
    return this.threads.busy ? this.threads.settle().then(() => this.writer.drain()) : undefined;
  }

  close(): Promise<void> {
    return this.threads.close();
  }

  protected add(offset: number, page: Uint8Array | undefined): void | Promise<void> {
    const ready = this.threads.ready(undefined);
    return ready === undefined ? this.put(offset, page) : ready.then(() => this.put(offset, page));
  }

  private put(offset: number, page = this.zeros): void | Promise<void> {
    this.threads.add(undefined, offset, page);
    return this.writer.drain();
  }
}

function countRecords(pages: PageTally, zero: Uint8Array, count: number): void {
  let zeros = 0;
  for (let i = 0; i < count; i++) zeros += zero[i]!;
  pages.zero += zeros;
  pages.compressed += count - zeros;
}
