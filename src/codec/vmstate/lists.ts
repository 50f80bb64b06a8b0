import { refuse, spend, type DecodeContext, type EncodeContext } from "./context.js";
import type { FieldDescription, StructDescription } from "./description.js";
import { describeValue } from "./primitives.js";
import { isStructState, isTreeNode, type FieldValue, type StructState, type TreeNode } from "./state.js";

/**
 * Queues and trees. Structs inlined into the field object under duplicate keys describe the elements, one each (for
 * trees with struct keys: key, value, key, value, ...). The presence bytes are not described.
 *
 * | `qtailq`, `qlist`                 | `gtree`                                                                      |
 * |-----------------------------------|------------------------------------------------------------------------------|
 * | { u8 1, element } ... then u8 0   | be32 count, { u8 1, key (be64 or struct), value } ... then u8 0                |
 *
 * Source: QEMU migration/vmstate-types.c (5.2 to 11.x).
 */
export function decodeList(ctx: DecodeContext, entry: FieldDescription): StructState[] {
  const described = entry.inlined ?? [];
  const elements: StructState[] = [];
  while (presentElement(ctx)) {
    elements.push(ctx.struct(ctx, elementAt(ctx, described, elements.length)));
  }
  checkCount(ctx, described.length, elements.length);
  return elements;
}

export function encodeList(ctx: EncodeContext, entry: FieldDescription, value: FieldValue): void {
  const described = entry.inlined ?? [];
  if (!Array.isArray(value) || (!ctx.shared && value.length !== described.length)) {
    throw refuse(ctx, "the list does not fit its description", `${described.length} elements`, describeValue(value));
  }
  const depth = ctx.path.length;
  for (const [index, element] of value.entries()) {
    marker(ctx, depth, `[${index}]`, 1);
    ctx.at?.(ctx.path, ctx.writer.offset);
    encodeOne(ctx, described, element);
  }
  marker(ctx, depth, "(end)", 0);
  ctx.path.length = depth;
}

export function decodeTree(ctx: DecodeContext, entry: FieldDescription): TreeNode[] {
  const { reader } = ctx;
  const at = reader.offset;
  const count = reader.u32();
  const described = entry.inlined ?? [];
  const direct = described.length <= count;
  const nodes: TreeNode[] = [];
  let next = 0;
  while (presentElement(ctx)) {
    const key = direct ? reader.u64() : ctx.struct(ctx, elementAt(ctx, described, next++));
    nodes.push({ key, value: ctx.struct(ctx, elementAt(ctx, described, next++)) });
  }
  if (nodes.length !== count) {
    throw reader.error("bad-length", "the tree has another number of nodes than it says", {
      offset: at,
      expected: `${count}`,
      found: `${nodes.length}`,
    });
  }
  checkCount(ctx, described.length, next);
  return nodes;
}

export function encodeTree(ctx: EncodeContext, entry: FieldDescription, value: FieldValue): void {
  const described = entry.inlined ?? [];
  if (!Array.isArray(value)) throw refuse(ctx, "not a tree", "an array of nodes", describeValue(value));
  const nodes = value.filter((node) => isTreeNode(node));
  const structs = nodes.length + nodes.filter((node) => typeof node.key !== "bigint").length;
  if (nodes.length !== value.length || (!ctx.shared && structs !== described.length)) {
    throw refuse(ctx, "the tree does not fit its description", `${described.length} structs`, `${structs}`);
  }
  ctx.writer.u32(nodes.length);
  const depth = ctx.path.length;
  for (const [index, node] of nodes.entries()) {
    marker(ctx, depth, `[${index}]`, 1);
    ctx.at?.(ctx.path, ctx.writer.offset);
    if (typeof node.key === "bigint") ctx.writer.u64(node.key);
    else encodeOne(ctx, described, node.key);
    encodeOne(ctx, described, node.value);
  }
  marker(ctx, depth, "(end)", 0);
  ctx.path.length = depth;
}

function encodeOne(ctx: EncodeContext, described: readonly StructDescription[], element: FieldValue): void {
  if (!isStructState(element) || !described.includes(element.description)) {
    throw refuse(ctx, "not a struct of this list", "a struct", describeValue(element));
  }
  ctx.struct(ctx, element);
}

/** Elements without their own description occur only where one description is shared by a whole array. */
function elementAt(ctx: DecodeContext, described: readonly StructDescription[], index: number): StructDescription {
  const struct = described[index] ?? (ctx.shared ? described[described.length - 1] : undefined);
  if (struct === undefined) {
    throw ctx.reader.error("bad-description", "the list is longer than its description", {
      expected: `${described.length} structs`,
    });
  }
  return struct;
}

function checkCount(ctx: DecodeContext, expected: number, found: number): void {
  if (ctx.shared || expected === found) return;
  throw ctx.reader.error("bad-description", "the list is shorter than its description", {
    expected: `${expected} structs`,
    found: `${found}`,
  });
}

/** Reads the presence byte before an element, or the 0 that ends the list. */
export function presentElement(ctx: DecodeContext): boolean {
  const at = ctx.reader.offset;
  const byte = ctx.reader.u8();
  if (byte > 1) {
    throw ctx.reader.error("bad-value", "no presence byte here", {
      offset: at,
      expected: "0 or 1",
      found: `0x${byte.toString(16)}`,
    });
  }
  spend(ctx, 1);
  return byte === 1;
}

/** The byte before an element, or at the end. */
function marker(ctx: EncodeContext, depth: number, step: string, value: number): void {
  ctx.path.length = depth;
  ctx.path[depth] = step;
  ctx.at?.(ctx.path, ctx.writer.offset);
  ctx.writer.u8(value);
}
