import { decodeArray, decodeNull, encodeArray, encodeNull } from "./arrays.js";
import { latin1, type QemuFileReader } from "../../bytes/index.js";
import { checkSize, checkWritten, refuse, spend, Weight, type DecodeContext, type EncodeContext } from "./context.js";
import type { StructDescription } from "./description.js";
import { decodeElement, encodeElement } from "./elements.js";
import { fieldGroups, isNull } from "./groups.js";
import { emptyRecord, type FieldValue, type StructState } from "./state.js";

/**
 * A struct on the wire: its fields in order, no tags, no padding; then its subsections.
 *
 * | subsection | size | field              |
 * |------------|------|--------------------|
 * | 0          | u8   | 0x05               |
 * | 1          | u8   | n, length of name  |
 * | 2          | n    | name, `parent/sub` |
 * | 2 + n      | be32 | version            |
 * | 6 + n      |      | a struct           |
 *
 * Source: QEMU migration/vmstate.c (5.2 to 11.x).
 */
const SUBSECTION = 0x05;

export function decodeStruct(ctx: DecodeContext, description: StructDescription): StructState {
  const { reader } = ctx;
  const groups = fieldGroups(description);
  spend(ctx, Weight.STRUCT + Weight.FIELD * groups.length);
  const fields = emptyRecord<FieldValue>();
  const depth = reader.path.length;
  const outer = ctx.vmsdName;
  ctx.vmsdName = description.vmsdName;
  for (const group of groups) {
    reader.path[depth] = group.key;
    if (group.isArray) {
      fields[group.key] = decodeArray(ctx, group);
    } else {
      const entry = group.entries[0]!;
      const from = reader.position;
      fields[group.key] = isNull(entry) ? decodeNull(ctx) : decodeElement(ctx, entry);
      if (!ctx.shared) checkSize(ctx, from, entry.size, `field "${group.key}"`);
    }
  }
  ctx.vmsdName = outer;
  const subsections: StructState[] = [];
  for (const subsection of description.subsections ?? []) {
    reader.path[depth] = `subsection "${subsection.vmsdName}"`;
    decodeSubsectionHead(ctx, subsection);
    subsections.push(decodeStruct(ctx, subsection));
  }
  reader.path.length = depth;
  return { description, fields, subsections };
}

export function encodeStruct(ctx: EncodeContext, state: StructState): void {
  const { description } = state;
  const depth = ctx.path.length;
  const groups = fieldGroups(description);
  const outer = ctx.vmsdName;
  ctx.vmsdName = description.vmsdName;
  for (const group of groups) {
    ctx.path[depth] = group.key;
    ctx.at?.(ctx.path, ctx.writer.offset);
    const value = state.fields[group.key];
    if (value === undefined) throw refuse(ctx, "the field has no value");
    if (group.isArray) {
      encodeArray(ctx, group, value);
    } else {
      const entry = group.entries[0]!;
      const from = ctx.writer.offset;
      if (isNull(entry)) encodeNull(ctx, value);
      else encodeElement(ctx, entry, value);
      if (!ctx.shared) checkWritten(ctx, from, entry.size);
    }
  }
  ctx.vmsdName = outer;
  ctx.path.length = depth;
  if (Object.keys(state.fields).length !== groups.length) {
    const known = new Set(groups.map((group) => group.key));
    const extra = Object.keys(state.fields).filter((key) => !known.has(key));
    throw refuse(ctx, "values that the description does not know", undefined, extra.join(", "));
  }
  const expected = description.subsections ?? [];
  if (state.subsections.length !== expected.length) {
    throw refuse(ctx, "wrong number of subsections", `${expected.length}`, `${state.subsections.length}`);
  }
  for (const [index, subsection] of state.subsections.entries()) {
    const described = expected[index]!;
    ctx.path[depth] = `subsection "${described.vmsdName}"`;
    if (subsection.description !== described) throw refuse(ctx, "another subsection than the description says");
    ctx.at?.(ctx.path, ctx.writer.offset);
    ctx.writer.u8(SUBSECTION);
    ctx.writer.string8(described.vmsdName!, "subsection name");
    ctx.writer.u32(described.version!);
    encodeStruct(ctx, subsection);
  }
  ctx.path.length = depth;
}

/**
 * The name of the subsection of `struct` at the reader's position, recognised as in QEMU's loader; undefined if there
 * is none.
 */
export function subsectionAhead(reader: QemuFileReader, struct: StructDescription): string | undefined {
  const n = reader.peek(1);
  if (reader.peek() !== SUBSECTION || struct.vmsdName === undefined || n <= struct.vmsdName.length) return undefined;
  if (reader.available < 2 + n) return undefined;
  const name = latin1(reader.buffer.subarray(reader.position + 2, reader.position + 2 + n));
  return name.startsWith(struct.vmsdName) ? name : undefined;
}

export function decodeSubsectionHead(ctx: DecodeContext, subsection: StructDescription): void {
  const { reader } = ctx;
  let at = reader.offset;
  const type = reader.u8();
  if (type !== SUBSECTION) {
    throw reader.error("bad-value", "no subsection here", {
      offset: at,
      expected: "0x05",
      found: `0x${type.toString(16)}`,
    });
  }
  at = reader.offset;
  const name = reader.string8("subsection name");
  if (name !== subsection.vmsdName) {
    throw reader.error("bad-value", "another subsection", {
      offset: at,
      expected: JSON.stringify(subsection.vmsdName),
      found: JSON.stringify(name),
    });
  }
  at = reader.offset;
  const version = reader.u32();
  if (version !== subsection.version) {
    throw reader.error("bad-value", "the subsection has another version", {
      offset: at,
      expected: `${subsection.version}`,
      found: `${version}`,
    });
  }
}
