import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";

/** From so many bytes on another thread is worth its start, 0.1 s of processor time. */
const LONG = 64 << 20;

/** Another thread that hashes a file while this one reads it: SHA-256 takes 0.8 s for a gibibyte. */
export class HashThread {
  /** Hexadecimal digits; undefined where the thread has failed or was stopped. */
  readonly digest: Promise<string | undefined>;

  private constructor(private readonly worker: Worker) {
    this.digest = new Promise((resolve) => {
      worker.once("message", resolve);
      worker.once("error", () => resolve(undefined));
      worker.once("exit", () => resolve(undefined));
    });
  }

  /** Undefined for a short file, or where there is one processor or no thread. */
  static over(
    { fd }: { readonly fd: number },
    length: number,
    processors = availableParallelism(),
  ): HashThread | undefined {
    if (length < LONG || processors < 2) return undefined;
    try {
      return new HashThread(new Worker(new URL("hash-worker.js", import.meta.url), { workerData: fd }));
    } catch {
      return undefined;
    }
  }

  async stop(): Promise<void> {
    await this.worker.terminate();
  }
}
