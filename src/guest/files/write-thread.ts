import { QevmError } from "../../bytes/errors.js";
import { ThreadPool, type Slot } from "../../io/threads/index.js";

/** A file to write. */
export interface PieceFile {
  readonly fd: number;
  /** The name for errors. */
  readonly path: string;
}

/** Maximum bytes and pieces per slot. 4 MiB for all slots: more is fresh memory, which costs more than it saves. */
const LOAD = 1 << 19;
const PIECES = 512;
const SLOTS = 8;

/**
 * Another thread that writes pieces, in order. The pieces of a slot belong to one file, whose descriptor is the slot's
 * `source`.
 */
export class WriteThread {
  private readonly pool = ThreadPool.begin({
    threads: 1,
    shape: { slots: SLOTS, capacity: PIECES, input: LOAD, output: 4096 },
    script: new URL("write-worker.js", import.meta.url),
    data: undefined,
  });
  /** The file of each slot. */
  private readonly files: (PieceFile | undefined)[] = [];
  private slot: Slot;
  /** Number of slots that came back. */
  private retired = 0;
  private used = 0;

  /** Errors: io where the system refuses a thread. @param longest maximum piece size in bytes */
  constructor(private readonly longest: number) {
    this.slot = this.open();
  }

  /** Whether it is running. A thread whose module is not found never runs. */
  get isRunning(): boolean {
    return this.pool.isRunning;
  }

  /** The memory for the next piece. */
  get memory(): Uint8Array {
    return this.slot.input;
  }

  /** The position of the next piece in `memory`. */
  get base(): number {
    return this.used;
  }

  /** Adds the piece at `start` of the memory. Errors: io, including errors of earlier pieces. */
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
    // A piece may begin up to 7 bytes later, for alignment.
    if (n + 1 === PIECES || this.used + 8 + this.longest > LOAD) this.publish();
  }

  /** Waits until everything is written. Errors: io. */
  settle(): void {
    if (this.slot.count > 0) this.publish();
    while (this.pool.pending > 0) this.retire();
  }

  /** Ends the thread after its current slot. */
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
    // Slots come back in the order in which they were published.
    const to = this.files[this.retired % SLOTS];
    try {
      this.pool.release(this.pool.take());
      this.retired++;
    } catch (error) {
      throw error instanceof QevmError ? new QevmError("io", `${to?.path}: ${error.what}`, { cause: error }) : error;
    }
  }
}
