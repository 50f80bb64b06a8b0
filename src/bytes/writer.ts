import { QevmError } from "./errors.js";
import type { ByteSink } from "./source.js";

/** Size of a writer's first buffer in bytes. It doubles up to the drain size. */
const FIRST_BUFFER = 4096;
const ZEROS = new Uint8Array(65_536);

/**
 * The writing half of QEMUFile: big-endian fields into a buffer that is drained to a sink.
 *
 * Field writes are synchronous and grow the buffer. `drain` (call it between records) passes a full buffer to the sink
 * and returns a promise only where the sink does. A value that does not fit its field is the error `does-not-fit`;
 * nothing of it is written.
 *
 * Source: QEMU migration/qemu-file.c (5.2 to 11.1).
 */
export class QemuFileWriter {
  private buffer: Uint8Array;
  private data: DataView;
  private used = 0;
  private base: number;

  /** @param offset absolute offset of the first byte in the output file */
  constructor(
    private readonly sink: ByteSink,
    private readonly threshold = 1 << 19,
    offset = 0,
  ) {
    this.base = offset;
    this.buffer = new Uint8Array(FIRST_BUFFER);
    this.data = new DataView(this.buffer.buffer);
  }

  /** Absolute byte offset of the next byte. */
  get offset(): number {
    return this.base + this.used;
  }

  u8(value: number): void {
    integer(value, 0xff, "u8");
    this.room(1);
    this.buffer[this.used++] = value;
  }

  u16(value: number): void {
    integer(value, 0xffff, "be16");
    this.room(2);
    this.data.setUint16(this.used, value);
    this.used += 2;
  }

  u32(value: number): void {
    integer(value, 0xffffffff, "be32");
    this.room(4);
    this.data.setUint32(this.used, value);
    this.used += 4;
  }

  u64(value: bigint): void {
    if (value < 0n || value > 0xffffffffffffffffn) throw doesNotFit(value, "be64");
    this.room(8);
    this.data.setBigUint64(this.used, value);
    this.used += 8;
  }

  /** A be64 from a non-negative safe integer, without a bigint: `high * 2^32 + low`. */
  length64(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) throw doesNotFit(value, "be64");
    this.room(8);
    this.data.setUint32(this.used, Math.floor(value / 0x100000000));
    this.data.setUint32(this.used + 4, value >>> 0);
    this.used += 8;
  }

  bytes(bytes: Uint8Array): void {
    this.room(bytes.length);
    this.buffer.set(bytes, this.used);
    this.used += bytes.length;
  }

  /** A counted string: u8 length, then one byte per character (Latin-1). */
  string8(text: string, what = "string"): void {
    if (text.length > 255) throw doesNotFit(`${text.length} bytes`, `${what} (at most 255 bytes)`);
    const bytes = fromLatin1(text, what);
    this.u8(bytes.length);
    this.bytes(bytes);
  }

  /** Passes the buffer to the sink once it is full enough. Call it between records. */
  drain(): void | Promise<void> {
    return this.used >= this.threshold ? this.flush() : undefined;
  }

  /** Writes zeros, as a hole where the sink supports holes. Earlier bytes are flushed to the sink first. */
  async zeros(length: number): Promise<void> {
    let left = length;
    if (length >= this.threshold && this.sink.hole !== undefined) {
      await this.flush();
      this.sink.hole(length);
      this.base += length;
      left = 0;
    }
    for (; left > 0; left -= ZEROS.length) {
      this.bytes(ZEROS.subarray(0, Math.min(left, ZEROS.length)));
      await this.drain();
    }
  }

  /** Passes all buffered bytes to the sink. */
  flush(): void | Promise<void> {
    if (this.used === 0) return;
    const n = this.used;
    const written = this.sink.write(this.buffer.subarray(0, n));
    if (written === undefined) {
      this.base += n;
      this.used = 0;
      return;
    }
    return written.then(() => {
      this.base += n;
      this.used = 0;
    });
  }

  /** Flushes and ends the sink. */
  async finish(): Promise<void> {
    await this.flush();
    await this.sink.end?.();
  }

  private room(n: number): void {
    const want = this.used + n;
    if (want <= this.buffer.length) return;
    const grown = new Uint8Array(Math.max(want, this.buffer.length * 2));
    grown.set(this.buffer.subarray(0, this.used));
    this.buffer = grown;
    this.data = new DataView(grown.buffer);
  }
}

/** Characters 0 to 255 as bytes. Errors: does-not-fit for other characters. */
export function fromLatin1(text: string, what = "string"): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0xff) throw doesNotFit(JSON.stringify(text), `${what} (characters 0 to 255)`);
    bytes[i] = code;
  }
  return bytes;
}

function integer(value: number, max: number, field: string): void {
  if (!Number.isInteger(value) || value < 0 || value > max) throw doesNotFit(value, field);
}

function doesNotFit(value: unknown, field: string): QevmError {
  return new QevmError("does-not-fit", `${String(value)} does not fit a ${field}`);
}
