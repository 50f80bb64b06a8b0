import { isRecordValue, isStructState, type DeviceState, type FieldValue, type StructState } from "../vmstate/index.js";

/** `0000:00:03.0`, and `0000:00:01.0:00.0` behind a bridge; then the rest of a section's name. */
const PCI_NAME = /^([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7](?::[0-9a-f]{2}\.[0-7])*)\/(.+)$/u;

export interface PciPlace {
  /** The whole path. */
  path: string;
  /** Path of the bridge that it is behind; undefined: on the root bus. */
  bridge: string | undefined;
  /** Of the root bus: 0, or that of a PCI expander. */
  bus: number;
  /** `0x3` or `0x1f.2`: what -device takes as addr. */
  addr: string;
  /** What stands behind the path: `virtio-net`, or `1/usb-ptr` for a device on another bus. */
  rest: string;
}

/** The place that a section's name begins with; undefined where it is no PCI path. */
export function pciPlace(section: string): PciPlace | undefined {
  const [, path, rest] = PCI_NAME.exec(section) ?? [];
  if (path === undefined || rest === undefined) return undefined;
  const [domain = "", bus = "", ...slots] = path.split(":");
  const [slot = "", fn = ""] = (slots.at(-1) ?? "").split(".");
  const number = `0x${Number.parseInt(slot, 16).toString(16)}`;
  return {
    path,
    bridge: slots.length < 2 ? undefined : [domain, bus, ...slots.slice(0, -1)].join(":"),
    bus: Number.parseInt(bus, 16),
    addr: fn === "0" ? number : `${number}.${fn}`,
    rest,
  };
}

/** What the beginning of a configuration space says. */
export interface PciIdentity {
  /** `8086:100e`. */
  id: string;
  class: number;
  /** The registers by name, as `src/vmstate/private/pci.ts` has them. */
  registers: Record<string, FieldValue>;
}

/** The configuration space in a device's state; undefined where it has none or it was not taken apart. */
export function pciIdentity(state: DeviceState | undefined): PciIdentity | undefined {
  const registers = state === undefined ? undefined : findConfig(state, 0);
  if (registers === undefined) return undefined;
  const { vendor_id: vendor, device_id: device, class: code } = registers;
  if (typeof vendor !== "number" || typeof device !== "number" || typeof code !== "number") return undefined;
  return { id: `${four(vendor)}:${four(device)}`, class: code, registers };
}

const four = (value: number): string => value.toString(16).padStart(4, "0");

/** Levels of structs that are searched. */
const DEEPEST = 5;

function findConfig(state: StructState, depth: number): Record<string, FieldValue> | undefined {
  for (const value of Object.values(state.fields)) {
    const found = inValue(value, depth + 1);
    if (found !== undefined) return found;
  }
  for (const sub of state.subsections) {
    const found = depth < DEEPEST ? findConfig(sub, depth + 1) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

function inValue(value: FieldValue, depth: number): Record<string, FieldValue> | undefined {
  if (depth > DEEPEST) return undefined;
  if (isStructState(value)) return findConfig(value, depth);
  if (!isRecordValue(value)) return undefined;
  if ("vendor_id" in value.record && "header_type" in value.record) return value.record;
  for (const inner of Object.values(value.record)) {
    const found = inValue(inner, depth + 1);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** A capability of the configuration space: its bytes from the id on; undefined where the device does not have it. */
function capability({ registers }: PciIdentity, id: number): Uint8Array | undefined {
  const { registers: rest, capabilities, header } = registers;
  if (!(rest instanceof Uint8Array)) return undefined;
  // Of a bridge the pointer, 0x34, stands among bytes from 0x10 on that are not taken apart.
  let at = typeof capabilities === "number" ? capabilities : header instanceof Uint8Array ? header[0x24]! : 0;
  for (let steps = 0; at >= 64 && at + 1 < 64 + rest.length && steps < 48; steps++) {
    if (rest[at - 64] === id) return rest.subarray(at - 64);
    at = rest[at - 63]!;
  }
  return undefined;
}

/** Physical slot number of a PCI Express port (PCI Express, slot capabilities register, bits 31 to 19); undefined where it has no slot. */
export function slotNumber(identity: PciIdentity): number | undefined {
  const express = capability(identity, 0x10);
  if (express === undefined || express.length < 0x18) return undefined;
  return (express[0x16]! >> 3) + express[0x17]! * 32;
}

/** Chassis number of a conventional bridge (PCI bridge architecture, slot numbering capability). */
export function chassisNumber(identity: PciIdentity): number | undefined {
  return capability(identity, 0x04)?.[3];
}

/** Vectors of MSI-X. */
export function msixVectors(identity: PciIdentity): number | undefined {
  const found = capability(identity, 0x11);
  return found === undefined ? undefined : ((found[2]! + found[3]! * 256) & 0x7ff) + 1;
}

/** The MAC address in the device serial number of PCI Express (extended capability 3; EUI-64, the middle two bytes ff ff or ff fe). */
export function serialMac({ registers: { registers: rest, extended } }: PciIdentity): string | undefined {
  if (!(rest instanceof Uint8Array)) return undefined;
  const more = extended instanceof Uint8Array ? extended : new Uint8Array(0);
  const byte = (i: number): number => (i - 64 < rest.length ? rest[i - 64] : more[i - 64 - rest.length]) ?? 0;
  let at = 0x100;
  for (let steps = 0; at >= 0x100 && at + 12 <= 64 + rest.length + more.length && steps < 64; steps++) {
    const id = byte(at) + byte(at + 1) * 256;
    if (id === 3) {
      const mac = [11, 10, 9, 6, 5, 4].map((i) =>
        byte(at + i)
          .toString(16)
          .padStart(2, "0"),
      );
      return mac.join(":");
    }
    at = (byte(at + 2) >> 4) + byte(at + 3) * 16;
  }
  return undefined;
}
