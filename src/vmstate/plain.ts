import { describeLayouts, layoutFor } from "./arrays.js";
import type { DeviceDescription, FieldDescription, StructDescription } from "./description.js";
import { structKind } from "./elements.js";
import { fieldGroups, isNullType, SUBSECTIONS_KEY, unique, type FieldGroup } from "./groups.js";
import {
  parseArray,
  parseBig,
  parseBytes,
  parseSmall,
  printBig,
  printBytes,
  refusePlain,
  Taking,
  type KeyPath,
  type PlainValue,
} from "./plain-values.js";
import { primitive } from "./primitives.js";
import { privateCodec } from "./private/index.js";
import { recordFromPlain } from "./private/plain-walk.js";
import {
  emptyRecord,
  isRecordValue,
  isStructState,
  type DeviceState,
  type FieldValue,
  type StructState,
  type TreeNode,
} from "./state.js";

/**
 * Device state as plain JSON, for people to read and edit. The schema is not in it: the description says it.
 *
 * | value                    | plain                                                                            |
 * |--------------------------|----------------------------------------------------------------------------------|
 * | number, boolean, string  | the same                                                                         |
 * | bigint                   | `"0x1f"`, `"-0x1f"`; also taken: decimal strings, bigint, safe integers          |
 * | bytes                    | hex digits                                                                       |
 * | array, queue             | array; `null` for NULL pointers                                                  |
 * | nested struct, record    | object of its fields, and `subsections` where its description has any            |
 * | tree                     | array of `{ "key", "value" }`                                                    |
 */
export interface PlainDevice {
  fields: Record<string, PlainValue>;
  /** By vmsd name. */
  subsections: Record<string, PlainValue>;
}

export function deviceToPlain(state: DeviceState): PlainDevice {
  const fields = emptyRecord<PlainValue>();
  for (const [key, value] of Object.entries(state.fields)) fields[key] = toPlain(value);
  return { fields, subsections: subsectionsToPlain(state) };
}

/**
 * The typed state of a device from its plain form.
 * @throws QevmError `bad-description` for unknown and missing keys, `does-not-fit` for values; with the path of keys
 */
export function deviceFromPlain(description: DeviceDescription, plain: unknown): DeviceState {
  const path: KeyPath = [`device "${description.name}"/${description.instanceId}`];
  const taking = new Taking(plain, path);
  path.push("fields");
  const fields = fieldsFrom(description, new Taking(taking.take("fields"), path), path);
  path.pop();
  const subsections = subsectionsFrom(description, taking, path);
  taking.done();
  return { description, fields, subsections, bytes: { typed: 0, named: 0, opaque: 0 } };
}

function toPlain(value: FieldValue): PlainValue {
  if (typeof value === "bigint") return printBig(value);
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Uint8Array) return printBytes(value);
  if (Array.isArray(value)) return value.map((element) => toPlain(element));
  if (isStructState(value)) return structToPlain(value);
  const object = emptyRecord<PlainValue>();
  if (isRecordValue(value)) {
    for (const [key, item] of Object.entries(value.record)) object[key] = toPlain(item);
  } else {
    object["key"] = toPlain(value.key);
    object["value"] = toPlain(value.value);
  }
  return object;
}

function structToPlain(state: StructState): PlainValue {
  const object = emptyRecord<PlainValue>();
  for (const [key, value] of Object.entries(state.fields)) object[key] = toPlain(value);
  if (state.description.subsections !== undefined) object[SUBSECTIONS_KEY] = subsectionsToPlain(state);
  return object;
}

function structFrom(description: StructDescription, plain: unknown, path: KeyPath): StructState {
  const taking = new Taking(plain, path);
  const subsections = description.subsections === undefined ? [] : subsectionsFrom(description, taking, path);
  return { description, fields: fieldsFrom(description, taking, path), subsections };
}

function subsectionsToPlain(state: StructState): Record<string, PlainValue> {
  const object = emptyRecord<PlainValue>();
  const taken = new Set<string>();
  for (const subsection of state.subsections) {
    object[unique(subsection.description.vmsdName ?? "", taken)] = structToPlain(subsection);
  }
  return object;
}

function subsectionsFrom(description: StructDescription, outer: Taking, path: KeyPath): StructState[] {
  const described = description.subsections ?? [];
  if (described.length === 0 && !outer.has(SUBSECTIONS_KEY)) return [];
  const plain = outer.take(SUBSECTIONS_KEY);
  path.push(SUBSECTIONS_KEY);
  const taking = new Taking(plain, path);
  const taken = new Set<string>();
  const states = described.map((subsection) => {
    const key = unique(subsection.vmsdName ?? "", taken);
    const item = taking.take(key);
    path.push(key);
    const state = structFrom(subsection, item, path);
    path.pop();
    return state;
  });
  taking.done();
  path.pop();
  return states;
}

/** Takes every field of the struct, after which nothing may be left. */
function fieldsFrom(description: StructDescription, taking: Taking, path: KeyPath): Record<string, FieldValue> {
  const fields = emptyRecord<FieldValue>();
  for (const group of fieldGroups(description)) {
    const plain = taking.take(group.key);
    path.push(group.key);
    fields[group.key] = group.isArray
      ? arrayFrom(group, plain, path)
      : elementFrom(group.entries[0]!, plain, path, false);
    path.pop();
  }
  taking.done();
  return fields;
}

function arrayFrom(group: FieldGroup, plain: unknown, path: KeyPath): FieldValue[] {
  const items = parseArray(plain, describeLayouts(group), path);
  const layout = layoutFor(group, items);
  if (layout === undefined) throw refusePlain(path, describeLayouts(group), plain);
  const values: FieldValue[] = [];
  for (const run of layout.runs) {
    for (let i = 0; i < run.count; i++) {
      const item = items[values.length];
      path.push(`[${values.length}]`);
      values.push(item === null ? null : elementFrom(run.entry, item, path, i > 0));
      path.pop();
    }
  }
  return values;
}

function elementFrom(entry: FieldDescription, plain: unknown, path: KeyPath, shared: boolean): FieldValue {
  const fixed = primitive(entry.type);
  if (isNullType(entry) || entry.struct === null || (fixed !== undefined && entry.size === 1 && fixed.size !== 1)) {
    if (plain === null) return null;
    throw refusePlain(path, "null", plain);
  }
  if (fixed !== undefined) {
    if (entry.type === "bool") {
      return typeof plain === "boolean" ? plain : parseSmall(plain, 2, 255, path);
    }
    return fixed.size === 8
      ? parseBig(plain, fixed.min, fixed.max, path)
      : parseSmall(plain, Number(fixed.min), Number(fixed.max), path);
  }
  const struct = structKind(entry);
  if (struct !== undefined) return structFrom(struct, plain, path);
  switch (entry.type) {
    case "qtailq":
    case "qlist":
      return listFrom(entry, plain, path, shared);
    case "gtree":
      return treeFrom(entry, plain, path, shared);
    case "bitmap":
      if (entry.size % 8 === 0) return wordsFrom(entry.size / 8, plain, path);
      break;
    case "capability":
      if (typeof plain !== "string") throw refusePlain(path, "a string", plain);
      return plain;
    case "fd":
      if (entry.size === 1) return parseSmall(plain, 0, 0xff, path);
      if (entry.size === 4) return parseSmall(plain, 0, 0xffffffff, path);
      break;
    default:
  }
  const codec = privateCodec(entry.type);
  if (codec !== undefined && typeof plain === "object") return recordFromPlain(codec, entry.size, plain, path);
  return parseBytes(plain, entry.size, path);
}

function wordsFrom(count: number, plain: unknown, path: KeyPath): bigint[] {
  const items = parseArray(plain, `an array of ${count}`, path);
  if (items.length !== count) throw refusePlain(path, `an array of ${count}`, plain);
  return items.map((item) => parseBig(item, 0n, 0xffffffffffffffffn, path));
}

function listFrom(entry: FieldDescription, plain: unknown, path: KeyPath, shared: boolean): StructState[] {
  const described = entry.inlined ?? [];
  const items = parseArray(plain, "an array", path);
  if (!shared && items.length !== described.length) throw refusePlain(path, `an array of ${described.length}`, plain);
  return items.map((item, index) => {
    path.push(`[${index}]`);
    const state = structFrom(elementAt(described, index, path), item, path);
    path.pop();
    return state;
  });
}

function treeFrom(entry: FieldDescription, plain: unknown, path: KeyPath, shared: boolean): TreeNode[] {
  const described = entry.inlined ?? [];
  const items = parseArray(plain, "an array", path);
  const direct = described.length <= items.length;
  const step = direct ? 1 : 2;
  if (!shared && items.length * step !== described.length) {
    throw refusePlain(path, `${described.length} structs in all`, plain);
  }
  return items.map((item, index) => {
    path.push(`[${index}]`);
    const taking = new Taking(item, path);
    const rawKey = taking.take("key");
    const key = direct
      ? parseBig(rawKey, 0n, 0xffffffffffffffffn, path)
      : structFrom(elementAt(described, index * step, path), rawKey, path);
    const value = structFrom(elementAt(described, index * step + step - 1, path), taking.take("value"), path);
    taking.done();
    path.pop();
    return { key, value };
  });
}

function elementAt(described: readonly StructDescription[], index: number, path: KeyPath): StructDescription {
  const struct = described[index] ?? described.at(-1);
  if (struct === undefined) throw refusePlain(path, "an empty array", "an element");
  return struct;
}
