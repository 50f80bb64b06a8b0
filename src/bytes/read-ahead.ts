import type { ByteSource } from "./source.js";

/** Bytes per read-ahead. Smaller pieces cost more in thread wake-ups than they save: 1 MiB gained nothing. */
const AHEAD = 1 << 22;

/**
 * Space before the new bytes for the unread rest of the previous buffer, so that joining them moves only the smaller
 * part.
 */
const MARGIN = 1 << 16;

/** The buffer state that a reader continues with. */
export interface NextBuffer {
  buffer: Uint8Array;
  position: number;
  end: number;
}

/**
 * Reads the next piece of a file in another thread while this thread decodes the current one, with two buffers. Only
 * for sources with `readAhead` and `seek`.
 */
export class ReadAhead {
  private spare: Uint8Array = new Uint8Array(0);
  private pending: Promise<number> | undefined;
  private position = 0;

  private constructor(
    private readonly read: NonNullable<ByteSource["readAhead"]>,
    private readonly seek: (position: number) => void,
  ) {}

  /** Undefined where the source cannot read ahead, or is too short to profit. */
  static over(source: ByteSource): ReadAhead | undefined {
    const { readAhead, length = 0 } = source;
    if (readAhead === undefined || source.seek === undefined || length < 2 * AHEAD) return undefined;
    return new ReadAhead(readAhead, (position) => source.seek!(position));
  }

  /** True while a read is in progress. Nothing else may read from the source until `take` has returned. */
  get isUnderWay(): boolean {
    return this.pending !== undefined;
  }

  /** Starts a read at `position` of the source. */
  start(position: number): void {
    if (this.spare.length !== MARGIN + AHEAD) this.spare = new Uint8Array(MARGIN + AHEAD);
    this.position = position;
    this.pending = this.read(position, this.spare.subarray(MARGIN));
    // `take` reports the error. Without this handler a read that is never taken would be an unhandled rejection.
    this.pending.catch(() => {});
  }

  /**
   * Waits for the piece and puts the unread bytes of `now` (`buffer[position .. end)`) before it. The old buffer is
   * kept for the next read. Undefined at the end of the source.
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

/** A long structure is being collected: the buffer doubles as the bytes arrive. */
function joined(left: Uint8Array, more: Uint8Array, buffer: Uint8Array): NextBuffer {
  const end = left.length + more.length;
  const room = end <= buffer.length ? buffer : new Uint8Array(Math.max(end, buffer.length * 2));
  room.set(left);
  room.set(more, left.length);
  return { buffer: room, position: 0, end };
}
