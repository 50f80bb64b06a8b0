import { QevmError, type Diagnostics } from "../../bytes/errors.js";
import { QemuFileReader } from "../../bytes/reader.js";
import { isRandom, readFully, type ByteSource, type RandomSource } from "../../bytes/source.js";

/**
 * The bytes of a seekable source from `start` to its end, or `most` of them. Offsets stay those of the whole.
 */
export class SliceSource implements RandomSource {
  readonly length: number;
  readonly offset: number;
  readonly within: readonly string[] | undefined;
  readonly readAhead: ByteSource["readAhead"];
  readonly readBeside: ByteSource["readBeside"];
  private position = 0;

  constructor(
    private readonly whole: RandomSource,
    private readonly start: number,
    most = Infinity,
  ) {
    if (whole.readAhead !== undefined && most === Infinity) {
      this.readAhead = (position, into) => whole.readAhead!(start + position, into);
      const { readBeside } = whole;
      this.readBeside = readBeside && ((position, into) => readBeside(start + position, into));
    }
    this.length = Math.min(most, Math.max(0, whole.length - start));
    this.offset = (whole.offset ?? 0) + start;
    this.within = whole.within;
  }

  read(into: Uint8Array): number | Promise<number> {
    const got = this.readAt(this.position, into);
    if (typeof got !== "number") return got.then((n) => this.advance(n));
    return this.advance(got);
  }

  readAt(position: number, into: Uint8Array): number | Promise<number> {
    const left = Math.max(0, this.length - position);
    return this.whole.readAt(this.start + position, into.length > left ? into.subarray(0, left) : into);
  }

  seek(position: number): void {
    this.position = position;
  }

  close(): void | Promise<void> {
    return this.whole.close?.();
  }

  private advance(n: number): number {
    this.position += n;
    return n;
  }
}

/**
 * The rest of a reader's input, or `left` bytes of it: its buffer, then its source. For pipes whose first bytes were
 * inspected.
 */
export class RestSource implements ByteSource {
  readonly offset: number;
  readonly within: readonly string[] | undefined;
  readonly warnings: ByteSource["warnings"];

  constructor(
    private readonly reader: QemuFileReader,
    private left = Infinity,
  ) {
    this.offset = reader.offset;
    this.within = reader.source.within;
    this.warnings = reader.source.warnings;
  }

  diagnostics(): Diagnostics | undefined {
    return this.reader.source.diagnostics?.();
  }

  read(whole: Uint8Array): number | Promise<number> {
    const { reader, left } = this;
    const into = whole.length > left ? whole.subarray(0, left) : whole;
    if (into.length === 0) return 0;
    if (reader.available > 0) {
      const n = Math.min(into.length, reader.available);
      into.set(reader.view(n));
      return this.took(n);
    }
    const got = reader.source.read(into);
    return typeof got === "number" ? this.took(got) : got.then((n) => this.took(n));
  }

  private took(n: number): number {
    this.left -= n;
    return n;
  }

  close(): void | Promise<void> {
    return this.reader.source.close?.();
  }
}

/** A source from byte `offset` on. Offsets stay those of the whole. Errors: truncated. */
export async function startingAt(source: ByteSource, offset: number): Promise<ByteSource> {
  if (offset === 0) return source;
  if (isRandom(source)) {
    if (offset <= source.length) return new SliceSource(source, offset);
    throw new QevmError("truncated", "the input ends before the offset of the stream", {
      offset: source.length,
      expected: `at least ${offset} bytes`,
      found: `${source.length}`,
    });
  }
  const reader = new QemuFileReader(source);
  await reader.discard(offset, "the bytes before the stream");
  return new RestSource(reader);
}

/** Up to `length` bytes at a position, fewer at the end. */
export async function readPiece(source: RandomSource, position: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  return bytes.subarray(0, await readFully(source, position, bytes));
}
