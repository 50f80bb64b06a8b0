import { deviceToPlain, type DeviceState } from "../../codec/vmstate/index.js";
import type { LayoutFacts, Segment } from "../layout-types.js";
import { byName, isDeviceBlock } from "./main-memory.js";
import { isPciMemory } from "./pci.js";

type Block = { name: string; length: number };

const GIB = 1 << 30;
/** Alignment of hot-plugged memory. */
const DIMM_ALIGNMENT = 1 << 21;

/**
 * The block's address of a virtio-mem device, from the sanity checks at the start of its state (QEMU
 * hw/virtio/virtio-mem.c: "sanity-checks" in virtio-mem up to 7.2, "tmp" in virtio-mem-device-early from 8.0 on);
 * undefined for other devices.
 */
export function virtioMemAddress(idstr: string, state: DeviceState): { path: string; address: number } | undefined {
  const path = /^(.*)\/virtio-mem(?:-device-early)?$/u.exec(idstr)?.[1];
  if (path === undefined) return undefined;
  const address = addressIn(deviceToPlain(state).fields);
  return address === undefined ? undefined : { path, address };
}

function addressIn(value: unknown): number | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  if ("addr" in value && "region_size" in value && "block_size" in value) return Number(value.addr);
  for (const member of Object.values(value)) {
    const address = addressIn(member);
    if (address !== undefined) return address;
  }
  return undefined;
}

/**
 * Places DIMMs and similar memory after main memory, which ends at `end`. virtio-mem goes to its device's address. The
 * others go where QEMU would find space for them, in the order of their names; that is a guess.
 */
export function placeHotplugged(
  segments: Segment[],
  { blocks, virtioMem, pci = new Map() }: Pick<LayoutFacts, "blocks" | "virtioMem" | "pci">,
  main: readonly Block[],
  end: number,
  how: string[],
): void {
  const base = Math.ceil(end / GIB) * GIB;
  const placed = new Set(main);
  const others = blocks
    .filter((block) => !isDeviceBlock(block.name) && !isPciMemory(block.name, pci) && !placed.has(block))
    .toSorted(byName);
  const told: { start: number; end: number }[] = [];
  for (const block of others) {
    const start = virtioMem?.get(block.name.slice(0, block.name.lastIndexOf("/")));
    if (start === undefined) continue;
    segments.push({ start, length: block.length, block: block.name, offset: 0 });
    told.push({ start, end: start + block.length });
    placed.add(block);
    how.push(`${JSON.stringify(block.name)} is at 0x${start.toString(16)}, as its virtio-mem device says`);
  }
  told.sort((a, b) => a.start - b.start);
  let at = base;
  // Index of the first known range that may overlap. All ranges before it end at or before `at`.
  let next = 0;
  for (const { name, length } of others.filter((block) => !placed.has(block))) {
    for (; next < told.length && told[next]!.start < at + length; next++) {
      const rangeEnd = told[next]!.end;
      if (at < rangeEnd) at = Math.ceil(rangeEnd / DIMM_ALIGNMENT) * DIMM_ALIGNMENT;
    }
    segments.push({ start: at, length, block: name, offset: 0 });
    how.push(`guess: ${JSON.stringify(name)} is hot-plugged memory at 0x${at.toString(16)}; the stream does not say`);
    at += Math.ceil(length / DIMM_ALIGNMENT) * DIMM_ALIGNMENT;
  }
}
