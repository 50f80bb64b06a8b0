/**
 * The registers of virtio's legacy interface, where they are more in the destination than the guest has room for. Source:
 * QEMU hw/virtio/virtio-pci.c `virtio_pci_device_plugged`, `virtio_pci_notify_write_pio`, 7.2 and 11.1; virtio 1.2
 * (4.1.4.8 Legacy Interfaces).
 */
import { isRecordValue, type FieldValue, type RecordValue } from "../../../codec/vmstate/index.js";
import type { MergeContext, Remedy } from "../context.js";
import { capabilitiesOf } from "./pci-registers.js";
import { takenFeatures } from "./virtio-features.js";

type Fields = Record<string, FieldValue>;

/** Offset of the register that a driver writes the number of a queue to. */
const NOTIFY = 16;
/** A BAR of ports without an address. */
const UNMAPPED = 1;

/**
 * BAR 0 is the legacy interface: 20 bytes, 24 with MSI-X, and the configuration of the device. Where that has grown
 * in the destination, the guest's address may not be a multiple of the size any more. A running driver with MSI-X
 * needs one register of it, that of notifications; BAR 2 of a device with `modern-pio-notify` is just that register,
 * and is put there.
 * @param pci of the guest, already in the destination's shape
 * @param like of the pattern
 */
export function alignLegacyBar(
  pci: RecordValue,
  like: RecordValue,
  { mine, theirs }: { mine: Fields; theirs: Fields },
  ctx: MergeContext,
): RecordValue {
  const { config } = pci.record;
  if (!isRecordValue(config)) return pci;
  const bar = Number(config.record["bar0"]);
  const head = isRecordValue(pci.record["msix"]) ? 24 : 20;
  const size = (fields: Fields): number => 2 ** Math.ceil(Math.log2(head + Number(fields["config_len"])));
  const [was, is] = [size(mine), size(theirs)];
  if ((bar & 1) === 0 || is <= was || (bar & ~3 & (is - 1)) === 0) return pci;
  const placed = (bars: Fields): RecordValue => ({
    record: { ...pci.record, config: { record: { ...config.record, ...bars } } },
  });
  const note = (now: number, weight: "unused" | "guest" | "never", reason: string, remedy?: string | Remedy): void =>
    ctx.within("bar0", () => ctx.note("virtio-legacy-bar", weight, bar, now, reason, remedy));
  if (mine["status"] === 0 || hasModernDriver(mine)) {
    note(
      UNMAPPED,
      "unused",
      "the guest does not use the legacy interface, whose registers are more in the destination",
    );
    return placed({ bar0: UNMAPPED });
  }
  const theirConfig = like.record["config"];
  if (!hasMsix(config.record) || !isRecordValue(theirConfig)) {
    note(bar & ~(is - 1), "never", NO_ROOM, UNLOADED);
    return pci;
  }
  if ((Number(theirConfig.record["bar2"]) & 1) === 1) {
    note(UNMAPPED, "guest", NOTIFIED, UNLOADED);
    return placed({ bar0: UNMAPPED, bar2: ((bar & ~3) + NOTIFY) | 1 });
  }
  note(UNMAPPED, "never", NO_ROOM, notifyRemedy(theirConfig.record));
  return placed({ bar0: UNMAPPED });
}

const NO_ROOM =
  "the guest's driver uses the legacy interface, whose registers are more in the destination: no room here";
const NOTIFIED =
  "the guest's driver uses the legacy interface, whose registers are more in the destination: only the one that it " +
  "uses while it runs is there, so the device works until the guest unloads the driver or sleeps; a restart is right again";
const UNLOADED = "unplug the device in the guest before it is saved, or load with a QEMU that knows the machine type";

/** The register of notifications as a BAR is a thing of virtio 1.0 devices. */
function notifyRemedy({ registers, capabilities }: Fields): Remedy {
  const space = new Uint8Array(0x100);
  if (registers instanceof Uint8Array) space.set(registers.subarray(0, 0xc0), 0x40);
  const modern = capabilitiesOf(space, Number(capabilities)).some(({ id }) => id === VENDOR_CAPABILITY);
  return modern
    ? { property: "modern-pio-notify", value: "on" }
    : { property: "disable-modern", value: "off", also: ", then modern-pio-notify=on" };
}

const VENDOR_CAPABILITY = 0x09;
const MSIX_CAPABILITY = 0x11;

/** Whether the guest has interrupts by messages: without, its driver reads the legacy interface at each. */
function hasMsix({ registers, capabilities }: Fields): boolean {
  if (!(registers instanceof Uint8Array)) return false;
  const space = new Uint8Array(0x100);
  space.set(registers.subarray(0, 0xc0), 0x40);
  const found = capabilitiesOf(space, Number(capabilities)).find(({ id }) => id === MSIX_CAPABILITY);
  return found !== undefined && (space[found.at + 3]! & 0x80) !== 0;
}

/** Whether the guest's driver speaks virtio 1.0 (feature bit 32). */
function hasModernDriver(fields: Fields): boolean {
  return ((takenFeatures(fields) >> 32n) & 1n) === 1n;
}
