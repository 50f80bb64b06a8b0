/** Maximum milliseconds without a turn of the event loop. */
const LONGEST = 100;

/**
 * Files are read and written synchronously, so the event loop might not run during a whole conversion, and timers and
 * signals would wait. Code that copies bytes calls this from time to time to let it run.
 */
export class Turns {
  private last = performance.now();

  /** A promise to await when a turn is due, otherwise undefined. */
  due(): Promise<void> | undefined {
    const now = performance.now();
    if (now - this.last < LONGEST) return undefined;
    this.last = now;
    return new Promise((resolve) => void (globalThis.setImmediate ?? globalThis.setTimeout)(() => resolve()));
  }
}
