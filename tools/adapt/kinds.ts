/**
 * Kinds of machines beside those of the matrix: CPUs, memory, firmware, buses and devices that people's command lines
 * have. Several that do not touch each other are in one guest, to have fewer of them.
 */
import { disk, FAMILIES, wordsOf } from "./cells.js";

/** A guest: `family` where only one has the devices. */
export interface Kind {
  readonly name: string;
  readonly family: (typeof FAMILIES)[number];
  readonly args: readonly string[];
}

const [a, b, c, d] = ["a", "b", "c", "d"].map((id) => disk(id)) as [string, string, string, string];
const none = "-nodefaults -vga none";
const net = (i: number): string => `-netdev user,id=n${i}`;

/** `pc`, `q35` or both, then the arguments. */
const KINDS: Readonly<Record<string, string>> = {
  "disks of the machine": `both ${none} ${a} ${b} -device ide-hd,bus=ide.0,drive=a -device ide-cd,bus=ide.1,drive=b`,
  nvme: `both ${none} ${a} ${b} -device nvme,drive=a,serial=1 -device nvme,drive=b,serial=2`,
  "two of a kind": `both ${none} ${a} ${b} ${c} -device virtio-blk-pci,drive=a -device virtio-blk-pci,drive=b,num-queues=4
    -device virtio-scsi-pci,num_queues=3,id=s -device scsi-hd,bus=s.0,drive=c ${net(0)} ${net(1)}
    -device virtio-net-pci,netdev=n0 -device virtio-net-pci,netdev=n1,rx_queue_size=512,vectors=3`,
  "sockets, Nehalem": `both ${none} -smp 4,sockets=2,cores=2,threads=1 -cpu Nehalem`,
  "Skylake-Client": `both ${none} -cpu Skylake-Client -smp 2,maxcpus=4,cores=2,threads=2,sockets=1`,
  "qemu64 with x2apic": `both ${none} -cpu qemu64,+x2apic -smp 2`,
  "EPYC, max": `both ${none} -cpu EPYC`,
  "-cpu max": `both ${none} -cpu max`,
  "kvm64, 486": `pc ${none} -cpu 486`,
  "pc-dimm": `both -m 64,slots=3,maxmem=1G ${none} -object memory-backend-ram,id=m0,size=64M
    -device pc-dimm,memdev=m0,id=dimm0`,
  NUMA: `both -m 64,slots=4,maxmem=2G ${none} -smp 2 -object memory-backend-ram,id=m0,size=32M
    -object memory-backend-ram,id=m1,size=32M -numa node,cpus=0,memdev=m0 -numa node,cpus=1,memdev=m1`,
  "watch and panic": `both ${none} -device vmgenid,guid=324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87 -device pvpanic
    -chardev null,id=c0 -device isa-debugcon,chardev=c0 -device i6300esb -device edu -device vmcoreinfo
    -device isa-debug-exit`,
  "usb=on": `both ${none} -machine usb=on -device usb-mouse -device usb-tablet -device usb-kbd`,
  "usb 2": `both ${none} -device usb-ehci,id=e ${a} -device usb-storage,bus=e.0,drive=a -device nec-usb-xhci,id=x
    -device usb-hub,bus=x.0,port=1 -device usb-mouse,bus=x.0,port=1.1 -device usb-kbd,bus=x.0
    -device ich9-usb-uhci1,multifunction=on,addr=0x1d.0`,
  sound: `both ${none} -audiodev none,id=snd -device ich9-intel-hda -device hda-micro,audiodev=snd
    -device AC97,audiodev=snd -device sb16,audiodev=snd -device ES1370,audiodev=snd -device adlib,audiodev=snd`,
  "old adapters": `both ${none} ${net(0)} ${net(1)} ${net(2)} ${net(3)} -device rtl8139,netdev=n0 -device pcnet,netdev=n1
    -device ne2k_pci,netdev=n2 -device i82559er,netdev=n3`,
  "new adapters": `both ${none} ${net(0)} ${net(1)} ${net(2)} -device vmxnet3,netdev=n0 -device e1000e,netdev=n1
    -device e1000-82545em,netdev=n2`,
  "scsi adapters": `both ${none} ${a} ${b} ${c} ${d} -device megasas,id=m -device scsi-hd,bus=m.0,drive=a
    -device mptsas1068,id=f -device scsi-hd,bus=f.0,drive=b -device am53c974,id=e -device scsi-hd,bus=e.0,drive=c
    -device pvscsi,id=v -device scsi-cd,bus=v.0,drive=d`,
  "virtio display": `both ${none} -device virtio-gpu-pci -device virtio-keyboard-pci -device virtio-tablet-pci
    -device virtio-mouse-pci`,
  "virtio-vga": `both -nodefaults -device virtio-vga`,
  qxl: `both -nodefaults -device qxl-vga -device qxl`,
  bochs: `both ${none} -device bochs-display -device secondary-vga`,
  vmware: `both -nodefaults -vga vmware`,
  "cirrus, two": `both -nodefaults -vga cirrus -device secondary-vga`,
  "intel-iommu": `q35 ${none} -device intel-iommu ${net(0)} -device virtio-net-pci,netdev=n0`,
  "virtio-iommu": `q35 ${none} -device virtio-iommu-pci ${net(0)} -device virtio-net-pci,netdev=n0`,
  "root ports": `q35 ${none} -device pcie-root-port,id=p1,chassis=1 -device pcie-root-port,id=p2,chassis=2 ${net(0)}
    -device virtio-net-pci,netdev=n0,bus=p1 -device e1000e,bus=p2 -device ioh3420,id=p3,chassis=3
    -device nec-usb-xhci,bus=p3`,
  switch: `q35 ${none} -device pcie-root-port,id=p1,chassis=1 -device x3130-upstream,id=u,bus=p1
    -device xio3130-downstream,id=d1,bus=u,chassis=2 ${net(0)} -device virtio-net-pci,netdev=n0,bus=d1
    -device i82801b11-bridge,id=br -device pci-bridge,id=pb,bus=br,chassis_nr=3 -device virtio-rng-pci,bus=pb,addr=1`,
  bridge: `pc ${none} -device pci-bridge,id=br,chassis_nr=1 ${net(0)} -device e1000,netdev=n0,bus=br,addr=1
    -device virtio-balloon-pci,bus=br,addr=2 ${a} -device virtio-blk-pci,drive=a,bus=br,addr=3`,
  pxb: `pc ${none} -device pxb,id=x,bus_nr=0x80 -device pci-bridge,id=b,bus=x,chassis_nr=1 ${net(0)} -device e1000,netdev=n0,bus=b,addr=1`,
  "pxb-pcie": `q35 ${none} -device pxb-pcie,id=x,bus_nr=0x80 -device pcie-root-port,id=p1,bus=x,chassis=1 ${net(0)}
    -device virtio-net-pci,netdev=n0,bus=p1`,
  "smm=off, vmport=off, smbus=off": `both ${none} -machine smm=off,vmport=off,smbus=off`,
  "hpet=off": `both ${none} -machine hpet=off`,
  "sata=off, pit=off": `q35 ${none} -machine sata=off,pit=off`,
  "virtio without firmware": `both ${none} -object rng-builtin,id=r0 -device virtio-rng-pci,rng=r0,max-bytes=1024,period=1000
    -device virtio-balloon-pci,deflate-on-oom=on -device virtio-serial-pci,max_ports=4,id=s0 -chardev null,id=c0
    -chardev null,id=c1 -device virtconsole,chardev=c0 -device virtserialport,chardev=c1,name=org.qemu.guest_agent.0`,
  "virtio 1.0 alone": `both ${none} ${net(0)} ${a} -device virtio-net-pci,netdev=n0,disable-legacy=on,disable-modern=off
    -device virtio-blk-pci,drive=a,disable-legacy=on,disable-modern=off`,
  "virtio legacy alone": `both ${none} ${net(0)} ${a} -device virtio-net-pci,netdev=n0,disable-modern=on
    -device virtio-blk-pci,drive=a,disable-modern=on`,
  ports: `both ${none} -chardev null,id=c0 -chardev null,id=c1 -device isa-serial,chardev=c0 -device pci-serial,chardev=c1
    -chardev null,id=c2 -device isa-parallel,chardev=c2 -device isa-ipmi-kcs,bmc=b0 -device ipmi-bmc-sim,id=b0`,
  "sd, floppy, ide": `both ${none} ${a} ${b} -device sdhci-pci,id=sd -device sd-card,drive=a -device isa-fdc,id=f
    -device floppy,drive=b -device piix3-ide,id=i`,
};

/** The guests of that list, one for each family. */
export function kinds(): Kind[] {
  const found: Kind[] = [];
  for (const [name, text] of Object.entries(KINDS)) {
    const [which = "", ...words] = wordsOf(text);
    const memory = words[0] === "-m" ? words.splice(0, 2) : ["-m", "64"];
    for (const family of FAMILIES) {
      if (which === "both" || family === `pc-${which === "pc" ? "i440fx" : which}`)
        found.push({ name, family, args: [...memory, ...words] });
    }
  }
  return found;
}
