import type { FieldDescription, StructDescription } from "./description.js";
import { primitive } from "./primitives.js";
import { undescribedStruct } from "./undescribed.js";

/**
 * Groups field objects into arrays. Several consecutive objects of one name may describe one array, and QEMU's counts
 * are not always right.
 *
 * | era         | an array is written as                                                                               |
 * |-------------|------------------------------------------------------------------------------------------------------|
 * | - 9.2       | one object with `array_len`, or one an element with `index`; NULL pointers inside go unmentioned      |
 * | 10.0 - 10.x | NULL runs (`nullptr`) are objects of their own; the first run's `array_len` may be the whole array's, |
 * |             | and NULL elements that cannot be compressed each claim the rest of the array; the last has no `index` |
 * | 11.x        | the same with `ptr-marker`, no `index` at all; "auto alloc" arrays: a marker before every element     |
 *
 * Source: QEMU migration/vmstate.c (5.2 to 11.x), the loop of `vmstate_save_state_v`.
 */
export interface FieldGroup {
  /** The field's name, made unique within its struct where the description repeats it. */
  readonly key: string;
  readonly entries: readonly FieldDescription[];
  readonly isArray: boolean;
  /** All readings of the description, the likeliest first. At least one. */
  readonly layouts: readonly Layout[];
}

/** Consecutive elements that one object describes. */
export interface Run {
  entry: FieldDescription;
  /** Size of the first element in bytes, according to the description. */
  size: number;
  count: number;
  /** Elements are NULL pointers. */
  isNull: boolean;
  /** A marker byte 0x31 precedes every element ("auto alloc" arrays). */
  marked: boolean;
}

/** One reading of the description of an array. */
export interface Layout {
  runs: Run[];
  /** Total number of elements. */
  length: number;
  /** Any element may be a NULL pointer (up to QEMU 9.2 the description does not say which). */
  nullable: boolean;
}

const groupsOf = new WeakMap<StructDescription, FieldGroup[]>();

/** The fields of a struct, with the objects of each array grouped. */
export function fieldGroups(struct: StructDescription): readonly FieldGroup[] {
  const known = groupsOf.get(struct);
  if (known !== undefined) return known;
  const groups: FieldGroup[] = [];
  const keys = new Keys(struct.subsections === undefined ? [] : [SUBSECTIONS_KEY]);
  let at = 0;
  while (at < struct.fields.length) {
    const first = struct.fields[at]!;
    let end = at + 1;
    while (end < struct.fields.length && struct.fields[end]!.name === first.name) end++;
    const entries = struct.fields.slice(at, end);
    groups.push({
      key: keys.unique(first.name),
      entries,
      isArray: entries.length > 1 || first.arrayLength !== undefined || first.index !== undefined,
      layouts: layoutsOf(entries, struct.vmsdName),
    });
    at = end;
  }
  groupsOf.set(struct, groups);
  return groups;
}

/** The key for subsections in the plain form. A field of that name gets another key. */
export const SUBSECTIONS_KEY = "subsections";

/** Makes unique keys: the name itself, else `name#2`, `name#3`, ... */
export class Keys {
  private readonly next = new Map<string, number>();

  constructor(taken: readonly string[] = []) {
    for (const key of taken) this.next.set(key, 2);
  }

  unique(name: string): string {
    let key = name;
    let n = this.next.get(name);
    if (n !== undefined) {
      while (this.next.has((key = `${name}#${n}`))) n++;
      this.next.set(name, n + 1);
    }
    this.next.set(key, 2);
    return key;
  }
}

/**
 * Whether this object describes a NULL pointer (of an array: as its first element). Up to 9.2 only its size of one byte
 * shows it.
 */
export function isNull(entry: FieldDescription): boolean {
  if (entry.type === "nullptr" || entry.type === "ptr-marker" || entry.struct === null) return true;
  return entry.size === 1 && (primitive(entry.type)?.size ?? 1) > 1;
}

function layoutsOf(entries: readonly FieldDescription[], vmsdName: string | undefined): Layout[] {
  if (entries.length === 1) {
    const entry = entries[0]!;
    const literal = layoutOf([run(entry)]);
    const nullable = { ...maybeNull(literal, undescribedStruct(vmsdName, entry)), nullable: true };
    if (literal.length === 1 || isMarker(entry)) return [literal];
    if (isNull(entry)) return [nullable];
    return entry.size === 1 ? [literal] : [literal, nullable];
  }
  const found = [autoAlloc(entries), firstRunCorrected(entries), layoutOf(entries.map((entry) => run(entry)))];
  if (entries.some((entry) => isNull(entry) && entry.arrayLength !== undefined)) {
    found.push(layoutOf(entries.map((entry) => (isNull(entry) ? run(entry, 1) : run(entry)))));
  }
  return found.filter((layout) => layout !== undefined);
}

/** From 10.0 on NULL pointers have their own type. */
function isMarker(entry: FieldDescription): boolean {
  return entry.type === "nullptr" || entry.type === "ptr-marker";
}

function maybeNull(layout: Layout, known: FieldDescription["struct"]): Layout {
  const runs = layout.runs.map((part) => ({
    ...part,
    isNull: false,
    entry: known ? { ...part.entry, struct: known } : part.entry,
  }));
  return { ...layout, runs };
}

function run(entry: FieldDescription, count = entry.arrayLength ?? 1): Run {
  return { entry, size: entry.size, count, isNull: isNull(entry), marked: false };
}

function layoutOf(runs: Run[]): Layout {
  let length = 0;
  for (const part of runs) length += part.count;
  return { runs, length, nullable: false };
}

/** The first run claims the whole array although NULL runs follow it. */
function firstRunCorrected(entries: readonly FieldDescription[]): Layout | undefined {
  const first = entries[0]!;
  if (first.arrayLength === undefined || isNull(first)) return undefined;
  const rest = entries.slice(1).map((entry) => run(entry));
  if (!rest.some((part) => part.isNull)) return undefined;
  const count = first.arrayLength - layoutOf(rest).length;
  return count >= 1 ? layoutOf([run(first, count), ...rest]) : undefined;
}

/**
 * Markers before every element. E.g. `ptr-marker`, element, `ptr-marker`, `ptr-marker`, element is three elements, the
 * second NULL.
 */
function autoAlloc(entries: readonly FieldDescription[]): Layout | undefined {
  const runs: Run[] = [];
  for (let at = 0; at < entries.length; at++) {
    const marker = entries[at]!;
    if (marker.type !== "ptr-marker" || marker.arrayLength !== undefined) return undefined;
    const next = entries[at + 1];
    if (next === undefined || isNull(next)) {
      runs.push(run(marker, 1));
    } else {
      runs.push({ entry: next, size: next.size, count: 1, isNull: false, marked: true });
      at++;
    }
  }
  return runs.some((part) => part.marked) ? layoutOf(runs) : undefined;
}
