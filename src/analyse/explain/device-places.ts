/** Where a device is among the others, by the names of sections and by its state. */
import { isRecordValue, type DeviceState } from "../../codec/vmstate/index.js";
import { DEVICE_KINDS, type DeviceKind } from "./device-table.js";
import { pciIdentity } from "./pci.js";
import { findRecord } from "./state-fields.js";
import type { Survey } from "./survey.js";

/**
 * Where a companion's ports begin on its EHCI controller (QEMU docs/config/ich9-ehci-uhci.cfg; chipsets' own order).
 */
export const FIRST_PORTS: Readonly<Record<string, number>> = {
  "ich9-usb-uhci1": 0,
  "ich9-usb-uhci2": 2,
  "ich9-usb-uhci3": 4,
  "ich9-usb-uhci4": 0,
  "ich9-usb-uhci5": 2,
  "ich9-usb-uhci6": 4,
};

/**
 * The number of a microvm's virtio-mmio transport: at most 24 (8 without a second IOAPIC), 512 bytes each from 0xfeb00000
 * on (QEMU hw/i386/microvm.c, 5.2 to 11.1).
 */
export function transportPlace(section: string): { number: number; rest: string } | undefined {
  const [, address, rest] = /^virtio-mmio@([0-9a-f]{16})\/([a-z0-9-]+)$/u.exec(section) ?? [];
  if (address === undefined || rest === undefined) return undefined;
  const number = (Number.parseInt(address, 16) - 0xfeb00000) / 512;
  return Number.isInteger(number) && number >= 0 && number < 24 ? { number, rest } : undefined;
}

/** `0000:fe:03.0`: the expander bridge at 03.0 of the root bus, of what is behind it on bus fe. */
export function expanderPath(path: string): string {
  return path.split(":").slice(0, 3).join(":");
}

/** `dev-03.0-00.0`: a name for -device id= that says the place. */
export function idOf(path: string): string {
  const [, bus = "00", ...slots] = path.split(":");
  return `dev-${[...(bus === "00" ? [] : [bus]), ...slots].join("-")}`;
}

/** The kind that a name and the ids in the state mean; undefined where none or several are left. */
export function kindOf(name: string, state: DeviceState | undefined): DeviceKind | undefined {
  const named = DEVICE_KINDS.filter((kind) => kind.name === name);
  const identity = pciIdentity(state);
  const fitting = named.find(
    (kind) =>
      (kind.pci === undefined || kind.pci === identity?.id) &&
      (kind.class === undefined || kind.class === identity?.class),
  );
  return fitting ?? (identity === undefined ? named[0] : undefined);
}

/** Numbers of a virtio-serial's ports; empty for other devices. */
export function activePorts(state: DeviceState | undefined): number[] {
  const ports = state === undefined ? undefined : findRecord(state, "ports");
  if (!Array.isArray(ports)) return [];
  return ports.flatMap((port) =>
    isRecordValue(port) && typeof port.record["id"] === "number" ? [port.record["id"]] : [],
  );
}

/** Numbers of user networks (-netdev user) of a source: each has a section "slirp". Their ids are net0, net1, ... */
export function userNetworks({ devices }: Pick<Survey, "devices">): number[] {
  const instances = devices.flatMap(({ name, instance }) => (name === "slirp" ? [instance] : []));
  const count = Math.min(
    MOST_BACKENDS,
    instances.reduce((most, one) => Math.max(most, one + 1), 0),
  );
  return Array.from({ length: count }, (_, n) => n);
}

/** More backends than this are not proposed: an instance id of a damaged stream can be any number. */
const MOST_BACKENDS = 64;

/** The arguments of a source's user networks. */
export function networkArguments(survey: Pick<Survey, "devices">): string[] {
  return userNetworks(survey).flatMap((n) => ["-netdev", `user,id=net${n}`]);
}

/**
 * Sound backends of the source that no device of the arguments uses: each -audiodev of older releases has a section "audio". Those
 * of devices are placeholders (`AUDIODEV0`). Source: QEMU audio/audio.c (5.2).
 */
export function soundArguments(
  { devices }: Pick<Survey, "devices">,
  listed: readonly { argument: string }[],
): string[] {
  const sections = devices.reduce(
    (most, { name, instance }) => (name === "audio" ? Math.max(most, instance + 1) : most),
    0,
  );
  const used = listed.filter(({ argument }) => /,audiodev=AUDIODEV\d+/u.test(argument)).length;
  return Array.from({ length: Math.min(MOST_BACKENDS, Math.max(0, sections - used)) }, (_, n) => n).flatMap((n) => [
    "-audiodev",
    `none,id=audio${n}`,
  ]);
}
