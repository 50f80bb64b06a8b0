import { describeLayouts, layoutFor } from "./arrays.js";
import { oldStyleName, type DeviceDescription, type FieldDescription, type StructDescription } from "./description.js";
import { structKind } from "./elements.js";
import { fieldGroups, isNull, Keys, SUBSECTIONS_KEY, type FieldGroup } from "./groups.js";
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
import { privateCodec, recordFromPlain } from "./private/index.js";
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
 * Device state as plain JSON, for reading and editing. It does not include the schema, which the description holds.
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

/**
 * The plain form of a device's state. `deviceFromPlain` is the inverse. Every state has a plain form.
 * @example
 * const stream = await openStream("vm.mig");
 * console.log(JSON.stringify(deviceToPlain(await stream.device("timer"))));
 */
export function deviceToPlain(state: DeviceState): PlainDevice {
  const fields = emptyRecord<PlainValue>();
  for (const [key, value] of Object.entries(state.fields)) fields[key] = toPlain(value);
  return { fields, subsections: subsectionsToPlain(state) };
}

interface PlainContext {
  readonly path: KeyPath;
  /** Inside an element that shares the description of the first one (compressed arrays). */
  shared: boolean;
  vmsdName: string | undefined;
  readonly oldStyle: string | undefined;
}

/**
 * The typed state of a device from its plain form.
 * @throws QevmError `bad-description` for unknown and missing keys, `does-not-fit` for values; with the path of keys
 * @example
 * const stream = await openStream("vm.mig");
 * const { description, ...state } = await stream.device("timer");
 * const plain = deviceToPlain({ description, ...state });
 * const edited = deviceFromPlain(description, { ...plain, fields: { ...plain.fields, cpu_clock_offset: "0x0" } });
 */
export function deviceFromPlain(description: DeviceDescription, plain: unknown): DeviceState {
  const ctx: PlainContext = {
    path: [`device "${description.name}"/${description.instanceId}`],
    shared: false,
    vmsdName: undefined,
    oldStyle: oldStyleName(description),
  };
  const taking = new Taking(plain, ctx.path);
  ctx.path.push("fields");
  const fields = fieldsFrom(description, new Taking(taking.take("fields"), ctx.path), ctx);
  ctx.path.pop();
  const subsections = subsectionsFrom(description, taking, ctx);
  taking.done();
  return { description, fields, subsections, bytes: { typed: 0, named: 0, opaque: 0 } };
}

/** The plain form of one value. */
export function toPlain(value: FieldValue): PlainValue {
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

function structFrom(description: StructDescription, plain: unknown, ctx: PlainContext): StructState {
  const taking = new Taking(plain, ctx.path);
  const subsections = description.subsections === undefined ? [] : subsectionsFrom(description, taking, ctx);
  return { description, fields: fieldsFrom(description, taking, ctx), subsections };
}

function subsectionsToPlain(state: StructState): Record<string, PlainValue> {
  const object = emptyRecord<PlainValue>();
  const keys = new Keys();
  for (const subsection of state.subsections) {
    object[keys.unique(subsection.description.vmsdName ?? "")] = structToPlain(subsection);
  }
  return object;
}

function subsectionsFrom(description: StructDescription, outer: Taking, ctx: PlainContext): StructState[] {
  const described = description.subsections ?? [];
  if (described.length === 0 && !outer.has(SUBSECTIONS_KEY)) return [];
  const plain = outer.take(SUBSECTIONS_KEY);
  ctx.path.push(SUBSECTIONS_KEY);
  const taking = new Taking(plain, ctx.path);
  const keys = new Keys();
  const states = described.map((subsection) => {
    const key = keys.unique(subsection.vmsdName ?? "");
    const item = taking.take(key);
    ctx.path.push(key);
    const state = structFrom(subsection, item, ctx);
    ctx.path.pop();
    return state;
  });
  taking.done();
  ctx.path.pop();
  return states;
}

/** Takes every field of the struct, and refuses any other key. */
function fieldsFrom(description: StructDescription, taking: Taking, ctx: PlainContext): Record<string, FieldValue> {
  const fields = emptyRecord<FieldValue>();
  const outer = ctx.vmsdName;
  ctx.vmsdName = description.vmsdName;
  for (const group of fieldGroups(description)) {
    const plain = taking.take(group.key);
    ctx.path.push(group.key);
    fields[group.key] = group.isArray ? arrayFrom(group, plain, ctx) : singleFrom(group.entries[0]!, plain, ctx);
    ctx.path.pop();
  }
  ctx.vmsdName = outer;
  taking.done();
  return fields;
}

function arrayFrom(group: FieldGroup, plain: unknown, ctx: PlainContext): FieldValue[] {
  const items = parseArray(plain, describeLayouts(group), ctx.path);
  const layout = layoutFor(group, items);
  if (layout === undefined) throw refusePlain(ctx.path, describeLayouts(group), plain);
  const values: FieldValue[] = [];
  const { shared } = ctx;
  for (const run of layout.runs) {
    for (let i = 0; i < run.count; i++) {
      const item = items[values.length];
      ctx.path.push(`[${values.length}]`);
      ctx.shared = shared || i > 0;
      values.push(item === null ? null : elementFrom(run.entry, item, ctx));
      ctx.path.pop();
    }
  }
  ctx.shared = shared;
  return values;
}

function singleFrom(entry: FieldDescription, plain: unknown, ctx: PlainContext): FieldValue {
  if (!isNull(entry)) return elementFrom(entry, plain, ctx);
  if (plain !== null) throw refusePlain(ctx.path, "null", plain);
  return null;
}

function elementFrom(entry: FieldDescription, plain: unknown, ctx: PlainContext): FieldValue {
  const fixed = primitive(entry.type);
  if (fixed !== undefined) {
    if (fixed.isBool) {
      return typeof plain === "boolean" ? plain : parseSmall(plain, 2, 255, ctx.path);
    }
    return fixed.size === 8
      ? parseBig(plain, fixed.min, fixed.max, ctx.path)
      : parseSmall(plain, Number(fixed.min), Number(fixed.max), ctx.path);
  }
  const struct = structKind(entry);
  if (struct !== undefined) return structFrom(struct, plain, ctx);
  switch (entry.type) {
    case "qtailq":
    case "qlist":
      return listFrom(entry, plain, ctx);
    case "gtree":
      return treeFrom(entry, plain, ctx);
    case "bitmap":
      if (entry.size % 8 === 0) return wordsFrom(entry.size / 8, plain, ctx);
      break;
    case "capability":
      if (typeof plain !== "string") throw refusePlain(ctx.path, "a string", plain);
      return plain;
    case "fd":
      if (entry.size === 1) return parseSmall(plain, 0, 0xff, ctx.path);
      if (entry.size === 4) return parseSmall(plain, 0, 0xffffffff, ctx.path);
      break;
    default:
  }
  const codec = privateCodec(entry.type, ctx);
  if (codec !== undefined && typeof plain === "object") return recordFromPlain(codec, entry.size, plain, ctx.path);
  return parseBytes(plain, entry.size, ctx.path);
}

function wordsFrom(count: number, plain: unknown, ctx: PlainContext): bigint[] {
  const items = parseArray(plain, `an array of ${count}`, ctx.path);
  if (items.length !== count) throw refusePlain(ctx.path, `an array of ${count}`, plain);
  return items.map((item) => parseBig(item, 0n, 0xffffffffffffffffn, ctx.path));
}

function listFrom(entry: FieldDescription, plain: unknown, ctx: PlainContext): StructState[] {
  const described = entry.inlined ?? [];
  const items = parseArray(plain, "an array", ctx.path);
  if (!ctx.shared && items.length !== described.length)
    throw refusePlain(ctx.path, `an array of ${described.length}`, plain);
  return items.map((item, index) => {
    ctx.path.push(`[${index}]`);
    const state = structFrom(elementAt(described, index, ctx), item, ctx);
    ctx.path.pop();
    return state;
  });
}

function treeFrom(entry: FieldDescription, plain: unknown, ctx: PlainContext): TreeNode[] {
  const described = entry.inlined ?? [];
  const items = parseArray(plain, "an array", ctx.path);
  const direct = described.length <= items.length;
  const step = direct ? 1 : 2;
  if (!ctx.shared && items.length * step !== described.length) {
    throw refusePlain(ctx.path, `${described.length} structs in all`, plain);
  }
  return items.map((item, index) => {
    ctx.path.push(`[${index}]`);
    const taking = new Taking(item, ctx.path);
    const rawKey = taking.take("key");
    const key = direct
      ? parseBig(rawKey, 0n, 0xffffffffffffffffn, ctx.path)
      : structFrom(elementAt(described, index * step, ctx), rawKey, ctx);
    const value = structFrom(elementAt(described, index * step + step - 1, ctx), taking.take("value"), ctx);
    taking.done();
    ctx.path.pop();
    return { key, value };
  });
}

function elementAt(described: readonly StructDescription[], index: number, ctx: PlainContext): StructDescription {
  const struct = described[index] ?? described.at(-1);
  if (struct === undefined) throw refusePlain(ctx.path, "an empty array", "an element");
  return struct;
}
