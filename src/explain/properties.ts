import { isRecordValue, type DeviceState, type FieldValue } from "../vmstate/index.js";
import type { DeviceKind } from "./device-table.js";
import { chassisNumber, msixVectors, pciIdentity, serialMac, slotNumber } from "./pci.js";

/** Ports of PCI Express: their slot number is in their configuration space and must be equal; the chassis only makes them differ. */
export const SLOTTED: ReadonlySet<string> = new Set(["pcie-root-port", "ioh3420", "xio3130-downstream"]);

/** Devices with the property vectors, which sizes their MSI-X table. */
const VECTORED = new Set(["virtio-net-pci", "virtio-blk-pci", "virtio-scsi-pci", "virtio-serial-pci"]);

/** Entries of a virtqueue where no property says another number (QEMU hw/virtio, 2.7 to 11.1). */
const USUAL_QUEUE = 256;

/** Properties of a device that a load compares, or that its state must fit in, read out of the state. */
export function shownProperties(kind: DeviceKind, state: DeviceState | undefined): string[] {
  const identity = pciIdentity(state);
  if (state === undefined || identity === undefined) return [];
  const found: [string, number | string | undefined][] = [
    ["slot", SLOTTED.has(kind.device) ? slotNumber(identity) : undefined],
    ["chassis_nr", kind.device === "pci-bridge" ? chassisNumber(identity) : undefined],
    ["vectors", VECTORED.has(kind.device) ? msixVectors(identity) : undefined],
    ["mac", kind.serial === true ? serialMac(identity) : undefined],
    ["max_outputs", kind.name === "virtio-gpu" ? unusual(findRecord(state, "max_outputs"), 1) : undefined],
    ...queueProperties(kind, queueLengths(state)),
  ];
  return found.flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]));
}

/** Properties of a virtio device on any bus that its state must fit in. */
export function virtioProperties(kind: DeviceKind, state: DeviceState | undefined): string[] {
  if (state === undefined) return [];
  const outputs = kind.name === "virtio-gpu" ? unusual(findRecord(state, "max_outputs"), 1) : undefined;
  const found = [["max_outputs", outputs] as const, ...queueProperties(kind, queueLengths(state))];
  return found.flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]));
}

function queueProperties({ name }: DeviceKind, lengths: readonly number[]): [string, number | string | undefined][] {
  const [first, second] = lengths;
  if (name === "virtio-blk") {
    return [
      ["num-queues", unusual(lengths.length, 1)],
      ["queue-size", unusual(first, USUAL_QUEUE)],
    ];
  }
  // Two queues of virtio-scsi are for control and events.
  if (name === "virtio-scsi") return [["num_queues", unusual(lengths.length - 2, 1)]];
  // Three queues, a fourth of 128 entries for hints, one of 32 for reports (QEMU hw/virtio/virtio-balloon.c, 5.1 to 11.1).
  if (name === "virtio-balloon") {
    return [
      ["free-page-hint", lengths[3] === 128 ? "on" : undefined],
      ["free-page-reporting", lengths.at(-1) === 32 ? "on" : undefined],
    ];
  }
  if (name === "virtio-net") {
    return [
      ["rx_queue_size", unusual(first, USUAL_QUEUE)],
      ["tx_queue_size", unusual(second, USUAL_QUEUE)],
    ];
  }
  return [];
}

/** The value where it is a number other than the usual one. */
function unusual(value: FieldValue | undefined, usual: number): number | undefined {
  return typeof value === "number" && value > 0 && value !== usual ? value : undefined;
}

/** Entries of each virtqueue. */
function queueLengths(state: DeviceState): number[] {
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
