import type { Walk } from "./walk.js";

/**
 * PCI configuration space in QEMU's form: an image of the guest-visible registers, little-endian.
 *
 * | offset | size | field                              |
 * |--------|------|------------------------------------|
 * | 0      | 2, 2 | vendor, device                     |
 * | 4      | 2, 2 | command, status                    |
 * | 8      | 1    | revision                           |
 * | 9      | 1, 2 | programming interface, class       |
 * | 12     | 4    | cache line, latency, header type, BIST |
 * | 16     | 48   | by header type: 0 below, else bytes |
 * | 64     | rest | capabilities and private registers |
 *
 * Source: QEMU hw/pci/pci.c (5.2 to 11.x), `vmstate_info_pci_config`; the PCI specification for the registers.
 */
export function pciConfig(walk: Walk, size: number): PciConfig {
  walk.le16("vendor_id");
  walk.le16("device_id");
  let capabilities = 0;
  walk.le16("command");
  walk.le16("status");
  walk.u8("revision");
  walk.u8("prog_if");
  walk.le16("class");
  walk.u8("cache_line_size");
  walk.u8("latency_timer");
  const type = walk.u8("header_type") & 0x7f;
  walk.u8("bist");
  if (type === 0) {
    for (let bar = 0; bar < 6; bar++) walk.le32(`bar${bar}`);
    walk.le32("cardbus_cis");
    walk.le16("subsystem_vendor_id");
    walk.le16("subsystem_id");
    walk.le32("rom_bar");
    capabilities = walk.u8("capabilities");
    walk.bytes("reserved", 7);
    walk.u8("interrupt_line");
    walk.u8("interrupt_pin");
    walk.u8("min_gnt");
    walk.u8("max_lat");
  } else {
    walk.bytes("header", 48);
  }
  const registers = walk.bytes("registers", size - 64);
  return { capability: (id) => findCapability(registers, capabilities, id) };
}

/** The parts of a configuration space that other codecs need. */
interface PciConfig {
  /** The registers from the capability with this id on; undefined where the device has none. */
  capability: (id: number) => Uint8Array | undefined;
}

/** Capabilities are a chain of { u8 id, u8 next } in the first 256 bytes. */
function findCapability(registers: Uint8Array, first: number, id: number): Uint8Array | undefined {
  let at = first;
  for (let steps = 0; at >= 64 && steps < 48; steps++) {
    if (registers[at - 64] === id) return registers.subarray(at - 64);
    at = registers[at - 63] ?? 0;
  }
  return undefined;
}

/** Id of the capability of MSI-X. */
const MSIX = 0x11;

/** MSI-X vectors of a device with this configuration space; 0: none. Source: QEMU hw/pci/msix.c, `msix_init`. */
export function msixVectors({ capability }: PciConfig): number {
  const msix = capability(MSIX);
  return msix === undefined ? 0 : ((msix[2]! | (msix[3]! << 8)) & 0x7ff) + 1;
}

/** The capabilities of a whole configuration space. */
export function capabilitiesOf(config: Uint8Array): PciConfig {
  return { capability: (id) => findCapability(config.subarray(64), config[0x34]!, id) };
}

/** Levels of the pins INTA to INTD: four be32, 0 or 1. Source: QEMU hw/pci/pci.c, `vmstate_info_pci_irq_state`. */
export function pciIrqState(walk: Walk): void {
  for (const pin of ["inta", "intb", "intc", "intd"]) walk.u32(pin);
}

/** Size of the MSI-X state for so many vectors: 16 bytes per table entry, one pending bit each. */
export function msixSize(vectors: number): number {
  return 16 * vectors + Math.ceil(vectors / 8);
}

/** Table entries (guest memory, little-endian), then pending bits. Source: QEMU hw/pci/msix.c, `msix_save`. */
export function msixState(walk: Walk, size: number): void {
  // The number of entries follows from the size: 8 entries of 16 bytes need one pending byte.
  const vectors = Math.floor((size * 8) / 129);
  walk.array("table", vectors, () => {
    walk.le64("address");
    walk.le32("data");
    walk.le32("control");
  });
  walk.bytes("pending", size - 16 * vectors);
}

/** Working registers of the standard hot-plug controller. Source: QEMU hw/pci/shpc.c. */
export function shpc(walk: Walk, size: number): void {
  walk.bytes("config", size);
}
