import { availableParallelism } from "node:os";
import { readFileSync } from "node:fs";
import { writeAll } from "../../io/transport/attempt.js";
import { WriteThread, type PieceFile } from "./write-thread.js";

/**
 * Bytes collected before a write; a write never crosses a multiple of this in the file. Measured on ext4 (Linux 6.18):
 * 1.5 GiB in writes of 128 KiB took 0.33 to 0.35 s, of 64 KiB 0.42 to 0.63, of 512 KiB and 1 MiB 0.4 to 1.6 (the page
 * cache then looks for larger pieces of memory). Unaligned writes took a third longer.
 */
export const GATHER = 1 << 17;

/**
 * Writes pieces that were collected in its memory, in order. Put a piece of at most `GATHER` bytes at `memory[base ..)`
 * and call `write`; the next piece goes to the new `base`. After `threadAfter` bytes another thread writes: reading a
 * stream takes about as long as writing its pages, but the thread takes 25 ms to start. Until it runs, and where it
 * cannot be started, this thread writes.
 */
export class PieceWriter {
  memory: Uint8Array = new Uint8Array(GATHER);
  base = 0;
  /** Bytes written so far. */
  private written = 0;
  private thread: WriteThread | undefined;
  /** A thread that may not run yet. */
  private starting: WriteThread | undefined;
  private ending: Promise<void> | undefined;

  /** @param threadAfter bytes written by this thread before another one is started; Infinity: never */
  constructor(private threadAfter: number) {}

  /**
   * Whether a page at `start` of another buffer may be appended to the first `used` bytes of the piece. Shared memory
   * is copied by words only if source and target have the same alignment, else byte by byte. Before the first page
   * `base` is moved to the right alignment.
   */
  suits(start: number, used: number): boolean {
    if (this.thread === undefined) return true;
    const apart = (start - this.base - used) & 7;
    if (used > 0) return apart === 0;
    this.base += apart;
    return true;
  }

  /** Whether another thread may be writing, so that the files are not up to date. */
  get isThreaded(): boolean {
    return this.thread !== undefined;
  }

  /**
   * Writes `memory[base .. base + length)` to `at` of a file, now or later. Errors: io, including errors of earlier
   * pieces.
   */
  write(to: PieceFile, length: number, at: number): void {
    const { thread, memory, base } = this;
    if (thread !== undefined) {
      thread.add(to, base, length, at);
      this.memory = thread.memory;
      this.base = thread.base;
      return;
    }
    writeAll(to.path, to.fd, memory.subarray(base, base + length), at);
    this.written += length;
    if (this.starting === undefined && this.written >= this.threadAfter) this.begin();
    if (this.starting?.isRunning !== true) return;
    this.thread = this.starting;
    this.memory = this.thread.memory;
    this.base = this.thread.base;
  }

  /** Starts the thread, once. */
  private begin(): void {
    this.threadAfter = Number.POSITIVE_INFINITY;
    if (!isThreadSafe()) return;
    try {
      this.starting = new WriteThread(GATHER);
    } catch {
      // The system refuses a thread, or the module's path is unknown (a bundle): continue without.
    }
  }

  /**
   * Waits until everything is written. Later pieces are written without a thread, since the files will be read now.
   * Errors: io.
   */
  settle(): void {
    const { starting, thread } = this;
    this.threadAfter = Number.POSITIVE_INFINITY;
    thread?.settle();
    this.ending ??= starting?.close();
    this.starting = undefined;
    if (thread === undefined) return;
    this.thread = undefined;
    this.memory = new Uint8Array(GATHER);
    this.base = 0;
  }

  /** Ends the thread. After this nothing is written; pieces that `settle` has not waited for are lost. */
  async close(): Promise<void> {
    this.ending ??= this.starting?.close();
    await this.ending;
  }
}

/**
 * Whether another thread is useful and safe. Where the address space is limited, its heap may abort the process,
 * because V8 does not throw.
 */
function isThreadSafe(): boolean {
  if (availableParallelism() < 2) return false;
  try {
    return !/^Max address space +\d/mu.test(readFileSync("/proc/self/limits", "latin1"));
  } catch {
    // Not Linux.
    return true;
  }
}
