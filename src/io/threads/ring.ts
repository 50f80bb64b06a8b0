import { QevmError, type ErrorCode, type ErrorPlace } from "../../bytes/errors.js";

/**
 * A ring of batches in memory that several threads share.
 *
 * One owner fills slots and takes them back in the same order; workers claim filled slots in any order. Three numbers
 * increase: batches opened by the owner, published, and claimed. A slot's index is the number modulo the number of
 * slots (a power of two). All waiting is by `Atomics.wait` on the number that has to change.
 *
 * | control word  | meaning                                              |
 * | ------------- | ---------------------------------------------------- |
 * | 0             | batches published                                    |
 * | 1             | batches claimed                                      |
 * | 2             | 1: workers end when they ask for the next batch      |
 * | 3             | times a worker found nothing and slept               |
 * | 4 + slot      | {@link SlotState}                                    |
 *
 * | slot          | bytes            |                                                                     |
 * | ------------- | ---------------- | ------------------------------------------------------------------- |
 * | header        | 4 x 4            | pages in it, bytes of output, source (-1: `input`), tag              |
 * | words         | capacity x 8     | page offset with flags, as the low and the high u32                  |
 * | starts        | capacity x 4     | start of each page's bytes in `input` or `output`                    |
 * | lengths       | capacity x 4     | length of each page's bytes                                          |
 * | flags         | capacity, padded | the worker's result for each page                                    |
 * | input, output | as asked, padded |                                                                      |
 */
export interface RingShape {
  /** Number of slots; a power of two. */
  slots: number;
  /** Pages per slot. */
  capacity: number;
  /** Size of a slot's `input` and `output` in bytes. */
  input: number;
  output: number;
}

/** The data that another thread needs to use the same ring. */
export interface SharedRing {
  readonly shape: RingShape;
  readonly buffer: SharedArrayBuffer;
}

/** State of a slot: the owner's, filled, finished, or failed with an error in its output. */
const SlotState = { EMPTY: 0, READY: 1, DONE: 2, FAILED: 3 } as const;

const PUBLISHED = 0;
const CLAIMED = 1;
const STOP = 2;
const SLEPT = 3;
const STATES = 4;

const HEADER = 16;

const padded = (bytes: number): number => (bytes + 63) & ~63;

/**
 * Where bytes are put in shared memory, `from` or up to seven bytes later: where both sides have the same alignment
 * they are copied by words, otherwise byte by byte, which takes eight times as long (1 ms a megabyte).
 */
export function aligned(bytes: Uint8Array, from = 0): number {
  return from + ((bytes.byteOffset - from) & 7);
}

/**
 * Copies bytes from or to shared memory. Like `set`, which does it a word at a time there and takes three to four times
 * as long.
 */
export function copyShared(into: Uint8Array, bytes: Uint8Array, at = 0): void {
  Buffer.prototype.fill.call(into, bytes, at, at + bytes.length);
}

/** One batch. Only the thread that currently holds the slot may write to it. */
export class Slot {
  /** The low and high halves of each page's word. */
  readonly words: Uint32Array;
  readonly starts: Uint32Array;
  readonly lengths: Uint32Array;
  readonly flags: Uint8Array;
  readonly input: Uint8Array;
  readonly output: Uint8Array;
  private readonly header: Int32Array;

  constructor(
    readonly index: number,
    buffer: SharedArrayBuffer,
    at: number,
    shape: RingShape,
  ) {
    const { capacity } = shape;
    let next = at;
    const take = (bytes: number): number => {
      const start = next;
      next += padded(bytes);
      return start;
    };
    this.header = new Int32Array(buffer, take(HEADER), HEADER / 4);
    this.words = new Uint32Array(buffer, take(capacity * 8), capacity * 2);
    this.starts = new Uint32Array(buffer, take(capacity * 4), capacity);
    this.lengths = new Uint32Array(buffer, take(capacity * 4), capacity);
    this.flags = new Uint8Array(buffer, take(capacity), capacity);
    this.input = new Uint8Array(buffer, take(shape.input), shape.input);
    this.output = new Uint8Array(buffer, take(shape.output), shape.output);
  }

  /** Size of a slot in shared memory, bytes. */
  static size({ capacity, input, output }: RingShape): number {
    return (
      padded(HEADER) +
      padded(capacity * 8) +
      2 * padded(capacity * 4) +
      padded(capacity) +
      padded(input) +
      padded(output)
    );
  }

  /** Number of pages. */
  get count(): number {
    return this.header[0]!;
  }
  set count(value: number) {
    this.header[0] = value;
  }

  /** Bytes of `output` in use. */
  get length(): number {
    return this.header[1]!;
  }
  set length(value: number) {
    this.header[1] = value;
  }

  /** The memory that the worker reads pages from or writes them to; -1: the slot itself. */
  get source(): number {
    return this.header[2]!;
  }
  set source(value: number) {
    this.header[2] = value;
  }

  /** What else the work has to know: a channel. */
  get tag(): number {
    return this.header[3]!;
  }
  set tag(value: number) {
    this.header[3] = value;
  }

  /** Offset of a page without its word's flags (which are below `pageSize`). */
  offset(i: number, pageSize: number): number {
    const low = this.words[i * 2]!;
    return this.words[i * 2 + 1]! * 0x100000000 + (low - (low & (pageSize - 1)));
  }

  /** Sets a page's word from its offset and flags. */
  setWord(i: number, offset: number, flags: number): void {
    this.words[i * 2] = (offset >>> 0) | flags;
    this.words[i * 2 + 1] = Math.floor(offset / 0x100000000);
  }
}

/** One thread's view of a ring. */
export class Ring {
  readonly slots: readonly Slot[];
  private readonly control: Int32Array;
  private readonly mask: number;

  constructor(readonly shared: SharedRing) {
    const { shape, buffer } = shared;
    const first = padded((STATES + shape.slots) * 4);
    const size = Slot.size(shape);
    this.mask = shape.slots - 1;
    this.control = new Int32Array(buffer, 0, STATES + shape.slots);
    this.slots = Array.from({ length: shape.slots }, (_, i) => new Slot(i, buffer, first + i * size, shape));
  }

  /** Allocates the memory of a ring. */
  static allocate(shape: RingShape): SharedRing {
    if (!Number.isInteger(Math.log2(shape.slots)) || shape.slots < 2) {
      throw new QevmError("usage", "slots of a ring", { expected: "a power of two", found: String(shape.slots) });
    }
    const size = padded((STATES + shape.slots) * 4) + shape.slots * Slot.size(shape);
    return { shape, buffer: new SharedArrayBuffer(size) };
  }

  /** The slot of a batch number. */
  slot(ticket: number): Slot {
    return this.slots[ticket & this.mask]!;
  }

  /** How often a worker slept for lack of work. */
  get sleeps(): number {
    return Atomics.load(this.control, SLEPT);
  }

  /** Owner: publishes a filled slot. */
  publish(slot: Slot): void {
    Atomics.store(this.control, STATES + slot.index, SlotState.READY);
    Atomics.add(this.control, PUBLISHED, 1);
    Atomics.notify(this.control, PUBLISHED, 1);
  }

  /**
   * Claims the next published slot; undefined where there is none and `wait` is false, or when the ring was stopped.
   */
  claim(wait: boolean): Slot | undefined {
    const { control } = this;
    for (;;) {
      // The order matters: `stop` sets the word first and changes the number second, so no worker sleeps through it.
      const published = Atomics.load(control, PUBLISHED);
      if (Atomics.load(control, STOP) !== 0) return undefined;
      const claimed = Atomics.load(control, CLAIMED);
      // Not `!==`: between the two loads another thread may have claimed a batch that was published meanwhile.
      if (((published - claimed) | 0) > 0) {
        if (Atomics.compareExchange(control, CLAIMED, claimed, (claimed + 1) | 0) === claimed)
          return this.slot(claimed);
      } else if (!wait) {
        return undefined;
      } else {
        Atomics.add(control, SLEPT, 1);
        Atomics.wait(control, PUBLISHED, published);
      }
    }
  }

  /** Worker: returns a slot. */
  done(slot: Slot): void {
    this.leave(slot, SlotState.DONE);
  }

  /** Worker: wakes the owner, whatever slot it sleeps on. */
  wake(): void {
    for (const { index } of this.slots) Atomics.notify(this.control, STATES + index);
  }

  /** Worker: returns a slot with an error instead of output. */
  fail(slot: Slot, error: unknown): void {
    const known = error instanceof QevmError;
    const text = JSON.stringify({
      code: known ? error.code : "io",
      what: known
        ? error.what
        : `a thread failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
      offset: known ? error.offset : undefined,
      path: known ? error.path : undefined,
      expected: known ? error.expected : undefined,
      found: known ? error.found : undefined,
    });
    const bytes = new TextEncoder().encode(text).subarray(0, slot.output.length);
    slot.output.set(bytes);
    slot.length = bytes.length;
    this.leave(slot, SlotState.FAILED);
  }

  /** Owner: whether a published slot has come back. */
  isBack(slot: Slot): boolean {
    return Atomics.load(this.control, STATES + slot.index) >= SlotState.DONE;
  }

  /** Owner: sleeps until the slot is back, for at most `milliseconds`. */
  sleepOn(slot: Slot, milliseconds: number): void {
    Atomics.wait(this.control, STATES + slot.index, SlotState.READY, milliseconds);
  }

  /** Owner: resolves when the slot is back, or after `milliseconds`; the event loop runs meanwhile. */
  async whenBack(slot: Slot, milliseconds: number): Promise<void> {
    await Atomics.waitAsync(this.control, STATES + slot.index, SlotState.READY, milliseconds).value;
  }

  /** Owner: the error of a failed slot. */
  failure(slot: Slot): QevmError | undefined {
    if (Atomics.load(this.control, STATES + slot.index) !== SlotState.FAILED) return undefined;
    const text = new TextDecoder().decode(slot.output.slice(0, slot.length));
    const { code, what, ...place } = JSON.parse(text) as { code: ErrorCode; what: string } & ErrorPlace;
    return new QevmError(code, what, place);
  }

  /** Owner: resets a slot for the next batch. */
  empty(slot: Slot): void {
    Atomics.store(this.control, STATES + slot.index, SlotState.EMPTY);
  }

  /** Owner: workers exit after their current batch. */
  stop(): void {
    Atomics.store(this.control, STOP, 1);
    Atomics.add(this.control, PUBLISHED, 1);
    Atomics.notify(this.control, PUBLISHED);
  }

  private leave(slot: Slot, state: number): void {
    Atomics.store(this.control, STATES + slot.index, state);
    Atomics.notify(this.control, STATES + slot.index);
  }
}
