/** What `io/transport/spool.ts` does, where there are no files. */
import { forward, isRandom, type ByteSource, type Positioned } from "../../bytes/source.js";
import type { Again } from "../../io/transport/spool.js";

/** A source that can be opened once more, from its first byte. */
export interface Reopening extends ByteSource {
  readonly reopen: () => Promise<ByteSource>;
}

/** Bytes of a piece. */
const PIECE = 4 << 20;
/** Pieces that are in memory. */
const RECENT = 6;
/** Milliseconds that a piece costs as a blob (Chromium 156: 10 to 20 ms a MiB). */
const KEEPING = 80;

/**
 * A source that can be read anywhere is taken as it is. Another one is read again from its first byte for what is
 * behind, where it can be opened again; as soon as all the reading has taken longer than blobs take, what is read is
 * kept in blobs, which a browser has outside of the tab's memory. So nothing takes more than twice the time of the
 * better of the two. A source that cannot be opened again is kept at once.
 *
 * @param now for tests: milliseconds
 */
export function readableAgain(source: ByteSource | Reopening, now = () => performance.now()): Again {
  if (!isRandom(source) || source.seek === undefined) return new Pieces(source, now);
  return { source, rewind: () => source.seek!(0), close: () => undefined };
}

class Pieces implements Again {
  readonly source: ByteSource & Positioned;
  /** Those in memory by their number, that used last at the end. */
  private readonly recent = new Map<number, Uint8Array<ArrayBuffer>>();
  private readonly blobs = new Map<number, Blob>();
  private position = 0;
  /** What is read forward, and the number of the piece that comes of it next. */
  private cursor: ByteSource;
  private next = 0;
  /** Pieces that have been read once. */
  private seen = 0;
  /** Milliseconds that all reading took. */
  private spent = 0;
  /** Bytes that there are, and what is wrong with the next one. */
  private end = Infinity;
  private failure: { error: unknown } | undefined;
  /** One reading after the other. */
  private turn: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly first: ByteSource | Reopening,
    private readonly now: () => number,
  ) {
    this.cursor = first;
    this.source = {
      ...forward(first, (into) => this.read(into)),
      readAt: (position, into) => this.readAt(position, into),
    };
  }

  rewind(): void {
    this.position = 0;
  }

  close(): void {
    this.leave();
    this.recent.clear();
    this.blobs.clear();
  }

  private async read(into: Uint8Array): Promise<number> {
    const n = await this.readAt(this.position, into);
    if (n === 0 && this.failure !== undefined) throw this.failure.error;
    this.position += n;
    return n;
  }

  private readAt(position: number, into: Uint8Array): number | Promise<number> {
    const index = Math.floor(position / PIECE);
    const at = position % PIECE;
    const there = this.recent.get(index);
    if (there !== undefined) return taken(there, at, into);
    const turn = this.turn.then(async () => taken(await this.piece(index), at, into));
    this.turn = turn.catch(() => undefined);
    return turn;
  }

  /** A piece, whole but for the last; empty after it. */
  private async piece(index: number): Promise<Uint8Array> {
    const there = this.recent.get(index);
    if (there !== undefined) return this.use(index, there);
    const blob = this.blobs.get(index);
    if (blob !== undefined) return this.use(index, new Uint8Array(await blob.arrayBuffer()));
    if (index * PIECE >= this.end) return new Uint8Array(0);
    if (index < this.next) {
      this.leave();
      this.cursor = await (this.first as Reopening).reopen();
      this.next = 0;
    }
    let piece: Uint8Array = new Uint8Array(0);
    while (this.next <= index && this.next * PIECE < this.end) piece = await this.advance();
    return index < this.next ? piece : new Uint8Array(0);
  }

  /** Reads the next piece. */
  private async advance(): Promise<Uint8Array> {
    const start = this.now();
    const buffer = this.spare();
    let filled = 0;
    try {
      while (filled < PIECE) {
        const n = await this.cursor.read(buffer.subarray(filled));
        if (n === 0) break;
        filled += n;
      }
    } catch (error) {
      // What came before is there all the same.
      this.failure = { error };
    }
    if (filled < PIECE) this.end = this.next * PIECE + filled;
    const index = this.next++;
    this.seen = Math.max(this.seen, this.next);
    this.spent += this.now() - start;
    const piece = buffer.subarray(0, filled);
    const isKept = !("reopen" in this.first) || this.spent > KEEPING * this.seen;
    if (isKept && !this.blobs.has(index)) this.blobs.set(index, new Blob([piece]));
    return this.use(index, piece);
  }

  private use(index: number, piece: Uint8Array<ArrayBuffer>): Uint8Array {
    this.recent.delete(index);
    this.recent.set(index, piece);
    if (this.recent.size > RECENT) this.recent.delete(this.recent.keys().next().value!);
    return piece;
  }

  /** Memory for a piece: that of the one used longest ago, where there are enough. */
  private spare(): Uint8Array<ArrayBuffer> {
    if (this.recent.size >= RECENT) {
      const [index, { buffer }] = this.recent.entries().next().value!;
      this.recent.delete(index);
      if (buffer.byteLength === PIECE) return new Uint8Array(buffer);
    }
    return new Uint8Array(PIECE);
  }

  /** Closes what was opened here. */
  private leave(): void {
    if (this.cursor !== this.first) void this.cursor.close?.();
  }
}

function taken(bytes: Uint8Array, at: number, into: Uint8Array): number {
  const n = Math.max(0, Math.min(into.length, bytes.length - at));
  into.set(bytes.subarray(at, at + n));
  return n;
}
