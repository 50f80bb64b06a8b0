import { Worker } from "node:worker_threads";
import type { SharedBlock } from "../../src/rewrite/save/index.js";

/** Start data of a writer thread. */
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

/** A guest whose threads write all of its memory repeatedly until it is stopped. */
export class WritingGuest {
  readonly block: SharedBlock;
  private readonly control: Int32Array<SharedArrayBuffer>;
  private readonly workers: Worker[];

  private constructor(block: SharedBlock, control: Int32Array<SharedArrayBuffer>, workers: Worker[]) {
    this.block = block;
    this.control = control;
    this.workers = workers;
  }

  /** Starts writers over a block that is filled with text-like bytes and some zero pages. */
  static async start(block: SharedBlock, writers: number, rate: number): Promise<WritingGuest> {
    const control = new Int32Array(new SharedArrayBuffer(4 * (writers + 1)));
    const workers = Array.from({ length: writers }, (_, writer) => {
      const setup: WriterSetup = {
        memory: block.buffer,
        log: block.log.buffer as SharedArrayBuffer,
        control: control.buffer,
        writer,
        writers,
        rate,
      };
      return new Worker(new URL("guest-writer.js", import.meta.url), { workerData: setup });
    });
    await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once("message", resolve))));
    return new WritingGuest(block, control, workers);
  }

  /** Stops all writers; when it resolves, everything written is logged. */
  async stop(): Promise<void> {
    Atomics.store(this.control, 0, 1);
    await Promise.all(
      this.workers.map((worker) =>
        worker.threadId < 0 ? Promise.resolve() : new Promise<void>((resolve) => worker.once("exit", () => resolve())),
      ),
    );
  }
}
