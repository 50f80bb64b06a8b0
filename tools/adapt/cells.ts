/** The cells of the matrix: machine types by sets of devices. `$DIR/disk` is an empty disk. */

/** A set of devices and the arguments that make it. */
export interface DeviceSet {
  readonly name: string;
  readonly args: (family: string) => string;
}

const disk = (id: string): string => `-drive if=none,id=${id},file=$DIR/disk,format=raw,file.locking=off,snapshot=on`;

export const DEVICE_SETS: readonly DeviceSet[] = [
  { name: "standard", args: (family) => (family === "pc-q35" ? "-nic user,model=e1000" : "") },
  {
    name: "virtio",
    args: () =>
      `-nodefaults -vga std -netdev user,id=n0 -device virtio-net-pci,netdev=n0 -object rng-builtin,id=r0
       -device virtio-rng-pci,rng=r0 -device virtio-balloon-pci -device virtio-serial-pci,id=ser0
       -chardev null,id=c0 -device virtserialport,bus=ser0.0,chardev=c0 ${disk("d0")} -device virtio-blk-pci,drive=d0`,
  },
  {
    name: "virtio, no serial",
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

/** Machine types of a QEMU from a release up to another, of pc and q35. */
export const RELEASES = ["2.3", "2.4", "2.5", "2.6", "2.7", "2.8", "2.9", "2.10", "2.11", "2.12"].concat([
  "3.0",
  "3.1",
  "4.0",
  "4.1",
  "4.2",
  "5.0",
  "5.1",
]);

export const FAMILIES = ["pc-i440fx", "pc-q35"] as const;
