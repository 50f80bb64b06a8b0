import { QevmError, type Replaced } from "../../bytes/errors.js";
import type { EngineKind } from "../../engine/page-engine.js";
import type { RamBatch, RamBlock } from "../../codec/ram/index.js";
import { pagePath } from "../../guest/pages/page-decoder.js";
import { helpedThreads, type Slot, type ThreadPool } from "../../io/threads/index.js";
import type { LoadSink } from "./load-sink.js";
import { putPayload, refusal, startDecompressPool } from "./decompress-work.js";

/** How many threads decompress, and how. */
export interface DecompressOptions {
  /**
   * QEMU's `decompress-threads`, where the default is 2. The owner inflates too while it waits, so at most one worker
   * for each other processor is started.
   */
  threads: number;
  /** Default "page". */
  engine?: EngineKind | undefined;
  pageSize?: number | undefined;
  /** Pages per batch, default 32. */
  batch?: number | undefined;
  /**
   * QEMU's property `decompress-error-check`, default true. Off: a damaged page is kept up to the damage, and the load
   * continues.
   */
  errorCheck?: boolean | undefined;
  /** Told of each page that `errorCheck: false` kept as far as it went. */
  onDamaged?: ((error: QevmError, replaced: Replaced) => void) | undefined;
}

/** Counters of pages in flight, by a hash of block and page; 0 means that there are none. */
const FILTER = 1 << 16;

/** One page of a batch in flight. */
interface Places {
  blocks: RamBlock[];
  offsets: Float64Array;
  positions: Float64Array;
  records: Float64Array;
}

/**
 * QEMU's decompress threads: payloads in, pages to a sink, in the same order.
 *
 * If the sink shares a block's memory, the threads write into it directly, and a page is never in flight twice.
 * Otherwise they return the pages. Call `settle` before accessing a page in any other way, so that pages of one address
 * are applied in stream order.
 */
export class DecompressThreads {
  /** Damaged pages that were kept up to the damage (`errorCheck` off). */
  damaged = 0;
  private readonly places: Places[];
  private readonly inFlight = new Int16Array(FILTER);
  private slot: Slot | undefined;
  private used = 0;

  private constructor(
    private readonly pool: ThreadPool,
    private readonly sink: LoadSink,
    /** By block index: the index of its memory in the threads, or -1. */
    private readonly memories: readonly number[],
    private readonly capacity: number,
    private readonly pageSize: number,
    private readonly errorCheck: boolean,
    private readonly onDamaged: DecompressOptions["onDamaged"],
    private readonly path: readonly string[],
    slots: number,
  ) {
    this.places = Array.from({ length: slots }, () => ({
      blocks: [],
      offsets: new Float64Array(capacity),
      positions: new Float64Array(capacity),
      records: new Float64Array(capacity),
    }));
  }

  /** @param blocks those whose memory may be shared with the threads; pages of others are returned */
  static async start(
    sink: LoadSink,
    options: DecompressOptions,
    blocks: readonly RamBlock[] = [],
    path: readonly string[] = ['section "ram"'],
  ): Promise<DecompressThreads> {
    const { threads, engine = "page", pageSize = 4096, batch = 32, errorCheck = true, onDamaged } = options;
    const lent: SharedArrayBuffer[] = [];
    const memories: number[] = [];
    for (const block of blocks) {
      const memory = block.usedLength % pageSize === 0 ? sink.memory?.(block) : undefined;
      memories[block.index] = memory === undefined ? -1 : lent.push(memory) - 1;
    }
    const slots = 2 ** Math.ceil(Math.log2(Math.max(4, threads * 6)));
    const setup = { engine, pageSize, capacity: batch, memories: lent };
    const pool = await startDecompressPool(setup, { threads: helpedThreads(threads), slots, help: true });
    return new DecompressThreads(pool, sink, memories, batch, pageSize, errorCheck, onDamaged, path, slots);
  }

  /** Adds the COMPRESS_PAGE record `i`; its payload is copied now. */
  add(batch: RamBatch, i: number): void {
    const block = batch.block[i]!;
    const offset = batch.offset[i]!;
    const memory = this.memories[block.index] ?? -1;
    if (memory >= 0) {
      this.settle(block, offset);
      this.sink.willWrite?.(block, offset, this.pageSize);
    }
    if (this.slot?.source !== memory) this.publish();
    const slot = (this.slot ??= this.open(memory));
    const n = slot.count;
    this.used = putPayload(slot, this.used, batch, i);
    const places = this.places[slot.index]!;
    places.blocks[n] = block;
    places.offsets[n] = offset;
    places.positions[n] = batch.position[i]!;
    places.records[n] = batch.firstRecord + i;
    this.inFlight[this.hash(block, offset)]!++;
    if (slot.count === this.capacity) this.publish();
  }

  /** Ensures that no earlier copy of this page is in flight. */
  settle(block: RamBlock, offset: number): void {
    if (this.inFlight[this.hash(block, offset)] !== 0) this.flush();
  }

  /** Applies everything that was added. Errors: bad-compressed-data, for the first damaged page of the stream. */
  flush(): void {
    this.publish();
    while (this.pool.pending > 0) this.retire();
  }

  /** Ends the threads. Payloads that were not flushed are lost. */
  close(): Promise<void> {
    return this.pool.close();
  }

  private open(memory: number): Slot {
    while (this.pool.isBack) this.retire();
    if (this.pool.open() === undefined) this.retire();
    const slot = this.pool.open()!;
    slot.count = 0;
    slot.source = memory;
    this.used = 0;
    return slot;
  }

  private publish(): void {
    if (this.slot === undefined) return;
    this.pool.publish(this.slot);
    this.slot = undefined;
  }

  private retire(): void {
    const { sink, pageSize } = this;
    const slot = this.pool.take();
    const { blocks, offsets } = this.places[slot.index]!;
    for (let i = 0; i < slot.count; i++) {
      const block = blocks[i]!;
      const offset = offsets[i]!;
      this.inFlight[this.hash(block, offset)]!--;
      if (slot.flags[i] !== 0) this.refused(slot, i);
      else if (slot.source < 0) sink.write(block, offset, slot.output.subarray(i * pageSize, (i + 1) * pageSize));
    }
    this.pool.release(slot);
  }

  private refused(slot: Slot, i: number): void {
    const { blocks, offsets, positions, records } = this.places[slot.index]!;
    const block = blocks[i]!;
    const offset = offsets[i]!;
    const { what, expected, found } = refusal(slot, i, this.pageSize);
    const error = new QevmError("bad-compressed-data", what, {
      offset: positions[i]!,
      path: pagePath(this.path, records[i]!, block.idstr, offset),
      expected,
      found,
    });
    if (this.errorCheck) throw error;
    this.damaged++;
    const produced = slot.words[i * 2]!;
    this.onDamaged?.(error, {
      block: block.idstr,
      blockOffset: offset,
      by: `the ${produced} bytes inflated before the damage, then what was there`,
    });
    const page = new Uint8Array(this.pageSize);
    this.sink.read(block, offset, page);
    page.set(slot.output.subarray(i * this.pageSize, i * this.pageSize + produced));
    this.sink.write(block, offset, page);
  }

  private hash(block: RamBlock, offset: number): number {
    return (offset / this.pageSize + block.index * 0x9e37) & (FILTER - 1);
  }
}
