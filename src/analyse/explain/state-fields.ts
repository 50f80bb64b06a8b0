/** Values in the state of a device by their names, and what properties are read from. */
import {
  isRecordValue,
  isStructState,
  type DeviceState,
  type FieldValue,
  type StructState,
} from "../../codec/vmstate/index.js";

/** A property and its value; undefined: not to be named. */
export type Property = [name: string, value: number | string | undefined];

/** What of the rest of the machine a device's properties depend on. */
export interface Surroundings {
  /** Behind a port of PCI Express, where virtio devices are modern only. */
  behindPort: boolean;
  /** 702 of pc-q35-7.2 (`releaseNumber`); undefined where the machine's name does not say it. */
  release: number | undefined;
  /** The highest root port of this USB controller with a device. */
  highestPort: number;
  /** What the device saves before the pages (virtio-mem from 8.0 on). */
  early: DeviceState | undefined;
}

/** The value where it is a number other than the usual one. */
export function unusual(value: FieldValue | undefined, usual: number): number | undefined {
  return typeof value === "number" && value > 0 && value !== usual ? value : undefined;
}

/** Entries of each virtqueue. */
export function queueLengths(state: DeviceState): number[] {
  return virtqueues(state).flatMap(({ num }) => (typeof num === "number" ? [num] : []));
}

/** The virtqueues of a virtio device as the stream has them: num, desc, last_avail_idx, ... */
export function virtqueues(state: DeviceState): Record<string, FieldValue>[] {
  const queues = findRecord(state, "queues");
  return Array.isArray(queues) ? queues.flatMap((queue) => (isRecordValue(queue) ? [queue.record] : [])) : [];
}

/** The features that the guest's driver has accepted; undefined where the state does not show them. */
export function guestFeatures(state: DeviceState): bigint | undefined {
  const subsections = findRecord(state, "subsections");
  for (const one of Array.isArray(subsections) ? subsections : []) {
    const found = isRecordValue(one) ? one.record["guest_features"] : undefined;
    if (typeof found === "bigint") return found;
  }
  const low = findRecord(state, "guest_features_lo");
  return typeof low === "number" ? BigInt(low) : undefined;
}

/** A named value of a private codec anywhere in a device's fields. */
export function findRecord(state: DeviceState, key: string): FieldValue | undefined {
  return findKey(Object.values(state.fields), key, 0);
}

/** Levels of records that are searched. */
const DEEPEST = 4;

function findKey(values: readonly FieldValue[], key: string, depth: number): FieldValue | undefined {
  for (const value of values) {
    if (!isRecordValue(value) || depth > DEEPEST) continue;
    const found = value.record[key] ?? findKey(Object.values(value.record), key, depth + 1);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** A field of the structs that a state is made of, by its name there, subsections too. */
export function findStructField(state: StructState, name: string, depth = 0): FieldValue | undefined {
  const own = state.fields[name];
  if (own !== undefined || depth > DEEPEST) return own;
  const inner = [...Object.values(state.fields).filter(isStructState), ...state.subsections];
  for (const one of inner) {
    const found = findStructField(one, name, depth + 1);
    if (found !== undefined) return found;
  }
  return undefined;
}
