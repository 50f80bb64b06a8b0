import { QevmError } from "../../../bytes/errors.js";
import { latin1, type QemuFileReader } from "../../../bytes/index.js";
import { isZero } from "../../../bytes/zero.js";
import { decodeArray, decodeNull } from "../arrays.js";
import { Choices, spend, Weight } from "../context.js";
import type { FieldDescription, StructDescription } from "../description.js";
import { decodeElement } from "../elements.js";
import { fieldGroups } from "../groups.js";
import { presentElement } from "../lists.js";
import { primitive } from "../primitives.js";
import { privateCodec, recordLength, tryRecord } from "../private/index.js";
import { capabilitiesOf, msixSize, msixVectors } from "../private/pci.js";
import type { PrivateCodec } from "../private/walk.js";
import { isRecordValue } from "../state.js";
import { decodeSubsectionHead, subsectionAhead } from "../struct.js";
import { conditionsOf, type Conditions } from "./conditions.js";
import type { Book, GroupData, Layout } from "./data.js";
import { choose, pick, type FitContext } from "./fit-context.js";

const SUBSECTION = 0x05;
/** Elements of an array of any length at most. */
const MOST_ELEMENTS = 1024;
/** Bytes of a private field of any size at most. */
const FARTHEST = 1 << 20;

/** Fits a layout to the bytes at the reader: the description that says exactly them. Errors: bad-description, bad-value. */
export function fitStruct(ctx: FitContext, layout: Layout): StructDescription {
  const { reader } = ctx;
  const depth = reader.path.length;
  const { numbers, vmsdName, alone } = ctx;
  ctx.numbers = new Map();
  ctx.alone = layout.fields.filter(({ a, i }) => a !== undefined || i !== undefined).length <= 1;
  ctx.vmsdName = layout.name;
  spend(ctx, Weight.STRUCT + Weight.FIELD * layout.fields.length);
  const fields: FieldDescription[] = [];
  const conditions = conditionsOf(layout.name);
  for (const group of layout.fields) {
    reader.path[depth] = group.n;
    if (conditions !== undefined) checkCondition(ctx, conditions, group.n);
    fields.push(...fitGroup(ctx, group));
  }
  for (const [field, by] of Object.entries(conditions ?? {})) {
    if (ctx.numbers.get(by) && !layout.fields.some(({ n }) => n === field)) {
      throw reader.error("bad-description", `no ${JSON.stringify(field)}, which ${JSON.stringify(by)} says is there`);
    }
  }
  ctx.numbers = numbers;
  ctx.alone = alone;
  const struct: StructDescription = { fields };
  if (layout.name !== undefined) struct.vmsdName = layout.name;
  if (layout.version !== undefined) struct.version = layout.version;
  const subsections: StructDescription[] = [];
  for (let name = subsectionAhead(reader, struct); name !== undefined; name = subsectionAhead(reader, struct)) {
    reader.path[depth] = `subsection ${JSON.stringify(name)}`;
    const known = ctx.book.subsections.get(layout.name!)?.filter((one) => one.name === name) ?? [];
    const found = choose(ctx, known, name);
    decodeSubsectionHead(ctx, { vmsdName: name, version: found.version ?? 0, fields: [] });
    subsections.push(fitStruct(ctx, found));
  }
  ctx.vmsdName = vmsdName;
  reader.path.length = depth;
  if (subsections.length > 0) struct.subsections = subsections;
  return struct;
}

function checkCondition(ctx: FitContext, conditions: Conditions, field: string): void {
  const by = conditions[field];
  if (by === undefined || ctx.numbers.get(by)) return;
  throw ctx.reader.error("bad-description", `${JSON.stringify(by)} says that it is not there`);
}

/** The number that a field before it gives, or one of those seen. */
function count(ctx: FitContext, seen: readonly number[], group: GroupData, isPrivate = false): number {
  if (seen.length === 1 && !(ctx.open && isPrivate)) return seen[0]!;
  for (const name of seen.length === 1 ? [] : (group.r ?? [])) {
    const number = ctx.numbers.get(name);
    if (number !== undefined) return number;
  }
  // What had one length in all captures is taken to have it always.
  const possible = ctx.open ? [...new Set([...seen, ...endingAfter(ctx, group)])] : seen;
  const found = possible[pick(ctx, group, possible.length)]!;
  if (!isPrivate && !ctx.alone && !seen.includes(found)) ctx.guessed = true;
  return found;
}

/** Numbers of elements (or bytes) after which the section can end, or a subsection can follow. */
function endingAfter(ctx: FitContext, group: GroupData): number[] {
  const { reader } = ctx;
  const from = reader.position;
  const depth = reader.path.length;
  const found: number[] = [];
  const isBytes = group.a === undefined && group.i === undefined;
  const trial: FitContext = { ...ctx, open: false, choices: new Choices(), chosen: new Map(ctx.chosen) };
  try {
    for (let n = 0; n <= (isBytes ? FARTHEST : MOST_ELEMENTS) && reader.offset <= ctx.last; n++) {
      if (ctx.endsAt(reader.offset) || isSubsection(reader)) found.push(n);
      if (isBytes) reader.skip(1);
      else fitElement(trial, group, 1);
    }
  } catch (error) {
    if (!(error instanceof QevmError)) throw error;
  } finally {
    reader.position = from;
    reader.path.length = depth;
  }
  return found;
}

/** Whether a subsection of any vmsd could begin here: a name with a slash. */
function isSubsection(reader: QemuFileReader): boolean {
  const n = reader.peek(1);
  if (reader.peek() !== SUBSECTION || n < 3 || reader.available < 6 + n) return false;
  return /^[\w .-]+\/[\w ./-]+$/u.test(latin1(reader.buffer.subarray(reader.position + 2, reader.position + 2 + n)));
}

function fitGroup(ctx: FitContext, group: GroupData): readonly FieldDescription[] {
  if (group.e !== undefined) {
    const entries = group.e.map((entry) => literal(ctx.book, entry));
    return fitAsDescribed(ctx, entries);
  }
  if (group.a !== undefined) {
    const arrayLength = count(ctx, group.a, group);
    // QEMU does not describe an array of no elements, and one of one element as no array.
    if (arrayLength === 0) return [];
    const from = ctx.reader.position;
    const { budget } = ctx;
    const first = fitElement(ctx, group, arrayLength);
    ctx.reader.position = from;
    ctx.budget = budget;
    return fitAsDescribed(ctx, [arrayLength === 1 ? first : { ...first, arrayLength }]);
  }
  if (group.i !== undefined) {
    const length = count(ctx, group.i, group);
    if (length === 1) return [fitElement(ctx, group, 1)];
    return Array.from({ length }, (_, index) => ({ ...fitElement(ctx, group, 1), index }));
  }
  return [fitElement(ctx, group, 1)];
}

/** Objects that leave nothing open. */
function fitAsDescribed(ctx: FitContext, entries: FieldDescription[]): FieldDescription[] {
  const struct: StructDescription = { fields: entries };
  if (ctx.vmsdName !== undefined) struct.vmsdName = ctx.vmsdName;
  const first = ctx.choices.place;
  for (const group of fieldGroups(struct)) decodeArray(ctx, group);
  ctx.readings.push([first, ctx.choices.place]);
  return entries;
}

/** One value, or the first of `length`. */
function fitElement(ctx: FitContext, group: GroupData, length: number): FieldDescription {
  const { reader } = ctx;
  const { n: name, t: type } = group;
  const from = reader.position;
  const fixed = primitive(type);
  if (fixed !== undefined) {
    const value = fixed.read(reader);
    if (ctx.strict && fixed.isBool && typeof value !== "boolean")
      throw reader.error("bad-value", "a bool of another value");
    if ((typeof value === "number" || typeof value === "boolean") && length === 1) ctx.numbers.set(name, Number(value));
    return { name, type, size: fixed.size };
  }
  if (type === "gtree") return fitTree(ctx, group);
  if (type === "qtailq" || type === "qlist") {
    const inlined: StructDescription[] = [];
    while (presentElement(ctx)) inlined.push(fitOneOf(ctx, group.l ?? []));
    const size = reader.position - from;
    return inlined.length === 0 ? { name, type, size } : { name, type, inlined, size };
  }
  if (type === "nullptr" || type === "ptr-marker" || group.l?.length === 0) {
    decodeNull(ctx);
    return group.l === undefined ? { name, type, size: 1 } : { name, type, struct: null, size: 1 };
  }
  if (group.l !== undefined) {
    const struct = fitOneOf(ctx, group.l);
    const size = reader.position - from;
    return type === "struct" ? { name, type, struct, size } : { name, type, inlined: [struct], size };
  }
  return fitSized(ctx, group);
}

function fitOneOf(ctx: FitContext, ids: readonly number[]): StructDescription {
  const layouts = ids.map((id) => ctx.book.layouts[id]!);
  const isAny = ctx.each || conditionsOf(layouts[0]?.name) !== undefined;
  const key = ids.join(" ");
  return fitStruct(ctx, choose(ctx, isAny ? likely(ctx.book, layouts, key) : layouts, key));
}

/** What {@link likely} found in a book's layouts: at most one list for each list of layouts that a group has. */
const alike = new WeakMap<Book, Map<string, readonly Layout[]>>();

/** The layouts, and then all others of their vmsds in their versions. @param key their numbers in the book */
function likely(book: Book, seen: readonly Layout[], key: string): readonly Layout[] {
  const known = alike.get(book) ?? new Map<string, readonly Layout[]>();
  alike.set(book, known);
  let all = known.get(key);
  if (all === undefined) {
    const isAlike = (one: Layout): boolean =>
      one.name !== undefined && seen.some(({ name, version }) => name === one.name && version === one.version);
    all = [...new Set([...seen, ...book.layouts.filter((one) => isAlike(one))])];
    known.set(key, all);
  }
  return all;
}

function fitTree(ctx: FitContext, { n: name, t: type, l = [], k }: GroupData): FieldDescription {
  const { reader } = ctx;
  const from = reader.position;
  const inlined: StructDescription[] = [];
  reader.u32();
  while (presentElement(ctx)) {
    if (k === undefined) reader.u64();
    else inlined.push(fitOneOf(ctx, k));
    inlined.push(fitOneOf(ctx, l));
  }
  const size = reader.position - from;
  return inlined.length === 0 ? { name, type, size } : { name, type, inlined, size };
}

/** The size of a private field by what is in it or before it. */
function ownSize({ reader, vectors }: FitContext, type: string, codec: PrivateCodec | undefined): number | undefined {
  if (type === "msix state") return vectors > 0 ? msixSize(vectors) : undefined;
  if (type !== "virtio" || codec === undefined) return undefined;
  // More fields follow it: of a kind without a device part.
  return recordLength(codec, reader.buffer.subarray(reader.position, reader.end));
}

/** Bytes whose number the layout gives. */
function fitSized(ctx: FitContext, group: GroupData): FieldDescription {
  const { reader } = ctx;
  const { n: name, t: type, s = [] } = group;
  const codec = privateCodec(type, ctx);
  const size = ownSize(ctx, type, codec) ?? count(ctx, s, group, codec !== undefined);
  const entry: FieldDescription = { name, type, size };
  const bytes = reader.buffer.subarray(reader.position, reader.position + size);
  const value = decodeElement(ctx, entry);
  if (type === "unused_buffer" && !isZero(bytes)) {
    throw reader.error("bad-value", "unused bytes that are not 0");
  }
  const isOnlySize = s.length === 1 && s[0] === size;
  if (codec !== undefined && !isOnlySize && tryRecord(codec, bytes) === undefined) {
    // With one size only, or at the section's end, what the codec does not take may stay bytes, as with a description.
    if (!ctx.open || !ctx.endsAt(reader.offset)) {
      throw reader.error("bad-value", `this is not ${JSON.stringify(type)}`);
    }
    ctx.guessed ||= !s.includes(size);
  }
  if (type === "pci config") ctx.vectors = isRecordValue(value) ? msixVectors(capabilitiesOf(bytes)) : 0;
  return entry;
}

/** The object of a description of a group, without what bytes would say. */
function literal(book: Book, { n: name, t: type, s, a, i, l }: GroupData): FieldDescription {
  const entry: FieldDescription = { name, type, size: s?.[0] ?? 1 };
  if (a?.[0] !== undefined) entry.arrayLength = a[0];
  if (i?.[0] !== undefined) entry.index = i[0];
  const [id] = l ?? [];
  if (l !== undefined && id === undefined) entry.struct = null;
  if (id !== undefined) {
    const { name: vmsdName, version, fields } = book.layouts[id]!;
    const struct: StructDescription = {
      fields: fields.flatMap((one) => (one.e ?? [one]).map((e) => literal(book, e))),
    };
    if (vmsdName !== undefined) struct.vmsdName = vmsdName;
    if (version !== undefined) struct.version = version;
    if (type === "struct") entry.struct = struct;
    else entry.inlined = [struct];
  }
  return entry;
}
