/**
 * Which bits of PCI capabilities the guest writes. All others are what the device is: QEMU compares them with its own
 * and refuses a stream that differs (hw/pci/pci.c `get_pci_config_device`, 7.2 and 11.1).
 *
 * Source: PCI Local Bus 3.0 (6.8 MSI, MSI-X), PCI Power Management 1.2 (3.2), PCI Express 3.0 (7.8), virtio 1.1
 * (4.1.4).
 */
export interface Capability {
  id: number;
  /** Offset in the configuration space. */
  at: number;
}

const POWER = 0x01;
const MSI = 0x05;
const VENDOR = 0x09;
const HOTPLUG = 0x0c;
const EXPRESS = 0x10;
const MSIX = 0x11;

/** The chain of capabilities: `space` is the whole configuration space. */
export function capabilitiesOf(space: Uint8Array, first: number): Capability[] {
  const found: Capability[] = [];
  for (let at = first & 0xfc; at >= 0x40 && at < 0xff && found.length < 48; at = (space[at + 1] ?? 0) & 0xfc) {
    if (found.some((one) => one.at === at)) break;
    found.push({ id: space[at]!, at });
  }
  return found;
}

/** Bytes of a capability; those that are not known count as their head of two. */
export function capabilityLength(space: Uint8Array, { id, at }: Capability): number {
  switch (id) {
    case POWER:
    case HOTPLUG:
      return 8;
    case MSI: {
      const control = space[at + 2]!;
      return ((control & 0x80) === 0 ? 10 : 14) + ((control & 1) === 0 ? 0 : 10);
    }
    case VENDOR:
      return Math.max(3, space[at + 2]!);
    case EXPRESS:
      return (space[at + 2]! & 0x0f) >= 2 ? 0x3c : 0x14;
    case MSIX:
      return 12;
    default:
      return 2;
  }
}

/** The bits of byte `i` of a capability that the guest or its device changes. */
export function writableBits(space: Uint8Array, { id, at }: Capability, i: number): number {
  switch (id) {
    case POWER:
      return i === 4 ? 0x03 : i === 5 ? 0x81 : 0;
    case MSI:
      return i === 2 ? 0x70 | 0x01 : i >= 4 ? 0xff : 0;
    case MSIX:
      return i === 3 ? 0xc0 : 0;
    case HOTPLUG:
      return i >= 2 ? 0xff : 0;
    case VENDOR:
      // The window of virtio 1.0 into its BARs.
      return space[at + 3] === 5 && i >= 4 ? 0xff : 0;
    case EXPRESS:
      return EXPRESS_WRITABLE.has(i) ? 0xff : 0;
    default:
      return 0;
  }
}

/** Device, link, slot and root control and status; the status of the link is what the device is connected to. */
const EXPRESS_WRITABLE = new Set([
  0x08, 0x09, 0x0a, 0x0b, 0x10, 0x11, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x20, 0x21, 0x22, 0x23, 0x28, 0x29, 0x30,
  0x31,
]);
