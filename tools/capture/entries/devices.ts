/** As many devices as possible; those left out refuse to migrate or need something of the host. */
import { entry, type Entry, type Recipe } from "../entry.js";
import { bare, devices, emptyDisks, words } from "./parts.js";

const chardev = words("-chardev null,id=nothing -audiodev none,id=silence");

/** The same list for several versions of QEMU, to compare the description between versions. */
export const commonDevices: readonly string[] = [
  ...emptyDisks("disk-blk", "disk-scsi", "disk-ahci", "disk-usb"),
  ...chardev,
  ...devices(`
    pcie-root-port,id=port0,chassis=1,slot=1
    virtio-net-pci,bus=port0,romfile=
    virtio-blk-pci,drive=disk-blk
    virtio-scsi-pci,id=scsi0 scsi-hd,bus=scsi0.0,drive=disk-scsi
    virtio-serial-pci virtserialport,chardev=nothing
    virtio-rng-pci virtio-balloon-pci virtio-tablet-pci
    e1000e,romfile=
    qemu-xhci,id=xhci usb-tablet,bus=xhci.0 usb-storage,bus=xhci.0,drive=disk-usb
    ahci,id=ahci0 ide-hd,bus=ahci0.0,drive=disk-ahci
    intel-hda hda-duplex,audiodev=silence
    vmgenid,guid=6f1c9d2e-5a0b-4c3d-8e7f-0123456789ab`),
];

const recipes: readonly Recipe[] = [
  {
    name: "q35-common-devices",
    shows: "q35 with the device set that is also captured on other versions",
    args: [...bare("q35"), ...commonDevices],
  },
  {
    name: "q35-virtio",
    shows: "q35 with every virtio device that migrates, behind root ports and a switch",
    args: [
      ...bare("q35"),
      ...emptyDisks("disk-blk", "disk-legacy", "disk-scsi"),
      ...chardev,
      ...words("-fsdev synth,id=fs0"),
      ...devices(`
        ioh3420,id=ioh0,chassis=1,slot=1
        pcie-root-port,id=port0,chassis=2,slot=2
        pcie-root-port,id=port1,chassis=3,slot=3
        x3130-upstream,id=up0,bus=port1 xio3130-downstream,id=down0,bus=up0,chassis=4,slot=4
        virtio-net-pci,bus=ioh0
        virtio-net-pci,bus=down0,romfile=,mq=on,vectors=4
        virtio-blk-pci,drive=disk-blk,bus=port0,num-queues=2
        virtio-blk-pci-transitional,drive=disk-legacy
        virtio-scsi-pci,id=scsi0 scsi-hd,bus=scsi0.0,drive=disk-scsi scsi-cd,bus=scsi0.0
        virtio-serial-pci,id=ser0 virtserialport,bus=ser0.0,chardev=nothing virtconsole,bus=ser0.0
        virtio-rng-pci virtio-balloon-pci,free-page-reporting=on
        virtio-keyboard-pci virtio-mouse-pci virtio-tablet-pci
        virtio-gpu-pci,max_outputs=2
        virtio-iommu-pci
        virtio-9p-pci,fsdev=fs0,mount_tag=share`),
    ],
  },
  {
    name: "q35-pcie",
    shows: "q35 with PCIe and platform devices: NICs, SCSI, SD, watchdog, IPMI, IOMMU, ERST, test devices",
    args: [
      ...bare("q35"),
      ...emptyDisks("disk-pvscsi", "disk-lsi", "disk-megasas", "disk-mpt", "disk-esp", "disk-ahci", "disk-sd"),
      ...chardev,
      ...words("-object memory-backend-ram,id=erst,size=64K"),
      ...devices(`
        intel-iommu
        e1000e,romfile= e1000,romfile= vmxnet3,romfile= rtl8139,romfile= pcnet,romfile= ne2k_pci,romfile=
        i82559er,romfile= tulip
        pvscsi,id=pv0 scsi-hd,bus=pv0.0,drive=disk-pvscsi
        lsi53c895a,id=lsi0 scsi-hd,bus=lsi0.0,drive=disk-lsi
        megasas,id=mega0 scsi-hd,bus=mega0.0,drive=disk-megasas
        mptsas1068,id=mpt0 scsi-hd,bus=mpt0.0,drive=disk-mpt
        am53c974,id=esp0 scsi-hd,bus=esp0.0,drive=disk-esp
        ahci,id=ahci0 ide-hd,bus=ahci0.0,drive=disk-ahci ide-cd,bus=ahci0.1
        sdhci-pci sd-card,drive=disk-sd
        i6300esb pvpanic-pci vmgenid,guid=6f1c9d2e-5a0b-4c3d-8e7f-0123456789ab vmcoreinfo
        ipmi-bmc-sim,id=bmc0 pci-ipmi-kcs,bmc=bmc0
        acpi-erst,memdev=erst
        pci-serial,chardev=nothing tpci200,id=tp0 ipoctal232,bus=tp0.0
        edu pci-testdev cxl-rp,id=cxl0,chassis=9,slot=9`),
    ],
  },
  {
    name: "q35-usb-sound",
    shows: "q35 with all USB controllers, USB devices and sound cards that migrate, PCI bridges",
    args: [
      ...bare("q35"),
      ...emptyDisks("disk-usb", "disk-bot"),
      ...chardev,
      ...devices(`
        qemu-xhci,id=xhci usb-tablet,bus=xhci.0 usb-kbd,bus=xhci.0 usb-mouse,bus=xhci.0
        usb-storage,bus=xhci.0,drive=disk-usb
        usb-bot,id=bot0,bus=xhci.0 scsi-hd,bus=bot0.0,drive=disk-bot
        nec-usb-xhci,id=nec
        ich9-usb-ehci1,id=ehci,addr=1d.7,multifunction=on
        ich9-usb-uhci1,masterbus=ehci.0,firstport=0,addr=1d.0,multifunction=on
        ich9-usb-uhci2,masterbus=ehci.0,firstport=2,addr=1d.1
        ich9-usb-uhci3,masterbus=ehci.0,firstport=4,addr=1d.2
        usb-ehci,id=ehci2 pci-ohci,id=ohci usb-mouse,bus=ohci.0
        piix3-usb-uhci,id=uhci usb-hub,bus=uhci.0,port=1 usb-ccid,bus=uhci.0,port=2
        intel-hda,id=hda hda-duplex,bus=hda.0,audiodev=silence hda-micro,bus=hda.0,audiodev=silence hda-output,bus=hda.0,audiodev=silence
        ich9-intel-hda AC97,audiodev=silence ES1370,audiodev=silence
        pcie-pci-bridge,id=bridge0
        pci-bridge,id=bridge1,bus=bridge0,chassis_nr=7,addr=1
        pxb-pcie,id=pxb0,bus_nr=128 i82801b11-bridge`),
    ],
  },
  {
    name: "q35-displays",
    shows: "q35 with seven display adapters, each with its own VRAM block",
    args: [
      ...bare("q35"),
      ...devices(`
        VGA,vgamem_mb=2 secondary-vga,vgamem_mb=1 bochs-display,vgamem=16M cirrus-vga,vgamem_mb=4,romfile=
        virtio-vga,romfile= virtio-gpu-pci ramfb qxl,ram_size_mb=32,vram_size_mb=64,vgamem_mb=8,romfile=`),
    ],
  },
  {
    name: "pc-vmware-svga",
    shows: "pc with the VMware display adapter and its FIFO block",
    args: [...bare("pc"), ...devices("vmware-svga,vgamem_mb=4,romfile=")],
  },
  {
    name: "pc-isa",
    shows: "pc with ISA devices: floppy, serial, parallel, sound, watchdog, IPMI, SMC, NE2000",
    args: [
      ...bare("pc"),
      ...chardev,
      ...words("-chardev null,id=nothing2 -chardev null,id=nothing3"),
      ...devices(`
        isa-serial,chardev=nothing isa-parallel,chardev=nothing2
        sb16,audiodev=silence cs4231a,audiodev=silence
        ib700 ipmi-bmc-sim,id=bmc0 isa-ipmi-bt,bmc=bmc0 ipmi-bmc-sim,id=bmc1 smbus-ipmi,bmc=bmc1
        isa-applesmc,osk=none ne2k_isa,iobase=0x300,irq=5
        pvpanic isa-debugcon,chardev=nothing3 isa-debug-exit piix4-ide piix4-usb-uhci
        i82801b11-bridge hyperv-testdev`),
    ],
  },
];

/** Entries of this list. */
export const deviceEntries: readonly Entry[] = recipes.map(entry);
