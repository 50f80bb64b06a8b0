import { Worker } from "node:worker_threads";
import { QevmError } from "../../bytes/errors.js";
import { payloadBound, RECORD_HEADER, type EngineKind } from "../../engine/page-engine.js";

/** Pages a batch: enough that a message costs nothing beside the work, few enough that memory stays small. */
export const BATCH_PAGES = 64;

/** What every worker of a pool does. */
export interface PoolWork {
  /** "deflate": pages to finished records; "inflate": payloads to pages. */
  work: "deflate" | "inflate";
  kind: EngineKind;
  level: number;
  pageSize: number;
}

/** The shared memory of one batch: everything but `count` and `length` is seen by both sides. */
export interface JobMemory {
  /** deflate: pages; inflate: payloads, each at `starts`. */
  input: Uint8Array;
  /** deflate: records; inflate: pages. */
  output: Uint8Array;
  /** deflate: page offset with flag CONTINUE. */
  words: BigUint64Array;
  /** inflate: where in `input` each payload is, and how long. */
  starts: Uint32Array;
  lengths: Uint32Array;
  /** deflate: 1 where the page is zero; inflate: 1 where the payload was refused. */
  flags: Uint8Array;
}

/** One batch. */
export interface Job extends JobMemory {
  readonly slot: number;
  /** Pages in it. */
  count: number;
  /** Bytes of `output` that hold something. */
  length: number;
  /** inflate: bytes of `input` that are used. */
  used: number;
}

/** To a worker: its memory once, then batches; `undefined`: end. */
export interface WorkerStart extends PoolWork {
  jobs: JobMemory[];
}
export interface WorkerRequest {
  slot: number;
  count: number;
}
/** From a worker. */
export interface WorkerReply {
  slot: number;
  length: number;
}

/** Worker threads with an engine each, and twice as many batches in shared memory. */
export class WorkerPool {
  readonly pageSize: number;
  private readonly free: Job[];
  private readonly waiting = new Map<
    number,
    { job: Job; done: (job: Job) => void; failed: (error: unknown) => void }
  >();
  private failure: unknown;
  private next = 0;

  private constructor(
    private readonly workers: Worker[],
    jobs: Job[],
    pageSize: number,
  ) {
    this.pageSize = pageSize;
    this.free = jobs;
    for (const worker of workers) {
      worker.on("message", ({ slot, length }: WorkerReply) => {
        const entry = this.waiting.get(slot);
        this.waiting.delete(slot);
        if (entry === undefined) return;
        entry.job.length = length;
        entry.done(entry.job);
      });
      worker.on("error", (error) => this.fail(error));
      worker.on("exit", (code) => {
        if (code !== 0) this.fail(new QevmError("io", `a compression thread ended with exit code ${code}`));
      });
    }
  }

  /** Starts the threads. Errors: io where the system refuses one. */
  static start(threads: number, work: PoolWork): WorkerPool {
    const jobs = Array.from({ length: threads * 2 + 1 }, (_, slot) => makeJob(slot, work));
    const start: WorkerStart = { ...work, jobs: jobs.map(memoryOf) };
    const workers: Worker[] = [];
    try {
      while (workers.length < threads)
        workers.push(new Worker(new URL("worker.js", import.meta.url), { workerData: start }));
    } catch (error) {
      for (const worker of workers) void worker.terminate();
      throw new QevmError("io", "a compression thread did not start", { cause: error });
    }
    return new WorkerPool(workers, jobs, work.pageSize);
  }

  /** An empty batch, or undefined while all are under way. */
  take(): Job | undefined {
    const job = this.free.pop();
    if (job === undefined) return undefined;
    job.count = 0;
    job.used = 0;
    return job;
  }

  /** Hands a batch back. */
  give(job: Job): void {
    this.free.push(job);
  }

  /** Has a batch worked on. */
  run(job: Job): Promise<Job> {
    const worker = this.workers[this.next++ % this.workers.length]!;
    const result = new Promise<Job>((done, failed) => {
      if (this.failure !== undefined) failed(this.failure);
      this.waiting.set(job.slot, { job, done, failed });
      const request: WorkerRequest = { slot: job.slot, count: job.count };
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window's
      worker.postMessage(request);
    });
    // Whoever awaits it gets the failure; until then it must not count as unhandled.
    result.catch(() => undefined);
    return result;
  }

  /** Ends the threads. */
  async close(): Promise<void> {
    const ends = this.workers.map(
      (worker) =>
        new Promise<void>((resolve) => {
          worker.once("exit", () => resolve());
          // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window's
          worker.postMessage(undefined);
        }),
    );
    if (this.failure !== undefined) await Promise.all(this.workers.map((worker) => worker.terminate()));
    else await Promise.all(ends);
  }

  private fail(error: unknown): void {
    this.failure ??= error;
    for (const { failed } of this.waiting.values()) failed(this.failure);
    this.waiting.clear();
  }
}

function makeJob(slot: number, { work, pageSize }: PoolWork): Job {
  const record = RECORD_HEADER + payloadBound(pageSize);
  const [input, output] = work === "deflate" ? [pageSize, record] : [payloadBound(pageSize), pageSize];
  return {
    slot,
    count: 0,
    length: 0,
    used: 0,
    input: new Uint8Array(new SharedArrayBuffer(input * BATCH_PAGES)),
    output: new Uint8Array(new SharedArrayBuffer(output * BATCH_PAGES)),
    words: new BigUint64Array(new SharedArrayBuffer(8 * BATCH_PAGES)),
    starts: new Uint32Array(new SharedArrayBuffer(4 * BATCH_PAGES)),
    lengths: new Uint32Array(new SharedArrayBuffer(4 * BATCH_PAGES)),
    flags: new Uint8Array(new SharedArrayBuffer(BATCH_PAGES)),
  };
}

function memoryOf({ input, output, words, starts, lengths, flags }: Job): JobMemory {
  return { input, output, words, starts, lengths, flags };
}
