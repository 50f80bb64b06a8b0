import { setTimeout as sleep } from "node:timers/promises";

/** Milliseconds of a window (QEMU's BUFFER_DELAY): bandwidth is counted out and measured by it. */
const WINDOW = 100;

/** Lets so many bytes a second go, a tenth of a second's worth at a time (QEMU's max-bandwidth). */
export class RateLimit {
  /** Bytes a second that went in the last window. */
  bandwidth = 0;
  private start: number;
  private bytes: number;

  /** @param maxBandwidth bytes a second; 0: no limit */
  constructor(
    private readonly maxBandwidth: number,
    transferred = 0,
  ) {
    this.start = performance.now();
    this.bytes = transferred;
  }

  /** Whether this window's worth has gone. */
  exceeded(transferred: number): boolean {
    return this.maxBandwidth > 0 && (transferred - this.bytes) * 1000 >= this.maxBandwidth * WINDOW;
  }

  /** Whether the window is over, by time. */
  get over(): boolean {
    return performance.now() - this.start >= WINDOW;
  }

  /** Waits for the end of the window; what went beyond its worth is paid for by waiting longer. */
  async wait(transferred: number, signal?: AbortSignal): Promise<void> {
    const went = transferred - this.bytes;
    const due = this.maxBandwidth > 0 ? Math.max(WINDOW, (went / this.maxBandwidth) * 1000) : WINDOW;
    const left = due - (performance.now() - this.start);
    if (left > 0) await sleep(left, undefined, { signal }).catch(() => undefined);
  }

  /** Begins the next window. */
  next(transferred: number): void {
    const now = performance.now();
    this.bandwidth = ((transferred - this.bytes) * 1000) / Math.max(now - this.start, 0.001);
    this.start = now;
    this.bytes = transferred;
  }
}
