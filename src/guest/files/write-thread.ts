import { QevmError } from "../../bytes/errors.js";
import { ThreadPool, type Slot } from "../../io/threads/index.js";

/** One of the files that are written. */
export interface PieceFile {
  readonly fd: number;
  /** What errors call it. */
  readonly path: string;
}

/** Bytes and pieces that are handed over at a time. */
const LOAD = 1 << 21;
const PIECES = 512;
const SLOTS = 8;

/** Another thread that writes pieces, in order: the pieces of a slot are of one file, whose descriptor is the slot's `source`. */
export class WriteThread {
  private readonly pool = ThreadPool.begin({
    threads: 1,
    shape: { slots: SLOTS, capacity: PIECES, input: LOAD, output: 4096 },
    script: new URL("write-worker.js", import.meta.url),
    data: undefined,
  });
  /** The file that each slot's pieces are for. */
  private readonly files: (PieceFile | undefined)[] = [];
  private slot: Slot;
  /** Slots that came back. */
  private retired = 0;
  private used = 0;

  /** Errors: io where the system refuses a thread. @param longest bytes of a piece at most */
  constructor(private readonly longest: number) {
    this.slot = this.open();
  }

  /** Whether it has begun. A thread whose module is not found never does. */
  get isRunning(): boolean {
    return this.pool.isRunning;
  }

  /** Where the next piece is to be put. */
  get memory(): Uint8Array {
    return this.slot.input;
  }

  /** From where on. */
  get base(): number {
    return this.used;
  }

  /** Takes over a piece that stands at `start` of the memory. Errors: io, that of an earlier piece. */
  add(to: PieceFile, start: number, length: number, at: number): void {
    let { slot } = this;
    let from = start;
    if (slot.count > 0 && this.files[slot.index] !== to) {
      // Another file: the piece moves to the next slot.
      const piece = slot.input.slice(start, start + length);
      this.publish();
      ({ slot } = this);
      from = 0;
      slot.input.set(piece);
    }
    const n = slot.count;
    this.files[slot.index] = to;
    slot.source = to.fd;
    slot.starts[n] = from;
    slot.lengths[n] = length;
    slot.setWord(n, at, 0);
    slot.count = n + 1;
    this.used = from + length;
    // A piece may begin up to 7 bytes further on.
    if (n + 1 === PIECES || this.used + 8 + this.longest > LOAD) this.publish();
  }

  /** Waits until everything is written. Errors: io. */
  settle(): void {
    if (this.slot.count > 0) this.publish();
    while (this.pool.pending > 0) this.retire();
  }

  /** Ends the thread, behind the slot that it has. */
  close(): Promise<void> {
    return this.pool.close();
  }

  private publish(): void {
    this.pool.publish(this.slot);
    this.slot = this.open();
  }

  private open(): Slot {
    while (this.pool.isBack) this.retire();
    if (this.pool.open() === undefined) this.retire();
    const slot = this.pool.open()!;
    slot.count = 0;
    this.used = 0;
    return slot;
  }

  private retire(): void {
    // Slots come back in the order in which they were handed over.
    const to = this.files[this.retired % SLOTS];
    try {
      this.pool.release(this.pool.take());
      this.retired++;
    } catch (error) {
      throw error instanceof QevmError ? new QevmError("io", `${to?.path}: ${error.what}`, { cause: error }) : error;
    }
  }
}
