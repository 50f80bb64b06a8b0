import {
  isRecordValue,
  isStructState,
  type DeviceState,
  type FieldValue,
  type StructState,
} from "../../codec/vmstate/index.js";

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
  /** What follows the path: `virtio-net`, or `1/usb-ptr` for a device on another bus. */
  rest: string;
}

/** The place that a section's name begins with; undefined where it is not a PCI path. */
export function pciPlace(section: string): PciPlace | undefined {
  const [, path, rest] = PCI_NAME.exec(section) ?? [];
  if (path === undefined || rest === undefined) return undefined;
  const [domain = "", bus = "", ...slots] = path.split(":");
  return {
    path,
    bridge: slots.length < 2 ? undefined : [domain, bus, ...slots.slice(0, -1)].join(":"),
    bus: Number.parseInt(bus, 16),
    addr: slotAddress(slots.at(-1) ?? ""),
    rest,
  };
}

/** `1f.2` as -device takes it: `0x1f.2`; function 0 is not named. */
export function slotAddress(text: string): string {
  const [slot = "", fn = ""] = text.split(".");
  const number = `0x${Number.parseInt(slot, 16).toString(16)}`;
  return fn === "0" ? number : `${number}.${fn}`;
}

/** What the beginning of a configuration space says. */
export interface PciIdentity {
  /** `8086:100e`. */
  id: string;
  class: number;
  /** The registers by name, as `src/codec/vmstate/private/pci.ts` has them. */
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

/** All capabilities of the configuration space: number, and the bytes from it on. */
function capabilities({ registers }: PciIdentity): { id: number; bytes: Uint8Array }[] {
  const { registers: rest, capabilities: first, header } = registers;
  const found: { id: number; bytes: Uint8Array }[] = [];
  if (!(rest instanceof Uint8Array)) return found;
  // Of a bridge the pointer, 0x34, is among bytes from 0x10 on that are not taken apart.
  let at = typeof first === "number" ? first : header instanceof Uint8Array ? header[0x24]! : 0;
  for (let steps = 0; at >= 64 && at + 1 < 64 + rest.length && steps < 48; steps++) {
    found.push({ id: rest[at - 64]!, bytes: rest.subarray(at - 64) });
    at = rest[at - 63]!;
  }
  return found;
}

/** Numbers of capabilities (PCI Local Bus, PCI Express). */
export const CAPABILITY = { msi: 0x05, vendor: 0x09, shpc: 0x0c, express: 0x10, msix: 0x11 } as const;

/**
 * The bytes of the first capability of this number, from the number on; undefined where the device does not have it.
 */
export function capability(identity: PciIdentity, id: number): Uint8Array | undefined {
  return capabilities(identity).find((one) => one.id === id)?.bytes;
}

/** Capabilities of vendors, of which a device may have several. */
export function vendorCapabilities(identity: PciIdentity): Uint8Array[] {
  return capabilities(identity).flatMap(({ id, bytes }) => (id === CAPABILITY.vendor ? [bytes] : []));
}

/** Numbers of extended capabilities (PCI Express). */
export const EXTENDED = { aer: 0x01, serial: 0x03, acs: 0x0d, ats: 0x0f } as const;

/** The bytes of an extended capability from its number on; undefined where the device does not have it. */
export function extendedCapability(identity: PciIdentity, wanted: number): Uint8Array | undefined {
  const { registers: rest, extended } = identity.registers;
  if (!(rest instanceof Uint8Array)) return undefined;
  const more = extended instanceof Uint8Array ? extended : new Uint8Array(0);
  // From 0x100 on: after the first 192 registers, however they were divided.
  const bytes = more.length > 0 ? more : rest.subarray(192);
  let at = 0;
  for (let steps = 0; at >= 0 && at + 4 <= bytes.length && steps < 64; steps++) {
    if (bytes[at]! + bytes[at + 1]! * 256 === wanted) return bytes.subarray(at);
    const next = (bytes[at + 2]! >> 4) + bytes[at + 3]! * 16;
    at = next < 0x100 ? -1 : next - 0x100;
  }
  return undefined;
}

/** A little-endian number of up to 6 bytes; undefined where they are not there. */
export function littleEndian(bytes: Uint8Array | undefined, at: number, size: number): number | undefined {
  if (bytes === undefined || bytes.length < at + size) return undefined;
  let value = 0;
  for (let i = size - 1; i >= 0; i--) value = value * 256 + bytes[at + i]!;
  return value;
}

/** Whether bit 7 of the header type says that the device has several functions. */
export function isMultifunction({ registers }: PciIdentity): boolean {
  const { header_type: type } = registers;
  return typeof type === "number" && (type & 0x80) !== 0;
}

/** Vectors of MSI-X; 0 where the device has none. */
export function msixVectors(identity: PciIdentity): number {
  const control = littleEndian(capability(identity, CAPABILITY.msix), 2, 2);
  return control === undefined ? 0 : (control & 0x7ff) + 1;
}

/**
 * The MAC address in the device serial number of PCI Express: an EUI-64 whose middle two bytes are ff ff or ff fe; of
 * vmxnet3 the last three bytes come first.
 * Source: QEMU hw/net/e1000e.c, igb.c, vmxnet3.c (5.2 to 11.1).
 */
export function serialMac(identity: PciIdentity, order: "whole" | "halves"): string | undefined {
  const serial = extendedCapability(identity, EXTENDED.serial);
  if (serial === undefined || serial.length < 12) return undefined;
  const places = order === "whole" ? [11, 10, 9, 6, 5, 4] : [8, 9, 10, 5, 6, 7];
  return places.map((i) => serial[i]!.toString(16).padStart(2, "0")).join(":");
}
