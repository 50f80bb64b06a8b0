import { hexOf } from "../../bytes/text.js";
import type { Change, PatternFacts, Weight } from "./types.js";

/** Where a merge is, and where its changes go. */
export class MergeContext {
  /** Steps in the section. */
  readonly path: string[] = [];

  /**
   * @param section `"0000:00:03.0/virtio-net"/0`
   * @param offset of the section in the old stream
   * @param changes where they go
   * @param facts what is known of the destination beside its pattern
   */
  constructor(
    readonly section: string,
    readonly offset: number | undefined,
    private readonly changes: Change[],
    readonly facts: PatternFacts = {},
  ) {}

  /** Feature bits that the destination's device offers, where it is a virtio device and they are known. */
  get features(): bigint | undefined {
    const place = /^"([0-9a-f:.]+)\//u.exec(this.section)?.[1];
    return place === undefined ? undefined : this.facts.features?.get(place);
  }

  /** Does `work` one step further in. */
  within<T>(step: string, work: () => T): T {
    this.path.push(step);
    try {
      return work();
    } finally {
      this.path.pop();
    }
  }

  /** Writes down a change at this place. */
  note(rule: string, weight: Weight, old: unknown, now: unknown, reason: string, remedy?: string): void {
    this.changes.push({
      where: [this.section, ...this.path].join(" > "),
      offset: this.offset,
      old: shown(old),
      new: shown(now),
      rule,
      weight,
      reason,
      ...(remedy === undefined ? {} : { remedy }),
    });
  }
}

/** A value in a few characters. */
export function shown(value: unknown): string {
  if (value === undefined) return "none";
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "bigint") return value < 0 ? `${value}` : `0x${value.toString(16)}`;
  if (value instanceof Uint8Array) {
    const hex = hexOf(value.subarray(0, 16));
    return value.length > 16 ? `${hex}... (${value.length} bytes)` : hex;
  }
  if (Array.isArray(value)) return `${value.length} elements`;
  if (typeof value === "boolean" || value === null) return String(value);
  return "a struct";
}

/** Whether a value is nothing but zeros: what a device holds that was never used. */
export function isZero(value: unknown): boolean {
  if (value === 0 || value === 0n || value === false || value === null || value === undefined) return true;
  if (value instanceof Uint8Array) return value.every((byte) => byte === 0);
  if (Array.isArray(value)) return value.every((one) => isZero(one));
  if (typeof value !== "object") return false;
  if ("fields" in value && "subsections" in value) {
    return isZero(Object.values(value.fields as object)) && isZero(value.subsections);
  }
  if ("record" in value) return isZero(Object.values(value.record as object));
  return false;
}

/** Items by their keys, in order. */
export function groupedBy<T>(items: Iterable<T>, keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
}
