import { QevmError } from "../../bytes/errors.js";
import type { QemuFileReader, QemuFileWriter } from "../../bytes/index.js";
import type { FieldValue } from "./state.js";

/**
 * Fields of a fixed width.
 *
 * | JSON type                                    | bytes | encoding                                             |
 * |----------------------------------------------|-------|------------------------------------------------------|
 * | `bool`                                       | 1     | 0 or 1; any other byte is kept as a number           |
 * | `int8` `uint8` `uint8 equal`                 | 1     |                                                      |
 * | `int16` `uint16` `uint16 equal`              | 2     | be                                                   |
 * | `int32` `uint32` `int32 equal` `uint32 equal`| 4     | be                                                   |
 * | `int32 le`                                   | 4     | be; "le" is the check less-or-equal                  |
 * | `int64` `uint64`                             | 8     | be                                                   |
 * | `int64 equal`                                | 8     | be, unsigned in spite of its name                    |
 * | `CPU_Double_U`, `float64`                    | 8     | upper word, lower word: one be64 bit pattern         |
 * | `timer`                                      | 8     | be64 ns; all ones: not armed                         |
 * | `cpsr` `fpscr`                               | 4     | be; ARM, nominally private to the device             |
 * | `fpcr` `fpsr`                                | 8     | be; ARM                                              |
 * | `powered_off`                                | 1     | as `bool`; ARM                                       |
 *
 * Source: QEMU migration/vmstate-types.c, migration/savevm.c, target/arm/machine.c (5.2 to 11.x).
 */
interface Primitive {
  readonly size: number;
  read(reader: QemuFileReader): FieldValue;
  /** @throws QevmError `does-not-fit` */
  write(writer: QemuFileWriter, value: FieldValue): void;
  /** Values outside this range are refused before they are written. */
  readonly min: bigint;
  readonly max: bigint;
  /** Values are booleans, except for bytes above 1. */
  readonly isBool?: true;
}

function small(bits: 8 | 16 | 32, signed: boolean): Primitive {
  const span = 2 ** bits;
  const min = signed ? -span / 2 : 0;
  const max = min + span - 1;
  return {
    size: bits / 8,
    min: BigInt(min),
    max: BigInt(max),
    read(reader) {
      const raw = bits === 8 ? reader.u8() : bits === 16 ? reader.u16() : reader.u32();
      return raw > max ? raw - span : raw;
    },
    write(writer, value) {
      if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) {
        throw doesNotFit(value, `an integer from ${min} to ${max}`);
      }
      const raw = value < 0 ? value + span : value;
      if (bits === 8) writer.u8(raw);
      else if (bits === 16) writer.u16(raw);
      else writer.u32(raw);
    },
  };
}

function large(signed: boolean): Primitive {
  const min = signed ? -(1n << 63n) : 0n;
  const max = min + (1n << 64n) - 1n;
  return {
    size: 8,
    min,
    max,
    read: (reader) => (signed ? BigInt.asIntN(64, reader.u64()) : reader.u64()),
    write(writer, value) {
      if (typeof value !== "bigint" || value < min || value > max) {
        throw doesNotFit(value, `a bigint from ${min} to ${max}`);
      }
      writer.u64(BigInt.asUintN(64, value));
    },
  };
}

const bool: Primitive = {
  isBool: true,
  size: 1,
  min: 0n,
  max: 255n,
  read(reader) {
    const byte = reader.u8();
    return byte > 1 ? byte : byte === 1;
  },
  write(writer, value) {
    if (typeof value === "boolean") writer.u8(value ? 1 : 0);
    else if (typeof value === "number" && Number.isInteger(value) && value > 1 && value < 256) writer.u8(value);
    else throw doesNotFit(value, "true, false or a byte from 2 to 255");
  },
};

const u8 = small(8, false);
const u16 = small(16, false);
const u32 = small(32, false);
const i32 = small(32, true);
const u64 = large(false);

const PRIMITIVES = new Map<string, Primitive>([
  ["bool", bool],
  ["int8", small(8, true)],
  ["uint8", u8],
  ["uint8 equal", u8],
  ["int16", small(16, true)],
  ["uint16", u16],
  ["uint16 equal", u16],
  ["int32", i32],
  ["int32 equal", i32],
  ["int32 le", i32],
  ["uint32", u32],
  ["uint32 equal", u32],
  ["int64", large(true)],
  ["uint64", u64],
  ["int64 equal", u64],
  ["CPU_Double_U", u64],
  ["float64", u64],
  ["timer", u64],
  ["fpscr", u32],
  ["cpsr", u32],
  ["fpcr", u64],
  ["fpsr", u64],
  ["powered_off", bool],
]);

/** The primitive of a JSON type, or undefined. */
export function primitive(type: string): Primitive | undefined {
  return PRIMITIVES.get(type);
}

/** An error for a value that its field cannot hold. */
export function doesNotFit(value: unknown, expected: string): QevmError {
  return new QevmError("does-not-fit", "the value does not fit its field", { expected, found: describeValue(value) });
}

/** A short form of a value, for errors. */
export function describeValue(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (typeof value === "object") return "an object";
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}...` : value);
  if (typeof value === "number" || typeof value === "bigint" || typeof value === "boolean")
    return `${typeof value} ${value}`;
  return typeof value;
}
