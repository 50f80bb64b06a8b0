import { hexOf } from "../../bytes/text.js";
import { placeKey } from "./settle.js";
import type { Change, PatternFacts, PlacedSetting, Setting, Weight } from "./types.js";

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
    const { place } = this;
    return place === undefined ? undefined : this.facts.features?.get(place);
  }

  /** Where the device is, if it is a PCI device: `0000:00:03.0`. */
  get place(): string | undefined {
    return /^(?:RAM block )?"([0-9a-f:.]+)\//u.exec(this.section)?.[1];
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

  /** Writes down a change at this place. A remedy may be a property of the device, with what else has to be. */
  note(rule: string, weight: Weight, old: unknown, now: unknown, reason: string, remedy?: string | Remedy): void {
    const setting = typeof remedy === "object" ? placed(remedy, this.place) : undefined;
    const text = typeof remedy === "object" ? this.words(remedy, setting) : remedy;
    this.changes.push({
      where: [this.section, ...this.path].join(" > "),
      streamOffset: this.offset,
      old: shown(old),
      new: shown(now),
      rule,
      weight,
      reason,
      ...(text === undefined ? {} : { remedy: text }),
      ...(setting === undefined ? {} : { setting }),
    });
  }

  private words({ property, value, also = "" }: Remedy, setting: PlacedSetting | undefined): string {
    const apart = setting !== undefined && this.facts.apart?.has(placeKey(setting)) === true ? APART : "";
    return `${property}=${value} for this device${also}${apart}`;
  }
}

/** A property of the device that settles a difference. */
export interface Remedy extends Setting {
  /** What has to be beside: `, and a backend that has it`. */
  also?: string | undefined;
  /** Where the device is; by default the one at hand. */
  place?: string | undefined;
}

const APART = ": devices of this type differ, and this one has no id= by which -set would reach it";

function placed({ property, value, place: other }: Remedy, here: string | undefined): PlacedSetting | undefined {
  const place = other ?? here;
  return place === undefined ? undefined : { place, property, value };
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
