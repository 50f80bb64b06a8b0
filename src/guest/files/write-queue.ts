import { writev } from "node:fs";
import { QevmError } from "../../bytes/errors.js";
import { textOf } from "../../io/transport/attempt.js";

/** A file to write. */
export interface PieceFile {
  readonly fd: number;
  /** The name for errors. */
  readonly path: string;
}

/** Pieces that go to the bytes [at, end) of a file. */
interface Job {
  to: PieceFile;
  at: number;
  end: number;
  /** The buffer in which they are. */
  of: Uint8Array;
  done: Promise<void>;
}

/**
 * Writes pieces of buffers by Node's other threads, without copying them, one job after the other: two writes to a file
 * at a time wait for its lock on a processor each, which took twice the system's time. The pieces must not change before
 * `busy` of their buffer is undefined.
 */
export class WriteQueue {
  private readonly jobs = new Set<Job>();
  private last: Promise<void> = Promise.resolve();
  /** The first thing that could not be written; nothing is written after it. */
  private failure: QevmError | undefined;

  /** Errors: io, those of earlier pieces. */
  add(to: PieceFile, pieces: readonly Uint8Array[], at: number, of: Uint8Array): void {
    this.check();
    const end = pieces.reduce((sum, { length }) => sum + length, at);
    const done = this.last
      .then(() => this.write(to, pieces, at))
      .catch((error: unknown) => this.fail(to, error))
      .then(() => void this.jobs.delete(job));
    const job: Job = { to, at, end, of, done };
    this.jobs.add(job);
    this.last = done;
  }

  /** Whether bytes of a file are being written, or will be. */
  overlaps(to: PieceFile, at: number, length: number): boolean {
    for (const job of this.jobs) if (job.to === to && job.at < at + length && at < job.end) return true;
    return false;
  }

  /** Settles when pieces of the buffer were written, or could not be; undefined: there are none. */
  busy(of: Uint8Array): Promise<unknown> | undefined {
    let last: Promise<unknown> | undefined;
    for (const job of this.jobs) if (job.of === of) last = job.done;
    return last;
  }

  /** Waits until everything is written. Errors: io. */
  async settle(): Promise<void> {
    await this.end();
    this.check();
  }

  /** Waits until nothing is written any more. */
  async end(): Promise<void> {
    await this.last;
  }

  private async write(to: PieceFile, pieces: readonly Uint8Array[], at: number): Promise<void> {
    let left = pieces;
    let next = at;
    while (left.length > 0 && this.failure === undefined) {
      const n = await writePieces(to.fd, left, next);
      next += n;
      left = after(left, n);
    }
  }

  private fail(to: PieceFile, error: unknown): void {
    this.failure ??= new QevmError("io", `${to.path}: ${textOf(error)}`, { cause: error });
  }

  private check(): void {
    if (this.failure !== undefined) throw this.failure;
  }
}

function writePieces(fd: number, pieces: readonly Uint8Array[], at: number): Promise<number> {
  return new Promise((resolve, reject) => {
    writev(fd, pieces, at, (error, n) => {
      if (error === null) resolve(n);
      else reject(error);
    });
  });
}

/** The pieces without their first `n` bytes. */
function after(pieces: readonly Uint8Array[], n: number): readonly Uint8Array[] {
  let skipped = n;
  for (const [k, piece] of pieces.entries()) {
    if (skipped < piece.length) return [piece.subarray(skipped), ...pieces.slice(k + 1)];
    skipped -= piece.length;
  }
  return [];
}
