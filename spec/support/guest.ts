import { Worker } from "node:worker_threads";
import type { SharedBlock } from "../../src/rewrite/save/index.js";

/** What a writer thread is told to write. */
export interface WriterSetup {
  memory: SharedArrayBuffer;
  log: SharedArrayBuffer;
  /** Word 0: 1 while the guest is stopped; words 1 on: 1 for each stopped writer. */
  control: SharedArrayBuffer;
  writer: number;
  writers: number;
  /** Pages per second and writer; 0: no limit. */
  rate: number;
}

/** Threads that write nothing now. A start costs a tenth of a second of processor time; they end with the process. */
const idle: Worker[] = [];

/** The next message of a thread. */
async function told(worker: Worker): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    worker.once("error", reject);
    worker.once("message", () => {
      worker.off("error", reject);
      resolve();
    });
  });
}

/** A guest whose threads write all of its memory repeatedly until it is stopped. */
export class WritingGuest {
  readonly block: SharedBlock;
  private readonly control: Int32Array<SharedArrayBuffer>;
  private readonly workers: Worker[];
  private stopped: Promise<void> | undefined;

  private constructor(block: SharedBlock, control: Int32Array<SharedArrayBuffer>, workers: Worker[]) {
    this.block = block;
    this.control = control;
    this.workers = workers;
  }

  /** Starts writers over a block that is filled with text-like bytes and some zero pages. */
  static async start(block: SharedBlock, writers: number, rate: number): Promise<WritingGuest> {
    const control = new Int32Array(new SharedArrayBuffer(4 * (writers + 1)));
    const workers = Array.from(
      { length: writers },
      () => idle.pop() ?? new Worker(new URL("guest-writer.js", import.meta.url)),
    );
    await Promise.all(
      workers.map(async (worker, writer) => {
        const setup: WriterSetup = {
          memory: block.buffer,
          log: block.log.buffer as SharedArrayBuffer,
          control: control.buffer,
          writer,
          writers,
          rate,
        };
        worker.ref();
        const ready = told(worker);
        worker.postMessage(setup, []);
        await ready;
      }),
    );
    return new WritingGuest(block, control, workers);
  }

  /** Stops all writers; when it resolves, everything written is logged. */
  async stop(): Promise<void> {
    this.stopped ??= this.stopWriters();
    await this.stopped;
  }

  private async stopWriters(): Promise<void> {
    const all = Promise.all(this.workers.map(told));
    Atomics.store(this.control, 0, 1);
    await all;
    for (const worker of this.workers) {
      worker.unref();
      idle.push(worker);
    }
  }
}
