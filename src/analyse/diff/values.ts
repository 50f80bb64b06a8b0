import { isNull, fieldGroups, Keys, type FieldGroup } from "../../codec/vmstate/groups.js";
import {
  deviceToPlain,
  isRecordValue,
  isStructState,
  isTreeNode,
  type FieldValue,
  type PlainValue,
  type StructState,
  type TreeNode,
} from "../../codec/vmstate/index.js";
import { byteRanges } from "./bytes.js";
import type { FieldDifference, FieldPlace, Side } from "./types.js";

/** Steps from a device to a value, as its encoder names them: field, `[3]`, `subsection "name"`. */
export type Steps = readonly string[];

/** What was found, the places still as steps. */
export type Found = { steps: Steps } & Unplaced;
type Unplaced = FieldDifference extends infer Each
  ? Each extends FieldPlace
    ? Omit<Each, keyof FieldPlace>
    : never
  : never;

/** Compares two states of one device (or struct) field by field and puts what differs into `found`. */
export function compareStructs(a: StructState, b: StructState, steps: Steps, found: Found[]): void {
  const [va, vb] = [a.description.version, b.description.version];
  // A device's own version is in its section header.
  if (steps.length > 0 && va !== vb && va !== undefined && vb !== undefined) {
    found.push({ steps, kind: "version", a: va, b: vb });
  }
  const groups = new Map(fieldGroups(b.description).map((group) => [group.key, group]));
  for (const group of fieldGroups(a.description)) {
    const other = groups.get(group.key);
    const at = [...steps, group.key];
    if (other === undefined) {
      only("a", at, a.fields[group.key]!, found);
      continue;
    }
    groups.delete(group.key);
    compareTypes(group, other, at, found);
    compareValues(a.fields[group.key]!, b.fields[group.key]!, at, found);
  }
  for (const key of groups.keys()) only("b", [...steps, key], b.fields[key]!, found);
  compareSubsections(a, b, steps, found);
}

function compareSubsections(a: StructState, b: StructState, steps: Steps, found: Found[]): void {
  const others = byName(b);
  for (const [name, subsection] of byName(a)) {
    const at = [...steps, `subsection "${name}"`];
    const other = others.get(name);
    if (other === undefined) only("a", at, subsection, found);
    else compareStructs(subsection, other, at, found);
    others.delete(name);
  }
  for (const [name, subsection] of others) {
    only("b", [...steps, `subsection "${name}"`], subsection, found);
  }
}

function byName({ subsections }: StructState): Map<string, StructState> {
  const keys = new Keys();
  return new Map(subsections.map((one) => [keys.unique(one.description.vmsdName ?? ""), one]));
}

/** Another type is another form on the wire, whatever the value. */
function compareTypes(a: FieldGroup, b: FieldGroup, steps: Steps, found: Found[]): void {
  const [ta, tb] = [a, b].map(({ entries }) => entries.find((entry) => !isNull(entry))?.type);
  if (ta !== undefined && tb !== undefined && ta !== tb) found.push({ steps, kind: "type", a: ta, b: tb });
}

function compareValues(a: FieldValue, b: FieldValue, steps: Steps, found: Found[]): void {
  if (a instanceof Uint8Array && b instanceof Uint8Array) {
    const ranges = byteRanges(a, b);
    if (ranges.length > 0) found.push({ steps, kind: "bytes", length: { a: a.length, b: b.length }, ranges });
  } else if (Array.isArray(a) && Array.isArray(b)) {
    compareArrays(a, b, steps, found);
  } else if (isStructState(a) && isStructState(b)) {
    compareStructs(a, b, steps, found);
  } else if (isRecordValue(a) && isRecordValue(b)) {
    for (const key of new Set([...Object.keys(a.record), ...Object.keys(b.record)])) {
      const [inA, inB] = [a.record[key], b.record[key]];
      const at = [...steps, key];
      if (inA !== undefined && inB !== undefined) compareValues(inA, inB, at, found);
      else only(inA === undefined ? "b" : "a", at, (inA ?? inB)!, found);
    }
  } else if (isTreeNode(a) && isTreeNode(b)) {
    compareValues(a.key, b.key, [...steps, "key"], found);
    compareStructs(a.value, b.value, [...steps, "value"], found);
  } else if (!sameScalar(a, b)) {
    found.push({ steps, kind: "value", a: plainOf(a), b: plainOf(b) });
  }
}

function compareArrays(a: readonly FieldValue[], b: readonly FieldValue[], steps: Steps, found: Found[]): void {
  if (a.length !== b.length) found.push({ steps, kind: "length", a: a.length, b: b.length });
  const trees = [keyed(a), keyed(b)] as const;
  if (trees[0] !== undefined && trees[1] !== undefined) {
    compareTrees(trees[0], trees[1], steps, found);
    return;
  }
  const length = Math.max(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const [inA, inB] = [a[i], b[i]];
    // There are thousands of numbers: equal ones get no path.
    if (inA !== undefined && inB !== undefined && sameScalar(inA, inB)) continue;
    const at = [...steps, `[${i}]`];
    if (inA !== undefined && inB !== undefined) compareValues(inA, inB, at, found);
    else only(inA === undefined ? "b" : "a", at, (inA ?? inB)!, found);
  }
}

/** The nodes of a tree by their keys; undefined: it is none, or its keys are structs. */
function keyed(values: readonly FieldValue[]): Map<bigint, TreeNode> | undefined {
  const nodes = new Map<bigint, TreeNode>();
  for (const node of values) {
    if (!isTreeNode(node) || typeof node.key !== "bigint") return undefined;
    nodes.set(node.key, node);
  }
  return nodes.size === 0 ? undefined : nodes;
}

function compareTrees(a: Map<bigint, TreeNode>, b: Map<bigint, TreeNode>, steps: Steps, found: Found[]): void {
  for (const key of new Set([...a.keys(), ...b.keys()])) {
    const at = [...steps, `[0x${key.toString(16)}]`];
    const [inA, inB] = [a.get(key), b.get(key)];
    if (inA !== undefined && inB !== undefined) compareStructs(inA.value, inB.value, [...at, "value"], found);
    else only(inA === undefined ? "b" : "a", at, (inA ?? inB)!, found);
  }
}

/** Numbers may be of two widths, a boolean of a byte that is neither 0 nor 1. Objects never compare equal here. */
function sameScalar(a: FieldValue, b: FieldValue): boolean {
  if (a === b) return true;
  if (typeof a === "bigint" && typeof b === "number") return a === BigInt(b);
  return typeof a === "number" && typeof b === "bigint" && BigInt(a) === b;
}

function only(side: Side, steps: Steps, value: FieldValue, found: Found[]): void {
  found.push({ steps, kind: "only", side: side, value: plainOf(value) });
}

/** A value as `devices --json` shows it. */
function plainOf(value: FieldValue): PlainValue {
  const description = { name: "", instanceId: 0, fields: [] };
  const bytes = { typed: 0, named: 0, opaque: 0 };
  return deviceToPlain({ description, fields: { value }, subsections: [], bytes }).fields["value"]!;
}
