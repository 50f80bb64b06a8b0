import { Worker } from "node:worker_threads";
import { readBeside } from "../../../engine/beside.js";
import { isSimd } from "../../../engine/page-module.js";
import { LARGEST_BLOCK, zstdError, ZstdDecoder } from "../../../engine/zstd-decoder.js";
import { LOST_AFTER, lostThread } from "../../threads/index.js";
import type { BlocksAhead } from "../compressed/zstd.js";
import type { OpenFile } from "./file-part.js";
import {
  COMMAND,
  DECODED,
  FINISHED,
  GROUP,
  Kind,
  OWN,
  READY,
  STOP,
  TAKEN,
  WRITTEN,
  ZstdJobs,
  zstdMemory,
  type SharedZstd,
} from "./zstd-shared.js";

/**
 * A decoder of zstd's frames that has a thread: as soon as it runs, it reads the blocks of a file ahead and does the
 * first stage of their decoding, and the second one where the owner is slow. Until then the owner decodes by itself.
 */
export class ZstdAhead implements BlocksAhead {
  /** Offset in the file after the last content. */
  offset = 0;
  private readonly jobs: ZstdJobs;
  private readonly worker: Worker;
  private command = 0;
  private taken = 0;
  /** For frames that the memory is too small for. */
  private other: ZstdDecoder | undefined;
  private isOther = false;

  private constructor(shared: SharedZstd, { fd }: OpenFile) {
    this.jobs = new ZstdJobs(shared);
    this.jobs.init();
    this.worker = new Worker(new URL("zstd-worker.js", import.meta.url), { workerData: { shared, fd } });
    // A thread that does not start is one that is never ready.
    this.worker.on("error", () => undefined);
    this.worker.unref();
  }

  /** Undefined where there is no SIMD, no thread, or no memory for windows of `window` bytes. */
  static async begin(file: OpenFile, window: number): Promise<ZstdAhead | undefined> {
    if (!isSimd()) return undefined;
    const module = await WebAssembly.compile(await readBeside("unzstd-shared.wasm"));
    try {
      return new ZstdAhead({ module, memory: zstdMemory(window) }, file);
    } catch {
      return undefined;
    }
  }

  async begin(window: number, hashed: boolean): Promise<void> {
    this.isOther = !this.jobs.begin(window, hashed);
    if (!this.isOther) return;
    this.other ??= await ZstdDecoder.create();
    this.other.begin(window, hashed);
  }

  block(bytes: Uint8Array): Uint8Array {
    if (this.isOther) return this.other!.block(bytes);
    if (bytes.length > LARGEST_BLOCK) throw new RangeError(`${bytes.length} bytes of a block`);
    const { jobs } = this;
    jobs.bytes.set(bytes, jobs.input(OWN));
    const error = jobs.decode(OWN, bytes.length);
    if (error !== 0) throw zstdError(error);
    if (jobs.write(OWN) === 0) throw zstdError(0);
    return jobs.content(OWN)!;
  }

  checksum(): number {
    return this.isOther ? this.other!.checksum() : this.jobs.checksum();
  }

  get isReady(): boolean {
    const { control } = this.jobs;
    return !this.isOther && Atomics.load(control, READY) === 1 && Atomics.load(control, FINISHED) === this.command;
  }

  /** Resolves when the thread runs. */
  async ready(): Promise<void> {
    while (!this.isReady) await new Promise((resolve) => setTimeout(resolve, 1));
  }

  *ahead(from: number): Generator<Uint8Array, { offset: number; last: boolean }> {
    const { jobs } = this;
    const { control } = jobs;
    jobs.start = from;
    Atomics.store(control, COMMAND, ++this.command);
    Atomics.notify(control, COMMAND);
    for (;;) {
      const k = this.taken;
      if (Atomics.load(control, WRITTEN) > k) {
        const { kind, from: offset, to } = jobs.noted(k);
        const content = jobs.content(k);
        if (content === undefined) throw Object.assign(zstdError(0), { offset });
        this.offset = to;
        yield content;
        this.take();
        if (kind === Kind.LAST) return { offset: to, last: true };
      } else if (Atomics.load(control, DECODED) === k) {
        this.sleep(DECODED, k);
      } else {
        const { kind, from: offset } = jobs.noted(k);
        if (kind === Kind.STOP) {
          Atomics.store(control, WRITTEN, k + 1);
          this.take();
          return { offset, last: false };
        }
        if (!jobs.writeNext()) this.sleep(WRITTEN, k);
      }
    }
  }

  /** Ends the thread. It does not read the file any more. */
  close(): void {
    const { control } = this.jobs;
    Atomics.store(control, STOP, 1);
    Atomics.notify(control, COMMAND);
    Atomics.notify(control, TAKEN);
    const until = performance.now() + LOST_AFTER;
    for (let done = Atomics.load(control, FINISHED); done !== this.command; done = Atomics.load(control, FINISHED)) {
      Atomics.wait(control, FINISHED, done, 1000);
      if (performance.now() > until) return;
    }
  }

  /** Sleeps until a number of jobs has changed, and the worker says so. Errors: io, for a thread that is lost. */
  private sleep(word: number, k: number): void {
    if (Atomics.wait(this.jobs.control, word, k, LOST_AFTER) === "timed-out") throw lostThread();
  }

  private take(): void {
    const { control } = this.jobs;
    Atomics.store(control, TAKEN, ++this.taken);
    if (this.taken % GROUP === 0) Atomics.notify(control, TAKEN);
  }
}
