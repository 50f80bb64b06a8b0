import type { BrokenLoadRule, RenameRule, SectionRule } from "./types.js";

/** Sections that a destination may lack without the guest noticing. */
export const SECTION_RULES: readonly SectionRule[] = [
  {
    name: "globalstate",
    section: /^globalstate$/u,
    weight: "unused",
    reason: "the run state: without it QEMU goes on as it is told on its command line",
    between: ["2.3", "2.4"],
    source: "migration/global_state.c, 7.2",
  },
  {
    name: "audio",
    section: /^audio$/u,
    weight: "unused",
    reason: "the host's audio, of which nothing is saved but the name",
    between: ["5.2", "7.2"],
    source: "streams of 5.2, 7.2 and 11.1 with -audiodev",
  },
];

/** Sections that end a QEMU that loads them. */
export const BROKEN_LOADS: readonly BrokenLoadRule[] = [
  {
    name: "isa-cirrus-vga",
    section: /^cirrus_vga$/u,
    until: "7.2",
    weight: "never",
    reason: "QEMU up to 7.2 ends when it loads isa-cirrus-vga, its own too: an assertion in softmmu/memory.c",
    between: ["7.2", "10.0"],
    source: "loads by 5.2 and 7.2, which end, and by 10.0 and 11.1",
  },
];

/** Machine types 1.6 leave out the number of the root bus: `0000:02.0`. */
const SHORT_ROOT_BUS: RenameRule = {
  name: "short-root-bus",
  pattern: /^([0-9a-f]{4}):(?=[0-9a-f]{2}\.[0-7])/u,
  becomes: "$1:00:",
  weight: "form",
  reason: "PCI devices of machine types 1.6 are named without the number of the root bus",
  between: ["1.6", "1.7"],
  source: "hw/pci-host/i440fx.c and q35.c, property short_root_bus, 7.2",
};

/** Sections that were called otherwise. */
export const SECTION_RENAMES: readonly RenameRule[] = [
  SHORT_ROOT_BUS,
  {
    name: "isa-vga",
    pattern: /^vga-isa$/u,
    becomes: "vga",
    weight: "form",
    reason: "the state of isa-vga is a part of its own section since 11.1",
    between: ["10.0", "11.1"],
    source: "hw/display/vga-isa.c, 10.0 and 11.1",
  },
];

/** RAM blocks that were called otherwise. */
export const BLOCK_RENAMES: readonly RenameRule[] = [
  {
    name: "vga-memory",
    pattern: /^(?:[0-9a-f:.]+\/)?vga\.vram$/u,
    becomes: "vga.vram",
    weight: "form",
    reason: "the memory of the VGA adapter is named after its PCI address since 2.12",
    between: ["2.12", "3.0"],
    source: "hw/display/vga.c, property global-vmstate, 7.2",
  },
  SHORT_ROOT_BUS,
  {
    name: "memory-path",
    pattern: /^(?:\/objects\/)?([^/]+)$/u,
    becomes: "$1",
    weight: "form",
    reason: "a memory backend is named by its path since 4.0",
    between: ["3.1", "4.0"],
    source: "backends/hostmem.c, property x-use-canonical-path-for-ramblock-id, 7.2",
  },
];
