import type { PageInflater } from "../../engine/page-engine.js";
import { inflatedPart, pageError, replacedPage } from "../../guest/pages/apply.js";
import { QevmError, type Diagnostics } from "../../bytes/errors.js";
import type { RamBatch, RamBlock } from "../../codec/ram/index.js";
import { BATCH_PAGES, WorkerPool, type Job } from "./pool.js";

/** Inflates COMPRESS_PAGE records and passes their pages on, in order. */
export interface InflateStage {
  /** Record `i` of a batch. A promise means: wait before the next call. */
  add(batch: RamBatch, i: number, path: readonly string[]): void | Promise<void>;
  /** After this, every page given so far has been passed on. */
  settle(): void | Promise<void>;
  close(): Promise<void>;
}

/** Takes a page from an inflate stage. */
export type PageTaker = (block: RamBlock, offset: number, page: Uint8Array, continues: boolean) => void | Promise<void>;

/**
 * In this thread, a page at a time. A payload that does not inflate is the error `bad-compressed-data`; in lenient mode the bytes
 * before the damage count and the rest is zeros (up to 2.12 QEMU sends such pages and sends them again later).
 */
export class SingleInflate implements InflateStage {
  private readonly page: Uint8Array;

  constructor(
    private readonly inflater: PageInflater,
    private readonly diagnostics: Diagnostics,
    private readonly take: PageTaker,
  ) {
    this.page = new Uint8Array(inflater.pageSize);
  }

  add(batch: RamBatch, i: number, path: readonly string[]): void | Promise<void> {
    const { inflater, page } = this;
    try {
      inflater.inflate(batch.body(i), page);
    } catch (error) {
      if (!(error instanceof QevmError)) throw error;
      const by = inflatedPart(inflater.produced);
      this.diagnostics.anomaly(pageError(error, batch, i, path), replacedPage(batch, i, by));
      page.fill(0, inflater.produced);
    }
    return this.take(batch.block[i]!, batch.offset[i]!, page, batch.continues[i] === 1);
  }

  settle(): void {
    // Every page is passed on at once.
  }

  async close(): Promise<void> {
    // Nothing is held open.
  }
}

/** A page of a batch that is under way. */
interface Ticket {
  block: RamBlock;
  offset: number;
  continues: boolean;
  position: number;
  record: number;
}

interface Running {
  job: Promise<Job>;
  tickets: Ticket[];
  path: readonly string[];
}

/** In worker threads. A payload that they refuse is looked at again in this one, for the words and the lenient mode. */
export class ThreadedInflate implements InflateStage {
  private job: Job | undefined;
  private tickets: Ticket[] = [];
  private path: readonly string[] = [];
  private readonly running: Running[] = [];

  constructor(
    private readonly pool: WorkerPool,
    private readonly inflater: PageInflater,
    private readonly diagnostics: Diagnostics,
    private readonly take: PageTaker,
  ) {}

  add(batch: RamBatch, i: number, path: readonly string[]): void | Promise<void> {
    const job = this.job ?? this.pool.take();
    if (job === undefined) return this.collect().then(() => this.add(batch, i, path));
    this.job = job;
    this.path = path;
    const at = job.count++;
    const length = batch.bodyLength[i]!;
    const start = batch.bodyStart[i]!;
    job.input.set(batch.buffer.subarray(start, start + length), job.used);
    job.starts[at] = job.used;
    job.lengths[at] = length;
    job.used += length;
    this.tickets.push({
      block: batch.block[i]!,
      offset: batch.offset[i]!,
      continues: batch.continues[i] === 1,
      position: batch.position[i]!,
      record: batch.firstRecord + i,
    });
    if (job.count === BATCH_PAGES) this.submit();
  }

  async settle(): Promise<void> {
    this.submit();
    while (this.running.length > 0) await this.collect();
  }

  async close(): Promise<void> {
    await this.pool.close();
  }

  private submit(): void {
    if (this.job === undefined) return;
    this.running.push({ job: this.pool.run(this.job), tickets: this.tickets, path: this.path });
    this.job = undefined;
    this.tickets = [];
  }

  private async collect(): Promise<void> {
    const { job: promise, tickets, path } = this.running.shift()!;
    const job = await promise;
    const { pageSize } = this.pool;
    for (let i = 0; i < job.count; i++) {
      const { block, offset, continues } = tickets[i]!;
      const page = job.output.subarray(i * pageSize, (i + 1) * pageSize);
      if (job.flags[i] !== 0) this.refused(job, i, tickets[i]!, path, page);
      const wait = this.take(block, offset, page, continues);
      if (wait !== undefined) await wait;
    }
    this.pool.give(job);
  }

  private refused(job: Job, i: number, ticket: Ticket, path: readonly string[], into: Uint8Array): void {
    const start = job.starts[i]!;
    try {
      this.inflater.inflate(job.input.slice(start, start + job.lengths[i]!), into);
    } catch (error) {
      if (!(error instanceof QevmError)) throw error;
      const { position, record, block, offset } = ticket;
      const steps = [...path, `record ${record}`, `page of ${JSON.stringify(block.idstr)} at 0x${offset.toString(16)}`];
      const { code, what, expected, found } = error;
      this.diagnostics.anomaly(
        new QevmError(code, what, { offset: position, path: steps, expected, found, cause: error }),
        { block: block.idstr, page: offset, by: inflatedPart(this.inflater.produced) },
      );
      into.fill(0, this.inflater.produced);
    }
  }
}
