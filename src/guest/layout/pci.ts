import type { PciConfigs, Segment } from "../layout-types.js";

/** `0000:00:02.0`, or `0000:00:02.0:00.0` after a bridge, before the device's name. */
const PATH = /^([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7](?::[0-9a-f]{2}\.[0-7])*)\/[^/]+$/u;

const CIRRUS = 0x1013;

/** Bytes of configuration space that are used. */
const HEADER = 64;

/**
 * The path and configuration of a PCI device's section, whose payload begins with be32 version 2 and the configuration
 * space (QEMU hw/pci/pci.c, 1.0 to 11.1); undefined for other sections.
 */
export function pciConfig(idstr: string, payload: Uint8Array): { path: string; config: Uint8Array } | undefined {
  const path = PATH.exec(idstr)?.[1];
  if (path === undefined || payload.length < 4 + HEADER || payload[3] !== 2) return undefined;
  const config = payload.slice(4, 4 + HEADER);
  const vendor = word(config, 0);
  return vendor === 0 || vendor === 0xffff ? undefined : { path, config };
}

/** The BAR of a device's block, by block name and device. */
function barOf(name: string, config: Uint8Array): number | "rom" | undefined {
  const vendor = word(config, 0);
  if (name.endsWith(".rom")) return "rom";
  if (isShared(config)) return 2;
  if (name === "vga.vram") return { 0x1234: 0, 0x1af4: 0, 0x1b36: 0, 0x15ad: 1, [CIRRUS]: 0 }[vendor];
  return { "qxl.vgavram": 0, "qxl.vram": 1, "qxl.vrom": 2, "bochs-display-vram": 0 }[name];
}

/** ivshmem, whose block has a name chosen by the user. */
function isShared(config: Uint8Array): boolean {
  return word(config, 0) === 0x1af4 && word(config, 2) === 0x1110;
}

/**
 * Whether a block named by a PCI path belongs to the device, rather than being memory plugged in through it
 * (virtio-mem).
 */
export function isPciMemory(name: string, configs: PciConfigs): boolean {
  const config = configs.get(name.slice(0, Math.max(0, name.lastIndexOf("/"))));
  return config !== undefined && isShared(config);
}

/**
 * Segments of PCI device memory: video memory, shared memory and option ROMs, mapped by BARs that are programmed and
 * enabled, in the device and in every bridge before it. Cirrus video memory only of the adapters in `cirrus`. Segments
 * that would overlap others are left out. Source: the PCI specification; QEMU hw/pci/pci.c pci_bar_address, hw/display,
 * hw/misc/ivshmem.c (7.2).
 */
export function pciSegments(
  blocks: readonly { name: string; length: number }[],
  configs: PciConfigs,
  others: readonly Segment[],
  cirrus: ReadonlySet<string> = new Set(),
): Segment[] {
  const placed: Segment[] = [];
  for (const { name, length } of blocks) {
    const slash = name.lastIndexOf("/");
    const path = slash < 0 ? pathOf(name, configs) : name.slice(0, slash);
    const config = path === undefined ? undefined : configs.get(path);
    if (path === undefined || config === undefined) continue;
    if (word(config, 0) === CIRRUS && name.endsWith("vga.vram") && !cirrus.has(path)) continue;
    const bar = name === "vmsvga.fifo" ? 2 : barOf(name.slice(slash + 1), config);
    const start = bar === undefined ? undefined : address(config, bar, length);
    if (start === undefined || !forwarded(path, start, length, configs)) continue;
    const free = [...others, ...placed].every((one) => start + length <= one.start || one.start + one.length <= start);
    if (free) placed.push({ start, length, block: name, offset: 0, device: true });
  }
  return placed;
}

/** Blocks without a path: the VMware adapter's FIFO, and the memory of the VGA adapter of machine types up to 2.12. */
function pathOf(name: string, configs: PciConfigs): string | undefined {
  for (const [path, config] of configs) {
    if (name === "vmsvga.fifo" && word(config, 0) === 0x15ad) return path;
    if (name === "vga.vram" && word(config, 10) === 0x0300) return path;
  }
  return undefined;
}

/** Bit 1 of the command register: the device decodes memory addresses. */
const MEMORY = 2;

function address(config: Uint8Array, bar: number | "rom", length: number): number | undefined {
  if ((config[4]! & MEMORY) === 0) return undefined;
  let value: number;
  if (bar === "rom") {
    value = long(config, 0x30);
    if ((value & 1) === 0) return undefined;
    value -= value % 0x800;
  } else {
    value = long(config, 0x10 + 4 * bar);
    if ((value & 1) === 1) return undefined;
    // Type 2: the next register holds the upper half.
    if ((value & 6) === 4) value += long(config, 0x14 + 4 * bar) * 2 ** 32;
    value -= value % 16;
  }
  value -= value % length;
  return value === 0 || value + length >= 2 ** 52 || value + length === 2 ** 32 ? undefined : value;
}

/** Whether every bridge on the path forwards the range: by its memory window, or its prefetchable one. */
function forwarded(path: string, start: number, length: number, configs: PciConfigs): boolean {
  for (let cut = path.lastIndexOf(":"); cut > 8; cut = path.lastIndexOf(":", cut - 1)) {
    const bridge = configs.get(path.slice(0, cut));
    if (bridge === undefined || (bridge[4]! & MEMORY) === 0) return false;
    const low = (at: number): number => (word(bridge, at) >> 4) * 0x100000;
    const inside = (base: number, limit: number): boolean => base <= start && start + length <= limit + 0x100000;
    const plain = inside(low(0x20), low(0x22));
    const high = (at: number): number => ((word(bridge, 0x24) & 0xf) === 1 ? long(bridge, at) * 2 ** 32 : 0);
    if (!plain && !inside(low(0x24) + high(0x28), low(0x26) + high(0x2c))) return false;
  }
  return true;
}

function word(bytes: Uint8Array, at: number): number {
  return bytes[at]! + bytes[at + 1]! * 256;
}

function long(bytes: Uint8Array, at: number): number {
  return word(bytes, at) + word(bytes, at + 2) * 65_536;
}
