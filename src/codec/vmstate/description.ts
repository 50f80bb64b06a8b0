import { QevmError } from "../../bytes/errors.js";
import { JSON_LIMITS, JsonNumber, JsonObject, JsonTaken, parseJson, type JsonLimits, type JsonValue } from "./json.js";
import { JsonMatcher, JsonWriter } from "./json-print.js";
import { readQemuText } from "./description-text.js";
import type { DeviceDescription, FieldDescription, StructDescription, VmDescription } from "./description-types.js";

export type * from "./description-types.js";

/** The name of a device that an old-style handler describes as one buffer; undefined for all others. */
export function oldStyleName(device: DeviceDescription): string | undefined {
  return device.size === undefined ? undefined : device.name;
}

/** Bounds of the parser, and where the text is, for errors. */
export interface ParseDescriptionOptions extends JsonLimits {
  /** Absolute byte offset of the text's first character, for errors. */
  offset?: number;
}

/**
 * Parses a VMDESCRIPTION text (Latin-1 decoded, so that characters are bytes).
 * @throws QevmError `bad-description` or `limit`, with the absolute offset
 */
export function parseVmDescription(json: string, options: ParseDescriptionOptions = {}): VmDescription {
  const offset = options.offset ?? 0;
  const { maxDepth, maxNodes, maxLength } = { ...JSON_LIMITS, ...options };
  // A value takes at least a character.
  if (json.length <= Math.min(maxNodes, maxLength)) {
    const description = readQemuText(json, maxDepth);
    if (description !== undefined) return description;
  }
  const parsed = parseJson(json, offset, { ...options, element: takeElement });
  const top = new Members(expectObject(parsed, offset, "the description"), "the description");
  const configuration = top.optional("configuration", (value, at) => structOf(value, at, "configuration"));
  const pageSize = top.required("page_size", integer);
  const devices = top.required("devices", (value, at) => listOf(value, at, "devices", deviceOf));
  const description: VmDescription = {
    pageSize,
    ...(configuration === undefined ? {} : { configuration }),
    devices,
    style: json.startsWith("{ ") ? "spaced" : "compact",
    exact: false,
  };
  const matcher = new JsonMatcher(description.style, json);
  printTo(matcher, description);
  description.exact = matcher.matches;
  return description;
}

/** Prints a description in its own style, as QEMU would write it. */
export function printVmDescription(description: VmDescription): string {
  const writer = new JsonWriter(description.style);
  printTo(writer, description);
  return writer.text;
}

function printTo(writer: JsonWriter, description: VmDescription): void {
  writer.open("{");
  if (description.configuration !== undefined) {
    writer.key("configuration");
    printStruct(writer, description.configuration);
  }
  number(writer, "page_size", description.pageSize);
  list(writer, "devices", description.devices, printDevice);
  writer.close("}");
}

/**
 * Turns objects of the text into devices, fields and subsections while parsing. A wrong object stays JSON. Whether that
 * is an error is decided when its parent is read.
 */
function takeElement(key: string, value: JsonValue, offset: number): object | undefined {
  try {
    if (key === "fields") return fieldOf(value, offset);
    if (key === "devices") return deviceOf(value, offset);
    return key === "subsections" ? subsectionOf(value, offset) : undefined;
  } catch (error) {
    if (error instanceof QevmError) return undefined;
    throw error;
  }
}

function deviceOf(value: JsonValue, offset: number): DeviceDescription {
  const members = new Members(expectObject(value, offset, "a device"), "a device");
  const name = members.required("name", text);
  const instanceId = members.required("instance_id", integer);
  const size = members.optional("size", integer);
  const device: DeviceDescription = { name, instanceId, ...structFrom(members) };
  if (size !== undefined) device.size = size;
  return device;
}

function printDevice(writer: JsonWriter, device: DeviceDescription): void {
  writer.open("{");
  string(writer, "name", device.name);
  number(writer, "instance_id", device.instanceId);
  if (device.size === undefined) {
    structMembers(writer, device);
  } else {
    number(writer, "size", device.size);
    list(writer, "fields", device.fields, printOldStyleField);
  }
  writer.close("}");
}

/** Old-style handlers write the members of their one field in another order. */
function printOldStyleField(writer: JsonWriter, field: FieldDescription): void {
  writer.open("{");
  string(writer, "name", field.name);
  number(writer, "size", field.size);
  string(writer, "type", field.type);
  writer.close("}");
}

function structOf(value: JsonValue, offset: number, what = "a struct"): StructDescription {
  return structFrom(new Members(expectObject(value, offset, what), what));
}

function structFrom(members: Members): StructDescription {
  const vmsdName = members.optional("vmsd_name", text);
  const version = members.optional("version", integer);
  const struct: StructDescription = {
    fields: members.required("fields", (value, at) => listOf(value, at, "fields", fieldOf)),
  };
  if (vmsdName !== undefined) struct.vmsdName = vmsdName;
  if (version !== undefined) struct.version = version;
  const subsections = members.optional("subsections", (value, at) => listOf(value, at, "subsections", subsectionOf));
  if (subsections !== undefined) struct.subsections = subsections;
  return struct;
}

function subsectionOf(value: JsonValue, offset: number): StructDescription {
  const subsection = structOf(value, offset, "a subsection");
  if (subsection.vmsdName === undefined || subsection.version === undefined) {
    throw bad(offset, "a subsection without vmsd_name or version");
  }
  return subsection;
}

function printStruct(writer: JsonWriter, struct: StructDescription): void {
  writer.open("{");
  structMembers(writer, struct);
  writer.close("}");
}

function structMembers(writer: JsonWriter, struct: StructDescription): void {
  if (struct.vmsdName !== undefined) string(writer, "vmsd_name", struct.vmsdName);
  if (struct.version !== undefined) number(writer, "version", struct.version);
  list(writer, "fields", struct.fields, printField);
  if (struct.subsections !== undefined) list(writer, "subsections", struct.subsections, printStruct);
}

function fieldOf(value: JsonValue, offset: number): FieldDescription {
  const object = expectObject(value, offset, "a field");
  const members = new Members(object, "a field");
  const field: FieldDescription = {
    name: members.required("name", text),
    type: members.required("type", text),
    size: members.required("size", integer),
  };
  const arrayLength = members.optional("array_len", integer);
  if (arrayLength !== undefined) field.arrayLength = arrayLength;
  const index = members.optional("index", integer);
  if (index !== undefined) field.index = index;
  const struct = members.optional("struct", (inner, at) =>
    inner instanceof JsonObject && inner.members.length === 0 ? null : structOf(inner, at),
  );
  if (struct !== undefined) field.struct = struct;
  const inlined = inlinedIn(object);
  if (inlined.length > 0) field.inlined = inlined;
  return field;
}

/** The structs inlined into a field object: each begins with another `vmsd_name`. */
function inlinedIn(object: JsonObject): StructDescription[] {
  const structs: StructDescription[] = [];
  let group: JsonObject | undefined;
  const close = (): void => {
    if (group !== undefined) structs.push(structFrom(new Members(group, "an inlined struct")));
  };
  for (const member of object.members) {
    if (member.key === "vmsd_name") {
      close();
      group = new JsonObject(member.offset);
    }
    if (INLINED_KEYS.has(member.key)) group?.members.push(member);
  }
  close();
  return structs;
}

const INLINED_KEYS = new Set(["vmsd_name", "version", "fields", "subsections"]);

function printField(writer: JsonWriter, field: FieldDescription): void {
  writer.open("{");
  string(writer, "name", field.name);
  if (field.arrayLength !== undefined) number(writer, "array_len", field.arrayLength);
  if (field.index !== undefined) number(writer, "index", field.index);
  string(writer, "type", field.type);
  if (field.struct !== undefined) {
    writer.key("struct");
    writer.open("{");
    if (field.struct !== null) structMembers(writer, field.struct);
    writer.close("}");
  }
  for (const struct of field.inlined ?? []) structMembers(writer, struct);
  number(writer, "size", field.size);
  writer.close("}");
}

/**
 * The members of one object; the first of duplicates counts. Unknown members are ignored (the text is then not
 * `exact`).
 */
class Members {
  constructor(
    private readonly object: JsonObject,
    private readonly what: string,
  ) {}

  required<T>(key: string, read: (value: JsonValue, offset: number, what: string) => T): T {
    const value = this.optional(key, read);
    if (value === undefined) throw bad(this.object.offset, `${this.what} without "${key}"`);
    return value;
  }

  optional<T>(key: string, read: (value: JsonValue, offset: number, what: string) => T): T | undefined {
    for (const member of this.object.members) {
      if (member.key === key) return read(member.value, member.offset, key);
    }
    return undefined;
  }
}

function listOf<T>(value: JsonValue, offset: number, what: string, read: (item: JsonValue, offset: number) => T): T[] {
  if (!Array.isArray(value)) throw bad(offset, `"${what}" is not an array`);
  return value.map((item) => {
    // Converted under the same key, and so by the same function.
    if (item instanceof JsonTaken) return item.value as T;
    return read(item, item instanceof JsonObject ? item.offset : offset);
  });
}

function expectObject(value: JsonValue, offset: number, what: string): JsonObject {
  if (value instanceof JsonObject) return value;
  throw bad(offset, `${what} is not an object`);
}

function text(value: JsonValue, offset: number, what: string): string {
  if (typeof value === "string") return value;
  throw bad(offset, `"${what}" is not a string`);
}

function integer(value: JsonValue, offset: number, what: string): number {
  if (value instanceof JsonNumber && /^[0-9]+$/.test(value.text)) {
    const number_ = Number(value.text);
    if (Number.isSafeInteger(number_)) return number_;
  }
  throw bad(offset, `"${what}" is not an integer from 0 to 2^53`);
}

function string(writer: JsonWriter, key: string, value: string): void {
  writer.key(key);
  writer.string(value);
}

function number(writer: JsonWriter, key: string, value: number): void {
  writer.key(key);
  writer.raw(value);
}

function list<T>(
  writer: JsonWriter,
  key: string,
  items: readonly T[],
  print: (writer: JsonWriter, item: T) => void,
): void {
  writer.key(key);
  writer.open("[");
  for (const item of items) print(writer, item);
  writer.close("]");
}

function bad(offset: number, what: string): QevmError {
  return new QevmError("bad-description", `VMDESCRIPTION: ${what}`, { offset });
}
