import { setTimeout as sleep } from "node:timers/promises";

/** Length of a window in milliseconds (QEMU's BUFFER_DELAY), for limiting and measuring bandwidth. */
const WINDOW = 100;

/** Limits the bytes per second, in windows of a tenth of a second (QEMU's max-bandwidth). */
export class RateLimit {
  /** Bytes per second in the last window. */
  bandwidth = 0;
  private start: number;
  private bytes: number;

  /** @param maxBandwidth bytes per second; 0: no limit */
  constructor(
    private readonly maxBandwidth: number,
    transferred = 0,
  ) {
    this.start = performance.now();
    this.bytes = transferred;
  }

  /** Whether this window's budget is used. */
  exceeded(transferred: number): boolean {
    return this.maxBandwidth > 0 && (transferred - this.bytes) * 1000 >= this.maxBandwidth * WINDOW;
  }

  /** Whether the window's time is over. */
  get over(): boolean {
    return performance.now() - this.start >= WINDOW;
  }

  /** Waits for the end of the window, and longer if its budget was exceeded. */
  async wait(transferred: number, signal?: AbortSignal): Promise<void> {
    const went = transferred - this.bytes;
    const due = this.maxBandwidth > 0 ? Math.max(WINDOW, (went / this.maxBandwidth) * 1000) : WINDOW;
    const left = due - (performance.now() - this.start);
    if (left > 0) await sleep(left, undefined, { signal }).catch(() => undefined);
  }

  /** Starts the next window. */
  next(transferred: number): void {
    const now = performance.now();
    this.bandwidth = ((transferred - this.bytes) * 1000) / Math.max(now - this.start, 0.001);
    this.start = now;
    this.bytes = transferred;
  }
}
