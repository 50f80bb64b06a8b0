import { isRecordValue, isStructState, type DeviceState, type FieldValue, type StructState } from "../vmstate/index.js";
import type { DeviceKind } from "./device-table.js";
import { capability, CAPABILITY, pciIdentity, serialMac, type PciIdentity } from "./pci.js";
import { portProperties, BRIDGES, bridgeProperties } from "./port-properties.js";
import { virtioProperties } from "./virtio-properties.js";

/** A property and its value; undefined: not to be named. */
export type Property = [name: string, value: number | string | undefined];

/** What of the rest of the machine a device's properties depend on. */
export interface Surroundings {
  /** Behind a port of PCI Express, where virtio devices are modern only. */
  behindPort: boolean;
  /** `[7, 2]` of pc-q35-7.2; undefined where the machine's name does not say it. */
  release: readonly [number, number] | undefined;
  /** The highest root port of this USB controller with a device. */
  highestPort: number;
}

/** Properties of a device that a load compares, or that its state must fit in, read out of the state. */
export function shownProperties(
  kind: DeviceKind,
  state: DeviceState | undefined,
  surroundings: Surroundings,
): string[] {
  const identity = pciIdentity(state);
  if (state === undefined || identity === undefined) return [];
  const found: Property[] = [
    ...(PORTS.has(kind.device) ? portProperties(kind.device, identity) : []),
    ...(BRIDGES.has(kind.device) ? bridgeProperties(kind.device, identity) : []),
    ...(kind.device.startsWith("virtio-") ? virtioProperties(kind, state, identity, surroundings) : []),
    ["mac", kind.serial === undefined ? undefined : serialMac(identity, kind.serial)],
    // Entries of the log of errors, 8 where nothing else is said. Source: QEMU hw/pci/pcie_aer.c (5.2 to 11.1).
    ["aer_log_max", PORTS.has(kind.device) ? unusual(findStructField(state, "log_max"), 8) : undefined],
    ...(kind.name === "xhci" ? xhciProperties(kind, state, identity, surroundings) : []),
  ];
  return found.flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]));
}

/** Ports of PCI Express, which have a chassis and a port number. */
export const PORTS: ReadonlySet<string> = new Set([
  "pcie-root-port",
  "ioh3420",
  "x3130-upstream",
  "xio3130-downstream",
]);

/**
 * Ports of USB 3 controllers: the state has one entry for each of p2 and p3 together, one for each slot and interrupter.
 * Source: QEMU hw/usb/hcd-xhci.c (5.2 to 11.1): 4 and 4 ports, 64 slots, 16 interrupters where nothing else is said.
 */
function xhciProperties(
  { device }: DeviceKind,
  state: DeviceState,
  identity: PciIdentity,
  { highestPort }: Surroundings,
): Property[] {
  const length = (name: string): number | undefined => {
    const found = findStructField(state, name);
    return Array.isArray(found) ? found.length : undefined;
  };
  const ports = length("ports") ?? 8;
  const second = Math.min(15, ports - 1, Math.max(Math.ceil(ports / 2), highestPort));
  const usual = ports === 8 && second === 4;
  const nec = device === "nec-usb-xhci";
  const off = (id: number): string | undefined => (capability(identity, id) === undefined ? "off" : undefined);
  return [
    ["p2", usual ? undefined : second],
    ["p3", usual ? undefined : ports - second],
    ["slots", nec ? unusual(length("slots"), 64) : undefined],
    ["intrs", nec ? unusual(length("intr"), 16) : undefined],
    ["msi", nec ? off(CAPABILITY.msi) : undefined],
    ["msix", nec ? off(CAPABILITY.msix) : undefined],
  ];
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
