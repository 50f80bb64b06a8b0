import { QevmError } from "../../errors.js";
import type { QemuFileReader, QemuFileWriter } from "../../qemu-file/index.js";
import { doesNotFit } from "../primitives.js";
import { emptyRecord, isRecordValue, type FieldValue, type RecordValue } from "../state.js";

/**
 * A codec that is private to a kind of device, written once for both ways: `walk.u16("queue_sel")` reads the field into
 * the record when decoding, and takes it from the record and writes it when encoding; either way it answers the value,
 * so that later fields can depend on it.
 */
export interface Walk {
  u8(name: string): number;
  /** Big-endian, like everything QEMU writes field by field. */
  u16(name: string): number;
  u32(name: string): number;
  i32(name: string): number;
  u64(name: string): bigint;
  /** Little-endian: images of guest-visible registers. */
  le16(name: string): number;
  le32(name: string): number;
  le64(name: string): bigint;
  bytes(name: string, count: number): Uint8Array;
  /** Bytes up to where `end` says; decoding asks it for their number. */
  until(name: string, end: (rest: Uint8Array) => number): Uint8Array;
  /** A nested record. */
  group(name: string, body: () => void): void;
  /** So many records. */
  array(name: string, count: number, body: () => void): void;
  /** Records for as long as `more` says; decoding shows it the bytes ahead. */
  repeat(name: string, more: (rest: Uint8Array) => boolean, body: () => void): void;
  /** A record that is there only if decoding says so; null otherwise. */
  optional(name: string, present: (rest: Uint8Array) => boolean, body: () => void): void;
  /** Bytes that are always these. */
  constant(bytes: readonly number[]): void;
}

/** A private codec: the layout of exactly `size` bytes. */
export type PrivateCodec = (walk: Walk, size: number) => void;

export type Scalar = "u8" | "u16" | "u32" | "i32" | "le16" | "le32";
export type Wide = "u64" | "le64";
/** Least and largest value. */
export const LIMITS: Record<Scalar, [number, number]> = {
  u8: [0, 0xff],
  u16: [0, 0xffff],
  u32: [0, 0xffffffff],
  i32: [-0x80000000, 0x7fffffff],
  le16: [0, 0xffff],
  le32: [0, 0xffffffff],
};

/** What is common to the walkers: scalars by one method each. The third, from the plain form, is in `plain-walk.ts`. */
export abstract class BaseWalk implements Walk {
  u8(name: string): number {
    return this.scalar(name, "u8");
  }
  u16(name: string): number {
    return this.scalar(name, "u16");
  }
  u32(name: string): number {
    return this.scalar(name, "u32");
  }
  i32(name: string): number {
    return this.scalar(name, "i32");
  }
  le16(name: string): number {
    return this.scalar(name, "le16");
  }
  le32(name: string): number {
    return this.scalar(name, "le32");
  }
  u64(name: string): bigint {
    return this.wide(name, "u64");
  }
  le64(name: string): bigint {
    return this.wide(name, "le64");
  }
  protected abstract scalar(name: string, kind: Scalar): number;
  protected abstract wide(name: string, kind: Wide): bigint;
  abstract bytes(name: string, count: number): Uint8Array;
  abstract until(name: string, end: (rest: Uint8Array) => number): Uint8Array;
  abstract group(name: string, body: () => void): void;
  abstract array(name: string, count: number, body: () => void): void;
  abstract repeat(name: string, more: (rest: Uint8Array) => boolean, body: () => void): void;
  abstract optional(name: string, present: (rest: Uint8Array) => boolean, body: () => void): void;
  abstract constant(bytes: readonly number[]): void;
}

class DecodeWalk extends BaseWalk {
  record = emptyRecord<FieldValue>();
  /** Records that may still be made. */
  private budget: number;

  constructor(private readonly reader: QemuFileReader) {
    super();
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

  until(name: string, end: (rest: Uint8Array) => number): Uint8Array {
    return this.bytes(name, end(this.rest()));
  }

  group(name: string, body: () => void): void {
    this.put(name, this.inner(body));
  }

  array(name: string, count: number, body: () => void): void {
    const records: FieldValue[] = this.put(name, []);
    for (let i = 0; i < count; i++) records.push(this.inner(body));
  }

  repeat(name: string, more: (rest: Uint8Array) => boolean, body: () => void): void {
    const records: FieldValue[] = this.put(name, []);
    while (more(this.rest())) records.push(this.inner(body));
  }

  optional(name: string, present: (rest: Uint8Array) => boolean, body: () => void): void {
    this.put(name, present(this.rest()) ? this.inner(body) : null);
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

class EncodeWalk extends BaseWalk {
  private used = 0;

  constructor(
    private readonly writer: QemuFileWriter,
    private record: Record<string, FieldValue>,
    private readonly path: string[],
  ) {
    super();
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

  until(name: string): Uint8Array {
    const value = this.take(name);
    if (!(value instanceof Uint8Array)) throw this.wrong(name, "bytes", value);
    this.writer.bytes(value);
    return value;
  }

  group(name: string, body: () => void): void {
    this.inner(name, this.take(name), body);
  }

  array(name: string, count: number, body: () => void): void {
    const value = this.take(name);
    if (!Array.isArray(value) || value.length !== count) throw this.wrong(name, `an array of ${count}`, value);
    for (const item of value) this.inner(name, item, body);
  }

  repeat(name: string, _more: (rest: Uint8Array) => boolean, body: () => void): void {
    const value = this.take(name);
    if (!Array.isArray(value)) throw this.wrong(name, "an array", value);
    for (const item of value) this.inner(name, item, body);
  }

  optional(name: string, _present: (rest: Uint8Array) => boolean, body: () => void): void {
    const value = this.take(name);
    if (value !== null) this.inner(name, value, body);
  }

  constant(bytes: readonly number[]): void {
    for (const byte of bytes) this.writer.u8(byte);
  }

  /** All values of the record at hand must have been taken. */
  done(): void {
    const keys = Object.keys(this.record);
    if (keys.length !== this.used) throw this.wrong(keys.join(", "), `${this.used} values`, `${keys.length}`);
  }

  private inner(name: string, value: FieldValue, body: () => void): void {
    if (!isRecordValue(value)) throw this.wrong(name, "named values", value);
    const outer = this.record;
    const { used } = this;
    this.record = value.record;
    this.used = 0;
    this.path.push(name);
    body();
    this.done();
    this.path.pop();
    this.record = outer;
    this.used = used;
  }

  private take(name: string): FieldValue {
    const value = this.record[name];
    if (value === undefined) throw this.wrong(name, "a value", undefined);
    this.used++;
    return value;
  }

  private wrong(name: string, expected: string, value: unknown): QevmError {
    const { code, what, found } = doesNotFit(value, expected);
    return new QevmError(code, what, { path: [...this.path, name], expected, found });
  }
}

/** Decodes by a private codec. Throws a {@link QevmError} where the bytes do not fit it exactly. */
export function decodeRecord(reader: QemuFileReader, codec: PrivateCodec): RecordValue {
  const size = reader.available;
  const walk = new DecodeWalk(reader);
  codec(walk, size);
  if (reader.available > 0) throw reader.error("bad-length", "bytes are left");
  return { record: walk.record };
}

export function encodeRecord(
  writer: QemuFileWriter,
  codec: PrivateCodec,
  size: number,
  value: RecordValue,
  path: string[],
): void {
  const walk = new EncodeWalk(writer, value.record, path);
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
