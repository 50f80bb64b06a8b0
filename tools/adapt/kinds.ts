/**
 * Kinds of machines beside those of the matrix: CPUs, memory, firmware, buses and devices that people's command lines
 * have. Several that do not touch each other are in one guest, to have fewer of them.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { QemuBinary } from "../qemu/find.js";
import { disk, FAMILIES, wordsOf } from "./cells.js";

/** A guest. */
export interface Kind {
  readonly name: string;
  /** `pc-q35`, or a machine type without versions. */
  readonly family: string;
  /** Hot-plugged: arguments of `device_add` in the source, of `-device` in the destination. */
  readonly plugged: readonly string[];
  readonly args: readonly string[];
}

const [a, b, c, d] = ["a", "b", "c", "d"].map((id) => disk(id)) as [string, string, string, string];
const raw = "-drive file=$DIR/disk,format=raw,file.locking=off,snapshot=on";
const none = "-nodefaults -vga none";
const net = (i: number): string => `-netdev user,id=n${i}`;

/** Where a QEMU finds its TPM: in its own view. */
const TPM = "/tmp/qevm-tpm";

/** `pc`, `q35`, both or another machine type, then the arguments; `-plug` are devices that are hot-plugged. */
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
  "graphics=off": `both -machine graphics=off,vmport=off`,
  "of the machine": `both -net none ${raw},if=floppy ${raw},media=cdrom -smp 8,maxcpus=16 -rtc base=localtime,clock=vm`,
  "Skylake-Server": `both ${none} -cpu Skylake-Server,-hle,-rtm,+vmx,hv-relaxed,hv-vapic -smp 2`,
  "Opteron, SVM": `both ${none} -cpu Opteron_G3,+svm,-vme -smp 2,maxcpus=3`,
  "phys-bits": `both ${none} -cpu Westmere,phys-bits=39,host-phys-bits=off,+x2apic,+pdpe1gb,kvm=off,level=10`,
  "EPYC-Rome, 17 of 255": `q35 ${none} -cpu EPYC-Rome -smp 17,maxcpus=255`,
  plugged: `q35 ${none} -device pcie-root-port,id=p1,chassis=1 -device ioh3420,id=p2,chassis=2 ${net(0)} ${net(1)}
    -device pcie-root-port,id=p3,chassis=3 -plug virtio-net-pci,netdev=n0,bus=p1,id=x0 -plug e1000e,netdev=n1,bus=p2,id=x1
    -object memory-backend-ram,id=m0,size=64M -plug pc-dimm,memdev=m0,id=x2 -m 64,slots=3,maxmem=1G`,
  "plugged, acpi": `pc ${none} -device pci-bridge,id=br,chassis_nr=1 ${net(0)} ${a} -smp 1,maxcpus=3
    -plug virtio-net-pci,netdev=n0,addr=5,id=x0 -plug virtio-blk-pci,drive=a,bus=br,addr=3,id=x1
    -plug qemu64-x86_64-cpu,socket-id=1,core-id=0,thread-id=0,id=x2 -device piix3-usb-uhci,id=u -plug usb-tablet,bus=u.0,id=x3`,
  "many bridges": `pc ${none} -device pci-bridge,id=b1,chassis_nr=1,addr=4 -device pci-bridge,id=b2,bus=b1,chassis_nr=2,addr=5
    -device pci-bridge,id=b3,bus=b2,chassis_nr=3,addr=6,shpc=off ${net(0)} ${net(1)} -device e1000,netdev=n0,bus=b2,addr=1
    -device virtio-net-pci,netdev=n1,bus=b3,addr=2 ${a} -device virtio-scsi-pci,id=s,bus=b3,addr=3 -device scsi-cd,drive=a`,
  isapc: `isapc -device ne2k_isa,netdev=n0 ${net(0)}`,
  microvm: `microvm ${none} ${net(0)} ${a} -global virtio-mmio.force-legacy=false -device virtio-blk-device,drive=a
    -device virtio-net-device,netdev=n0 -device virtio-rng-device`,
  "microvm, pcie": `microvm -machine acpi=on,pcie=on,rtc=on,pit=off,pic=off ${none} ${net(0)} -device virtio-net-pci,netdev=n0`,
  OVMF: `q35 ${none} -m 128 -drive if=pflash,format=raw,readonly=on,file=$DIR/OVMF_CODE_4M.fd
    -drive if=pflash,format=raw,file=$DIR/OVMF_VARS_4M.fd ${a} -device virtio-blk-pci,drive=a ${net(0)} -device e1000e,netdev=n0`,
  "OVMF, old": `pc -nodefaults -vga std -m 128 -drive if=pflash,format=raw,readonly=on,file=$DIR/OVMF_CODE.fd
    -drive if=pflash,format=raw,file=$DIR/OVMF_VARS.fd ${a} -device ide-hd,drive=a`,
  TPM: `q35 ${none} -chardev socket,id=c0,path=${TPM} -tpmdev emulator,id=t0,chardev=c0 -device tpm-tis,tpmdev=t0`,
  "TPM, CRB": `q35 ${none} -chardev socket,id=c0,path=${TPM} -tpmdev emulator,id=t0,chardev=c0 -device tpm-crb,tpmdev=t0`,
  multiqueue: `both ${none} -netdev tap,id=n0,queues=3,vhost=off,script=no,downscript=no
    -device virtio-net-pci,netdev=n0,mq=on,vectors=8`,
};

/** Where Debian's firmware for UEFI is; kinds that need it are left out where it is not installed. */
const OVMF = "/usr/share/OVMF";

/** Files in `$DIR` that a kind's arguments name. */
export function filesOf(args: readonly string[]): Record<string, Buffer> {
  const names = args.flatMap((word) => /\$DIR\/(OVMF\w+\.fd)$/u.exec(word)?.[1] ?? []);
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(OVMF, name))]));
}

/** Does something while each of two QEMUs has a TPM, where the arguments name one. */
export async function withTpm<T>(
  args: readonly string[],
  qemus: readonly QemuBinary[],
  work: () => Promise<T>,
): Promise<T> {
  if (!args.some((word) => word.includes(TPM))) return await work();
  const ends: (() => void)[] = [];
  for (const root of new Set(qemus.map((qemu) => qemu.root ?? ""))) {
    const state = mkdtempSync(join(root === "" ? tmpdir() : join(root, "tmp"), "qevm-swtpm-"));
    const socket = `${root}${TPM}`;
    const options = ["socket", "--tpm2", "--tpmstate", `dir=${state}`, "--ctrl", `type=unixio,path=${socket}`];
    const child = spawn("swtpm", options, { stdio: "ignore" });
    ends.push(() => {
      child.kill();
      for (const path of [state, socket]) rmSync(path, { recursive: true, force: true });
    });
    while (!existsSync(socket) && child.exitCode === null) await sleep(50);
  }
  try {
    return await work();
  } finally {
    for (const end of ends) end();
  }
}

/** The guests of that list, one for each family. */
export function kinds(): Kind[] {
  const found: Kind[] = [];
  for (const [name, text] of Object.entries(KINDS)) {
    if (text.includes("OVMF") && !existsSync(OVMF)) {
      console.log(`skipped: ${name}: no ${OVMF}`);
      continue;
    }
    if (text.includes(TPM) && spawnSync("swtpm", ["--version"]).status !== 0) {
      console.log(`skipped: ${name}: no swtpm`);
      continue;
    }
    const [which = "", ...words] = wordsOf(text);
    const plugged: string[] = [];
    for (let at = words.indexOf("-plug"); at >= 0; at = words.indexOf("-plug")) plugged.push(words.splice(at, 2)[1]!);
    const args = words.includes("-m") ? words : ["-m", "64", ...words];
    const families = which === "both" ? FAMILIES : FAMILIES.filter((one) => one === FAMILY_OF[which]);
    for (const family of families.length > 0 ? families : [which]) found.push({ name, family, args, plugged });
  }
  return found;
}

const FAMILY_OF: Readonly<Record<string, string>> = { pc: "pc-i440fx", q35: "pc-q35" };
