import type { ByteSource } from "../qemu-file/source.js";
import type { StreamEnd } from "./stream-end.js";

/** Milliseconds without a byte after which a stream that looks ended is taken for ended. */
const QUIET = 1000;

/**
 * The main channel while it comes in. It ends where the connection does, at once behind a whole VMDESCRIPTION, or with a pause behind what
 * a stream without one ends with.
 */
export class LiveSource implements ByteSource {
  private chunk: Uint8Array = new Uint8Array(0);
  private taken: (() => void) | undefined;
  private wake: (() => void) | undefined;
  private finished = false;

  constructor(private readonly end: StreamEnd) {}

  /** Resolves when the bytes were read, or nobody wants them. */
  async feed(chunk: Uint8Array): Promise<void> {
    if (this.finished || chunk.length === 0) return;
    this.chunk = chunk;
    const taken = new Promise<void>((resolve) => {
      this.taken = resolve;
    });
    this.wake?.();
    await taken;
  }

  /** No more bytes come, or none are wanted. */
  finish(): void {
    this.finished = true;
    this.taken?.();
    this.wake?.();
  }

  async read(into: Uint8Array): Promise<number> {
    while (this.chunk.length === 0) {
      if (this.finished || this.end.isHere) return 0;
      const woken = await this.more();
      if (!woken && this.end.mayBeHere) return 0;
    }
    const n = Math.min(into.length, this.chunk.length);
    into.set(this.chunk.subarray(0, n));
    this.chunk = this.chunk.subarray(n);
    if (this.chunk.length === 0) this.taken?.();
    return n;
  }

  /** Waits for bytes or the end (true), for a while (false). */
  private async more(): Promise<boolean> {
    return await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), QUIET);
      this.wake = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
  }
}
