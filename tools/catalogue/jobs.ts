/** Command lines of the sweep for the catalogue of device state. */
import { spawnSync } from "node:child_process";
import { emptyDisks, words } from "../capture/entries/parts.js";
import type { Job } from "../capture/device-sets.js";
import { usualProgram, type QemuBinary } from "../qemu/find.js";

/** A job of the sweep. */
export interface SweepJob extends Job {
  /** Milliseconds that the guest runs; 0: it is not started. */
  readonly runs: number;
}

/** Long enough for SeaBIOS to have tried each disk and network card. */
const FIRMWARE = 8000;

/** Devices that each PC machine type gets besides its own: compatibility properties show in them. */
const richPc = [
  ...words("-m 8 -smp 2 -audiodev none,id=a0 -chardev null,id=c0 -device e1000 -device rtl8139 -device virtio-net-pci"),
  ...words("-device virtio-blk-pci,drive=disk0 -device virtio-serial-pci -device virtserialport,chardev=c0"),
  ...words("-device piix3-usb-uhci,id=u -device usb-tablet,bus=u.0 -device nec-usb-xhci,id=x -device usb-kbd,bus=x.0"),
  ...words(
    "-device intel-hda -device hda-duplex,audiodev=a0 -device lsi53c895a,id=l -device scsi-hd,bus=l.0,drive=disk1",
  ),
  ...words(
    "-device virtio-balloon-pci -device virtio-scsi-pci,id=s -device scsi-hd,bus=s.0,drive=disk2 -device megasas",
  ),
  ...words(
    "-device usb-ehci,id=e -device AC97,audiodev=a0 -device pvpanic -device vmxnet3 -device i6300esb -device pcnet",
  ),
  ...emptyDisks("disk0", "disk1", "disk2"),
];

const richPci = [
  ...words("-m 512 -device virtio-net-pci -device virtio-blk-pci,drive=disk0 -device virtio-scsi-pci,id=s"),
  ...words("-device scsi-hd,bus=s.0,drive=disk1 -device qemu-xhci,id=x -device usb-kbd,bus=x.0 -device e1000"),
  ...words("-device virtio-gpu-pci -device virtio-rng-pci -device virtio-balloon-pci"),
  ...emptyDisks("disk0", "disk1"),
];

const richCcw = [
  ...words("-m 256 -device virtio-net-ccw -device virtio-blk-ccw,drive=disk0 -device virtio-scsi-ccw,id=s"),
  ...words("-device scsi-hd,bus=s.0,drive=disk1 -device virtio-rng-ccw -device virtio-balloon-ccw"),
  ...words("-device virtio-serial-ccw -device sclpconsole,chardev=c0 -chardev null,id=c0 -device virtio-gpu-ccw"),
  ...emptyDisks("disk0", "disk1"),
];

/** Every machine type of a QEMU: with its own devices, and with more. */
export function machineJobs(qemu: QemuBinary, program: string): SweepJob[] {
  const [file = "", ...lead] = qemu.command;
  const text = spawnSync(file, [...lead, "-machine", "help"], { encoding: "utf8" }).stdout;
  const names = text
    .split("\n")
    .slice(1)
    .flatMap((row) => /^(\S+)/u.exec(row)?.slice(1) ?? [])
    .filter((name) => !/^(?:x-remote|xenfv|xenpv|nitro|none)/u.test(name));
  return names.flatMap((name) => {
    const machine = words(`-machine ${name},suppress-vmdesc=off`);
    // Without a disk a CCW guest ends in a wait that QEMU takes for a panic.
    const own = { name, args: machine, runs: name.startsWith("s390-") ? 0 : 800 };
    const more = (args: readonly string[]): SweepJob[] => [
      own,
      { ...own, name: `${name} rich`, args: [...machine, ...args], runs: own.runs === 0 ? 0 : 1500 },
    ];
    if (program === usualProgram) return /^pc-(?:i440fx|q35)/u.test(name) ? more(richPc) : [own];
    if (name.startsWith("s390-")) return more(richCcw);
    if (!/^(?:virt|pseries|sbsa)/u.test(name)) return [own];
    if (program.endsWith("aarch64")) machine.push(...words("-cpu max"));
    return more(richPci);
  });
}

/** Guests that run their firmware with disks and cards, and properties that change what is saved. */
const guests = `
pc | -machine pc -m 32 -hda null-co:// -hdb null-co:// -cdrom null-co:// -fda null-co:// -smp 2
q35 | -machine q35 -m 32 -hda null-co:// -hdb null-co:// -cdrom null-co://
isapc | -machine isapc -cpu 486 -m 16 -hda null-co:// -fda null-co:// -net none
microvm | -machine microvm,rtc=on,pit=on,pic=on,isa-serial=on -m 64 -device virtio-blk-device,drive=disk0 -device virtio-net-device
microvm pcie | -machine microvm,acpi=on -m 64 -device virtio-rng-device -device virtio-serial-device
pc slots | -machine pc,nvdimm=on -m 64,slots=5,maxmem=1G -object memory-backend-ram,id=m0,size=64M -device pc-dimm,memdev=m0 -smp 2,maxcpus=5 -cpu max
q35 slots | -machine q35,nvdimm=on -m 64,slots=7,maxmem=1G -object memory-backend-ram,id=m0,size=64M -device pc-dimm,memdev=m0 -smp 1,maxcpus=6 -cpu max
pc cpus | -machine pc,hpet=off,smm=off -cpu EPYC,+svm -smp 3 -m 32 -vga cirrus
q35 cpus | -machine q35,vmport=off -cpu Skylake-Server,+vmx -smp 2,cores=2 -m 32 -vga qxl
pc old cpu | -machine pc,acpi=off,usb=on -cpu pentium -m 32 -vga vmware
q35 kvm64 | -machine q35,usb=on,sata=off -cpu kvm64 -m 32 -vga virtio
pc nics | -machine pc -m 64 -netdev user,id=n0 -device e1000,netdev=n0 -netdev user,id=n1 -device rtl8139,netdev=n1
pc nics 2 | -machine pc -m 64 -netdev user,id=n0 -device pcnet,netdev=n0 -netdev user,id=n1 -device ne2k_pci,netdev=n1
pc nics 3 | -machine pc -m 64 -netdev user,id=n0 -device virtio-net-pci,netdev=n0 -netdev user,id=n1 -device vmxnet3,netdev=n1
q35 nics | -machine q35 -m 64 -netdev user,id=n0 -device e1000e,netdev=n0 -netdev user,id=n1 -device i82559a,netdev=n1
q35 nics 2 | -machine q35 -m 64 -netdev user,id=n0 -device tulip,netdev=n0 -netdev user,id=n1 -device virtio-net-pci,netdev=n1,mq=on,vectors=6
pc scsi | -machine pc -m 32 -device lsi53c895a,id=a -device scsi-hd,bus=a.0,drive=disk0 -device megasas,id=b -device scsi-hd,bus=b.0,drive=disk1
pc scsi 2 | -machine pc -m 32 -device am53c974,id=a -device scsi-hd,bus=a.0,drive=disk0 -device pvscsi,id=b -device scsi-hd,bus=b.0,drive=disk1
q35 scsi | -machine q35 -m 32 -device mptsas1068,id=a -device scsi-hd,bus=a.0,drive=disk0 -device virtio-scsi-pci,id=b,num_queues=3 -device scsi-cd,bus=b.0
q35 dc390 | -machine q35 -m 32 -device dc390,id=a -device scsi-hd,bus=a.0,drive=disk0 -device nvme,serial=x,drive=disk1 -device sdhci-pci -device sd-card,drive=disk2
pc usb | -machine pc -m 32 -device usb-ehci,id=e -device usb-storage,bus=e.0,drive=disk0 -device piix3-usb-uhci,id=u -device usb-kbd,bus=u.0 -device usb-mouse,bus=u.0
q35 usb | -machine q35 -m 32 -device qemu-xhci,id=x,p2=3,p3=2 -device usb-storage,bus=x.0,drive=disk0 -device usb-kbd,bus=x.0 -device usb-hub,bus=x.0
q35 ehci | -machine q35 -m 32 -device ich9-usb-ehci1,id=e -device ich9-usb-uhci1,masterbus=e.0,firstport=0 -device usb-tablet,bus=e.0 -device pci-ohci,id=o -device usb-kbd,bus=o.0
pc virtio | -machine pc -m 32 -device virtio-gpu-pci,max_outputs=3 -device virtio-serial-pci,max_ports=5 -device virtconsole,chardev=c0 -device virtio-blk-pci,drive=disk0,num-queues=3
q35 virtio | -machine q35 -m 32 -vga none -device virtio-vga,max_outputs=2 -device virtio-blk-pci,drive=disk0,packed=on -device virtio-net-pci,packed=on -device virtio-keyboard-pci
q35 iommu | -machine q35,kernel-irqchip=split -m 32 -device intel-iommu,intremap=on,caching-mode=on -device pcie-root-port,id=r,slot=3 -device virtio-blk-pci,bus=r,drive=disk0,iommu_platform=on
q35 ports | -machine q35 -m 32 -device pcie-root-port,id=r,slot=3 -device e1000e,bus=r -device pcie-pci-bridge,id=p -device e1000,bus=p,addr=2 -device ich9-ahci,id=h -device ide-cd,bus=h.2
pc bridge | -machine pc -m 32 -device pci-bridge,chassis_nr=3,id=p -device e1000,bus=p,addr=3 -global PIIX4_PM.acpi-pci-hotplug-with-bridge-support=off
q35 properties | -machine q35 -m 32 -global ICH9-LPC.disable_s3=1 -global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off -global e1000.extra_mac_registers=off -device e1000
q35 isa | -machine q35 -m 32 -device isa-serial,chardev=c0 -device isa-parallel,chardev=c1 -device isa-fdc -device floppy,drive=disk0 -device sb16,audiodev=a0 -device pvpanic
`;

/** USB controllers with each number of ports, and hubs: nothing in their state says how many there are. */
function portGuests(): string[] {
  const controllers = ports(2, 30).map((n) => `-device qemu-xhci,p2=${Math.ceil(n / 2)},p3=${Math.floor(n / 2)}`);
  const hubs = ports(1, 8).map((n) => `-device usb-hub,bus=x.0,ports=${n}`);
  return [
    `q35 xhci ports | -machine q35 -m 8 -nodefaults -vga none ${controllers.join(" ")}`,
    `q35 hub ports | -machine q35 -m 8 -nodefaults -vga none -device qemu-xhci,id=x,p2=8,p3=8 ${hubs.join(" ")}`,
    "pc old pcie | -machine pc-i440fx-2.4 -m 8 -device pvscsi -device vmxnet3 -device qemu-xhci -device megasas",
  ];
}

function ports(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, at) => from + at);
}

/** One job for each of the guests. */
export function guestJobs(): SweepJob[] {
  return [...guests.trim().split("\n"), ...portGuests()].map((line) => {
    const [name = "", args = ""] = line.split(" | ");
    const disks = ["disk0", "disk1", "disk2"].filter((disk) => args.includes(`=${disk}`));
    const shared = [
      ...(args.includes("audiodev=a0") ? words("-audiodev none,id=a0") : []),
      ...["c0", "c1"].filter((id) => args.includes(`chardev=${id}`)).flatMap((id) => words(`-chardev null,id=${id}`)),
    ];
    return { name: `guest ${name}`, args: [...words(args), ...shared, ...emptyDisks(...disks)], runs: FIRMWARE };
  });
}
