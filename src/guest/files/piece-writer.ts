import { writeAll } from "../../io/transport/attempt.js";
import { GATHER, WriteThread, type WrittenFile } from "./write-thread.js";

/** Bytes after which another thread pays off where nothing says how many there will be. */
export const THREAD_AFTER = 1 << 25;

/** Bytes and pieces that are given to another thread together, at most. */
const LOAD = 1 << 19;
const PIECES = 512;

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
  /** The pieces in `memory` that the thread is to write, and their file. */
  private pieces: number[] = [];
  private target: WrittenFile | undefined;

  /** @param threadAfter bytes written by this thread before another one is started; Infinity: never */
  constructor(private threadAfter: number) {}

  /** Whether another thread may be writing, so that the files are not up to date. */
  get isThreaded(): boolean {
    return this.thread !== undefined;
  }

  /**
   * Writes `memory[base .. base + length)` to `at` of a file, now or later. Errors: io, including errors of earlier
   * pieces.
   */
  write(to: WrittenFile, length: number, at: number): void {
    if (this.thread !== undefined) {
      this.collect(to, length, at);
      return;
    }
    writeAll(to.path, to.fd, this.memory.subarray(this.base, this.base + length), at);
    this.written += length;
    if (this.written >= this.threadAfter) {
      this.threadAfter = Number.POSITIVE_INFINITY;
      this.starting = WriteThread.start();
    }
    if (this.starting?.isRunning !== true) return;
    this.thread = this.starting;
    this.memory = new Uint8Array(LOAD);
    this.base = 0;
  }

  /**
   * Waits until everything is written. Later pieces are written without a thread, since the files will be read now.
   * Errors: io.
   */
  settle(): void {
    this.threadAfter = Number.POSITIVE_INFINITY;
    if (this.pieces.length > 0) this.handOver();
    this.thread?.settle();
    this.close();
  }

  /** Ends the thread. After this nothing is written; pieces that `settle` has not waited for are lost. */
  close(): void {
    this.starting?.close();
    this.starting = undefined;
    if (this.thread === undefined) return;
    this.thread = undefined;
    this.memory = new Uint8Array(GATHER);
    this.base = 0;
  }

  private collect(to: WrittenFile, length: number, at: number): void {
    if (this.pieces.length > 0 && this.target !== to) {
      // Another file: the piece moves to the next memory.
      const piece = this.memory.slice(this.base, this.base + length);
      this.handOver();
      this.memory.set(piece);
    }
    this.target = to;
    this.pieces.push(this.base, length, at);
    this.base += length;
    if (this.pieces.length === 3 * PIECES || this.base + GATHER > LOAD) this.handOver();
  }

  private handOver(): void {
    this.memory = this.thread!.post(this.target!, this.memory, this.pieces);
    this.pieces = [];
    this.base = 0;
  }
}
