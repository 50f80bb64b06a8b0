/** The registers of a VGA adapter that determine the contents of its window. */
export interface VgaRegisters {
  /** Path of the PCI device; empty: the state is a separate section (VMware, ISA). */
  path: string;
  /** Sequencer registers, 8 (Cirrus: 256), in hexadecimal. */
  sr: string;
  /** Graphics controller registers, 16 (Cirrus: 256), in hexadecimal. */
  gr: string;
  /** Bytes by which the window is moved in the first two mappings (VBE banks). */
  bankOffset: number;
  /** A Cirrus adapter. */
  cirrus?: true;
}

/** A range of guest-physical addresses and the RAMBlock bytes that it maps. All in bytes. */
export interface Segment {
  start: number;
  length: number;
  block: string;
  offset: number;
  /** Memory of a device or firmware, to which a whole raw file does not extend. */
  device?: true;
}

/** The RAMBlocks in guest-physical memory, by ascending address. */
export interface Layout {
  segments: Segment[];
  /** How it was determined, in lines; guesses are marked as such. */
  how: string[];
  /** The VGA adapter with the window at 0xa0000, and its memory. */
  vga?: { registers: VgaRegisters; block: string };
}

/** The first 64 bytes of a PCI device's configuration space, by device path. */
export type PciConfigs = ReadonlyMap<string, Uint8Array>;

/** The facts that determine a layout. */
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
  /** The section of a display adapter without a PCI path. */
  vgaSection?: string | undefined;
  /** Paths of Cirrus adapters whose memory is visible at their BAR. */
  cirrus?: ReadonlySet<string> | undefined;
  /** Size of each NUMA node in bytes, from the ACPI tables. */
  nodes?: readonly number[] | undefined;
  /** Addresses of virtio-mem devices, by device path. */
  virtioMem?: ReadonlyMap<string, number> | undefined;
}
