import { availableParallelism } from "node:os";
import { readFileSync } from "node:fs";
import { writeAll } from "../../io/transport/attempt.js";
import { WriteThread, type PieceFile } from "./write-thread.js";

/**
 * Bytes gathered before a write, which never crosses a multiple of this in the file. Measured on ext4 (Linux 6.18): 1.5 GiB
 * in writes of 128 KiB took 0.33 to 0.35 s, of 64 KiB 0.42 to 0.63, of 512 KiB and 1 MiB 0.4 to 1.6 (the page cache then
 * looks for larger pieces of memory); writes that are not aligned took a third longer.
 */
export const GATHER = 1 << 17;

/**
 * Writes pieces that were gathered in its memory, in order. A piece is put at `memory[base ..)`, at most `GATHER` bytes, and given to `write`;
 * the next one is put at the new `base`. After so many bytes another thread writes: reading a stream takes about as long as writing its
 * pages, but the thread takes 25 ms to start. Until it runs, and where none can be had, everything is written here.
 */
export class PieceWriter {
  memory: Uint8Array = new Uint8Array(GATHER);
  base = 0;
  /** Bytes so far. */
  private written = 0;
  private thread: WriteThread | undefined;
  /** A thread that is not known to run yet. */
  private starting: WriteThread | undefined;
  private ending: Promise<void> | undefined;

  /** @param threadAfter bytes that are written here before another thread is started; Infinity: none is */
  constructor(private threadAfter: number) {}

  /**
   * Whether a page at `start` of another buffer may be put behind the first `used` bytes of the piece: shared memory is copied by words only where
   * both places lie alike in them, else byte by byte. Before the first page `base` is moved so that it may.
   */
  suits(start: number, used: number): boolean {
    if (this.thread === undefined) return true;
    const apart = (start - this.base - used) & 7;
    if (used > 0) return apart === 0;
    this.base += apart;
    return true;
  }

  /** Whether another thread may be writing: the files are behind. */
  get isThreaded(): boolean {
    return this.thread !== undefined;
  }

  /** Writes `memory[base .. base + length)` to `at` of a file, now or later. Errors: io, also that of an earlier piece. */
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
      // The system refuses it, or the module's place is not known (a bundle): then without.
    }
  }

  /** Waits until everything is written, and writes what comes then without another thread: now it is to be read. Errors: io. */
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

  /** Ends the thread: behind this nothing is written any more. What `settle` did not wait for is lost. */
  async close(): Promise<void> {
    this.ending ??= this.starting?.close();
    await this.ending;
  }
}

/** Whether another thread is of use and does no harm: where address space is limited, its heap may end the process, for V8 does not throw. */
function isThreadSafe(): boolean {
  if (availableParallelism() < 2) return false;
  try {
    return !/^Max address space +\d/mu.test(readFileSync("/proc/self/limits", "latin1"));
  } catch {
    // Not Linux.
    return true;
  }
}
