/** Properties of PCI bridges and PCI Express ports as their configuration space shows them. */
import {
  capability,
  CAPABILITY,
  EXTENDED,
  extendedCapability,
  littleEndian,
  vendorCapabilities,
  type PciIdentity,
} from "./pci.js";
import type { Property } from "./state-fields.js";

/** Conventional bridges with these properties. */
export const BRIDGES: ReadonlySet<string> = new Set(["pci-bridge", "pci-bridge-seat", "pcie-pci-bridge"]);

/** Link speeds as x-speed= takes them, by their number in the link capabilities (PCI Express). */
const SPEEDS = ["", "2_5", "5", "8", "16", "32", "64"];

/**
 * Link capabilities: speed (bits 0 to 3), width (4 to 9), port number (24 to 31). Slot capabilities: hot plug (bits 5,
 * 6), slot number (19 to 31).
 * Source: PCI Express; QEMU hw/pci/pcie.c, pcie_port.c, pci-bridge/gen_pcie_root_port.c (5.2 to 11.1): a pcie-root-port
 * has 16 GT/s and 32 lanes, the others one lane of 2.5 GT/s.
 */
export function portProperties(device: string, identity: PciIdentity): Property[] {
  const express = capability(identity, CAPABILITY.express);
  const link = littleEndian(express, 0x0c, 4);
  const slot = littleEndian(express, 0x14, 4);
  if (link === undefined || slot === undefined) return [];
  const port = link >>> 24;
  const generic = device === "pcie-root-port";
  const [speed, width] = [link & 0xf, (link >> 4) & 0x3f];
  const slotted = device !== "x3130-upstream";
  const hotplug = (slot & 0x60) !== 0;
  return [
    ["port", port === 0 ? undefined : port],
    ["slot", slotted ? slot >>> 19 : undefined],
    ["x-speed", generic && speed !== 4 ? SPEEDS[speed] : undefined],
    ["x-width", generic && width !== 32 ? width : undefined],
    ["hotplug", slotted && !hotplug ? "off" : undefined],
    ["disable-acs", generic && extendedCapability(identity, EXTENDED.acs) === undefined ? "on" : undefined],
    ...reserves(identity),
  ];
}

/**
 * What a bridge asks the firmware to keep free: QEMU's vendor capability of type 1. Source: QEMU hw/pci/pci_bridge.c,
 * docs/pcie_pci_bridge.txt (5.2 to 11.1).
 */
function reserves(identity: PciIdentity): Property[] {
  const found = vendorCapabilities(identity).find((bytes) => bytes[2]! >= 32 && bytes[3] === 1);
  const number = (at: number, size: number): number | undefined => {
    const bytes = found?.subarray(at, at + size);
    if (bytes === undefined || bytes.every((byte) => byte === 0xff)) return undefined;
    const value = littleEndian(bytes, 0, Math.min(size, 6));
    return value === 0 ? undefined : value;
  };
  return [
    ["bus-reserve", number(4, 4)],
    ["io-reserve", number(8, 8)],
    ["mem-reserve", number(16, 4)],
    ["pref32-reserve", number(20, 4)],
    ["pref64-reserve", number(24, 8)],
  ];
}

/**
 * Chassis number (slot numbering capability), MSI, the standard hot-plug controller. Source: PCI bridge architecture;
 * QEMU hw/pci-bridge/pci_bridge_dev.c.
 */
export function bridgeProperties(device: string, identity: PciIdentity): Property[] {
  const plain = device !== "pcie-pci-bridge";
  return [
    ["chassis_nr", plain ? capability(identity, 0x04)?.[3] : undefined],
    ["msi", capability(identity, CAPABILITY.msi) === undefined ? "off" : undefined],
    ["shpc", plain ? (capability(identity, CAPABILITY.shpc) === undefined ? "off" : "on") : undefined],
    ...reserves(identity),
  ];
}
