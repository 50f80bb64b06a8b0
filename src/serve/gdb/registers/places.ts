import type { PlainDevice, PlainValue } from "../../../codec/vmstate/index.js";
import type { CpuState } from "../../../guest/cores/cpu-state.js";

/** Where a register is in a CPU's saved fields. */
export interface Place {
  read(cpu: CpuState["device"]): bigint;
  /** Undefined where it cannot be changed. */
  write?: (cpu: PlainDevice, value: bigint) => void;
}

/** A register as a debugger sees it. */
export interface Register {
  name: string;
  bits: 32 | 64 | 80 | 128;
  /** GDB's type; default: an integer. */
  type?: string;
  group?: string;
  /** GDB's number, where it is not the one after the register before. */
  number?: number;
  place: Place;
}

/** Registers with GDB's name for them. */
export interface Feature {
  name: string;
  registers: readonly Register[];
}

type Key = string | number;
type Container = Record<Key, PlainValue | undefined>;

/** The object or array that holds the last key; undefined where the CPU has no such field. */
function holder(cpu: PlainDevice, subsection: string | undefined, keys: readonly Key[]): Container | undefined {
  let at: PlainValue | undefined = subsection === undefined ? cpu.fields : cpu.subsections[subsection];
  if (subsection !== undefined && isContainer(at) && isContainer(at["fields"])) at = at["fields"] as PlainValue;
  for (const key of keys.slice(0, -1)) at = isContainer(at) ? at[key] : undefined;
  return isContainer(at) ? at : undefined;
}

function isContainer(value: PlainValue | Container | undefined): value is Container & PlainValue {
  return typeof value === "object" && value !== null;
}

function inKeys(subsection: string | undefined, keys: readonly Key[]): Required<Place> {
  const last = keys.at(-1)!;
  return {
    read: (cpu) => toNumber(holder(cpu, subsection, keys)?.[last]),
    write: (cpu, value) => {
      const container = holder(cpu, subsection, keys);
      if (container?.[last] !== undefined) container[last] = like(container[last], value);
    },
  };
}

/** A field of the section, or a part of one. Missing fields are zero, and cannot be changed. */
export function field(...keys: readonly Key[]): Required<Place> {
  return inKeys(undefined, keys);
}

/** A field of a subsection. */
export function within(subsection: string, ...keys: readonly Key[]): Required<Place> {
  return inKeys(subsection, keys);
}

/** 128 bits, or 80, as two numbers. */
export function joined(high: Required<Place>, low: Required<Place>): Required<Place> {
  return {
    read: (cpu) => (high.read(cpu) << 64n) | BigInt.asUintN(64, low.read(cpu)),
    write: (cpu, value) => {
      high.write(cpu, value >> 64n);
      low.write(cpu, BigInt.asUintN(64, value));
    },
  };
}

/** What is worked out from fields. */
export function derived(read: Place["read"], write?: Place["write"]): Place {
  return write === undefined ? { read } : { read, write };
}

/** Numbers are numbers, "0x..." or, in fields without a description, the digits of their bytes. */
function toNumber(value: PlainValue | undefined): bigint {
  if (typeof value === "bigint") return value;
  if (typeof value === "number") return BigInt(value);
  if (typeof value === "string") {
    if (/^(?:0x[0-9a-f]+|\d+)$/iu.test(value) && !isBytes(value)) return BigInt(value);
    return isBytes(value) ? BigInt(`0x${value}`) : 0n;
  }
  return value === true ? 1n : 0n;
}

function isBytes(text: string): boolean {
  return /^(?:[0-9a-f]{2})+$/u.test(text) && !text.startsWith("0x");
}

/** The value in the form that the field had. */
function like(old: PlainValue, value: bigint): PlainValue {
  if (typeof old === "number") return Number(value);
  if (typeof old === "bigint") return value;
  if (typeof old === "boolean") return value !== 0n;
  if (typeof old === "string" && isBytes(old)) {
    return BigInt.asUintN(old.length * 4, value)
      .toString(16)
      .padStart(old.length, "0");
  }
  return `0x${BigInt.asUintN(64, value).toString(16)}`;
}
