import { DEFAULT_LEVEL, DEFAULT_PAGE_SIZE, type EngineKind } from "../../engine/page-engine.js";
import { RamFlag } from "../../codec/ram/index.js";
import { helpedThreads, ThreadPool, type Slot } from "../../io/threads/index.js";
import { compressSetup, compressShape, CompressWork, type SharedMemory } from "./compress-work.js";

/** Pages per batch: 16 to 256 measured alike, 1 halves the speed (see spec/40-save.md). */
const DEFAULT_BATCH = 64;

/** How many threads compress, and how. */
export interface CompressOptions {
  /**
   * Worker threads; QEMU's `compress-threads`, where the default is 8. Where the owner helps, at most one for each
   * other processor that this process may use.
   */
  threads: number;
  /** Default "page". */
  engine?: EngineKind | undefined;
  /** QEMU's `compress-level`, 0 to 9, default 1. */
  level?: number | undefined;
  /** Bytes per page, default 4096. */
  pageSize?: number | undefined;
  /** Pages per batch, default {@link DEFAULT_BATCH}. */
  batch?: number | undefined;
  /**
   * QEMU's `compress-wait-thread`, default true: without an idle thread `add` waits, and processes a batch itself
   * instead of sleeping. With false `add` returns false at once.
   */
  wait?: boolean | undefined;
  /** Whether the owner processes batches itself while it waits, default `wait`. */
  help?: boolean | undefined;
  /**
   * Maximum number of batches in flight, a power of two. Default: enough that no thread waits while the owner writes.
   */
  slots?: number | undefined;
  /** Another module for the threads, started with the same `CompressSetup`; it serves the ring in another way. */
  script?: URL | undefined;
  /** Memories that the threads read directly; `addShared` refers to them by index. */
  memories?: readonly SharedMemory[] | undefined;
}

/** One finished batch, in the order in which batches were begun. Valid until the callback returns. */
export interface CompressedBatch<T> {
  /** The tag that its pages were added with. */
  tag: T;
  /** Number of pages. */
  count: number;
  /**
   * Complete records of the ram section, one after the other, all with CONTINUE: COMPRESS_PAGE, or ZERO for an all-zero
   * page.
   */
  records: Uint8Array;
  /** Start and length of each page's record in `records`. */
  starts: Uint32Array;
  lengths: Uint32Array;
  /** 1 where the record is a ZERO record. */
  zero: Uint8Array;
}

/**
 * QEMU's compress threads: pages in, complete records out, in the same order.
 *
 * A batch contains pages of one tag (a RAMBlock). A page with another tag begins a new batch without waiting.
 */
export class CompressThreads<T> {
  private slot: Slot | undefined;
  private readonly tags: T[] = [];
  private readonly result: CompressedBatch<T>;

  private constructor(
    private readonly pool: ThreadPool,
    private readonly capacity: number,
    private readonly pageSize: number,
    private readonly wait: boolean,
    private readonly onBatch: (batch: CompressedBatch<T>) => void,
  ) {
    const none = new Uint32Array(0);
    const empty = new Uint8Array(0);
    this.result = { tag: undefined as T, count: 0, records: empty, starts: none, lengths: none, zero: empty };
  }

  /** Starts the threads. `add`, `ready`, `collect`, `flush` and `settle` call `onBatch`. Errors: usage, io. */
  static async start<T>(
    options: CompressOptions,
    onBatch: (batch: CompressedBatch<T>) => void,
  ): Promise<CompressThreads<T>> {
    const { threads, engine = "page", level = DEFAULT_LEVEL, pageSize = DEFAULT_PAGE_SIZE } = options;
    const { batch = DEFAULT_BATCH, wait = true, help = wait, memories = [] } = options;
    const data = await compressSetup({ engine, level, pageSize, capacity: batch, memories });
    const pool = await ThreadPool.start({
      threads: help ? helpedThreads(threads) : threads,
      shape: compressShape(data, options.slots ?? slotsFor(threads)),
      script: options.script ?? new URL("compress-worker.js", import.meta.url),
      data,
      work: help ? await CompressWork.create(data) : undefined,
    });
    return new CompressThreads(pool, batch, pageSize, wait, onBatch);
  }

  /** Whether pages are unfinished: true until `flush`. */
  get busy(): boolean {
    return this.slot !== undefined || this.pool.pending > 0;
  }

  /** How often a thread slept for lack of work. */
  get sleeps(): number {
    return this.pool.sleeps;
  }

  /** Adds the page at `offset`; its bytes are copied now. False: no thread is idle, and `wait` is off. */
  add(tag: T, offset: number, page: Uint8Array): boolean {
    const slot = this.place(tag, -1);
    if (slot === undefined) return false;
    slot.input.set(page, slot.count * this.pageSize);
    this.put(slot, offset);
    return true;
  }

  /** Adds the page at `offset` of a shared memory; a thread copies it later. */
  addShared(tag: T, memory: number, offset: number): boolean {
    const slot = this.place(tag, memory);
    if (slot === undefined) return false;
    this.put(slot, offset);
    return true;
  }

  /** Passes on finished batches, without waiting. */
  collect(): void {
    while (this.pool.isBack) this.retire();
  }

  /** Waits for everything that was added. */
  flush(): void {
    this.publish();
    while (this.pool.pending > 0) this.retire();
  }

  /**
   * Resolves when `add` with this tag need not wait; undefined if it need not wait now. The event loop runs meanwhile.
   */
  ready(tag: T): Promise<void> | undefined {
    if (this.slot !== undefined && this.tags.at(-1) === tag) return undefined;
    this.publish();
    this.collect();
    return this.pool.open() === undefined ? this.retireOne() : undefined;
  }

  /** Like `flush`, but the event loop runs meanwhile. */
  async settle(): Promise<void> {
    this.publish();
    while (this.pool.pending > 0) await this.retireOne();
  }

  /** Ends the threads. Pages that were not flushed are lost. */
  close(): Promise<void> {
    return this.pool.close();
  }

  private place(tag: T, source: number): Slot | undefined {
    if (this.slot !== undefined) {
      if (this.tags.at(-1) === tag && this.slot.source === source) return this.slot;
      this.publish();
    }
    this.collect();
    let slot = this.pool.open();
    if (slot === undefined) {
      if (!this.wait) return undefined;
      this.retire();
      slot = this.pool.open();
    }
    if (slot === undefined) return undefined;
    slot.count = 0;
    slot.source = source;
    this.slot = slot;
    this.tags.push(tag);
    return slot;
  }

  private put(slot: Slot, offset: number): void {
    slot.setWord(slot.count, offset, RamFlag.CONTINUE);
    slot.count++;
    if (slot.count === this.capacity) this.publish();
  }

  private publish(): void {
    if (this.slot === undefined) return;
    this.pool.publish(this.slot);
    this.slot = undefined;
  }

  private retire(): void {
    this.handOn(this.pool.take());
  }

  private async retireOne(): Promise<void> {
    this.handOn(await this.pool.taken());
  }

  private handOn(slot: Slot): void {
    const { result } = this;
    result.tag = this.tags.shift() as T;
    result.count = slot.count;
    result.records = slot.output.subarray(0, slot.length);
    result.starts = slot.starts;
    result.lengths = slot.lengths;
    result.zero = slot.flags;
    this.onBatch(result);
    this.pool.release(slot);
  }
}

/** Batches in flight: enough that no thread waits while the owner writes. */
function slotsFor(threads: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(4, threads * 3)));
}
