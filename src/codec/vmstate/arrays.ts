import { checkSize, checkWritten, refuse, spend, Weight, type DecodeContext, type EncodeContext } from "./context.js";
import type { FieldDescription } from "./description.js";
import { decodeElement, encodeElement, structKind } from "./elements.js";
import type { FieldGroup, Layout, Run } from "./groups.js";
import { describeValue, primitive } from "./primitives.js";
import type { FieldValue } from "./state.js";

/**
 * Arrays: elements back to back, no count on the wire. Pointers:
 *
 * | byte | meaning                                                                                   |
 * |------|-------------------------------------------------------------------------------------------|
 * | 0x30 | NULL: nothing follows                                                                     |
 * | 0x31 | an element follows (only in "auto alloc" arrays of 11.x, where every element has a marker) |
 *
 * Source: QEMU migration/vmstate.c, migration/vmstate-types.c (5.2 to 11.x).
 */
const NULL_MARKER = 0x30;
const PRESENT_MARKER = 0x31;

export function decodeArray(ctx: DecodeContext, group: FieldGroup): FieldValue[] {
  const { layouts } = group;
  // The description of an array of one object may hide NULL pointers. That reading is considered only when such a byte
  // is seen.
  const sealed = group.entries.length === 1 && layouts.length > 1;
  const { way, place } = ctx.choices.take(sealed ? 1 : layouts.length);
  const layout = layouts[way]!;
  const values: FieldValue[] = [];
  for (const run of layout.runs) {
    const width = run.isNull || layout.nullable ? undefined : primitive(run.entry.type);
    if (width !== undefined) {
      if (width.size !== run.size) throw ctx.reader.error("bad-description", "the size does not fit the type");
      if (sealed && sees(ctx, run, width.size)) ctx.choices.widen(place, 2);
      checkRoom(ctx, run, layout.nullable);
      for (let i = 0; i < run.count; i++) values.push(width.read(ctx.reader));
    } else {
      checkRoom(ctx, run, layout.nullable);
      for (let i = 0; i < run.count; i++) {
        if (sealed && ctx.reader.peek() === NULL_MARKER) ctx.choices.widen(place, 2);
        values.push(decodeMember(ctx, run, layout, i));
      }
    }
  }
  return values;
}

function decodeMember(ctx: DecodeContext, run: Run, layout: Layout, i: number): FieldValue {
  const { reader } = ctx;
  const { entry } = run;
  const { shared } = ctx;
  reader.path.push(`[${i}]`);
  const from = reader.position;
  let value: FieldValue;
  if (run.isNull || (layout.nullable && isNullHere(ctx, entry))) {
    value = decodeNull(ctx);
  } else {
    if (run.marked) expectMarker(ctx, PRESENT_MARKER);
    const body = reader.position;
    ctx.shared = shared || i > 0;
    value = decodeElement(ctx, entry);
    ctx.shared = shared;
    if (run.marked && !shared) checkSize(ctx, body, run.size, "the element");
  }
  if (!run.marked && i === 0 && !shared) checkSize(ctx, from, run.size, "the first element");
  reader.path.pop();
  return value;
}

export function encodeArray(ctx: EncodeContext, group: FieldGroup, value: FieldValue): void {
  const layout = layoutFor(group, value);
  if (layout === undefined || !Array.isArray(value)) {
    throw refuse(ctx, "the array does not fit its description", describeLayouts(group), describeValue(value));
  }
  const { shared, writer } = ctx;
  const depth = ctx.path.length;
  let at = 0;
  for (const run of layout.runs) {
    for (let i = 0; i < run.count; i++) {
      const element = value[at]!;
      ctx.path[depth] = `[${at++}]`;
      ctx.at?.(ctx.path, writer.offset);
      const from = writer.offset;
      if (element === null) {
        encodeNull(ctx, element);
      } else {
        if (run.marked) writer.u8(PRESENT_MARKER);
        ctx.shared = shared || i > 0;
        encodeElement(ctx, run.entry, element);
        ctx.shared = shared;
      }
      if (i === 0 && !shared) checkWritten(ctx, from, run.size + (run.marked ? 1 : 0));
    }
  }
  ctx.path.length = depth;
}

/** The layout of the description that these values fit, by their number and the positions of NULL pointers. */
export function layoutFor(group: FieldGroup, value: unknown): Layout | undefined {
  if (!Array.isArray(value)) return undefined;
  return group.layouts.find((layout) => {
    if (layout.length !== value.length) return false;
    let at = 0;
    for (const run of layout.runs) {
      for (let i = 0; i < run.count; i++, at++) {
        if (layout.nullable ? run.entry.struct === null && value[at] !== null : (value[at] === null) !== run.isNull) {
          return false;
        }
      }
    }
    return true;
  });
}

/** The permitted lengths of an array, for errors. */
export function describeLayouts(group: FieldGroup): string {
  const lengths = [...new Set(group.layouts.map((layout) => layout.length))];
  return `an array of ${lengths.join(" or ")}, null where the description has NULL pointers`;
}

/** Decodes one NULL pointer. */
export function decodeNull(ctx: DecodeContext): null {
  expectMarker(ctx, NULL_MARKER);
  return null;
}

export function encodeNull(ctx: EncodeContext, value: FieldValue): void {
  if (value !== null) throw refuse(ctx, "the description has a NULL pointer here", "null", describeValue(value));
  ctx.writer.u8(NULL_MARKER);
}

function expectMarker(ctx: DecodeContext, marker: number): void {
  const at = ctx.reader.offset;
  const byte = ctx.reader.u8();
  if (byte !== marker) {
    throw ctx.reader.error("bad-value", marker === NULL_MARKER ? "no NULL marker here" : "no pointer marker here", {
      offset: at,
      expected: `0x${marker.toString(16)}`,
      found: `0x${byte.toString(16)}`,
    });
  }
}

/** Whether this element is a NULL pointer, in an array that may hold some. A 0x30 may also be data. */
function isNullHere(ctx: DecodeContext, entry: FieldDescription): boolean {
  if (ctx.reader.peek() !== NULL_MARKER) return entry.struct === null;
  return entry.struct === null || ctx.choices.take(2).way === 0;
}

function sees(ctx: DecodeContext, run: Run, width: number): boolean {
  const count = Math.min(run.count, Math.ceil(ctx.reader.available / width));
  for (let i = 0; i < count; i++) if (ctx.reader.peek(i * width) === NULL_MARKER) return true;
  return false;
}

/** Refuses counts that exceed the available bytes or the budget, before memory is allocated. */
function checkRoom(ctx: DecodeContext, run: Run, nullable: boolean): void {
  const { reader } = ctx;
  const { entry, size, count } = run;
  const fixed = primitive(entry.type);
  const least = size === 0 ? 0 : run.isNull || nullable ? 1 : (fixed?.size ?? 1);
  if (count * least > reader.available) {
    throw reader.error("truncated", `the input ends inside an array of ${count} elements`, {
      expected: `at least ${count * least} bytes`,
      found: `${reader.available}`,
    });
  }
  const weight = run.isNull || fixed !== undefined || structKind(entry) !== undefined ? 1 : Weight.OBJECT;
  spend(ctx, count * (size === 0 && !run.isNull && !run.marked ? weight + Weight.NO_BYTES : weight));
}
