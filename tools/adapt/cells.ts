/** The cells of the matrix: machine types by sets of devices. `$DIR/disk` is an empty disk. */
import { spawnSync } from "node:child_process";
import type { QemuBinary } from "../qemu/find.js";

/** A set of devices and the arguments that make it. */
export interface DeviceSet {
  readonly name: string;
  readonly args: (family: string) => string;
  /** It is a part of another set. */
  readonly part?: boolean;
}

export const disk = (id: string): string =>
  `-drive if=none,id=${id},file=$DIR/disk,format=raw,file.locking=off,snapshot=on`;

export const DEVICE_SETS: readonly DeviceSet[] = [
  { name: "standard", args: (family) => (family === "pc-q35" ? "-nic user,model=e1000" : "") },
  {
    name: "virtio",
    args: () =>
      `-nodefaults -vga std -netdev user,id=n0 -device virtio-net-pci,netdev=n0 -object rng-builtin,id=r0
       -device virtio-rng-pci,rng=r0 -device virtio-balloon-pci -device virtio-serial-pci,id=ser0
       -chardev file,id=c0,path=$DIR/port -device virtserialport,bus=ser0.0,chardev=c0 ${disk("d0")} -device virtio-blk-pci,drive=d0`,
  },
  {
    name: "virtio, no serial",
    part: true,
    args: () =>
      `-nodefaults -vga std -netdev user,id=n0 -device virtio-net-pci,netdev=n0 -object rng-builtin,id=r0
       -device virtio-rng-pci,rng=r0 -device virtio-balloon-pci ${disk("d0")} -device virtio-blk-pci,drive=d0`,
  },
  {
    name: "usb",
    args: () =>
      `-nodefaults -vga std -device piix3-usb-uhci,id=uhci -device usb-tablet,bus=uhci.0 -device usb-ehci,id=ehci
       -device nec-usb-xhci,id=xhci -device usb-kbd,bus=xhci.0 ${disk("d0")} -device usb-storage,bus=ehci.0,drive=d0`,
  },
  {
    name: "disks",
    args: () =>
      `-nodefaults -vga std ${disk("d0")} ${disk("d1")} ${disk("d2")} -device ahci,id=ahci0 -device ide-hd,bus=ahci0.0,drive=d0
       -device lsi53c895a,id=lsi0 -device scsi-hd,bus=lsi0.0,drive=d1
       -device virtio-scsi-pci,id=vs0 -device scsi-hd,bus=vs0.0,drive=d2`,
  },
  {
    name: "sound",
    args: () =>
      `-nodefaults -vga cirrus -audiodev none,id=snd -device intel-hda -device hda-duplex,audiodev=snd
       -device AC97,audiodev=snd -device ES1370,audiodev=snd`,
  },
  { name: "cpus", args: () => "-nodefaults -vga std -smp 3,maxcpus=12" },
];

export const FAMILIES = ["pc-i440fx", "pc-q35"] as const;

/** A text as arguments; they have no spaces. */
export function wordsOf(text: string): string[] {
  return text.split(/\s+/u).filter((word) => word !== "");
}

/** Whether the streams of a machine type describe the state of devices: those without a release do. */
export function describesState(machine: string): boolean {
  return !(releaseOf(machine) < releaseOf("2.3"));
}

/** What each QEMU says of its machine types. */
const helped = new Map<string, string>();

/** Versioned machine types of a family that a QEMU has, the oldest first. */
export function machineTypes({ command }: QemuBinary, family: string): string[] {
  const [file = "", ...lead] = command;
  const key = command.join(" ");
  const text = helped.get(key) ?? spawnSync(file, [...lead, "-machine", "help"], { encoding: "utf8" }).stdout;
  helped.set(key, text);
  return text
    .split("\n")
    .flatMap((row) => /^\S+/u.exec(row) ?? [])
    .filter((name) => name.startsWith(`${family}-`))
    .toSorted((a, b) => releaseOf(a) - releaseOf(b));
}

/** The machine type of a QEMU that is nearest to another: the same, else the next newer, else its newest. */
export function nearestType(types: readonly string[], wanted: string): string {
  return types.find((one) => releaseOf(one) >= releaseOf(wanted)) ?? types.at(-1)!;
}

/** The release of a machine type's name, to compare. */
export function releaseOf(name: string): number {
  const [major = 0, minor = 0, micro = 0] = (name.split("-").at(-1) ?? "").split(".").map(Number);
  return major * 10_000 + minor * 100 + micro;
}
