import { ThreadPool, type Slot } from "../../threads/index.js";
import type { LaneStart } from "./lane-start.js";
import { After, ENTRIES, LOAD } from "./pieces.js";

/** Slots after the one that is next when the owner sleeps. The lane has some left while the owner wakes. */
const MOST_AHEAD = 7;

/** Threads that decompress, each into a ring of its own, which bounds how far it is ahead. */
export class Lanes {
  private readonly lanes: Lane[] = [];

  /**
   * Errors: io where the system refuses a thread.
   *
   * @param slots for each lane: a power of two; a slot has {@link LOAD} plain bytes
   */
  constructor(start: Omit<LaneStart, "lane">, slots: number) {
    for (let lane = 0; lane < start.lanes; lane++) this.lanes.push(new Lane({ ...start, lane }, slots));
  }

  /** All slots, in the order of the file: each is valid until the next. Errors: those of the lanes; io. */
  async *slots(): AsyncGenerator<Slot> {
    for (let unit = 0; ; unit++) {
      const lane = this.lanes[unit % this.lanes.length]!;
      for (let after: number = After.MORE; after === After.MORE;) {
        const slot = await lane.take();
        after = slot.source;
        yield slot;
        lane.giveBack(slot);
      }
      if (lane.isOver) return;
    }
  }

  /** Ends the threads, each after its current slot. */
  async close(): Promise<void> {
    await Promise.all(this.lanes.map((lane) => lane.close()));
  }
}

class Lane {
  isOver = false;
  private readonly pool: ThreadPool;
  private readonly ahead: number;
  private isRunning = false;

  constructor(data: LaneStart, slots: number) {
    this.ahead = Math.min(MOST_AHEAD, (slots * 5) / 8);
    this.pool = ThreadPool.begin({
      threads: 1,
      shape: { slots, capacity: ENTRIES, input: 0, output: LOAD },
      script: new URL("lane-worker.js", import.meta.url),
      data,
    });
    for (let slot = this.pool.open(); slot !== undefined; slot = this.pool.open()) this.pool.publish(slot);
  }

  /** The next slot. Only the first one is waited for by the event loop, which knows of a thread that does not start. */
  async take(): Promise<Slot> {
    const slot = this.isRunning ? this.pool.take(this.ahead) : await this.pool.taken();
    if (!this.isRunning) this.pool.unref();
    this.isRunning = true;
    this.isOver = slot.source === After.NOTHING;
    return slot;
  }

  giveBack(slot: Slot): void {
    this.pool.release(slot);
    this.pool.publish(slot);
  }

  close(): Promise<void> {
    return this.pool.close();
  }
}
