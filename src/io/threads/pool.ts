import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { QevmError } from "../../bytes/errors.js";
import { Ring, type RingShape, type SharedRing, type Slot } from "./ring.js";

/** The work on a batch, done by the workers, and by the owner while it waits. */
export interface SlotWork {
  run(slot: Slot): void;
}

/** Start data of every worker; `data` is specific to the script. */
export interface WorkerStart<D> {
  ring: SharedRing;
  data: D;
}

interface PoolOptions<D> {
  /** Number of worker threads, 1 to 64; 0 with `work`: the owner does all of it. */
  threads: number;
  shape: RingShape;
  /** The worker's module, which calls `serve` (src/io/threads/serve.ts). */
  script: URL;
  data: D;
  /** If given, the owner processes batches itself instead of sleeping while it waits. */
  work?: SlotWork | undefined;
}

/**
 * How many of the threads that are asked for to start, where the owner works too while it waits: at most one for each
 * other processor that this process may use, so that on a single one the owner does it all. A thread more only costs
 * wake-ups: a tenth of the processor time there. Errors: usage.
 */
export function helpedThreads(asked: number, processors = availableParallelism()): number {
  checkCount(asked, 1);
  return Math.min(asked, processors - 1);
}

/** Errors: usage. */
function checkCount(threads: number, least: number): void {
  if (Number.isInteger(threads) && threads >= least && threads <= 64) return;
  throw new QevmError("usage", "number of threads", { expected: "1 to 64", found: String(threads) });
}

/** Time limit for one batch in milliseconds; after it the thread counts as lost. */
export const LOST_AFTER = 120_000;

/** The error of a lost thread. */
export function lostThread(): QevmError {
  return new QevmError("io", `a worker thread did not finish in ${LOST_AFTER} ms`);
}

/**
 * Worker threads over a ring of batches: open a slot, fill it, publish it, and take the oldest back.
 *
 * `take` waits synchronously and briefly (one batch): neither thread waits for the other's event loop. `taken` is for
 * owners that have other work meanwhile, such as a socket.
 */
export class ThreadPool {
  private head = 0;
  private oldest = 0;
  private lost: unknown;

  private constructor(
    private readonly ring: Ring,
    private readonly workers: readonly Worker[],
    private readonly work: SlotWork | undefined,
  ) {
    for (const worker of workers) worker.on("error", (error) => (this.lost ??= error));
  }

  /** Starts the threads and waits until they are ready. Errors: usage; io where a thread does not start. */
  static async start<D>(options: PoolOptions<D>): Promise<ThreadPool> {
    const pool = ThreadPool.begin(options);
    try {
      await Promise.all(pool.workers.map(ready));
    } catch (error) {
      pool.ring.stop();
      await Promise.all(pool.workers.map((worker) => worker.terminate()));
      throw new QevmError("io", "a worker thread did not start", { cause: error });
    }
    return pool;
  }

  /**
   * Starts the threads without waiting: batches may be published before they are ready. Errors: usage; io where the
   * system refuses a thread.
   */
  static begin<D>({ threads, shape, script, data, work }: PoolOptions<D>): ThreadPool {
    checkCount(threads, work === undefined ? 1 : 0);
    const ring = new Ring(Ring.allocate(shape));
    const workerData: WorkerStart<D> = { ring: ring.shared, data };
    try {
      const workers = Array.from({ length: threads }, () => new Worker(script, { workerData }));
      return new ThreadPool(ring, workers, work);
    } catch (error) {
      // Threads that were started exit.
      ring.stop();
      throw new QevmError("io", "a worker thread did not start", { cause: error });
    }
  }

  /**
   * Whether a thread is running, i.e. has slept for lack of a first batch. Without the event loop there is no other way
   * to know.
   */
  get isRunning(): boolean {
    return this.head > 0 || this.sleeps > 0;
  }

  /** Number of batches published and not taken back. */
  get pending(): number {
    return this.head - this.oldest;
  }

  /** How often a worker slept for lack of work. A low number means busy threads. */
  get sleeps(): number {
    return this.ring.sleeps;
  }

  /** The slot for the next batch; undefined while all are in use. */
  open(): Slot | undefined {
    return this.pending === this.ring.slots.length ? undefined : this.ring.slot(this.head);
  }

  /** Publishes the slot that `open` returned. */
  publish(slot: Slot): void {
    this.head++;
    this.ring.publish(slot);
  }

  /** Whether the oldest batch is finished, so that `take` does not wait. */
  get isBack(): boolean {
    return this.pending > 0 && this.ring.isBack(this.ring.slot(this.oldest));
  }

  /**
   * Waits for the oldest batch. The slot belongs to the caller until `release`. Errors: what the work threw; io for a
   * lost thread.
   *
   * @param ahead sleeps until so many batches after it are back too, or `serve` wakes the owner: to wake a thread costs
   *   the other one 26 us. For one worker, and batches that come back whatever is in them.
   */
  take(ahead = 0): Slot {
    const slot = this.first();
    const until = performance.now() + LOST_AFTER;
    while (!this.ring.isBack(slot)) {
      this.checkThreads(until);
      if (!this.help()) this.ring.sleepOn(this.last(ahead), 1000);
    }
    return this.finished(slot);
  }

  /** Like `take`, but the event loop runs meanwhile, and the owner processes no batches if there are threads. */
  async taken(ahead = 0): Promise<Slot> {
    const slot = this.first();
    const until = performance.now() + LOST_AFTER;
    while (!this.ring.isBack(slot)) {
      this.checkThreads(until);
      if (this.workers.length > 0 || !this.help()) await this.ring.whenBack(this.last(ahead), 1000);
    }
    return this.finished(slot);
  }

  /** Releases the slot that `take` returned. */
  release(slot: Slot): void {
    this.oldest++;
    this.ring.empty(slot);
  }

  /** The threads do not keep the program running: for an owner that waits by `take` only. */
  unref(): void {
    for (const worker of this.workers) worker.unref();
  }

  /** Stops the threads, each after its current batch. Batches not taken are lost. */
  async close(): Promise<void> {
    this.ring.stop();
    for (const worker of this.workers) worker.ref();
    await Promise.all(this.workers.filter(({ threadId }) => threadId >= 0).map(ended));
  }

  /** The batch that comes `ahead` after the oldest one, or the last. */
  private last(ahead: number): Slot {
    return this.ring.slot(this.oldest + Math.min(ahead, this.pending - 1));
  }

  private first(): Slot {
    if (this.pending === 0) throw new QevmError("usage", "no batch is in flight");
    return this.ring.slot(this.oldest);
  }

  private checkThreads(until: number): void {
    if (this.lost !== undefined) throw new QevmError("io", "a worker thread failed", { cause: this.lost });
    if (performance.now() > until) throw lostThread();
  }

  private finished(slot: Slot): Slot {
    const failure = this.ring.failure(slot);
    if (failure !== undefined) throw failure;
    return slot;
  }

  /** Processes the next batch, if the owner does that and there is one. */
  private help(): boolean {
    if (this.work === undefined) return false;
    const slot = this.ring.claim(false);
    if (slot === undefined) return false;
    try {
      this.work.run(slot);
      this.ring.done(slot);
    } catch (error) {
      this.ring.fail(slot, error);
    }
    return true;
  }
}

function ready(worker: Worker): Promise<void> {
  return new Promise((resolve, reject) => {
    worker.once("message", () => resolve());
    worker.once("error", reject);
    worker.once("exit", (code) => reject(new Error(`exit code ${code}`)));
  });
}

function ended(worker: Worker): Promise<void> {
  return new Promise((resolve) => {
    worker.once("exit", () => resolve());
    worker.once("error", () => resolve());
  });
}
