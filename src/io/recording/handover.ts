import { QevmError } from "../../bytes/errors.js";
import type { ByteSink, ByteSource } from "../../bytes/source.js";

/**
 * A source whose bytes are written while they are read. `write` waits until its chunk was consumed, so at most one
 * chunk is held. The writer starts with the first read.
 */
export class Handover implements ByteSource {
  private chunk: Uint8Array = new Uint8Array(0);
  private taken: (() => void) | undefined;
  private wake: (() => void) | undefined;
  private state: "idle" | "running" | "ended" = "idle";
  private failure: unknown;
  private closed = false;

  constructor(
    private readonly work: (sink: ByteSink) => Promise<void>,
    readonly within: readonly string[],
  ) {}

  async read(into: Uint8Array): Promise<number> {
    if (this.state === "idle") this.start();
    while (this.chunk.length === 0 && this.state === "running") {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    if (this.chunk.length === 0) {
      if (this.failure !== undefined) throw this.failure;
      return 0;
    }
    const n = Math.min(into.length, this.chunk.length);
    into.set(this.chunk.subarray(0, n));
    this.chunk = this.chunk.subarray(n);
    if (this.chunk.length === 0) this.taken?.();
    return n;
  }

  /** Ends reading: the writer stops at its next chunk. */
  close(): void {
    this.closed = true;
    this.chunk = new Uint8Array(0);
    this.taken?.();
  }

  private start(): void {
    this.state = "running";
    const sink: ByteSink = {
      write: (chunk) => this.give(chunk),
    };
    const end = (failure?: unknown): void => {
      this.failure = failure;
      this.state = "ended";
      this.wake?.();
    };
    this.work(sink).then(() => end(), end);
  }

  private async give(chunk: Uint8Array): Promise<void> {
    if (this.closed) throw new QevmError("io", "the reader has closed");
    if (chunk.length === 0) return;
    this.chunk = chunk;
    const done = new Promise<void>((resolve) => {
      this.taken = resolve;
    });
    this.wake?.();
    await done;
  }
}
