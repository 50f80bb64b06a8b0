import { setImmediate } from "node:timers/promises";

/** Milliseconds that work may go on without a turn of the event loop. */
const LONGEST = 100;

/**
 * Files are read and written synchronously, so the event loop may not turn for as long as a whole conversion takes; timers and
 * signals wait for it. Who passes bytes on asks here now and then whether it is time to let it turn.
 */
export class Turns {
  private last = performance.now();

  /** A promise to wait for where it is time, else undefined. */
  due(): Promise<void> | undefined {
    const now = performance.now();
    if (now - this.last < LONGEST) return undefined;
    this.last = now;
    return setImmediate();
  }
}
