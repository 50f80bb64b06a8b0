import type { DeviceDescription, FieldDescription, StructDescription } from "../description.js";
import { fieldGroups, isNull, type FieldGroup } from "../groups.js";
import { isStructState, isTreeNode, type DeviceState, type FieldValue, type StructState } from "../state.js";
import { CATALOGUE_FORMAT, type CatalogueData, type GroupData, type LayoutData } from "./data.js";

/**
 * Learns the layouts of devices from their descriptions. Values are used where they are given: a field that always is
 * the number of elements of an array after it becomes part of the layout.
 * @example
 * const learner = new Learner();
 * const stream = await openStream("vm.mig");
 * const state = await stream.device("timer");
 * learner.add(state.description, "x86_64 7.2", state);
 * const data = learner.data();
 */
export class Learner {
  private readonly origins: string[];
  private readonly layouts: LayoutData[];
  private readonly byShape = new Map<string, number>();
  private readonly devices = new Map<string, Set<number>>();
  private readonly subsections = new Map<string, Set<number>>();

  /** @param known what is to be added to */
  constructor(known?: CatalogueData) {
    this.origins = [...(known?.origins ?? [])];
    this.layouts = structuredClone(known?.layouts ?? []);
    for (const [id, layout] of this.layouts.entries()) this.byShape.set(this.shape(layout), id);
    for (const [name, ids] of Object.entries(known?.devices ?? {})) this.devices.set(name, new Set(ids));
    for (const [name, ids] of Object.entries(known?.subsections ?? {})) this.subsections.set(name, new Set(ids));
  }

  /**
   * Adds what one description says.
   * @param origin target and version of the QEMU that wrote it, e.g. `x86_64 7.2`
   */
  add(device: DeviceDescription, origin: string, state?: DeviceState): void {
    let bit = this.origins.indexOf(origin);
    if (bit < 0) bit = this.origins.push(origin) - 1;
    put(this.devices, device.vmsdName ?? device.name, this.struct(device, state, 1n << BigInt(bit)));
  }

  /** What is known by now. */
  data(): CatalogueData {
    const { origins, layouts } = this;
    const { devices, subsections } = { devices: table(this.devices), subsections: table(this.subsections) };
    return structuredClone({ format: CATALOGUE_FORMAT, origins, layouts, devices, subsections });
  }

  private struct(struct: StructDescription, state: StructState | undefined, origin: bigint): number {
    const { vmsdName, version } = struct;
    const numbers = new Map<string, number>();
    const fields = fieldGroups(struct).map((group) => {
      const value = state?.fields[group.key];
      const found = this.group(group, value, numbers, origin, state !== undefined);
      if (typeof value === "number") numbers.set(group.key, value);
      return found;
    });
    const layout: LayoutData = { from: origin.toString(16), fields };
    if (vmsdName !== undefined) layout.name = vmsdName;
    if (version !== undefined) layout.version = version;
    const id = this.merge(layout);
    for (const [at, subsection] of (struct.subsections ?? []).entries()) {
      const found = this.struct(subsection, state?.subsections[at], origin);
      if (vmsdName !== undefined) put(this.subsections, vmsdName, found);
    }
    return id;
  }

  private merge(layout: LayoutData): number {
    const shape = this.shape(layout);
    const known = this.byShape.get(shape);
    if (known === undefined) {
      const id = this.layouts.push(layout) - 1;
      this.byShape.set(shape, id);
      return id;
    }
    const old = this.layouts[known]!;
    old.from = (BigInt(`0x${old.from}`) | BigInt(`0x${layout.from}`)).toString(16);
    for (const [at, group] of layout.fields.entries()) mergeGroup(old.fields[at]!, group);
    return known;
  }

  /** What layouts must have in common to be one: all that is not merged. */
  private shape({ name, version, fields }: LayoutData): string {
    const names = (ids: readonly number[] | undefined): string[] | undefined =>
      ids && [...new Set(ids.map((id) => `${this.layouts[id]!.name} ${this.layouts[id]!.version}`))].toSorted();
    const group = ({ n, t, s, a, i, l, k, e }: GroupData): unknown => [
      n,
      t,
      isPlain(t) ? s : s !== undefined,
      a !== undefined,
      i !== undefined,
      t === "qtailq" || t === "qlist" || t === "gtree" ? undefined : names(l),
      t === "gtree" ? undefined : names(k),
      e?.map((entry) => group({ ...entry })),
      // What is not understood is not merged.
      e === undefined ? undefined : e.map((entry) => [entry.a, entry.i, entry.s]),
    ];
    return JSON.stringify([name, version, fields.map((one) => group(one))]);
  }

  private group(
    group: FieldGroup,
    value: FieldValue | undefined,
    numbers: ReadonlyMap<string, number>,
    origin: bigint,
    valued: boolean,
  ): GroupData {
    const { entries } = group;
    const first = entries[0]!;
    const values = Array.isArray(value) && group.isArray ? value : [value];
    const isUniform =
      entries.length > 1 &&
      entries.every((entry, at) => (entry.index ?? at) === at && entry.arrayLength === undefined && !isNull(entry)) &&
      entries.every((entry) => entry.type === first.type && (isStruct(entry) || entry.size === first.size));
    let found: GroupData;
    let count: number | undefined;
    if (entries.length === 1) {
      found = this.entry(first, values, origin);
      if (first.arrayLength !== undefined) found.a = [(count = first.arrayLength)];
      else if (first.index !== undefined) found.i = [(count = 1)];
      else if (!isPlain(first.type) && found.s !== undefined) count = first.size;
    } else if (isUniform) {
      found = this.entry(first, values.slice(0, 1), origin);
      for (const [at, entry] of entries.slice(1).entries()) {
        mergeGroup(found, this.entry(entry, values.slice(at + 1, at + 2), origin));
      }
      found.i = [(count = entries.length)];
    } else {
      return {
        n: first.name,
        t: first.type,
        e: entries.map((entry) => {
          const one = this.entry(entry, [], origin);
          one.s = [entry.size];
          if (entry.arrayLength !== undefined) one.a = [entry.arrayLength];
          if (entry.index !== undefined) one.i = [entry.index];
          return one;
        }),
      };
    }
    if (count !== undefined && valued) {
      const rule = [...numbers].filter(([, number]) => number === count).map(([name]) => name);
      found.r = rule;
    }
    return found;
  }

  private entry(entry: FieldDescription, values: readonly (FieldValue | undefined)[], origin: bigint): GroupData {
    const { name: n, type: t, size, struct, inlined } = entry;
    if (struct === null) return { n, t, l: [] };
    if (struct !== undefined) {
      return { n, t, l: [this.struct(struct, stateOf(values[0]), origin)] };
    }
    if (t === "gtree") {
      const nodes = Array.isArray(values[0]) ? values[0] : [];
      const structs = inlined ?? [];
      const isDirect = nodes.every((node) => isTreeNode(node) && typeof node.key === "bigint");
      const ids = structs.map((one) => this.struct(one, undefined, origin));
      if (isDirect) return { n, t, l: unique(ids) };
      return { n, t, l: unique(ids.filter((_, at) => at % 2 === 1)), k: unique(ids.filter((_, at) => at % 2 === 0)) };
    }
    if (t === "qtailq" || t === "qlist") {
      const elements = Array.isArray(values[0]) ? values[0] : [];
      return { n, t, l: unique((inlined ?? []).map((one, at) => this.struct(one, stateOf(elements[at]), origin))) };
    }
    if (inlined !== undefined) {
      return { n, t, l: unique(inlined.map((one) => this.struct(one, stateOf(values[0]), origin))) };
    }
    return { n, t, s: [size] };
  }
}

/** Types whose size belongs to them: not merged. */
export function isPlain(type: string): boolean {
  return PLAIN.test(type) && type !== "bitmap";
}
const PLAIN = /^(?:bool|u?int\d+.*|timer|CPU_Double_U|float64|fd|nullptr|ptr-marker)$/u;

function isStruct({ struct, inlined }: FieldDescription): boolean {
  return struct !== undefined || inlined !== undefined;
}

function mergeGroup(into: GroupData, group: GroupData): void {
  for (const key of ["s", "a", "i", "l", "k"] as const) {
    const more = group[key];
    if (more !== undefined) into[key] = unique([...(into[key] ?? []), ...more]);
  }
  if (group.r !== undefined) into.r = into.r?.filter((name) => group.r!.includes(name)) ?? group.r;
  for (const [at, entry] of (group.e ?? []).entries()) mergeGroup(into.e![at]!, entry);
}

function table(map: ReadonlyMap<string, ReadonlySet<number>>): Record<string, number[]> {
  return Object.fromEntries([...map].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([name, ids]) => [name, [...ids]]));
}

function stateOf(value: FieldValue | undefined): StructState | undefined {
  return isStructState(value) ? value : undefined;
}

function unique(ids: readonly number[]): number[] {
  return [...new Set(ids)];
}

function put(map: Map<string, Set<number>>, name: string, id: number): void {
  const known = map.get(name);
  if (known === undefined) map.set(name, new Set([id]));
  else known.add(id);
}
