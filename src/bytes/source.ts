import { QevmError, type Diagnostics, type Warning } from "./errors.js";

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
  /** What its opener took off, from the outside in; undefined: nobody has looked whether the stream is wrapped in something. */
  readonly containers?: readonly Wrapping[] | undefined;
  /**
   * Reads at a position of the source by another thread, while the caller goes on: `into` is not to be touched before the answer. Present only where that is
   * possible and `read` is not quicker; one at a time. It needs no `this`.
   */
  readonly readAhead?: ((position: number, into: Uint8Array) => Promise<number>) | undefined;
  /** Moves `read` forward to an absolute position without reading what lies between. Present only where possible. */
  seek?(position: number): void;
  /** What lenient mode passed over in making these bytes (a recording's channels); complete when they were read to the end. */
  readonly diagnostics?: (() => Diagnostics | undefined) | undefined;
  close?(): void | Promise<void>;
}

/** One thing that a stream was wrapped in: `gzip`, `libvirt`, `qcow2`, `recording`, ... */
export interface Wrapping {
  readonly kind: string;
}

/** What can be read at any place. */
export interface Positioned {
  /** Reads at a position of the source (0 is its first byte) without moving `read`'s. Returns 0 at the end. */
  readAt(position: number, into: Uint8Array): number | Promise<number>;
}

/** A source that can be read anywhere, too: a file, bytes in memory, what is wrapped around them. */
export interface RandomSource extends ByteSource, Positioned {
  /** Total length in bytes. */
  readonly length: number;
}

/** Whether a source can be read anywhere and knows its length. */
export function isRandom(source: ByteSource): source is RandomSource {
  return "readAt" in source && typeof source.readAt === "function" && source.length !== undefined;
}

/** The source, where it can be read anywhere. Errors: usage. */
export function random(source: ByteSource): RandomSource {
  if (isRandom(source)) return source;
  throw new QevmError("usage", "random access needs a source that can seek");
}

/** Fills `into` from a position of the source; returns how many bytes there are, fewer only at its end. */
export async function readFully(source: Positioned, position: number, into: Uint8Array): Promise<number> {
  let done = 0;
  while (done < into.length) {
    const got = await source.readAt(position + done, into.subarray(done));
    if (got === 0) break;
    done += got;
  }
  return done;
}

/** Reads a source that can be read anywhere in order, from a position on; where the source itself is does not matter. */
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

/** The same bytes as `source` gives, with all that it says of itself and can, read by `read`. */
export function derive(source: ByteSource, read: ByteSource["read"]): ByteSource {
  const { length, offset, within, stored, warnings, containers, readAhead } = source;
  return {
    length,
    offset,
    within,
    stored,
    warnings,
    containers,
    readAhead,
    read,
    ...(isRandom(source) ? { readAt: (position: number, into: Uint8Array) => source.readAt(position, into) } : {}),
    ...(source.seek === undefined ? {} : { seek: (position: number) => source.seek!(position) }),
    diagnostics: () => source.diagnostics?.(),
    close: () => source.close?.(),
  };
}

/** A taker of bytes. `chunk` belongs to the caller again as soon as `write` has returned, or its promise has resolved. */
export interface ByteSink {
  write(chunk: Uint8Array): void | Promise<void>;
  /** Takes so many zeros without being handed them; present only where they cost nothing (a hole in a file). */
  hole?(length: number): void;
  /** All bytes were written. */
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

/** A `Blob` or `File` of a browser or of Node as a source; its bytes are read when they are asked for. */
export class BlobSource implements RandomSource {
  readonly length: number;
  private position = 0;

  constructor(private readonly blob: Blob) {
    this.length = blob.size;
  }

  async read(into: Uint8Array): Promise<number> {
    const n = await this.readAt(this.position, into);
    this.position += n;
    return n;
  }

  /** Errors: io, where the file behind the blob changed or is gone. */
  async readAt(position: number, into: Uint8Array): Promise<number> {
    const end = Math.min(this.length, position + into.length);
    if (position >= end) return 0;
    const bytes = await this.blob
      .slice(position, end)
      .arrayBuffer()
      .catch((cause: unknown) => {
        throw new QevmError("io", "the blob cannot be read", { offset: position, cause });
      });
    into.set(new Uint8Array(bytes));
    return bytes.byteLength;
  }

  seek(position: number): void {
    this.position = Math.min(position, this.length);
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

/**
 * Collects everything that is written; for small outputs and tests.
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
