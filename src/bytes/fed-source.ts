import type { ByteSource } from "./source.js";

/** A source that bytes are fed to: `feed` waits until its chunk was consumed, so that one chunk is held. */
export class FedSource implements ByteSource {
  protected finished = false;
  private chunk: Uint8Array = new Uint8Array(0);
  private taken: (() => void) | undefined;
  private wake: (() => void) | undefined;

  /** Resolves when the bytes were consumed, or the reader has finished. */
  async feed(chunk: Uint8Array): Promise<void> {
    if (this.finished || chunk.length === 0) return;
    this.chunk = chunk;
    const taken = new Promise<void>((resolve) => {
      this.taken = resolve;
    });
    this.wake?.();
    await taken;
  }

  /** Ends the source: no more bytes follow, or none are wanted. */
  finish(): void {
    this.finished = true;
    this.taken?.();
    this.wake?.();
  }

  async read(into: Uint8Array): Promise<number> {
    while (this.chunk.length === 0) if (this.finished || !(await this.more())) return 0;
    const n = Math.min(into.length, this.chunk.length);
    into.set(this.chunk.subarray(0, n));
    this.chunk = this.chunk.subarray(n);
    if (this.chunk.length === 0) this.taken?.();
    return n;
  }

  /** Waits for bytes or the end. False: there are no more bytes. */
  protected async more(): Promise<boolean> {
    await this.woken();
    return true;
  }

  /** Resolves with true when there are bytes or the end; with false after `milliseconds`. */
  protected async woken(milliseconds?: number): Promise<boolean> {
    return await new Promise<boolean>((resolve) => {
      const timer = milliseconds === undefined ? undefined : setTimeout(() => resolve(false), milliseconds);
      this.wake = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
  }
}
