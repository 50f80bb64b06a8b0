import { QevmError, type Diagnostics, type Warning } from "./errors.js";

/**
 * Byte sources and sinks. The codecs know files, pipes and sockets only through these interfaces; the adapters for Node
 * are in `src/io/transport`.
 */

/** A supplier of bytes. `read` may return at once (files) or later (pipes, sockets). */
export interface ByteSource {
  /**
   * Stores 1 to `into.length` bytes at the start of `into` and returns how many; 0 at the end. `into` is never empty.
   */
  read(into: Uint8Array): number | Promise<number>;
  /** Total length in bytes, where known. */
  readonly length?: number | undefined;
  /** Absolute offset of the first byte in the enclosing file, e.g. where a container's payload begins. Default 0. */
  readonly offset?: number | undefined;
  /** Path prefix for errors, when offsets do not count in the file itself: `["gzip content"]`. */
  readonly within?: readonly string[] | undefined;
  /**
   * Set by an opener of containers. If the bytes do not begin with a stream, the rest is searched for one. `what`: the
   * kind of file that was detected. `endless`: they come from a pipe or from chunks, which may never end, so that less
   * of them is searched.
   */
  readonly stored?: { readonly what?: string | undefined; readonly endless?: boolean } | undefined;
  /** Warnings from opening the source, for its reader to report. */
  readonly warnings?: readonly Warning[] | undefined;
  /**
   * The containers that its opener removed, from the outside in; undefined: the source was not opened by `openInput`.
   */
  readonly containers?: readonly Wrapping[] | undefined;
  /**
   * Reads at a position of the source in another thread. The caller must not touch `into` until the promise resolves,
   * and may have only one read in progress. Then it calls `seek`; a source without one goes on after these bytes by
   * itself. Present only where this is possible and faster than `read`. Needs no `this`.
   */
  readonly readAhead?: ((position: number, into: Uint8Array) => Promise<number>) | undefined;
  /**
   * Reads at a position of the source at once, also while `readAhead` is reading. Present only where `readAhead` is and
   * where the order of the reads does not matter; then `seek` may be called meanwhile, too. Needs no `this`. Errors:
   * io.
   */
  readonly readBeside?: ((position: number, into: Uint8Array) => number) | undefined;
  /**
   * Called before memory that `readAhead` or `readBeside` has filled is used again: a source may look at its bytes until
   * then, and they are as they were read.
   */
  beforeReuse?(memory: Uint8Array): void;
  /** The open file behind it, which other threads may read at a position: regular files only. */
  readonly openFile?: { readonly path: string; readonly fd: number } | undefined;
  /** Moves `read` forward to an absolute position without reading the bytes between. Present only where possible. */
  seek?(position: number): void;
  /**
   * What lenient mode skipped while producing these bytes (a recording's channels). Complete once they were read to the
   * end.
   */
  readonly diagnostics?: (() => Diagnostics | undefined) | undefined;
  close?(): void | Promise<void>;
}

/** One thing that a stream was wrapped in: `gzip`, `libvirt`, `qcow2`, `recording`, ... */
export interface Wrapping {
  readonly kind: string;
}

/** A source of random access. */
export interface Positioned {
  /**
   * Reads at a position of the source (0 is its first byte) without moving the position of `read`. Returns 0 at the
   * end.
   */
  readAt(position: number, into: Uint8Array): number | Promise<number>;
}

/** A source with sequential and random access: a file, bytes in memory, or a wrapper around one. */
export interface RandomSource extends ByteSource, Positioned {
  /** Total length in bytes. */
  readonly length: number;
}

/** Whether a source has random access and a known length. */
export function isRandom(source: ByteSource): source is RandomSource {
  return "readAt" in source && typeof source.readAt === "function" && source.length !== undefined;
}

/** The source as a random-access source. Errors: usage where it is not one. */
export function random(source: ByteSource): RandomSource {
  if (isRandom(source)) return source;
  throw new QevmError("usage", "random access needs a source that can seek");
}

/** Fills `into` from a position of the source. Returns the number of bytes, which is smaller only at the end. */
export async function readFully(source: Positioned, position: number, into: Uint8Array): Promise<number> {
  let done = 0;
  while (done < into.length) {
    const got = await source.readAt(position + done, into.subarray(done));
    if (got === 0) break;
    done += got;
  }
  return done;
}

/** A sequential source over a random-access source, from `position` on. It does not use the position of `source`. */
export function readingFrom(source: RandomSource, position: number): ByteSource {
  let at = position;
  const advance = (n: number): number => {
    at += n;
    return n;
  };
  return {
    length: Math.max(0, source.length - position),
    read: (into) => {
      const got = source.readAt(at, into);
      return typeof got === "number" ? advance(got) : got.then(advance);
    },
  };
}

/**
 * A source that is read forward by `read`, and otherwise says what `source` does; without its length, `readAt`, `seek`
 * and `readAhead`, which would not go through `read`, and without `close`.
 */
export function forward(source: ByteSource, read: ByteSource["read"]): ByteSource {
  const { offset, within, stored, warnings, containers } = source;
  return {
    offset,
    within,
    stored,
    warnings,
    containers,
    read,
    diagnostics: () => source.diagnostics?.(),
  };
}

/** A source with the properties of `source` but another `read` that returns the same bytes. */
export function derive(source: ByteSource, read: ByteSource["read"]): ByteSource {
  const { length, readAhead, readBeside } = source;
  return {
    ...forward(source, read),
    length,
    readAhead,
    readBeside,
    ...(isRandom(source) ? { readAt: (position: number, into: Uint8Array) => source.readAt(position, into) } : {}),
    ...(source.seek === undefined ? {} : { seek: (position: number) => source.seek!(position) }),
    close: () => source.close?.(),
  };
}

/** A receiver of bytes. `chunk` belongs to the caller again once `write` has returned or its promise has resolved. */
export interface ByteSink {
  write(chunk: Uint8Array): void | Promise<void>;
  /**
   * Writes pieces one after the other, without copying them: they may be in shared memory, which changes meanwhile.
   * They belong to the sink until the promise resolves. Present only where that is so (sockets, pipes).
   */
  gather?(pieces: readonly Uint8Array[]): Promise<void>;
  /** Writes `length` zeros as a hole. Present only where a hole is cheap (files). */
  hole?(length: number): void;
  /** Called when all bytes were written. */
  end?(): void | Promise<void>;
}

/**
 * Bytes in memory as a source.
 * @example
 * const source = new MemorySource(bytes);
 * console.log(source.length, source.readAt(0, new Uint8Array(4)));
 */
export class MemorySource implements RandomSource {
  readonly length: number;
  private position = 0;

  /** @param step bytes returned per read, at most (tests use 1) */
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

/** Empty chunks that may follow each other. */
const MOST_EMPTY = 100_000;

/** Any (async) iterable of byte chunks as a source: Node streams, web streams, sockets, generators. */
export class IterableSource implements ByteSource {
  private readonly iterator: AsyncIterator<Uint8Array> | Iterator<Uint8Array>;
  private chunk: Uint8Array = new Uint8Array(0);

  /** @param copy puts the bytes of a chunk at the start of the other array, where there is a faster way than `set` */
  constructor(
    chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    private readonly copy?: (into: Uint8Array, bytes: Uint8Array) => void,
  ) {
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
    if (this.copy === undefined) into.set(this.chunk.subarray(0, n));
    else this.copy(into, this.chunk.subarray(0, n));
    this.chunk = this.chunk.subarray(n);
    return n;
  }

  /** Errors: bad-value, where the chunks are empty again and again. */
  private async pull(into: Uint8Array): Promise<number> {
    for (let empty = 0; empty < MOST_EMPTY; empty++) {
      const next = await this.iterator.next();
      if (next.done === true) return 0;
      if (next.value.length > 0) {
        this.chunk = next.value;
        return this.take(into);
      }
    }
    throw new QevmError("bad-value", `${MOST_EMPTY} chunks in a row are empty: the input does not end`);
  }
}

/**
 * Collects everything that is written. For small outputs and tests.
 * @example
 * const sink = new MemorySink();
 * sink.write(Uint8Array.of(1, 2, 3));
 * console.log(sink.bytes());
 */
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
