import { QevmError, type ErrorCode } from "../../bytes/errors.js";

/**
 * A ring of batches in memory that several threads share.
 *
 * One owner fills slots and takes them back in the order in which it filled them; workers claim filled slots in any order.
 * Three numbers run upwards: what the owner opened, what it published, and what was claimed; a slot is the remainder by the
 * (power of two) number of slots. All waiting is by `Atomics.wait` on the number that has to change.
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
 * | header        | 4 x 4            | pages in it, bytes of output, source (-1: `input`), spare            |
 * | words         | capacity x 8     | page offset with flags, as the low and the high u32                  |
 * | starts        | capacity x 4     | where in `input` or `output` each page's bytes start                 |
 * | lengths       | capacity x 4     | how many bytes                                                       |
 * | flags         | capacity, padded | the worker's word on each page                                       |
 * | input, output | as asked, padded |                                                                      |
 */
export interface RingShape {
  /** Slots; a power of two. */
  slots: number;
  /** Pages that a slot holds. */
  capacity: number;
  /** Bytes of a slot's `input` and `output`. */
  input: number;
  output: number;
}

/** What another thread needs to see the same ring. */
export interface SharedRing {
  readonly shape: RingShape;
  readonly buffer: SharedArrayBuffer;
}

/** What a slot is: the owner's, filled, worked off, or given up with an error in its output. */
const SlotState = { EMPTY: 0, READY: 1, DONE: 2, FAILED: 3 } as const;

const PUBLISHED = 0;
const CLAIMED = 1;
const STOP = 2;
const SLEPT = 3;
const STATES = 4;

const HEADER = 16;

const padded = (bytes: number): number => (bytes + 63) & ~63;

/** One batch's place. Everything in it may be written by whoever has the slot at the moment, and by nobody else. */
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

  /** Bytes of shared memory that a slot takes. */
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

  /** Pages in it. */
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

  /** Which memory the pages are read from or written to by the worker; -1: they stand in the slot itself. */
  get source(): number {
    return this.header[2]!;
  }
  set source(value: number) {
    this.header[2] = value;
  }

  /** Offset of a page, whatever flags its word has (they are below `pageSize`). */
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

  /** Makes the memory of a ring. */
  static allocate(shape: RingShape): SharedRing {
    if (!Number.isInteger(Math.log2(shape.slots)) || shape.slots < 2) {
      throw new QevmError("usage", "slots of a ring", { expected: "a power of two", found: String(shape.slots) });
    }
    const size = padded((STATES + shape.slots) * 4) + shape.slots * Slot.size(shape);
    return { shape, buffer: new SharedArrayBuffer(size) };
  }

  /** The slot of a running number. */
  slot(ticket: number): Slot {
    return this.slots[ticket & this.mask]!;
  }

  /** Times a worker slept for want of work. */
  get sleeps(): number {
    return Atomics.load(this.control, SLEPT);
  }

  /** Owner: hands a filled slot over. */
  publish(slot: Slot): void {
    Atomics.store(this.control, STATES + slot.index, SlotState.READY);
    Atomics.add(this.control, PUBLISHED, 1);
    Atomics.notify(this.control, PUBLISHED, 1);
  }

  /** Takes the next published slot; undefined where there is none and `wait` is false, or when the ring was stopped. */
  claim(wait: boolean): Slot | undefined {
    const { control } = this;
    for (;;) {
      // In this order: `stop` sets the word first and moves the number then, so that nobody sleeps through it.
      const published = Atomics.load(control, PUBLISHED);
      if (Atomics.load(control, STOP) !== 0) return undefined;
      const claimed = Atomics.load(control, CLAIMED);
      // Not "other than": between the two another thread may have claimed a batch that was published meanwhile.
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

  /** Worker: gives a slot back. */
  done(slot: Slot): void {
    this.leave(slot, SlotState.DONE);
  }

  /** Worker: gives a slot back with an error in place of output. */
  fail(slot: Slot, error: unknown): void {
    const known = error instanceof QevmError;
    const text = JSON.stringify({
      code: known ? error.code : "io",
      what: known
        ? error.what
        : `a thread failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
      expected: known ? error.expected : undefined,
      found: known ? error.found : undefined,
    });
    const bytes = new TextEncoder().encode(text).subarray(0, slot.output.length);
    slot.output.set(bytes);
    slot.length = bytes.length;
    this.leave(slot, SlotState.FAILED);
  }

  /** Owner: whether a slot that was handed over came back. */
  isBack(slot: Slot): boolean {
    return Atomics.load(this.control, STATES + slot.index) >= SlotState.DONE;
  }

  /** Owner: sleeps until the slot is back, or for so many milliseconds. */
  sleepOn(slot: Slot, milliseconds: number): void {
    Atomics.wait(this.control, STATES + slot.index, SlotState.READY, milliseconds);
  }

  /** Owner: resolves when the slot is back, or after so many milliseconds; the event loop runs meanwhile. */
  async whenBack(slot: Slot, milliseconds: number): Promise<void> {
    await Atomics.waitAsync(this.control, STATES + slot.index, SlotState.READY, milliseconds).value;
  }

  /** Owner: the error of a slot that came back with one. */
  failure(slot: Slot): QevmError | undefined {
    if (Atomics.load(this.control, STATES + slot.index) !== SlotState.FAILED) return undefined;
    const text = new TextDecoder().decode(slot.output.slice(0, slot.length));
    const { code, what, expected, found } = JSON.parse(text) as {
      code: ErrorCode;
      what: string;
      expected?: string;
      found?: string;
    };
    return new QevmError(code, what, { expected, found });
  }

  /** Owner: takes a slot back for the next batch. */
  empty(slot: Slot): void {
    Atomics.store(this.control, STATES + slot.index, SlotState.EMPTY);
  }

  /** Owner: workers end as soon as they have finished what they have. */
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
