import type { ByteSource } from "./source.js";

/** Bytes that are read ahead at a time. Smaller pieces cost more in waking threads than they save: 1 MiB saved nothing. */
const AHEAD = 1 << 22;

/** Room before them for what is left of the buffer that they follow, so that the two are joined without moving the larger one. */
const MARGIN = 1 << 16;

/** What a reader goes on with. */
export interface NextBuffer {
  buffer: Uint8Array;
  position: number;
  end: number;
}

/**
 * The next piece of a file, read by another thread while this one decodes what it has: two buffers in turn. Only for sources that can
 * (`readAhead`, `seek`).
 */
export class ReadAhead {
  private spare: Uint8Array = new Uint8Array(0);
  private pending: Promise<number> | undefined;
  private position = 0;

  private constructor(
    private readonly read: NonNullable<ByteSource["readAhead"]>,
    private readonly seek: (position: number) => void,
  ) {}

  /** Undefined where the source cannot, or is too short for it to matter. */
  static over(source: ByteSource): ReadAhead | undefined {
    const { readAhead, length = 0 } = source;
    if (readAhead === undefined || source.seek === undefined || length < 2 * AHEAD) return undefined;
    return new ReadAhead(readAhead, (position) => source.seek!(position));
  }

  /** Whether a piece is under way: then nothing else may read from the source before `take`. */
  get isUnderWay(): boolean {
    return this.pending !== undefined;
  }

  /** Begins to read from `position` of the source. */
  start(position: number): void {
    if (this.spare.length !== MARGIN + AHEAD) this.spare = new Uint8Array(MARGIN + AHEAD);
    this.position = position;
    this.pending = this.read(position, this.spare.subarray(MARGIN));
    // Whoever takes it gets the error; nobody may take it.
    this.pending.catch(() => {});
  }

  /**
   * Waits for the piece, puts `left` (what `buffer[position .. end)` of `now` still holds) before it, and keeps the old buffer for the next one.
   * Undefined: the source has ended.
   */
  async take(now: NextBuffer): Promise<NextBuffer | undefined> {
    const got = await this.pending!;
    this.pending = undefined;
    this.seek(this.position + got);
    if (got === 0) return undefined;
    const filled = this.spare;
    const left = now.buffer.subarray(now.position, now.end);
    if (left.length > MARGIN) return joined(left, filled.subarray(MARGIN, MARGIN + got), now.buffer);
    filled.set(left, MARGIN - left.length);
    this.spare = now.buffer;
    return { buffer: filled, position: MARGIN - left.length, end: MARGIN + got };
  }
}

/** Something long is gathered: it grows by doubling, as the bytes come. */
function joined(left: Uint8Array, more: Uint8Array, buffer: Uint8Array): NextBuffer {
  const end = left.length + more.length;
  const room = end <= buffer.length ? buffer : new Uint8Array(Math.max(end, buffer.length * 2));
  room.set(left);
  room.set(more, left.length);
  return { buffer: room, position: 0, end };
}
