import { QevmError, type Diagnostics } from "../../bytes/errors.js";
import { replaceInflated, type RamBatch, type RamBlock } from "../../codec/ram/index.js";
import { pagePath } from "../../guest/pages/page-decoder.js";
import type { Slot, ThreadPool } from "../../io/threads/index.js";
import { putPayload, refusal, startDecompressPool, type DecompressSetup } from "../threads/decompress-work.js";
import type { InflateStage, PageTaker } from "./inflate.js";
import { BATCH_PAGES } from "./zlib.js";

/** A page of a batch that is under way. */
interface Ticket {
  block: RamBlock;
  offset: number;
  continues: boolean;
  position: number;
  record: number;
  path: readonly string[];
}

/**
 * In worker threads, those of the load path. Pages are passed on in the order in which they came; the event loop runs
 * meanwhile.
 */
export class ThreadedInflate implements InflateStage {
  private slot: Slot | undefined;
  private used = 0;
  /** Of the pages in slots, oldest first. */
  private tickets: Ticket[] = [];

  private constructor(
    private readonly pool: ThreadPool,
    private readonly pageSize: number,
    private readonly diagnostics: Diagnostics,
    private readonly take: PageTaker,
  ) {}

  /** Starts the threads. Errors: usage, io. */
  static async start(
    threads: number,
    { engine, pageSize }: Pick<DecompressSetup, "engine" | "pageSize">,
    diagnostics: Diagnostics,
    take: PageTaker,
  ): Promise<ThreadedInflate> {
    const setup = { engine, pageSize, capacity: BATCH_PAGES, memories: [] };
    const slots = 2 ** Math.ceil(Math.log2(2 * threads + 1));
    const pool = await startDecompressPool(setup, { threads, slots, help: false });
    return new ThreadedInflate(pool, pageSize, diagnostics, take);
  }

  add(batch: RamBatch, i: number, path: readonly string[]): void | Promise<void> {
    const slot = this.slot ?? this.pool.open();
    if (slot === undefined) return this.collect().then(() => this.add(batch, i, path));
    if (this.slot === undefined) {
      slot.count = 0;
      slot.source = -1;
      this.used = 0;
      this.slot = slot;
    }
    this.used = putPayload(slot, this.used, batch, i);
    this.tickets.push({
      block: batch.block[i]!,
      offset: batch.offset[i]!,
      continues: batch.continues[i] === 1,
      position: batch.position[i]!,
      record: batch.firstRecord + i,
      path,
    });
    if (slot.count === BATCH_PAGES) this.submit();
  }

  settle(): void | Promise<void> {
    this.submit();
    return this.pool.pending === 0 ? undefined : this.collectAll();
  }

  async close(): Promise<void> {
    await this.pool.close();
  }

  private submit(): void {
    if (this.slot === undefined) return;
    this.pool.publish(this.slot);
    this.slot = undefined;
  }

  private async collectAll(): Promise<void> {
    while (this.pool.pending > 0) await this.collect();
  }

  private async collect(): Promise<void> {
    const slot = await this.pool.taken();
    const { pageSize } = this;
    const tickets = this.tickets.splice(0, slot.count);
    for (const [i, ticket] of tickets.entries()) {
      const page = slot.output.subarray(i * pageSize, (i + 1) * pageSize);
      if (slot.flags[i] !== 0) this.refused(slot, i, ticket, page);
      const wait = this.take(ticket.block, ticket.offset, page, ticket.continues);
      if (wait !== undefined) await wait;
    }
    this.pool.release(slot);
  }

  /** Strict: throws. Lenient: the bytes before the damage count, the rest is zeros. */
  private refused(slot: Slot, i: number, ticket: Ticket, page: Uint8Array): void {
    const { block, offset, position, record, path } = ticket;
    const { what, expected, found } = refusal(slot, i, this.pageSize);
    const produced = slot.words[i * 2]!;
    const place = { offset: position, path: pagePath(path, record, block.idstr, offset), expected, found };
    this.diagnostics.anomaly(new QevmError("bad-compressed-data", what, place), {
      block: block.idstr,
      blockOffset: offset,
      by: replaceInflated(page, produced),
    });
  }
}
