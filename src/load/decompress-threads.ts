import { QevmError, hex } from "../errors.js";
import type { EngineKind } from "../engine/index.js";
import type { PageStore } from "../memory/page-store.js";
import type { RamBatch, RamBlock } from "../ram/index.js";
import { ThreadPool, type Slot } from "../threads/index.js";
import { decompressSetup, decompressShape, DecompressWork, refusal } from "./decompress-work.js";

export interface DecompressOptions {
  /** QEMU's `decompress-threads`, default 2 there. */
  threads: number;
  /** Default "page". */
  engine?: EngineKind | undefined;
  pageSize?: number | undefined;
  /** Pages a batch, default 64. */
  batch?: number | undefined;
  /** QEMU's property `decompress-error-check`, default true. Off: what was inflated before the damage is kept, and the load goes on. */
  errorCheck?: boolean | undefined;
}

/** Counters of pages in flight, by a hash of block and page: 0 means certainly none. */
const FILTER = 1 << 16;

/** One page of a batch under way. */
interface Places {
  blocks: RamBlock[];
  offsets: Float64Array;
  positions: Float64Array;
  records: Float64Array;
}

/**
 * QEMU's decompress threads: payloads in, pages to a store, in the order in which they came.
 *
 * Whoever wants to touch a page by another way asks `settle` first, so that pages of one address are applied in stream order.
 */
export class DecompressThreads {
  /** Pages that were damaged and kept as far as they went (`errorCheck` off). */
  damaged = 0;
  private readonly places: Places[];
  private readonly inFlight = new Int16Array(FILTER);
  private slot: Slot | undefined;
  private used = 0;

  private constructor(
    private readonly pool: ThreadPool,
    private readonly store: PageStore,
    private readonly capacity: number,
    private readonly pageSize: number,
    private readonly errorCheck: boolean,
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

  static async start(
    store: PageStore,
    options: DecompressOptions,
    path: readonly string[] = ['section "ram"'],
  ): Promise<DecompressThreads> {
    const { threads, engine = "page", pageSize = 4096, batch = 64, errorCheck = true } = options;
    const data = await decompressSetup({ engine, pageSize, capacity: batch });
    const slots = 2 ** Math.ceil(Math.log2(Math.max(4, threads * 3)));
    const pool = await ThreadPool.start({
      threads,
      shape: decompressShape(data, slots),
      script: new URL("decompress-worker.js", import.meta.url),
      data,
      work: await DecompressWork.create(data),
    });
    return new DecompressThreads(pool, store, batch, pageSize, errorCheck, path, slots);
  }

  /** Takes over the COMPRESS_PAGE record `i`; its payload is copied now. */
  add(batch: RamBatch, i: number): void {
    const block = batch.block[i]!;
    const offset = batch.offset[i]!;
    const start = batch.bodyStart[i]!;
    const length = batch.bodyLength[i]!;
    const slot = (this.slot ??= this.open());
    const n = slot.count;
    slot.input.set(batch.buffer.subarray(start, start + length), this.used);
    slot.starts[n] = this.used;
    slot.lengths[n] = length;
    this.used += length;
    const places = this.places[slot.index]!;
    places.blocks[n] = block;
    places.offsets[n] = offset;
    places.positions[n] = batch.position[i]!;
    places.records[n] = batch.firstRecord + i;
    this.inFlight[this.hash(block, offset)]!++;
    slot.count = n + 1;
    if (n + 1 === this.capacity) this.publish();
  }

  /** Makes sure that no earlier copy of this page is under way. */
  settle(block: RamBlock, offset: number): void {
    if (this.inFlight[this.hash(block, offset)] !== 0) this.flush();
  }

  /** Applies everything that was added. Errors: bad-compressed-data, with the first damaged page of the stream. */
  flush(): void {
    this.publish();
    while (this.pool.pending > 0) this.retire();
  }

  /** Ends the threads; what was not flushed is lost. */
  close(): Promise<void> {
    return this.pool.close();
  }

  private open(): Slot {
    while (this.pool.isBack) this.retire();
    if (this.pool.open() === undefined) this.retire();
    const slot = this.pool.open()!;
    slot.count = 0;
    this.used = 0;
    return slot;
  }

  private publish(): void {
    if (this.slot === undefined) return;
    this.pool.publish(this.slot);
    this.slot = undefined;
  }

  private retire(): void {
    const { store, pageSize } = this;
    const slot = this.pool.take();
    const { blocks, offsets } = this.places[slot.index]!;
    for (let i = 0; i < slot.count; i++) {
      const block = blocks[i]!;
      const offset = offsets[i]!;
      this.inFlight[this.hash(block, offset)]!--;
      if (slot.flags[i] !== 0) this.refused(slot, i);
      else store.write(block, offset, slot.output.subarray(i * pageSize, (i + 1) * pageSize));
    }
    this.pool.release(slot);
  }

  private refused(slot: Slot, i: number): void {
    const { blocks, offsets, positions, records } = this.places[slot.index]!;
    const block = blocks[i]!;
    const offset = offsets[i]!;
    if (this.errorCheck) {
      const { what, expected, found } = refusal(slot, i, this.pageSize);
      throw new QevmError("bad-compressed-data", what, {
        offset: positions[i]!,
        path: [...this.path, `record ${records[i]!}`, `page of ${JSON.stringify(block.idstr)} at ${hex(offset)}`],
        expected,
        found,
      });
    }
    this.damaged++;
    const produced = slot.words[i * 2]!;
    const page = new Uint8Array(this.pageSize);
    this.store.read(block, offset, page);
    page.set(slot.output.subarray(i * this.pageSize, i * this.pageSize + produced));
    this.store.write(block, offset, page);
  }

  private hash(block: RamBlock, offset: number): number {
    return (offset / this.pageSize + block.index * 0x9e37) & (FILTER - 1);
  }
}
