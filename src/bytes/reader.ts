import { QevmError, type ErrorCode, type ErrorPlace } from "./errors.js";
import { ReadAhead, type NextBuffer } from "./read-ahead.js";
import type { ByteSource } from "./source.js";

/** Bytes requested from the source at a time. Measured as the fastest for whole files (see spec/architecture.md). */
const DEFAULT_BUFFER_SIZE = 1 << 20;

/** Consecutive refills before read-ahead starts. Random access does not trigger it. */
const IN_SEQUENCE = 2;

/**
 * The reading half of QEMUFile: big-endian fields over a refillable buffer that knows its absolute byte offset.
 *
 * Field reads (`u8`, `u32`, `bytes`, ...) are synchronous and read from the buffer. `fill` and `need` wait for more
 * data, and only when the buffer runs short. A field read beyond the buffer throws `truncated`: call `need` first.
 * Views returned by `view` are valid until the next `fill`, `need` or `discard`.
 *
 * Source: QEMU migration/qemu-file.c (5.2 to 11.1): all integers are big-endian.
 */
export class QemuFileReader {
  /** The unread bytes are `buffer[position .. end)`. Hot loops may read them directly and then call `skip`. */
  buffer: Uint8Array;
  position = 0;
  end = 0;
  /** Path of the current structure, outermost first. Added to every error made here. */
  readonly path: string[] = [];
  private data: DataView;
  private base: number;
  private ended = false;
  /** Absolute offset of the source's first byte. */
  readonly origin: number;
  private readonly chunk: number;
  private readonly ahead: ReadAhead | undefined;
  /** Refills since the last jump. */
  private refills = 0;

  constructor(
    readonly source: ByteSource,
    options: {
      bufferSize?: number;
      /** Absolute offset of the source's first byte. Default: the source's own `offset`, or 0. */
      offset?: number | undefined;
      /** Read ahead in another thread where the source supports it. Use it for work that reads the whole input. */
      readAhead?: boolean | undefined;
    } = {},
  ) {
    this.chunk = Math.max(16, options.bufferSize ?? DEFAULT_BUFFER_SIZE);
    this.origin = options.offset ?? source.offset ?? 0;
    this.path.push(...(source.within ?? []));
    this.base = this.origin;
    this.ahead = options.readAhead === true ? ReadAhead.over(source) : undefined;
    // A small input of known length gets a small buffer, with one extra byte so that the end is seen at once.
    const room = Math.max(16, Math.min(this.chunk, (source.length ?? this.chunk) + 1));
    this.buffer = this.ahead?.first() ?? new Uint8Array(room);
    this.data = new DataView(this.buffer.buffer);
  }

  /** A reader over bytes in memory, without copying. `offset` is the absolute offset of the first byte. */
  static over(bytes: Uint8Array, offset = 0): QemuFileReader {
    const reader = new QemuFileReader(NO_SOURCE, { bufferSize: 16, offset });
    // A plain Uint8Array and not a Buffer: `Buffer.slice` would share memory, but `bytes()` promises a copy.
    reader.buffer = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
    reader.data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    reader.end = bytes.length;
    reader.ended = true;
    return reader;
  }

  /** Absolute byte offset of the next byte. */
  get offset(): number {
    return this.base + this.position;
  }

  /** Number of bytes that can be read without waiting. */
  get available(): number {
    return this.end - this.position;
  }

  /** True when the source has ended after the bytes in the buffer. */
  get atEnd(): boolean {
    return this.ended && this.position === this.end;
  }

  /**
   * Makes at least `n` bytes available if the source has them. Returns without a promise when they are in the buffer
   * already or when the source is synchronous. False: the input ends before `n` bytes; the bytes that exist are
   * available.
   */
  fill(n: number): boolean | Promise<boolean> {
    if (this.end - this.position >= n) return true;
    if (this.ended) return false;
    if (this.ahead?.isUnderWay === true) return this.fillAhead(n, this.ahead);
    this.makeRoom(n);
    while (this.end - this.position < n) {
      const got = this.source.read(this.room());
      if (typeof got !== "number") return this.fillLater(got, n);
      if (got === 0) {
        this.ended = true;
        return false;
      }
      this.end += got;
    }
    if (++this.refills >= IN_SEQUENCE) this.ahead?.start(this.offset - this.origin + this.available);
    return true;
  }

  /** Like `fill`, but a short input is the error `truncated`. */
  need(n: number, what = "field"): void | Promise<void> {
    const ok = this.fill(n);
    if (ok === true) return;
    if (ok === false) throw this.short(n, what);
    return ok.then((enough) => {
      if (!enough) throw this.short(n, what);
    });
  }

  /**
   * Reads into pieces of memory, one after the other, what is not in the buffer without going through it. Returns how
   * many bytes came, fewer only at the end of the input. Not together with `readAhead`.
   */
  async into(pieces: readonly Uint8Array[]): Promise<number> {
    let sum = 0;
    for (const piece of pieces) {
      let done = Math.min(piece.length, this.available);
      piece.set(this.buffer.subarray(this.position, this.position + done));
      this.position += done;
      while (done < piece.length && !this.ended) {
        const read = this.source.read(piece.subarray(done));
        const got = typeof read === "number" ? read : await read;
        this.ended = got === 0;
        this.base += got;
        done += got;
      }
      sum += done;
    }
    return sum;
  }

  /** Like `need`, for a length that the stream states. Memory is allocated as the bytes arrive, not in advance. */
  async needLarge(n: number, what = "data"): Promise<void> {
    while (this.available < n) {
      if (!(await this.fill(Math.min(n, this.available + this.chunk)))) throw this.short(n, what);
    }
  }

  /**
   * Reads up to the end into the buffer, which grows as the bytes arrive, to at most `limit` bytes. False if the limit
   * was reached first.
   */
  async fillToEnd(limit: number): Promise<boolean> {
    while (this.available < limit) {
      if (!(await this.fill(Math.min(limit, this.available + 1)))) return true;
    }
    return !(await this.fill(limit + 1));
  }

  /** Skips `n` bytes without keeping them. Seeks where the source can. */
  async discard(n: number, what = "data"): Promise<void> {
    const start = this.offset;
    let left = n;
    while (left > 0) {
      const here = Math.min(left, this.available);
      this.position += here;
      left -= here;
      if (left > 4 * this.chunk) {
        this.refills = 0;
        left -= await this.jump(left);
      }
      if (left === 0) return;
      // Seeking and reading give the same error at the same offset.
      if (!(await this.fill(1))) {
        throw this.error("truncated", `the input ends inside ${what}`, {
          offset: start,
          expected: `${n} bytes`,
          found: `${n - left}`,
        });
      }
    }
  }

  /** Skips the rest of the input. Seeks where the source can. */
  async discardRest(): Promise<void> {
    do {
      this.position = this.end;
      this.refills = 0;
      await this.jump(Number.MAX_SAFE_INTEGER);
    } while (await this.fill(1));
  }

  u8(): number {
    this.check(1, "u8");
    return this.buffer[this.position++]!;
  }

  u16(): number {
    this.check(2, "be16");
    const value = this.data.getUint16(this.position);
    this.position += 2;
    return value;
  }

  u32(): number {
    this.check(4, "be32");
    const value = this.data.getUint32(this.position);
    this.position += 4;
    return value;
  }

  u64(): bigint {
    this.check(8, "be64");
    const value = this.data.getBigUint64(this.position);
    this.position += 8;
    return value;
  }

  /** A be64 length or offset below 2^53. Larger values are the error `limit`; they are never rounded. */
  length64(what: string): number {
    const at = this.offset;
    const value = this.u64();
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw this.error("limit", `${what} is larger than 2^53`, { offset: at, found: String(value) });
    }
    return Number(value);
  }

  /** A view of the next `n` bytes, valid until the buffer is refilled. */
  view(n: number, what = "data"): Uint8Array {
    this.check(n, what);
    const bytes = this.buffer.subarray(this.position, this.position + n);
    this.position += n;
    return bytes;
  }

  /** A copy of the next `n` bytes. */
  bytes(n: number, what = "data"): Uint8Array {
    return this.view(n, what).slice();
  }

  /**
   * A counted string: u8 length, then that many bytes. Each byte becomes one character (Latin-1), so no byte is lost.
   */
  string8(what = "string"): string {
    this.check(1, what);
    const n = this.buffer[this.position]!;
    this.check(1 + n, what);
    this.position++;
    return latin1(this.view(n, what));
  }

  /** The byte at `ahead` positions from here, or -1 when it is not in the buffer. */
  peek(ahead = 0): number {
    const at = this.position + ahead;
    return at < this.end ? this.buffer[at]! : -1;
  }

  /** Skips `n` bytes that are in the buffer. */
  skip(n: number): void {
    this.check(n, "data");
    this.position += n;
  }

  /** An error at the current offset; `place` overrides offset and path. */
  error(code: ErrorCode, what: string, place: ErrorPlace = {}): QevmError {
    return new QevmError(code, what, { offset: this.offset, path: [...this.path], ...place });
  }

  private check(n: number, what: string): void {
    if (this.end - this.position < n) throw this.short(n, what);
  }

  /** The error of an input that ends where `n` bytes are needed. */
  short(n: number, what: string): QevmError {
    return this.error("truncated", `the input ends inside ${what}`, {
      expected: `${n} bytes`,
      found: `${this.available}`,
    });
  }

  /**
   * Seeks forward up to `n` bytes from an empty buffer, but not past the source's end. Returns the distance; 0 where
   * the source cannot seek.
   */
  private async jump(n: number): Promise<number> {
    const { source } = this;
    if (source.seek === undefined || source.length === undefined || this.ended) return 0;
    await this.ahead?.stop();
    const target = Math.min(this.offset + n, this.origin + source.length);
    const jumped = target - this.offset;
    if (jumped <= 0) return 0;
    source.seek(target - this.origin);
    this.base = target;
    this.position = 0;
    this.end = 0;
    return jumped;
  }

  private async fillLater(first: Promise<number>, n: number): Promise<boolean> {
    let got = await first;
    for (;;) {
      if (got === 0) {
        this.ended = true;
        return false;
      }
      this.end += got;
      if (this.end - this.position >= n) return true;
      got = await this.source.read(this.room());
    }
  }

  /** Like `fill`, with data from the read-ahead. */
  private fillAhead(n: number, ahead: ReadAhead): boolean | Promise<boolean> {
    for (;;) {
      const next = ahead.take(this);
      if (next instanceof Promise) return this.fillAheadLater(next, n);
      if (!this.adopt(next)) return false;
      if (this.available >= n) return true;
    }
  }

  private async fillAheadLater(next: Promise<NextBuffer | undefined>, n: number): Promise<boolean> {
    return this.adopt(await next) && (this.available >= n || (await this.fill(n)));
  }

  /** Goes on with another buffer. False: there is none, the input has ended. */
  private adopt(next: NextBuffer | undefined): boolean {
    if (next === undefined) {
      this.ended = true;
      return false;
    }
    this.base = this.offset - next.position;
    this.position = next.position;
    this.end = next.end;
    if (this.buffer !== next.buffer) {
      this.buffer = next.buffer;
      this.data = new DataView(next.buffer.buffer);
    }
    return true;
  }

  /** Where the next bytes of the source go. */
  private room(): Uint8Array {
    return this.buffer.subarray(this.end, this.end + this.chunk);
  }

  /** Moves the unread bytes to the front, and grows the buffer when `n` bytes do not fit. */
  private makeRoom(n: number): void {
    const left = this.end - this.position;
    if (n > this.buffer.length) {
      const grown = new Uint8Array(Math.max(n, this.buffer.length * 2));
      grown.set(this.buffer.subarray(this.position, this.end));
      this.buffer = grown;
      this.data = new DataView(grown.buffer);
    } else if (this.position > 0) {
      this.buffer.copyWithin(0, this.position, this.end);
    }
    this.base += this.position;
    this.position = 0;
    this.end = left;
  }
}

const NO_SOURCE: ByteSource = { read: () => 0 };

/**
 * Characters converted at a time. A string built from single characters takes 32 bytes for each until it is flattened.
 */
const CHARACTERS = 8192;
const ASCII = new TextDecoder();

/** Bytes as characters 0 to 255. Names on the wire are bytes; this loses none of them. */
export function latin1(bytes: Uint8Array): string {
  if (bytes.length <= SHORT) return String.fromCharCode(...bytes);
  // Almost all text is ASCII, which the decoder turns into a string ten times as fast. It does not take shared memory.
  if (bytes.buffer instanceof ArrayBuffer) {
    const text = ASCII.decode(bytes);
    // UTF-8 has fewer characters than bytes where it is more than ASCII, and U+FFFD where it is none.
    if (text.length === bytes.length && !text.includes("\uFFFD")) return text;
  }
  const parts: string[] = [];
  for (let at = 0; at < bytes.length; at += CHARACTERS) {
    parts.push(String.fromCharCode(...bytes.subarray(at, at + CHARACTERS)));
  }
  return parts.join("");
}

/** Up to so many characters the decoder costs more than it saves. */
const SHORT = 12;
