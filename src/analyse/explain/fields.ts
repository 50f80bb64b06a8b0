import { QevmError } from "../../bytes/errors.js";
import { QemuFileWriter } from "../../bytes/index.js";
import {
  encodeDevice,
  isRecordValue,
  isStructState,
  type DeviceDescription,
  type DeviceState,
  type FieldValue,
  type StructState,
} from "../../codec/vmstate/index.js";
import type { SurveyedDevice } from "./survey.js";

/** A field of a device's state. */
export interface FieldPlace {
  /** `parent_obj.config`: the names of the stream from the outside in. */
  path: string;
  value: FieldValue | undefined;
  /** Absolute offset of its first byte; undefined where it is unknown. */
  offset: number | undefined;
}

/**
 * Finds a field by the names that QEMU says (`VMSD:FIELD`): first the struct of that name, then its field. The stream
 * counts fields of one name (`parent_obj[1]`); QEMU does not. Without a struct's name (11.1 does not say it) the first
 * that has the field is taken.
 */
export function findField(device: SurveyedDevice, vmsd: string | undefined, field: string): FieldPlace | undefined {
  const { state } = device;
  if (state === undefined) return undefined;
  const isIt = (struct: StructState): boolean =>
    vmsd === undefined ? keyOf(struct, field) !== undefined : struct.description.vmsdName === vmsd;
  const steps = structSteps(state, isIt, []);
  if (steps === undefined) return undefined;
  const struct: StructState = steps.at(-1)?.struct ?? state;
  const key = keyOf(struct, field);
  if (key === undefined) return undefined;
  const path = [...steps.map((step) => step.name), key].join(".");
  return { path, value: struct.fields[key], offset: offsetOf(device, state, steps, key) };
}

function keyOf({ fields }: StructState, field: string): string | undefined {
  return Object.keys(fields).find((name) => name === field || name.replace(/\[\d+\]$/u, "") === field);
}

interface Step {
  name: string;
  struct: StructState;
}

/** Levels of structs that are searched. */
const DEEPEST = 12;

function structSteps(state: StructState, isIt: (struct: StructState) => boolean, steps: Step[]): Step[] | undefined {
  if (isIt(state)) return steps;
  if (steps.length > DEEPEST) return undefined;
  for (const [name, value] of Object.entries(state.fields)) {
    if (!isStructState(value)) continue;
    const found = structSteps(value, isIt, [...steps, { name, struct: value }]);
    if (found !== undefined) return found;
  }
  for (const sub of state.subsections) {
    const name = sub.description.vmsdName ?? "";
    const found = structSteps(sub, isIt, [...steps, { name, struct: sub }]);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Where a field is: after the bytes of all fields before it. Unknown for fields of subsections. */
function offsetOf(
  { payload }: SurveyedDevice,
  state: DeviceState,
  steps: readonly Step[],
  key: string,
): number | undefined {
  let offset = payload;
  let struct: StructState = state;
  for (const name of [...steps.map((step) => step.name), key]) {
    const before = bytesBefore(struct, name);
    if (before === undefined) return undefined;
    offset += before;
    const inner = struct.fields[name];
    if (isStructState(inner)) struct = inner;
  }
  return offset;
}

/** Bytes of the fields of a struct before the one named. */
function bytesBefore(struct: StructState, key: string): number | undefined {
  const names = Object.keys(struct.fields);
  const at = names.indexOf(key);
  if (at < 0) return undefined;
  const kept = new Set(names.slice(0, at));
  const fields = struct.description.fields.filter((field) => kept.has(field.name));
  const description: DeviceDescription = {
    name: "",
    instanceId: 0,
    fields,
    ...(struct.description.vmsdName === undefined ? {} : { vmsdName: struct.description.vmsdName }),
  };
  const values = Object.fromEntries(names.slice(0, at).map((name) => [name, struct.fields[name]!]));
  const writer = new QemuFileWriter({ write: () => undefined });
  try {
    encodeDevice(writer, { description, fields: values, subsections: [], bytes: { typed: 0, named: 0, opaque: 0 } });
    return writer.offset;
  } catch (error) {
    // A description that does not fit its values: the bytes before the field cannot be counted.
    if (error instanceof QevmError) return undefined;
    throw error;
  }
}

/** A value for people, short. */
export function valueText(value: FieldValue | undefined): string | undefined {
  if (typeof value === "bigint") return `0x${value.toString(16)}`;
  if (typeof value === "number") return `0x${value.toString(16)}`;
  if (typeof value === "boolean") return String(value);
  if (typeof value === "string") return JSON.stringify(value);
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (Array.isArray(value)) return `${value.length} values`;
  if (isStructState(value)) return "a struct";
  if (isRecordValue(value)) return "values of its own codec";
  return undefined;
}

/** Names of the subsections in a device's state, with those of its structs. */
export function subsectionNames(state: StructState): string[] {
  const names: string[] = [];
  const visit = (struct: StructState, depth: number): void => {
    if (depth > DEEPEST) return;
    for (const value of Object.values(struct.fields)) if (isStructState(value)) visit(value, depth + 1);
    for (const sub of struct.subsections) {
      names.push(sub.description.vmsdName ?? "");
      visit(sub, depth + 1);
    }
  };
  visit(state, 0);
  return names;
}

/**
 * The 256 or more bytes of a PCI configuration space that are known, and the payload offset at which they begin: after
 * be32 version_id.
 */
export function configByte(registers: Readonly<Record<string, FieldValue>>, i: number): number | undefined {
  let at = 0;
  for (const [name, value] of Object.entries(registers)) {
    const size = WIDTH[name] ?? (name.startsWith("bar") ? 4 : value instanceof Uint8Array ? value.length : 1);
    if (i < at + size) {
      if (value instanceof Uint8Array) return value[i - at];
      return typeof value === "number" ? Math.floor(value / 256 ** (i - at)) % 256 : undefined;
    }
    at += size;
  }
  return undefined;
}

const WIDTH: Readonly<Record<string, number>> = {
  vendor_id: 2,
  device_id: 2,
  command: 2,
  status: 2,
  class: 2,
  cardbus_cis: 4,
  subsystem_vendor_id: 2,
  subsystem_id: 2,
  rom_bar: 4,
};
