import { QevmError } from "../errors.js";
import {
  JsonNumber,
  JsonObject,
  parseJson,
  printJson,
  type JsonLimits,
  type JsonMember,
  type JsonStyle,
  type JsonValue,
} from "./json.js";

/**
 * The schema that a VMDESCRIPTION text carries, typed. One object a device, a field, a nested struct; printing it gives
 * the text again.
 *
 * | JSON object | members, in QEMU's order                                                                          |
 * |-------------|---------------------------------------------------------------------------------------------------|
 * | top         | `configuration` (8.2 -), `page_size`, `devices`                                                   |
 * | device      | `name`, `instance_id`, then a struct; old-style handlers: `size`, `fields: [{name, size, type}]`   |
 * | struct      | `vmsd_name`, `version`, `fields`, `subsections` (only where there are any)                        |
 * | field       | `name`, `array_len` or `index`, `type`, `struct` or structs inlined (with duplicate keys), `size` |
 *
 * Source: QEMU migration/savevm.c, migration/vmstate.c (5.2 to 11.x).
 */
export interface VmDescription {
  /** Target page size in bytes. */
  pageSize: number;
  /** The configuration section as a struct, where the text has it (QEMU 8.2 and later). */
  configuration?: StructDescription;
  /** One a FULL section, in stream order. */
  devices: DeviceDescription[];
  /** The text form it was written in. */
  style: JsonStyle;
  /** True: {@link printVmDescription} gives the text that was parsed, character for character. */
  exact: boolean;
}

/** A vmsd: fields in wire order, then those subsections that are in the stream. */
export interface StructDescription {
  /** Absent in old-style handlers, which have no vmsd. */
  vmsdName?: string;
  version?: number;
  fields: FieldDescription[];
  subsections?: StructDescription[];
}

export interface DeviceDescription extends StructDescription {
  /** The section's idstr. */
  name: string;
  instanceId: number;
  /** Bytes of the whole payload; only old-style handlers say it. */
  size?: number;
}

export interface FieldDescription {
  name: string;
  /** This one object stands for so many consecutive elements. */
  arrayLength?: number;
  /** Number of the element in an array that is described element by element. */
  index?: number;
  type: string;
  /** For type `struct`. `null`: `"struct": {}`, which is how a NULL pointer was described up to QEMU 9.2. */
  struct?: StructDescription | null;
  /** Structs written into the field object itself: one for `vstruct` and `tmp`, one an element for queues and trees. */
  inlined?: StructDescription[];
  /** Bytes on the wire; of the first element where `arrayLength` is given. */
  size: number;
}

export interface ParseDescriptionOptions extends JsonLimits {
  /** Absolute byte offset of the text's first character, for errors. */
  offset?: number;
}

/**
 * Reads a VMDESCRIPTION text (Latin-1 decoded, so that characters are bytes).
 * @throws QevmError `bad-description` or `limit`, with the absolute offset
 */
export function parseVmDescription(text: string, options: ParseDescriptionOptions = {}): VmDescription {
  const offset = options.offset ?? 0;
  const top = new Members(expectObject(parseJson(text, offset, options), offset, "the description"), "the description");
  const configuration = top.optional("configuration", (value, at) => structOf(value, at, "configuration"));
  const pageSize = top.required("page_size", integer);
  const devices = top.required("devices", (value, at) => listOf(value, at, "devices", deviceOf));
  const description: VmDescription = {
    pageSize,
    ...(configuration === undefined ? {} : { configuration }),
    devices,
    style: text.startsWith("{ ") ? "spaced" : "compact",
    exact: false,
  };
  description.exact = printVmDescription(description) === text;
  return description;
}

/** The text of a description in its own style, as the matching QEMU would write it. */
export function printVmDescription(description: VmDescription): string {
  const top = new JsonObject();
  if (description.configuration !== undefined) put(top, "configuration", fromStruct(description.configuration));
  put(top, "page_size", number(description.pageSize));
  put(top, "devices", description.devices.map(fromDevice));
  return printJson(top, description.style);
}

function deviceOf(value: JsonValue, offset: number): DeviceDescription {
  const members = new Members(expectObject(value, offset, "a device"), "a device");
  const name = members.required("name", string);
  const instanceId = members.required("instance_id", integer);
  const size = members.optional("size", integer);
  return { name, instanceId, ...(size === undefined ? {} : { size }), ...structFrom(members) };
}

function fromDevice(device: DeviceDescription): JsonObject {
  const object = new JsonObject();
  put(object, "name", device.name);
  put(object, "instance_id", number(device.instanceId));
  if (device.size === undefined) {
    putStruct(object, device);
  } else {
    put(object, "size", number(device.size));
    put(object, "fields", device.fields.map(fromOldStyleField));
  }
  return object;
}

/** Old-style handlers describe their one field in another order. */
function fromOldStyleField(field: FieldDescription): JsonObject {
  const object = new JsonObject();
  put(object, "name", field.name);
  put(object, "size", number(field.size));
  put(object, "type", field.type);
  return object;
}

function structOf(value: JsonValue, offset: number, what = "a struct"): StructDescription {
  return structFrom(new Members(expectObject(value, offset, what), what));
}

function structFrom(members: Members): StructDescription {
  const vmsdName = members.optional("vmsd_name", string);
  const version = members.optional("version", integer);
  const fields = members.required("fields", (value, at) => listOf(value, at, "fields", fieldOf));
  const subsections = members.optional("subsections", (value, at) =>
    listOf(value, at, "subsections", (item, itemAt) => {
      const subsection = structOf(item, itemAt, "a subsection");
      if (subsection.vmsdName === undefined || subsection.version === undefined) {
        throw bad(itemAt, "a subsection without vmsd_name or version");
      }
      return subsection;
    }),
  );
  return {
    ...(vmsdName === undefined ? {} : { vmsdName }),
    ...(version === undefined ? {} : { version }),
    fields,
    ...(subsections === undefined ? {} : { subsections }),
  };
}

function fromStruct(struct: StructDescription): JsonObject {
  const object = new JsonObject();
  putStruct(object, struct);
  return object;
}

function putStruct(object: JsonObject, struct: StructDescription): void {
  if (struct.vmsdName !== undefined) put(object, "vmsd_name", struct.vmsdName);
  if (struct.version !== undefined) put(object, "version", number(struct.version));
  put(object, "fields", struct.fields.map(fromField));
  if (struct.subsections !== undefined) put(object, "subsections", struct.subsections.map(fromStruct));
}

function fieldOf(value: JsonValue, offset: number): FieldDescription {
  const object = expectObject(value, offset, "a field");
  const members = new Members(object, "a field");
  const field: FieldDescription = {
    name: members.required("name", string),
    type: members.required("type", string),
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

/** The structs written into a field object itself: each begins with another `vmsd_name`. */
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

function fromField(field: FieldDescription): JsonObject {
  const object = new JsonObject();
  put(object, "name", field.name);
  if (field.arrayLength !== undefined) put(object, "array_len", number(field.arrayLength));
  if (field.index !== undefined) put(object, "index", number(field.index));
  put(object, "type", field.type);
  if (field.struct !== undefined) {
    put(object, "struct", field.struct === null ? new JsonObject() : fromStruct(field.struct));
  }
  for (const struct of field.inlined ?? []) putStruct(object, struct);
  put(object, "size", number(field.size));
  return object;
}

/** The members of one object; the first of duplicates counts. Unknown members are passed over (the text is then not `exact`). */
class Members {
  private readonly byKey = new Map<string, JsonMember>();

  constructor(
    private readonly object: JsonObject,
    private readonly what: string,
  ) {
    for (const member of object.members) if (!this.byKey.has(member.key)) this.byKey.set(member.key, member);
  }

  required<T>(key: string, read: (value: JsonValue, offset: number, what: string) => T): T {
    const member = this.byKey.get(key);
    if (member === undefined) throw bad(this.object.offset, `${this.what} without "${key}"`);
    return read(member.value, member.offset, key);
  }

  optional<T>(key: string, read: (value: JsonValue, offset: number, what: string) => T): T | undefined {
    const member = this.byKey.get(key);
    return member === undefined ? undefined : read(member.value, member.offset, key);
  }
}

function listOf<T>(value: JsonValue, offset: number, what: string, read: (item: JsonValue, offset: number) => T): T[] {
  if (!Array.isArray(value)) throw bad(offset, `"${what}" is not an array`);
  return value.map((item) => read(item, item instanceof JsonObject ? item.offset : offset));
}

function expectObject(value: JsonValue, offset: number, what: string): JsonObject {
  if (value instanceof JsonObject) return value;
  throw bad(offset, `${what} is not an object`);
}

function string(value: JsonValue, offset: number, what: string): string {
  if (typeof value === "string") return value;
  throw bad(offset, `"${what}" is not a string`);
}

function integer(value: JsonValue, offset: number, what: string): number {
  if (value instanceof JsonNumber && /^[0-9]+$/.test(value.text) && Number.isSafeInteger(Number(value.text))) {
    return Number(value.text);
  }
  throw bad(offset, `"${what}" is not an integer from 0 to 2^53`);
}

function number(value: number): JsonNumber {
  return new JsonNumber(String(value));
}

function put(object: JsonObject, key: string, value: JsonValue): void {
  object.members.push({ key, value, offset: 0 });
}

function bad(offset: number, what: string): QevmError {
  return new QevmError("bad-description", `VMDESCRIPTION: ${what}`, { offset });
}
