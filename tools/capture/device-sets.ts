/** QEMU's devices, one command line each, for sweeps over all of them. */
import { emptyDisks, words } from "./entries/parts.js";

/** Devices for q35, each after the devices that it needs. */
const deviceSets = `
cxl-rp; ioh3420; pcie-root-port; i82801b11-bridge; pci-bridge,chassis_nr=5; pcie-pci-bridge; pxb-pcie,bus_nr=40
x3130-upstream,id=u xio3130-downstream,bus=u; ich9-usb-ehci1; ich9-usb-uhci1; nec-usb-xhci; pci-ohci; piix3-usb-uhci; qemu-xhci
usb-ehci; am53c974; dc390; ich9-ahci; lsi53c810; lsi53c895a; megasas; megasas-gen2; mptsas1068; pvscsi; piix3-ide; piix4-ide
sdhci-pci sd-card,drive=disk0; virtio-serial-pci virtserialport,chardev=c0 virtconsole; virtio-rng-pci; virtio-balloon-pci
virtio-scsi-pci scsi-hd,drive=disk0 scsi-cd; virtio-blk-pci,drive=disk0; virtio-blk-pci-transitional,drive=disk0
virtio-blk-pci-non-transitional,drive=disk0; pvscsi scsi-hd,drive=disk0; megasas scsi-hd,drive=disk0; lsi53c895a scsi-hd,drive=disk0
mptsas1068 scsi-hd,drive=disk0; am53c974 scsi-hd,drive=disk0; virtio-net-pci; virtio-net-pci-transitional; virtio-net-pci-non-transitional
virtio-keyboard-pci; virtio-mouse-pci; virtio-tablet-pci; virtio-gpu-pci; virtio-vga; virtio-iommu-pci; virtio-sound-pci,audiodev=a0
virtio-mem-pci,memdev=m8; virtio-pmem-pci,memdev=m8; virtio-9p-pci,fsdev=fs0,mount_tag=x; virtio-crypto-pci,cryptodev=cry
e1000; e1000-82544gc; e1000-82545em; e1000e; igb; i82550; i82551; i82557a; i82557b; i82557c; i82558a; i82558b; i82559a; i82559b; i82559c; i82559er
i82562; i82801; ne2k_pci; ne2k_isa; pcnet; rtl8139; tulip; vmxnet3; rocker; tpci200,id=t ipoctal232,bus=t.0; pci-serial,chardev=c0
pci-serial-2x,chardev1=c0,chardev2=c1; pci-serial-4x,chardev1=c0; isa-parallel,chardev=c0; isa-serial,chardev=c0; ati-vga; bochs-display; cirrus-vga
isa-cirrus-vga; isa-vga; secondary-vga; VGA; vmware-svga; qxl; qxl-vga; ramfb; AC97,audiodev=a0; ES1370,audiodev=a0; sb16,audiodev=a0; cs4231a,audiodev=a0
adlib,audiodev=a0; gus,audiodev=a0; intel-hda hda-duplex,audiodev=a0; ich9-intel-hda hda-micro,audiodev=a0 hda-output,audiodev=a0; intel-iommu
amd-iommu; ctucan_pci,canbus0=can0,canbus1=can0; kvaser_pci,canbus=can0
mioe3680_pci,canbus0=can0,canbus1=can0; pcm3680_pci,canbus0=can0,canbus1=can0; edu; hyperv-testdev; i2c-ddc; isa-applesmc
isa-debug-exit; isa-debugcon,chardev=c0; pc-testdev; pci-testdev; pvpanic; pvpanic-pci; vmcoreinfo; vmgenid; i6300esb; ib700; sga; isa-fdc
floppy,drive=disk0; isa-ide; vmclock; acpi-erst,memdev=m64k; ivshmem-plain,memdev=m8,master=on; ivshmem-plain,memdev=m8
ipmi-bmc-sim,id=b isa-ipmi-kcs,bmc=b; ipmi-bmc-sim,id=b isa-ipmi-bt,bmc=b; ipmi-bmc-sim,id=b pci-ipmi-kcs,bmc=b; ipmi-bmc-sim,id=b pci-ipmi-bt,bmc=b
ipmi-bmc-sim,id=b smbus-ipmi,bmc=b; qemu-xhci usb-tablet; qemu-xhci usb-kbd; qemu-xhci usb-mouse; qemu-xhci usb-storage,drive=disk0
qemu-xhci usb-bot,id=b scsi-hd,bus=b.0,drive=disk0; piix3-usb-uhci usb-hub; piix3-usb-uhci usb-ccid; qemu-xhci usb-redir,chardev=c0; qemu-xhci usb-wacom-tablet
qemu-xhci usb-serial,chardev=c0; qemu-xhci usb-uas; qemu-xhci usb-audio,audiodev=a0; piix3-usb-uhci usb-net; usb-ehci usb-storage,drive=disk0
ich9-ahci,id=h ide-hd,bus=h.0,drive=disk0 ide-cd,bus=h.1; nvme,serial=x,drive=disk0; ufs,id=u; cxl-type3; xio3130-downstream; rocker; sdhci-pci
nvme,serial=x,drive=disk0,max_ioqpairs=8; nvme,serial=x,drive=disk0,use-intel-id=on; nvme,serial=x,drive=disk0,msix_qsize=9
nvme,serial=x,drive=disk0,logical_block_size=4096,physical_block_size=4096; nvme,serial=x,id=n nvme-ns,bus=n,drive=disk0; nvme,serial=x,drive=disk0,cmb_size_mb=4
nvme-subsys,id=s nvme,serial=x,subsys=s,id=n nvme-ns,bus=n,drive=disk0; nvme,serial=x,drive=disk0,mdts=5; nvme,serial=x
virtio-9p-pci-transitional,fsdev=fs0,mount_tag=x; virtio-9p-pci-non-transitional,fsdev=fs0,mount_tag=x; virtio-balloon-pci-transitional
virtio-balloon-pci-non-transitional; virtio-rng-pci-transitional; virtio-rng-pci-non-transitional; virtio-scsi-pci-transitional
virtio-serial-pci-transitional; virtio-serial-pci-non-transitional; virtio-multitouch-pci; piix4-usb-uhci; ich9-usb-ehci2
ich9-usb-uhci4; ich9-usb-uhci5; ich9-usb-uhci6; pci-bridge-seat,chassis_nr=5; sdhci-pci emmc,drive=disk0; ide-cf,drive=disk0; uefi-vars-x64; qemu-xhci usb-braille,chardev=c0
smbus-eeprom; at24c-eeprom,rom-size=256; tmp105; ds1338; i2c-echo; virtio-rtc-pci; riscv-iommu-pci; nitro-enclave; pc-dimm,memdev=m8; nvdimm,memdev=m8
`;

const shared = [
  ...words("-chardev null,id=c0 -chardev null,id=c1 -audiodev none,id=a0 -fsdev synth,id=fs0 -object can-bus,id=can0"),
  ...words("-object memory-backend-ram,id=m8,size=8M,share=on -object memory-backend-ram,id=m64k,size=64K"),
  ...words("-object cryptodev-backend-builtin,id=cry"),
  ...emptyDisks("disk0"),
];

/** A command line to try, with its name in lists. */
export interface Job {
  readonly name: string;
  readonly args: readonly string[];
}

/** One job for each set of devices, on q35. */
export function deviceJobs(): Job[] {
  const base = words("-machine q35,nvdimm=on -m 8,slots=4,maxmem=1G -nodefaults -vga none");
  return deviceSets
    .split(/[;\n]/u)
    .map((set) => words(set).filter((word) => word !== ""))
    .filter((set) => set.length > 0)
    .map((set) => ({ name: set.join(" "), args: [...base, ...shared, ...set.flatMap((one) => ["-device", one])] }));
}
