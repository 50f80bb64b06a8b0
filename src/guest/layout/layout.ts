import { machineFamily, machineRelease, releaseNumber } from "../machines/index.js";
import { cirrusBanks } from "./cirrus.js";
import { placeHotplugged } from "./hotplugged.js";
import { cmosMemory, mainMemory } from "./main-memory.js";
import { pciSegments } from "./pci.js";
import type { Layout, LayoutFacts, Segment } from "../layout-types.js";
import { ISA_VGA_SECTION } from "./vga-registers.js";

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const FOUR_GIB = 4 * GIB;
const BASES: Readonly<Record<string, number>> = { "mach-virt.ram": GIB, "riscv_virt_board.ram": 2 * GIB };
/** Frame buffer address of the Bochs interface of the standard VGA on the ISA bus. */
const ISA_VGA = 0xe0000000;
/** Machines with the layout of a PC; "none" has no rule. */
const PC = /^(?:pc|q35|microvm|isapc|xen|x-remote|nitro|none$)/u;

/**
 * Determines the layout from the machine type, the block list and the device state.
 *
 * x86: RAM below L at 0, the rest from 4 GiB. L is in the RTC's CMOS, where the machine writes it for its firmware
 * (0x34: 64 KiB units above 16 MiB; 0x5b: above 4 GiB). If that is inconsistent, the machine type's rule is used.
 * 0xa0000 to 0xbffff is RAM unless there is a VGA adapter. 0xc0000 to 0xfffff is RAM where the host bridge's PAM
 * registers say so, else pc.rom and the end of pc.bios. Source: QEMU hw/i386/pc_piix.c, pc_q35.c, pc.c, x86.c,
 * microvm.c, hw/pci-host/pam.c, hw/arm/virt.c, hw/riscv/virt.c (7.2 to 11.1). Errors: unsupported, when no block is
 * main memory.
 */
export function findLayout(facts: LayoutFacts): Layout {
  const how: string[] = [];
  const main = mainMemory(facts, how);
  const total = main.reduce((sum, { length }) => sum + length, 0);
  const [only] = main;
  const base = only === undefined || main.length > 1 ? undefined : BASES[only.name];
  const segments: Segment[] = [];
  if (only?.name === "mach-virt.ram") placeFlash(segments, facts, 0, 64 * MIB);
  if (only?.name === "riscv_virt_board.ram") {
    placeFlash(segments, facts, 512 * MIB, 32 * MIB);
    const rom = facts.blocks.find(({ name }) => name === "riscv_virt_board.mrom");
    if (rom !== undefined)
      segments.push({ start: 0x1000, length: rom.length, block: rom.name, offset: 0, device: true });
  }
  if (base !== undefined) {
    how.push(`${only!.name} begins at 0x${base.toString(16)} on this machine`);
    placeMain(segments, main, 0, total, base);
    return finish(segments, how);
  }
  if (only !== undefined && (only.name === "s390.ram" || only.name === "ppc_spapr.ram")) {
    how.push(`${only.name} begins at 0 on this machine`);
    placeMain(segments, main, 0, total, 0);
    return finish(segments, how);
  }
  if (facts.machine !== undefined && !PC.test(facts.machine)) {
    how.push(`guess: main memory begins at 0 on ${JSON.stringify(facts.machine)}`);
    placeMain(segments, main, 0, total, 0);
    return finish(segments, how);
  }
  const low = lowMemory(facts, total, how);
  placeLow(segments, main, low, facts, how);
  if (total > low) placeMain(segments, main, low, total - low, FOUR_GIB);
  placeFirmware(segments, facts);
  placeHotplugged(segments, facts, main, FOUR_GIB + total - low, how);
  if (facts.pci !== undefined) segments.push(...pciSegments(facts.blocks, facts.pci, segments, facts.cirrus));
  placeIsaVga(segments, facts);
  const shown = window(facts, how);
  if (shown.vga !== undefined) placeBanks(segments, shown.vga, facts);
  return { ...finish(segments, how), ...shown };
}

type Block = LayoutFacts["blocks"][number];

/** Main memory below 4 GiB in bytes. */
function lowMemory(facts: LayoutFacts, total: number, how: string[]): number {
  const { machine = "" } = facts;
  const told = cmosMemory(facts.cmos);
  if (told !== undefined && told.low + told.high === total) {
    if (told.high > 0) how.push(`0x${told.low.toString(16)} bytes below 4 GiB, as the RTC's CMOS says`);
    return told.low;
  }
  const low = ruledLow(machine, total);
  const known = /^(?:pc-(?:i440fx|q35)-|microvm|isapc)/u.test(machine) || machineFamily(machine) === "pc-i440fx";
  if (total > 2 * GIB) {
    how.push(
      `${known ? "" : "guess: "}0x${low.toString(16)} bytes below 4 GiB by the rule of ${machine === "" ? "pc (no machine type in the stream)" : JSON.stringify(machine)}; max-ram-below-4g could move it`,
    );
  }
  return low;
}

/** Memory below 4 GiB in bytes by the machine type's rule, for `total` bytes of main memory. */
export function ruledLow(machine: string, total: number): number {
  if (machine.startsWith("isapc")) return total;
  if (machine.startsWith("microvm")) return Math.min(total, 3 * GIB);
  if (machine.startsWith("pc-q35")) {
    const limit = total >= 0xb0000000 ? 0x80000000 : 0xb0000000;
    return total >= limit ? limit : total;
  }
  if (total < 0xe0000000) return total;
  const release = releaseNumber(machineRelease(machine));
  return release !== undefined && release < 200 ? 0xe0000000 : 3 * GIB;
}

/** The first megabyte, and the rest of low memory. */
function placeLow(segments: Segment[], main: readonly Block[], low: number, facts: LayoutFacts, how: string[]): void {
  const { machine = "", pam, blocks } = facts;
  if (machine.startsWith("microvm")) {
    const alias = Math.min(blocks.find(({ name }) => name === "pc.bios")?.length ?? 0, 128 * KIB, low);
    placeMain(segments, main, 0, Math.min(low, MIB - alias), 0);
    if (alias > 0) shadow(segments, main, blocks, MIB - alias, alias, 0);
    if (low > MIB) placeMain(segments, main, MIB, low - MIB, MIB);
    return;
  }
  // Without a VGA adapter at 0xa0000, the RAM there is visible.
  const hidden = hasVga(blocks) && !isOpen(facts.smram);
  placeMain(segments, main, 0, Math.min(low, hidden ? 640 * KIB : 768 * KIB), 0);
  if (low <= MIB) return;
  placeMain(segments, main, MIB, low - MIB, MIB);
  if (pam === undefined)
    how.push("0xc0000 to 0xfffff: no host bridge says what is there; ROM is taken where there is a block for it");
  for (let start = 0xc0000; start < 0xf0000; start += 0x4000) {
    const k = (start - 0xc0000) / 0x4000;
    const register = pam?.[1 + (k >> 1)] ?? 0;
    shadow(segments, main, blocks, start, 0x4000, ((k & 1) === 0 ? register : register >> 4) & 1);
  }
  shadow(segments, main, blocks, 0xf0000, 0x10000, ((pam?.[0] ?? 0) >> 4) & 1);
}

/** Whether a block is the memory of an adapter that may decode 0xa0000. */
function hasVga(blocks: readonly Block[]): boolean {
  return blocks.some(({ name }) => /vga|vram|cirrus|qxl/iu.test(name));
}

/** The VGA adapter at 0xa0000 to 0xbffff, unless the host bridge opens the SMRAM there. */
function window(facts: LayoutFacts, how: string[]): Pick<Layout, "vga"> {
  const { blocks, vga, smram } = facts;
  if (!hasVga(blocks) || isOpen(smram)) return {};
  const what = "0xa0000 to 0xbffff is the VGA window, not RAM";
  if (isIsa(facts) && facts.vgaSection !== ISA_VGA_SECTION) {
    how.push(`${what}; this QEMU does not save the registers of an ISA adapter`);
    return {};
  }
  const own =
    vga === undefined || isIsa(facts)
      ? []
      : blocks.filter(({ name }) => name.startsWith(vga.path) && name.endsWith("vga.vram"));
  const [block] = own.length > 0 ? own : blocks.filter(({ name }) => name === "vga.vram");
  const known = vga !== undefined && block !== undefined && own.length <= 1;
  how.push(`${what}${known ? "" : ", whose registers are not known"}`);
  return known ? { vga: { registers: vga, block: block.name } } : {};
}

/** The banks of a Cirrus adapter that are linear in the window. */
function placeBanks(segments: Segment[], vga: NonNullable<Layout["vga"]>, { blocks }: LayoutFacts): void {
  const { name, length } = blocks.find((one) => one.name === vga.block)!;
  for (const bank of cirrusBanks(vga.registers, length)) segments.push({ ...bank, block: name, device: true });
}

/** Bit 6 of the SMRAM register (D_OPEN): RAM is visible at 0xa0000. */
function isOpen(smram: number | undefined): boolean {
  return ((smram ?? 0) & 0x40) !== 0;
}

/** One piece of the shadow area: RAM or ROM. */
function shadow(
  segments: Segment[],
  main: readonly Block[],
  blocks: readonly Block[],
  start: number,
  length: number,
  ram: number,
): void {
  if (ram === 1) {
    placeMain(segments, main, start, length, start);
    return;
  }
  const find = (name: string): Block | undefined => blocks.find((block) => block.name === name);
  const bios = find("pc.bios");
  const rom = find("pc.rom");
  const alias = Math.min(bios?.length ?? 0, 128 * KIB);
  if (bios !== undefined && start >= MIB - alias) {
    segments.push({ start, length, block: bios.name, offset: bios.length - (MIB - start) });
  } else if (rom !== undefined && start - 0xc0000 + length <= rom.length) {
    segments.push({ start, length, block: rom.name, offset: start - 0xc0000 });
  }
}

function placeFirmware(segments: Segment[], { blocks }: LayoutFacts): void {
  let end = FOUR_GIB;
  for (const name of ["pc.bios", "system.flash0", "system.flash1"]) {
    const block = blocks.find((one) => one.name === name);
    if (block === undefined) continue;
    segments.push({ start: end - block.length, length: block.length, block: name, offset: 0, device: true });
    end -= block.length;
  }
}

/** The two flashes of ARM's and RISC-V's virt machines. */
function placeFlash(segments: Segment[], { blocks }: LayoutFacts, start: number, size: number): void {
  ["virt.flash0", "virt.flash1"].forEach((name, k) => {
    const block = blocks.find((one) => one.name === name);
    if (block !== undefined)
      segments.push({ start: start + k * size, length: block.length, block: name, offset: 0, device: true });
  });
}

/** Whether a display adapter is on the ISA bus: a section without a path that is not VMware's. */
function isIsa({ vgaSection, pci }: LayoutFacts): boolean {
  if (vgaSection === ISA_VGA_SECTION) return true;
  const vmware = [...(pci?.values() ?? [])].some((config) => config[0] === 0xad && config[1] === 0x15);
  return vgaSection !== undefined && !vmware;
}

/** The memory of an ISA VGA adapter, which its BIOS maps at a fixed address; the ISA Cirrus has none. */
function placeIsaVga(segments: Segment[], facts: LayoutFacts): void {
  const block = facts.blocks.find(({ name }) => name === "vga.vram");
  if (block === undefined || facts.vgaSection === "cirrus_vga" || !isIsa(facts)) return;
  const { name, length } = block;
  const free = segments.every((one) => one.start >= ISA_VGA + length || one.start + one.length <= ISA_VGA);
  if (free) segments.push({ start: ISA_VGA, length, block: name, offset: 0, device: true });
}

/** Places bytes `from` to `from + length` of main memory at `start`. */
function placeMain(segments: Segment[], main: readonly Block[], from: number, length: number, start: number): void {
  let before = 0;
  for (const block of main) {
    const begin = Math.max(from, before);
    const end = Math.min(from + length, before + block.length);
    if (begin < end)
      segments.push({ start: start + begin - from, length: end - begin, block: block.name, offset: begin - before });
    before += block.length;
  }
}

function finish(segments: readonly Segment[], how: string[]): Layout {
  return { segments: joinSegments(segments), how };
}

/** Sorts by address and joins adjacent segments of one block. */
export function joinSegments(segments: readonly Segment[]): Segment[] {
  const joined: Segment[] = [];
  for (const segment of segments.toSorted((a, b) => a.start - b.start)) {
    const last = joined.at(-1);
    if (
      last !== undefined &&
      last.block === segment.block &&
      last.start + last.length === segment.start &&
      last.offset + last.length === segment.offset
    ) {
      last.length += segment.length;
    } else {
      joined.push({ ...segment });
    }
  }
  return joined;
}
