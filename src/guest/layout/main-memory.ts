import { QevmError } from "../../bytes/errors.js";
import type { LayoutFacts } from "../layout-types.js";

type Block = LayoutFacts["blocks"][number];

const KIB = 1024;
const MIB = 1024 * KIB;
const MAIN = new Set(["pc.ram", "microvm.ram", "mach-virt.ram", "riscv_virt_board.ram", "s390.ram", "ppc_spapr.ram"]);

/** virtio-mem, virtio-pmem and others: the block is named by the PCI path and the device. */
const OF_DEVICE = /^[0-9a-f]{4}:[0-9a-f]{2}:/u;

/** Whether a block's name is an id of a memory module, as libvirt and most people give it: `memdimm0`, `dimm1`. */
export function isModuleName(name: string): boolean {
  return /dimm/iu.test(name);
}

/** Main memory below and above 4 GiB in bytes, from the RTC's CMOS, where a PC writes it for its firmware. */
export function cmosMemory(cmos: Uint8Array | undefined): { low: number; high: number } | undefined {
  if (cmos === undefined || cmos.length < 0x5e) return undefined;
  const word = (at: number): number => cmos[at]! + cmos[at + 1]! * 256;
  const above16 = word(0x34) * 64 * KIB;
  // Up to 16 MiB: kilobytes above the first megabyte.
  const low = above16 > 0 ? 16 * MIB + above16 : MIB + word(0x17) * KIB;
  return { low, high: (word(0x5b) + cmos[0x5d]! * 65_536) * 64 * KIB };
}

/**
 * The block or blocks of main memory, in order: by the names that machines use; or as many blocks as the SRAT has NUMA
 * nodes, with their sizes; or of the size in the RTC's CMOS. Anything else is a guess and is reported as one. Errors:
 * unsupported.
 */
export function mainMemory({ blocks, cmos, nodes }: LayoutFacts, how: string[]): Block[] {
  const named = blocks.find(({ name }) => MAIN.has(name));
  if (named !== undefined) return [named];
  const others = blocks.filter(({ name }) => !isDeviceBlock(name) && !OF_DEVICE.test(name)).toSorted(byName);
  const memory = cmosMemory(cmos);
  const total = memory === undefined ? undefined : memory.low + memory.high;
  // Matching each node is more reliable than one size: a DIMM may have the size of all nodes together.
  const nodesFill = nodes?.reduce((sum, length) => sum + length, 0) === total;
  const nodeBlocks = nodesFill ? byNodes(others, nodes, how) : undefined;
  if (nodeBlocks !== undefined) return nodeBlocks;
  const fitting = others.filter(({ length }) => length === total);
  const plain = fitting.filter(({ name }) => !isModuleName(name));
  const [whole, second] = fitting.length > 1 ? plain : fitting;
  if (whole !== undefined && second === undefined) {
    const [mark, why] =
      fitting.length > 1 ? ["guess: ", ", and the only one without a memory module's name"] : ["", ""];
    how.push(
      `${mark}main memory is ${JSON.stringify(whole.name)}, the block of the length that the RTC's CMOS says${why}`,
    );
    return [whole];
  }
  return byNodes(others, nodes, how) ?? guess(others, total, how);
}

/** One block per NUMA node, in the order of the nodes. */
function byNodes(others: readonly Block[], nodes: readonly number[] | undefined, how: string[]): Block[] | undefined {
  if (nodes === undefined || nodes.length < 2) return undefined;
  const left = [...others];
  const chosen: Block[] = [];
  let sure = true;
  for (const length of nodes) {
    const fitting = left.filter((block) => block.length === length);
    const [first] = fitting;
    if (first === undefined) return undefined;
    if (fitting.length > 1) sure = false;
    chosen.push(first);
    left.splice(left.indexOf(first), 1);
  }
  const told = sure
    ? "by their lengths in the SRAT"
    : "in this order, by their names: the SRAT has several of one length";
  how.push(`${sure ? "" : "guess: "}main memory is ${list(chosen)} ${told}`);
  return chosen;
}

function guess(others: readonly Block[], total: number | undefined, how: string[]): Block[] {
  const sum = others.reduce((all, { length }) => all + length, 0);
  const named = others.filter(({ name }) => /node/u.test(name));
  const nodes = sum === total ? others : named;
  if (nodes.length > 1 || named.length === 1) {
    how.push(`guess: main memory is ${list(nodes)} ${nodes.length > 1 ? "in this order" : "by its name"}`);
    return [...nodes];
  }
  const [largest] = others.toSorted((a, b) => b.length - a.length);
  if (largest === undefined)
    throw new QevmError("unsupported", "no RAM block is main memory: state the layout with --layout");
  how.push(`guess: main memory is the largest block, ${JSON.stringify(largest.name)}`);
  return [largest];
}

function list(blocks: readonly Block[]): string {
  return blocks.map(({ name }) => JSON.stringify(name)).join(", ");
}

/** Natural order of names: node2 before node10. */
export function byName(a: Block, b: Block): number {
  return a.name.localeCompare(b.name, "en", { numeric: true });
}

/**
 * Memory of devices without a path: vmware-svga, vmclock, TPMs, and the pages of Hyper-V's synthetic interrupt
 * controller of each CPU (KVM only). Source: QEMU hw/display, hw/acpi/vmclock.c, hw/tpm, hw/hyperv/hyperv.c.
 */
const PATHLESS = /^(?:vmsvga\.fifo|vmclock_page|tpm-ppi|tpm-crb-cmd|synic-\d+-(?:msg|event)-page)$/u;

/** Firmware, ROMs and memory of devices. */
export function isDeviceBlock(name: string): boolean {
  const firmware = /^(?:pc\.bios|isa-bios|pc\.rom|system\.flash\d|virt\.flash\d)$/u.test(name);
  const memory = /\.v?rom$|(?:vga\.|qxl\.|qxl\.vga|display-)vram$/u.test(name);
  return firmware || memory || name.startsWith("/rom@") || PATHLESS.test(name);
}
