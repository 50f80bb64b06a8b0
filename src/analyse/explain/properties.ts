import type { DeviceState } from "../../codec/vmstate/index.js";
import type { DeviceKind } from "./device-table.js";
import { capability, CAPABILITY, pciIdentity, serialMac, type PciIdentity } from "./pci.js";
import { portProperties, BRIDGES, bridgeProperties } from "./port-properties.js";
import { findStructField, unusual, type Property, type Surroundings } from "./state-fields.js";
import { virtioProperties } from "./virtio-properties.js";

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
    // Entries of the log of errors, 8 by default. Source: QEMU hw/pci/pcie_aer.c (5.2 to 11.1).
    ["aer_log_max", PORTS.has(kind.device) ? unusual(findStructField(state, "log_max"), 8) : undefined],
    ...(kind.name === "nvme" ? nvmeProperties(state) : []),
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

/** Queues and interrupts of an NVMe controller, which must be equal; 64 and 65 by default (QEMU 11.1). */
function nvmeProperties(state: DeviceState): Property[] {
  return [
    ["max_ioqpairs", unusual(state.fields["conf_ioqpairs"], 64)],
    ["msix_qsize", unusual(state.fields["conf_msix_qsize"], 65)],
  ];
}

/**
 * Ports of USB 3 controllers: the state has one entry for each of p2 and p3 together, one for each slot and
 * interrupter.
 * Source: QEMU hw/usb/hcd-xhci.c (5.2 to 11.1): 4 and 4 ports, 64 slots, 16 interrupters by default.
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
