import {
  fieldGroups,
  isRecordValue,
  isStructState,
  measureStruct,
  measureValue,
  type DeviceState,
  type FieldDescription,
  type FieldGroup,
  type FieldValue,
  type StructDescription,
  type StructState,
} from "../../codec/vmstate/index.js";
import { releaseNumber } from "../../guest/machines/index.js";
import { convertScalar, resizeBytes } from "./convert-values.js";
import { aligned } from "./align.js";
import { isZero, type MergeContext } from "./context.js";
import { withMovedFields } from "./moved-fields.js";
import { describedBy, rebind } from "./rebind.js";
import { configuredField, layoutField, subsectionRule, PRIVATE_MERGES } from "./rules/index.js";
import type { SubsectionRule } from "./rules/types.js";

/** A field of the result: the objects that describe it, and its value. */
interface Merged {
  entries: readonly FieldDescription[];
  value: FieldValue;
}

/**
 * The guest's state of a device in the shape that the destination takes. What differs is noted; nothing is thrown for
 * it.
 *
 * | old and pattern                          | taken                                                            |
 * |------------------------------------------|------------------------------------------------------------------|
 * | a field of both                          | the old value, in the pattern's width                            |
 * | only old, same vmsd and version          | the old field: whether it is there depends on the state          |
 * | only old, older version                  | the old field: QEMU loads what its own older versions wrote;      |
 * |                                          | left out of a struct inside, whose version the stream does not say |
 * | only old, newer version                  | left out                                                         |
 * | only pattern, older version in old       | left out: QEMU knows that older versions lack it                 |
 * | only pattern, else                       | the pattern's: what a machine that has not run has is how it is made |
 * | a buffer, and a field that says its length | the old ones                                                   |
 * | a subsection                             | the old ones that the destination knows; QEMU's default for others |
 */
export function mergeDevice(old: DeviceState, pattern: DeviceState, ctx: MergeContext): DeviceState {
  const merged = mergeStruct(withMovedFields(old, pattern, ctx), pattern, ctx, true);
  const { name, instanceId, size } = pattern.description;
  const { fields, subsections, vmsdName, version } = merged.description;
  const description = {
    name,
    instanceId,
    ...(vmsdName === undefined ? {} : { vmsdName }),
    ...(version === undefined ? {} : { version }),
    fields,
    ...(subsections === undefined ? {} : { subsections }),
    ...(size === undefined ? {} : { size: old.description.size ?? size }),
  };
  return { ...merged, description, bytes: old.bytes };
}

/**
 * As {@link mergeDevice}, for a struct inside. Only sections and subsections say their version in the stream: QEMU loads
 * a struct inside them as one of its own version, whatever it was saved as (migration/vmstate.c, VMS_STRUCT).
 * @param versioned the stream says its version
 */
function mergeStruct(old: StructState, pattern: StructState, ctx: MergeContext, versioned: boolean): StructState {
  const keepsOlder = versioned && older(old.description, pattern.description);
  const version = keepsOlder ? old.description.version : pattern.description.version;
  const entries: FieldDescription[] = [];
  const values: FieldValue[] = [];
  for (const { key, mine, theirs } of aligned(old.description, pattern.description)) {
    const merged = ctx.within(key, () => mergeField(old, pattern, mine, theirs, keepsOlder, ctx));
    if (merged === undefined) continue;
    values.push(merged.value);
    entries.push(...merged.entries);
  }
  const subsections = mergeSubsections(old, pattern, ctx);
  const description: StructDescription = { fields: entries };
  const { vmsdName } = pattern.description;
  if (vmsdName !== undefined) description.vmsdName = vmsdName;
  if (version !== undefined) description.version = version;
  if (subsections.length > 0) description.subsections = subsections.map((one) => one.description);
  const fields: Record<string, FieldValue> = Object.create(null) as Record<string, FieldValue>;
  for (const [i, { key }] of fieldGroups(description).entries()) fields[key] = values[i]!;
  return { description, fields, subsections };
}

function mergeField(
  old: StructState,
  pattern: StructState,
  mine: FieldGroup | undefined,
  theirs: FieldGroup | undefined,
  keepsOlder: boolean,
  ctx: MergeContext,
): Merged | undefined {
  const { vmsdName } = pattern.description;
  if (mine !== undefined && theirs !== undefined) {
    if (mine.key !== theirs.key)
      ctx.note("renamed-field", "form", mine.key, theirs.key, "the same bytes under another name");
    const [value, like] = [old.fields[mine.key]!, pattern.fields[theirs.key]!];
    const layout = layoutField(vmsdName, theirs.key);
    if (hasOwnLength(old, value) && hasOwnLength(pattern, like)) return takenAs(mine, theirs, value);
    if (layout === undefined) return mergeGroup(mine, value, theirs, like, vmsdName, ctx);
    if (value !== like) ctx.note(layout.name, layout.weight, value, like, layout.reason);
    return { entries: theirs.entries, value: like };
  }
  if (mine !== undefined) {
    const value = old.fields[mine.key]!;
    const rule = configuredField(vmsdName, mine.key);
    const same = keepsOlder || old.description.version === pattern.description.version;
    if (rule === undefined && same) return { entries: mine.entries, value };
    const weight = isZero(value) && rule?.weight !== "never" ? "unused" : (rule?.weight ?? "guest");
    ctx.note(
      rule?.name ?? `field:${vmsdName ?? ""}/${mine.key}`,
      weight,
      value,
      undefined,
      rule?.reason ?? "the destination has no such field",
    );
    return undefined;
  }
  if (theirs === undefined || keepsOlder) return undefined;
  const rule = configuredField(vmsdName, theirs.key);
  const value = pattern.fields[theirs.key]!;
  ctx.note(
    rule?.name ?? `field:${vmsdName ?? ""}/${theirs.key}`,
    rule?.weight ?? "unused",
    undefined,
    value,
    rule?.reason ?? "the old stream has no such field: what the destination starts with",
  );
  return { entries: theirs.entries, value };
}

/** Whether a buffer is as long as another field of its struct says: its length is of the state, not of the layout. */
function hasOwnLength({ fields }: StructState, value: FieldValue): boolean {
  return value instanceof Uint8Array && Object.values(fields).includes(value.length);
}

/** The old value as it is, under the pattern's name. */
function takenAs(mine: FieldGroup, theirs: FieldGroup, value: FieldValue): Merged {
  const { name } = theirs.entries[0]!;
  return { entries: mine.entries.map((entry) => ({ ...entry, name })), value };
}

function mergeGroup(
  mine: FieldGroup,
  value: FieldValue,
  theirs: FieldGroup,
  pattern: FieldValue,
  vmsdName: string | undefined,
  ctx: MergeContext,
): Merged {
  const taken = takenAs(mine, theirs, value);
  if (mine.isArray || theirs.isArray) return mergeArray(mine, value, theirs, pattern, vmsdName, ctx);
  if (value === null || pattern === null) return taken;
  const entry = mine.entries[0]!;
  const like = theirs.entries[0]!;
  if (Array.isArray(value)) return mergeList(taken, value, ctx);
  const merged = mergeValue(entry, value, like, pattern, vmsdName, ctx);
  return merged === undefined ? taken : { entries: [{ ...merged.entry, name: like.name }], value: merged.value };
}

/** A list is as long as the state says: its elements are the old ones, without subsections that would be refused. */
function mergeList(taken: Merged, elements: readonly FieldValue[], ctx: MergeContext): Merged {
  const old = elements.filter((one) => isStructState(one));
  // The nodes of a tree are taken as they are.
  if (old.length !== elements.length) return taken;
  const merged = old.map((one, i) => ctx.within(`[${i}]`, () => mergeStruct(one, bare(one), ctx, false)));
  if (merged.every((one, i) => measureStruct(one) === measureStruct(old[i]!))) return taken;
  // Each element comes after a byte that says so, and a byte ends the list.
  const size = merged.reduce((sum, one) => sum + 1 + measureStruct(one), 1);
  const inlined = merged.map(({ description }) => description);
  return { entries: [{ ...taken.entries[0]!, inlined, size }], value: merged };
}

/** The same state without any subsection. */
function bare(state: StructState): StructState {
  const without = (value: FieldValue): FieldValue => {
    if (isStructState(value)) return bare(value);
    return Array.isArray(value) ? value.map((one: FieldValue) => without(one)) : value;
  };
  const fields = Object.entries(state.fields).map(([key, value]) => [key, without(value)] as const);
  return { ...state, fields: Object.fromEntries(fields), subsections: [] };
}

/** One value that is not an array; undefined: the old one as it is. */
function mergeValue(
  entry: FieldDescription,
  value: FieldValue,
  like: FieldDescription,
  pattern: FieldValue,
  vmsdName: string | undefined,
  ctx: MergeContext,
): { entry: FieldDescription; value: FieldValue } | undefined {
  if (isStructState(value) && isStructState(pattern)) {
    const merged = mergeStruct(value, pattern, ctx, false);
    return { entry: describing(entry, merged.description, measureStruct(merged)), value: merged };
  }
  const merge = entry.type === like.type ? PRIVATE_MERGES.get(entry.type) : undefined;
  if (merge !== undefined && isRecordValue(value) && isRecordValue(pattern)) {
    const merged = merge(value, pattern, ctx);
    // The size of a field is part of the layout of some: the pattern's.
    const size = measureValue({ ...entry, size: like.size }, merged, vmsdName);
    return { entry: { ...entry, size }, value: merged };
  }
  compareEqual(value, like, pattern, vmsdName, ctx);
  if (entry.type === like.type && entry.size === like.size) return undefined;
  const scalar = convertScalar(value, entry, like, ctx);
  if (scalar !== undefined) return { entry: like, value: scalar };
  if (value instanceof Uint8Array && pattern instanceof Uint8Array && isPlainBuffer(entry) && isPlainBuffer(like)) {
    return { entry: like, value: resizeBytes(value, pattern, ctx) };
  }
  return undefined;
}

/** QEMU compares such a field with what its own device has, and refuses another value. */
function compareEqual(
  value: FieldValue,
  { name, type }: FieldDescription,
  pattern: FieldValue,
  vmsdName: string | undefined,
  ctx: MergeContext,
): void {
  if (!type.endsWith(" equal") || typeof value !== typeof pattern || value === pattern) return;
  const reason = "the destination's device is made otherwise: QEMU compares this and takes no other value";
  const remedy = "the property of this device that sets it";
  ctx.note(`equal:${vmsdName ?? ""}/${name}`, "never", value, pattern, reason, remedy);
}

function isPlainBuffer({ type }: FieldDescription): boolean {
  return type === "buffer" || type === "unused_buffer";
}

/** Arrays: of one length as they are, or element by element; the pattern's length where the two differ. */
function mergeArray(
  mine: FieldGroup,
  value: FieldValue,
  theirs: FieldGroup,
  pattern: FieldValue,
  vmsdName: string | undefined,
  ctx: MergeContext,
): Merged {
  const taken = takenAs(mine, theirs, value);
  if (!Array.isArray(value) || !Array.isArray(pattern)) return taken;
  const structs = [...value, ...pattern].some((one) => isStructState(one) || isRecordValue(one));
  const compressed = mine.entries.length === 1 && theirs.entries.length === 1;
  const listed = mine.entries.length === value.length && theirs.entries.length === pattern.length;
  const like = theirs.entries[0]!;
  if (value.length === pattern.length && (!structs || !(compressed || listed))) return taken;
  if (value.length > pattern.length) {
    const rest = value.slice(pattern.length);
    const lost = isZero(rest);
    ctx.note(
      `array:${vmsdName ?? ""}/${mine.key}`,
      lost ? "unused" : "guest",
      value,
      pattern,
      lost ? "the elements left out hold nothing" : "the destination has fewer of them",
    );
  } else if (value.length < pattern.length) {
    ctx.note(`array:${vmsdName ?? ""}/${mine.key}`, "unused", value, pattern, "the others are as they start");
  }
  const values: FieldValue[] = [];
  const entries: FieldDescription[] = [];
  let shape: FieldDescription | undefined;
  for (const [i, theirsAt] of pattern.entries()) {
    const own = value[i] ?? theirsAt;
    const from = mine.entries[compressed ? 0 : i] ?? like;
    const to = theirs.entries[compressed ? 0 : i] ?? like;
    const merged = ctx.within(`[${i}]`, () => mergeValue(from, own, to, theirsAt, vmsdName, ctx));
    const element = merged?.value ?? own;
    // Elements of one object share its description.
    if (compressed && shape !== undefined && isStructState(element)) {
      values.push(rebind(element, describedBy(shape) ?? element.description));
      continue;
    }
    values.push(element);
    shape = merged?.entry ?? from;
    if (!compressed) entries.push(numbered(shape, to));
  }
  if (compressed && shape !== undefined) entries.push(numbered(shape, like));
  return entries.length === 0 ? { entries: theirs.entries, value: pattern } : { entries, value: values };
}

/** An element's object with the place in the array that the pattern's has. */
function numbered(entry: FieldDescription, { name, arrayLength, index }: FieldDescription): FieldDescription {
  const { arrayLength: _, index: __, ...rest } = entry;
  return {
    ...rest,
    name,
    ...(arrayLength === undefined ? {} : { arrayLength }),
    ...(index === undefined ? {} : { index }),
  };
}

function describing(entry: FieldDescription, description: StructDescription, size: number): FieldDescription {
  return entry.type === "struct" ? { ...entry, struct: description, size } : { ...entry, inlined: [description], size };
}

function mergeSubsections(old: StructState, pattern: StructState, ctx: MergeContext): StructState[] {
  return old.subsections.flatMap((mine) => {
    const name = mine.description.vmsdName ?? "";
    const step = `subsection ${name}`;
    const theirs = pattern.subsections.find((one) => one.description.vmsdName === name);
    if (theirs !== undefined) return [ctx.within(step, () => mergeStruct(mine, theirs, ctx, true))];
    const known = ctx.facts.subsections?.get(pattern.description.vmsdName ?? "");
    const rule = subsectionRule(name);
    const unknown = known === undefined ? isLacked(rule, ctx) : !known.has(name);
    if (!unknown) return [mine];
    const weight = rule?.harmless?.(mine) === true || isZero(mine) ? "unused" : (rule?.weight ?? "guest");
    const reason = rule?.reason ?? "the destination's QEMU knows no such state: it would be lost";
    ctx.within(step, () => ctx.note(rule?.name ?? `subsection:${name}`, weight, "there", undefined, reason));
    return [];
  });
}

/** Whether the destination's release, where it is known, is one without the subsection. */
function isLacked(rule: SubsectionRule | undefined, { facts: { release } }: MergeContext): boolean {
  const [is, last] = [releaseNumber(release), releaseNumber(rule?.lackedUpTo)];
  return is !== undefined && last !== undefined && is <= last;
}

/** Whether the old layout is an older version of the pattern's: QEMU loads those. */
function older(old: StructDescription, pattern: StructDescription): boolean {
  return (
    old.vmsdName === pattern.vmsdName &&
    old.version !== undefined &&
    pattern.version !== undefined &&
    old.version < pattern.version
  );
}
