import type { ByteSource } from "./source.js";

/**
 * Bytes of a piece: a 1024th of the file, between these. A hand-over between threads costs about 0.1 ms, which long
 * pieces make rare; new memory costs up to 20 us a page, which short pieces save.
 */
const SHORTEST = 1 << 19;
const LONGEST = 1 << 22;

/** Shorter files do not profit. */
const LEAST = 8 << 20;

/**
 * Space before the new bytes for the unread rest of the previous buffer, so that joining them moves only the smaller
 * part.
 */
const MARGIN = 1 << 16;

/** Bytes at the end of a piece by which it is guessed whether its read has ended, and their value. */
const MARKS = 8;
const MARK = 0xa5;

interface Piece {
  buffer: Uint8Array;
  /** Bytes of it, after the margin. */
  got: number;
}

/** The buffer state that a reader continues with. */
export interface NextBuffer {
  buffer: Uint8Array;
  position: number;
  end: number;
}

/**
 * Reads the next piece of a file in another thread while this thread decodes the current one. If it is not there when
 * it is needed, this thread reads the piece after it meanwhile (where the source has `readBeside`), so that two threads
 * read. With two or three buffers. Only for sources with `readAhead`.
 */
export class ReadAhead {
  private readonly piece: number;
  /** Buffers that nothing uses. */
  private readonly spare: Uint8Array[] = [];
  /** What the other thread reads: the next piece, or the one after `ready`. */
  private pending: { buffer: Uint8Array; got: Promise<number> } | undefined;
  /** The piece after the pending one, which this thread has read meanwhile. */
  private after: Piece | undefined;
  /** The next piece, where it is there already. */
  private ready: Piece | undefined;
  /** Position of the source where the next piece begins. */
  private position = 0;

  private constructor(
    private readonly source: ByteSource,
    private readonly read: NonNullable<ByteSource["readAhead"]>,
    length: number,
  ) {
    const wanted = 2 ** Math.ceil(Math.log2(length / 1024));
    this.piece = Math.min(Math.max(wanted, SHORTEST), LONGEST);
  }

  /** Undefined where the source cannot read ahead, or is too short to profit. */
  static over(source: ByteSource): ReadAhead | undefined {
    const { readAhead, length = 0 } = source;
    if (readAhead === undefined || length < LEAST) return undefined;
    return new ReadAhead(source, readAhead, length);
  }

  /** A buffer to begin with, which is used for pieces later. */
  first(): Uint8Array {
    return this.room();
  }

  /** True while a read is in progress. Nothing else may read on from the source until `take` or `stop` has returned. */
  get isUnderWay(): boolean {
    return this.pending !== undefined || this.ready !== undefined;
  }

  /** Starts a read at `position` of the source. */
  start(position: number): void {
    this.position = position;
    this.begin(position);
  }

  /**
   * Returns the next piece with the unread bytes of `now` (`buffer[position .. end)`) before it; the read of another
   * one is under way then. The old buffer is kept for a later one. Undefined at the end of the source.
   */
  take(now: NextBuffer): NextBuffer | undefined | Promise<NextBuffer | undefined> {
    const { pending, ready } = this;
    if (ready !== undefined) {
      this.ready = undefined;
      return this.following(now, ready);
    }
    const { buffer, got } = pending!;
    if (!hasEnded(buffer)) this.readAfter();
    return got.then((n) => this.arrived(now, { buffer, got: n }));
  }

  /** Waits for a read in progress, and forgets what was read. */
  async stop(): Promise<void> {
    const { pending, ready } = this;
    this.pending = undefined;
    this.ready = undefined;
    if (ready !== undefined) this.spare.push(ready.buffer);
    if (pending === undefined) return;
    // An error is that of bytes that nobody asked for.
    await pending.got.catch(() => 0);
    this.spare.push(pending.buffer);
  }

  private begin(position: number): void {
    const buffer = this.room();
    buffer.fill(MARK, buffer.length - MARKS);
    const got = this.read(position, buffer.subarray(MARGIN));
    // `take` reports the error. Without this handler a read that is never taken would be an unhandled rejection.
    got.catch(() => {});
    this.pending = { buffer, got };
  }

  /** Reads the piece after the pending one. An error is left to the next read of these bytes. */
  private readAfter(): void {
    const { readBeside } = this.source;
    if (readBeside === undefined) return;
    const buffer = this.room();
    try {
      this.after = { buffer, got: readBeside(this.position + this.piece, buffer.subarray(MARGIN)) };
    } catch {
      this.spare.push(buffer);
    }
  }

  private arrived(now: NextBuffer, piece: Piece): NextBuffer | undefined {
    const { after } = this;
    this.pending = undefined;
    this.after = undefined;
    // After a short read the piece that was read meanwhile does not follow.
    const follows = piece.got === this.piece && after !== undefined && after.got > 0;
    if (follows) this.ready = after;
    else if (after !== undefined) this.spare.push(after.buffer);
    const next = this.following(now, piece);
    if (next !== undefined) this.begin(this.position + (this.ready?.got ?? 0));
    return next;
  }

  private following(now: NextBuffer, { buffer, got }: Piece): NextBuffer | undefined {
    this.position += got;
    this.source.seek?.(this.position);
    if (got === 0) return undefined;
    const left = now.buffer.subarray(now.position, now.end);
    const isPiece = now.buffer.length === MARGIN + this.piece;
    if (isPiece) this.spare.push(now.buffer);
    if (left.length > MARGIN) {
      this.spare.push(buffer);
      return joined(left, buffer.subarray(MARGIN, MARGIN + got), isPiece ? undefined : now.buffer);
    }
    buffer.set(left, MARGIN - left.length);
    return { buffer, position: MARGIN - left.length, end: MARGIN + got };
  }

  private room(): Uint8Array {
    const spare = this.spare.pop();
    if (spare === undefined) return new Uint8Array(MARGIN + this.piece);
    this.source.beforeReuse?.(spare);
    return spare;
  }
}

/** A guess: a file may end in the marks itself, and memory that another thread writes is looked at. */
function hasEnded(buffer: Uint8Array): boolean {
  for (let at = buffer.length - MARKS; at < buffer.length; at++) if (buffer[at] !== MARK) return true;
  return false;
}

/**
 * A long structure is being collected: the buffer doubles as the bytes arrive. @param buffer of an earlier call, which
 * is used again; never a piece's, at which the source may look (`ByteSource.beforeReuse`)
 */
function joined(left: Uint8Array, more: Uint8Array, buffer: Uint8Array | undefined): NextBuffer {
  const end = left.length + more.length;
  const fits = buffer !== undefined && end <= buffer.length;
  const room = fits ? buffer : new Uint8Array(Math.max(end, (buffer?.length ?? end) * 2));
  room.set(left);
  room.set(more, left.length);
  return { buffer: room, position: 0, end };
}
