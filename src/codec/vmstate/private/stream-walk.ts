import { QevmError } from "../../../bytes/errors.js";
import { MemorySink, QemuFileReader, QemuFileWriter } from "../../../bytes/index.js";
import type { EncodeContext } from "../context.js";
import { doesNotFit } from "../primitives.js";
import { emptyRecord, isRecordValue, type FieldValue, type RecordValue } from "../state.js";
import { BaseWalk, LIMITS, type PrivateCodec, type Scalar, type Wide } from "./walk.js";

class DecodeWalk extends BaseWalk {
  record = emptyRecord<FieldValue>();
  /** Bytes that are only named, not decoded. */
  named = 0;
  /** Records that may still be created. */
  private budget: number;

  /** @param open the bytes go on after the record; what has no codec takes none of them */
  constructor(
    private readonly reader: QemuFileReader,
    private readonly open = false,
  ) {
    super(reader.path);
    this.budget = 1024 + reader.available;
  }

  protected scalar(name: string, kind: Scalar): number {
    return this.put(name, readScalar(this.reader, kind));
  }

  protected wide(name: string, kind: Wide): bigint {
    const value = this.reader.u64();
    return this.put(name, kind === "u64" ? value : swap64(value));
  }

  bytes(name: string, count: number): Uint8Array {
    return this.put(name, this.reader.bytes(count, name));
  }

  string8(name: string): string {
    return this.put(name, this.reader.string8(name));
  }

  until(name: string, end: (rest: Uint8Array) => number, codec?: PrivateCodec): void {
    if (this.open) {
      codec?.(this, 0);
      return;
    }
    const bytes = this.reader.bytes(end(this.rest()), name);
    const found = codec === undefined ? undefined : tryRecord(codec, bytes);
    this.named += found?.named ?? bytes.length;
    this.put(name, found?.value ?? bytes);
  }

  group(name: string, body: () => void): void {
    this.put(name, this.inner(body));
  }

  array(name: string, count: number, body: () => void): void {
    const records: FieldValue[] = this.put(name, []);
    for (let i = 0; i < count; i++) records.push(this.inner(body));
  }

  table(name: string, count: number, width: number, body: () => void): void {
    const bytes = this.rest().subarray(0, count * width);
    let used = bytes.length;
    while (used > 0 && bytes[used - 1] === 0) used--;
    const records = Math.ceil(used / width);
    this.array(name, records, body);
    this.reader.skip((count - records) * width);
  }

  repeat(name: string, more: (rest: Uint8Array) => boolean, body: () => void): void {
    const records: FieldValue[] = this.put(name, []);
    while (more(this.rest())) records.push(this.inner(body));
  }

  optional(name: string, present: (rest: Uint8Array) => boolean, body: () => void): boolean {
    const there = present(this.rest());
    this.put(name, there ? this.inner(body) : null);
    return there;
  }

  constant(bytes: readonly number[]): void {
    for (const byte of bytes) {
      if (this.reader.u8() !== byte) throw this.reader.error("bad-value", "another constant");
    }
  }

  private inner(body: () => void): RecordValue {
    if (--this.budget < 0) throw this.reader.error("limit", "too many records");
    const outer = this.record;
    const record = emptyRecord<FieldValue>();
    this.record = record;
    body();
    this.record = outer;
    return { record };
  }

  private rest(): Uint8Array {
    return this.reader.buffer.subarray(this.reader.position, this.reader.end);
  }

  private put<T extends FieldValue>(name: string, value: T): T {
    this.record[name] = value;
    return value;
  }
}

/** See `EncodeContext.at`. */
type Listener = EncodeContext["at"];

class EncodeWalk extends BaseWalk {
  private used = 0;

  constructor(
    private readonly writer: QemuFileWriter,
    private record: Record<string, FieldValue>,
    path: string[],
    private readonly at: Listener,
  ) {
    super(path);
  }

  protected scalar(name: string, kind: Scalar): number {
    const value = this.take(name);
    const [min, max] = LIMITS[kind];
    if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) {
      throw this.wrong(name, `an integer from ${min} to ${max}`, value);
    }
    writeScalar(this.writer, kind, value);
    return value;
  }

  protected wide(name: string, kind: Wide): bigint {
    const value = this.take(name);
    if (typeof value !== "bigint" || BigInt.asUintN(64, value) !== value) {
      throw this.wrong(name, "a bigint from 0 to 2^64 - 1", value);
    }
    this.writer.u64(kind === "u64" ? value : swap64(value));
    return value;
  }

  bytes(name: string, count: number): Uint8Array {
    const value = this.take(name);
    if (!(value instanceof Uint8Array) || value.length !== count) throw this.wrong(name, `${count} bytes`, value);
    this.writer.bytes(value);
    return value;
  }

  string8(name: string): string {
    const value = this.take(name);
    if (typeof value !== "string") throw this.wrong(name, "a string", value);
    this.writer.string8(value, name);
    return value;
  }

  until(name: string, _end: (rest: Uint8Array) => number, codec?: PrivateCodec): void {
    const value = this.take(name);
    if (value instanceof Uint8Array) {
      this.writer.bytes(value);
    } else if (codec !== undefined && isRecordValue(value)) {
      encodeRecord(this.writer, codec, 0, value, [...this.path, name], this.at);
    } else {
      throw this.wrong(name, "bytes", value);
    }
  }

  group(name: string, body: () => void): void {
    this.inner([name], this.take(name), body);
  }

  array(name: string, count: number, body: () => void): void {
    const value = this.take(name);
    if (!Array.isArray(value) || value.length !== count) throw this.wrong(name, `an array of ${count}`, value);
    this.each(name, value, body);
  }

  table(name: string, count: number, width: number, body: () => void): void {
    const value = this.take(name);
    if (!Array.isArray(value) || value.length > count) throw this.wrong(name, `an array of up to ${count}`, value);
    this.each(name, value, body);
    if (value.length < count) this.at?.([...this.path, name, "(unused)"], this.writer.offset);
    this.writer.bytes(new Uint8Array((count - value.length) * width));
  }

  repeat(name: string, _more: (rest: Uint8Array) => boolean, body: () => void): void {
    const value = this.take(name);
    if (!Array.isArray(value)) throw this.wrong(name, "an array", value);
    this.each(name, value, body);
  }

  optional(name: string, _present: (rest: Uint8Array) => boolean, body: () => void): boolean {
    const value = this.take(name);
    if (value !== null) this.inner([name], value, body);
    return value !== null;
  }

  constant(bytes: readonly number[]): void {
    if (bytes.length > 0) this.at?.([...this.path, "(constant)"], this.writer.offset);
    for (const byte of bytes) this.writer.u8(byte);
  }

  /** Refuses values of the current record that were not taken. */
  done(): void {
    const count = Object.keys(this.record).length;
    if (count === this.used) return;
    throw new QevmError("does-not-fit", "values that the codec does not know", {
      path: [...this.path],
      expected: `${this.used} values`,
      found: `${count}`,
    });
  }

  private each(name: string, values: readonly FieldValue[], body: () => void): void {
    for (const [i, value] of values.entries()) this.inner([name, `[${i}]`], value, body);
  }

  private inner(steps: readonly string[], value: FieldValue, body: () => void): void {
    if (!isRecordValue(value)) throw this.wrong(steps, "named values", value);
    const outer = this.record;
    const { used } = this;
    const depth = this.path.length;
    this.record = value.record;
    this.used = 0;
    this.path.push(...steps);
    this.at?.(this.path, this.writer.offset);
    body();
    this.done();
    this.path.length = depth;
    this.record = outer;
    this.used = used;
  }

  private take(name: string): FieldValue {
    const value = this.record[name];
    if (value === undefined) throw this.wrong(name, "a value", undefined);
    this.at?.([...this.path, name], this.writer.offset);
    this.used++;
    return value;
  }

  private wrong(place: string | readonly string[], expected: string, value: unknown): QevmError {
    const { code, what, found } = doesNotFit(value, expected);
    return new QevmError(code, what, { path: [...this.path, ...[place].flat()], expected, found });
  }
}

/** A decoded record, and the number of its bytes that are only named. */
export interface Decoded {
  value: RecordValue;
  named: number;
}

/**
 * Decodes the bytes of a private field. Undefined where the codec does not fit exactly (another version of QEMU,
 * another device) or does not reproduce the bytes; the field then stays named bytes.
 */
export function tryRecord(codec: PrivateCodec, bytes: Uint8Array): Decoded | undefined {
  try {
    const reader = QemuFileReader.over(bytes);
    const walk = new DecodeWalk(reader);
    codec(walk, bytes.length);
    if (reader.available > 0) return undefined;
    const value = { record: walk.record };
    const sink = new MemorySink();
    const writer = new QemuFileWriter(sink, bytes.length);
    encodeRecord(writer, codec, bytes.length, value, []);
    void writer.flush();
    return same(sink.bytes(), bytes) ? { value, named: walk.named } : undefined;
  } catch (error) {
    if (error instanceof QevmError) return undefined;
    throw error;
  }
}

/** The length of a record that ends by itself, where more may follow it. Undefined: the codec does not fit. */
export function recordLength(codec: PrivateCodec, bytes: Uint8Array): number | undefined {
  try {
    const reader = QemuFileReader.over(bytes);
    codec(new DecodeWalk(reader, true), bytes.length);
    return reader.position;
  } catch (error) {
    if (error instanceof QevmError) return undefined;
    throw error;
  }
}

export function encodeRecord(
  writer: QemuFileWriter,
  codec: PrivateCodec,
  size: number,
  value: RecordValue,
  path: string[],
  at?: Listener,
): void {
  const walk = new EncodeWalk(writer, value.record, path, at);
  codec(walk, size);
  walk.done();
}

function readScalar(reader: QemuFileReader, kind: Scalar): number {
  switch (kind) {
    case "u8":
      return reader.u8();
    case "u16":
      return reader.u16();
    case "u32":
      return reader.u32();
    case "i32":
      return reader.u32() | 0;
    case "le16":
      return swap16(reader.u16());
    case "le32":
      return swap32(reader.u32());
  }
}

function writeScalar(writer: QemuFileWriter, kind: Scalar, value: number): void {
  switch (kind) {
    case "u8":
      writer.u8(value);
      break;
    case "u16":
      writer.u16(value);
      break;
    case "u32":
      writer.u32(value);
      break;
    case "i32":
      writer.u32(value >>> 0);
      break;
    case "le16":
      writer.u16(swap16(value));
      break;
    case "le32":
      writer.u32(swap32(value));
      break;
  }
}

function swap16(value: number): number {
  return ((value & 0xff) << 8) | (value >> 8);
}

function swap32(value: number): number {
  return ((value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
}

function swap64(value: bigint): bigint {
  const high = swap32(Number(value & 0xffffffffn));
  const low = swap32(Number(value >> 32n));
  return (BigInt(high) << 32n) | BigInt(low);
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
