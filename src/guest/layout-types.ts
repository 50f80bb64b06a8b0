/** The registers of a VGA adapter that decide what its window shows. */
export interface VgaRegisters {
  /** Path of the PCI device; empty: the state has a section of its own (VMware, ISA). */
  path: string;
  /** Sequencer registers, 8 (Cirrus: 256), in hexadecimal. */
  sr: string;
  /** Graphics controller registers, 16 (Cirrus: 256), in hexadecimal. */
  gr: string;
  /** Bytes that the window is moved by in the first two mappings (VBE banks). */
  bankOffset: number;
  /** A Cirrus adapter. */
  cirrus?: true;
}

/** A run of guest-physical addresses and the RAM block bytes that stand there. All in bytes. */
export interface Segment {
  start: number;
  length: number;
  block: string;
  offset: number;
  /** Memory of a device or firmware, which a whole raw file does not reach out for. */
  device?: true;
}

/** Where RAM blocks stand in guest-physical memory, by ascending address. */
export interface Layout {
  segments: Segment[];
  /** How it was found, a line each; what is guessed is called a guess. */
  how: string[];
  /** The VGA adapter whose window stands at 0xa0000, and its memory. */
  vga?: { registers: VgaRegisters; block: string };
}

/** The beginning of a PCI device's configuration space, 64 bytes, by the device's path. */
export type PciConfigs = ReadonlyMap<string, Uint8Array>;

/** What a layout is found from. */
export interface LayoutFacts {
  machine: string | undefined;
  blocks: readonly { name: string; length: number }[];
  /** The host bridge's PAM registers, 7 bytes (i440fx from 0x59, q35 from 0x90). */
  pam?: Uint8Array | undefined;
  /** The RTC's 128 bytes of CMOS memory. */
  cmos?: Uint8Array | undefined;
  /** The host bridge's SMRAM register. */
  smram?: number | undefined;
  pci?: PciConfigs | undefined;
  vga?: VgaRegisters | undefined;
  /** A display adapter's section without a path. */
  vgaSection?: string | undefined;
  /** Paths of Cirrus adapters whose memory is seen at their base address register. */
  cirrus?: ReadonlySet<string> | undefined;
  /** Bytes of each NUMA node, as the ACPI tables say. */
  nodes?: readonly number[] | undefined;
  /** Addresses that virtio-mem devices say, by the path of the device. */
  virtioMem?: ReadonlyMap<string, number> | undefined;
}
