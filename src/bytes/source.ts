import type { Diagnostics, Warning } from "./errors.js";

/**
 * Where bytes come from and go to. These interfaces are all that the codecs know of files, pipes and sockets; the
 * adapters for Node live in `src/io/transport`.
 */

/** A supplier of bytes. `read` may answer at once (files) or later (pipes, sockets). */
export interface ByteSource {
  /** Puts 1 to `into.length` bytes at the start of `into` and returns how many; 0 means the end. Never called with an empty `into`. */
  read(into: Uint8Array): number | Promise<number>;
  /** Total length in bytes, where it is known. */
  readonly length?: number | undefined;
  /** Absolute offset of the first byte in the file that people hold (a container's payload does not begin at 0). Default 0. */
  readonly offset?: number | undefined;
  /** What offsets count in where that is not the file itself, for errors: `["gzip content"]`. */
  readonly within?: readonly string[] | undefined;
  /**
   * Set where the bytes exist already (a file, however it is wrapped): where no stream begins, the rest is searched for one.
   * `what`: what its opener found the file to be.
   */
  readonly stored?: { readonly what?: string | undefined } | undefined;
  /** What its opener passed over, for the warnings of whoever reads it. */
  readonly warnings?: readonly Warning[] | undefined;
  /** Reads at an absolute position without moving `read`'s; present only where that is possible. Returns 0 at the end. */
  readAt?(position: number, into: Uint8Array): number | Promise<number>;
  /**
   * Like `readAt`, by another thread, while the caller goes on: `into` is not to be touched before the answer. Present only where that is
   * possible and `read` is not quicker; one at a time. It needs no `this`.
   */
  readonly readAhead?: ((position: number, into: Uint8Array) => Promise<number>) | undefined;
  /** Moves `read` forward to an absolute position without reading what lies between. Present only where possible. */
  seek?(position: number): void;
  /** What lenient mode passed over in making these bytes (a recording's channels); complete when they were read to the end. */
  readonly diagnostics?: (() => Diagnostics | undefined) | undefined;
  close?(): void | Promise<void>;
}

/** What a source says of itself, for another one that gives the same bytes. */
export function traitsOf(source: ByteSource): Pick<ByteSource, "length" | "offset" | "within" | "stored" | "warnings"> {
  const { length, offset, within, stored, warnings } = source;
  return { length, offset, within, stored, warnings };
}

/** A taker of bytes. `chunk` belongs to the caller again as soon as `write` has returned, or its promise has resolved. */
export interface ByteSink {
  write(chunk: Uint8Array): void | Promise<void>;
  /** Takes so many zeros without being handed them; present only where they cost nothing (a hole in a file). */
  hole?(length: number): void;
  /** All bytes were written. */
  end?(): void | Promise<void>;
}

/** Bytes in memory as a source. */
export class MemorySource implements ByteSource {
  readonly length: number;
  private position = 0;

  /** @param step hands out at most so many bytes at a time (tests use 1) */
  constructor(
    private readonly bytes: Uint8Array,
    private readonly step = Number.POSITIVE_INFINITY,
  ) {
    this.length = bytes.length;
  }

  read(into: Uint8Array): number {
    const n = Math.min(into.length, this.step, this.bytes.length - this.position);
    into.set(this.bytes.subarray(this.position, this.position + n));
    this.position += n;
    return n;
  }

  readAt(position: number, into: Uint8Array): number {
    const n = Math.max(0, Math.min(into.length, this.bytes.length - position));
    into.set(this.bytes.subarray(position, position + n));
    return n;
  }

  seek(position: number): void {
    this.position = Math.min(position, this.bytes.length);
  }
}

/** Any (async) iterable of byte chunks as a source: Node streams, web streams, sockets, generators. */
export class IterableSource implements ByteSource {
  private readonly iterator: AsyncIterator<Uint8Array> | Iterator<Uint8Array>;
  private chunk: Uint8Array = new Uint8Array(0);

  constructor(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>) {
    this.iterator = Symbol.asyncIterator in chunks ? chunks[Symbol.asyncIterator]() : chunks[Symbol.iterator]();
  }

  read(into: Uint8Array): number | Promise<number> {
    return this.chunk.length > 0 ? this.take(into) : this.pull(into);
  }

  async close(): Promise<void> {
    await this.iterator.return?.();
  }

  private take(into: Uint8Array): number {
    const n = Math.min(into.length, this.chunk.length);
    into.set(this.chunk.subarray(0, n));
    this.chunk = this.chunk.subarray(n);
    return n;
  }

  private async pull(into: Uint8Array): Promise<number> {
    for (;;) {
      const next = await this.iterator.next();
      if (next.done === true) return 0;
      if (next.value.length > 0) {
        this.chunk = next.value;
        return this.take(into);
      }
    }
  }
}

/** Collects everything that is written; for small outputs and tests. */
export class MemorySink implements ByteSink {
  private readonly chunks: Uint8Array[] = [];
  private total = 0;

  write(chunk: Uint8Array): void {
    this.chunks.push(chunk.slice());
    this.total += chunk.length;
  }

  bytes(): Uint8Array {
    const all = new Uint8Array(this.total);
    let at = 0;
    for (const chunk of this.chunks) {
      all.set(chunk, at);
      at += chunk.length;
    }
    return all;
  }
}
