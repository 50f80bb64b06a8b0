import { availableParallelism } from "node:os";
import { writeAll } from "../../io/transport/attempt.js";
import { WriteQueue, type PieceFile } from "./write-queue.js";

/**
 * Bytes collected before a write; a write never crosses a multiple of this in the file. Measured on ext4 (Linux 6.18):
 * 1.5 GiB in writes of 128 KiB took 0.33 to 0.35 s, of 64 KiB 0.42 to 0.63, of 512 KiB and 1 MiB 0.4 to 1.6 (the page
 * cache then looks for larger pieces of memory). Unaligned writes took a third longer.
 */
export const GATHER = 1 << 17;

/** Most pieces of one write (Linux's IOV_MAX). */
const MOST_PIECES = 1024;

/**
 * Writes pieces that were collected in its memory: put a piece of at most `GATHER` bytes at the start of `memory` and
 * call `write`. After `threadAfter` bytes long runs are not collected: another thread writes them from where they are.
 */
export class PieceWriter {
  readonly memory = new Uint8Array(GATHER);
  private readonly queue: WriteQueue | undefined;
  /** Bytes written so far. */
  private written = 0;

  /** @param threadAfter bytes written by this thread alone before others do; Infinity: never */
  constructor(private threadAfter: number) {
    if (threadAfter < Number.POSITIVE_INFINITY && availableParallelism() > 1) this.queue = new WriteQueue();
  }

  /** Whether `direct` may be called. */
  get isThreaded(): boolean {
    return this.queue !== undefined && this.written >= this.threadAfter;
  }

  /** Writes the first `length` bytes of `memory` to `at` of a file. Errors: io, including errors of earlier pieces. */
  write(to: PieceFile, length: number, at: number): void {
    const { queue, memory } = this;
    if (queue?.overlaps(to, at, length) === true) {
      const copy = memory.slice(0, length);
      queue.add(to, [copy], at, copy);
    } else {
      writeAll(to.path, to.fd, memory.subarray(0, length), at);
    }
    this.written += length;
  }

  /** Has pieces of the buffer `of` written to `at` of a file. Errors: io, those of earlier pieces. */
  direct(to: PieceFile, pieces: readonly Uint8Array[], at: number, of: Uint8Array): void {
    let next = at;
    for (let k = 0; k < pieces.length; k += MOST_PIECES) {
      const part = pieces.slice(k, k + MOST_PIECES);
      this.queue!.add(to, part, next, of);
      next += part.reduce((sum, { length }) => sum + length, 0);
    }
  }

  /** See `WriteQueue.busy`. */
  busy(of: Uint8Array): Promise<unknown> | undefined {
    return this.queue?.busy(of);
  }

  /** Waits until everything is written. Later pieces are written at once, since the files will be read now. Errors: io. */
  async settle(): Promise<void> {
    this.threadAfter = Number.POSITIVE_INFINITY;
    await this.queue?.settle();
  }

  /** Waits until nothing is written any more. */
  async end(): Promise<void> {
    await this.queue?.end();
  }
}
