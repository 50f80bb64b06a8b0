/**
 * Which `-device` writes a section of which name.
 *
 * The name after the path in a section's idstr is that of the device's VMStateDescription, which several devices may
 * share; where their PCI vendor and device id distinguish them, the configuration space in the stream decides.
 *
 * Source: the names that captures of QEMU 5.2, 7.2, 10.0 and 11.1 have for the devices of their command lines
 * (corpus/); QEMU hw/, VMStateDescription and TYPE_ names, for those that no capture has (marked `read`).
 */
export interface DeviceKind {
  /** Name of the VMStateDescription. */
  name: string;
  /** `vendor:device` of the configuration space, where it matters. */
  pci?: string;
  /** Class code of the configuration space, where it matters. */
  class?: number;
  device: string;
  /** Others with the same name and ids, which the section does not distinguish. */
  also?: string[];
  /** A backend that it requires, as its option: the value stands for one of the user's own. */
  backend?: "drive" | "netdev" | "chardev" | "chardev1" | "audiodev" | "memdev" | "fsdev" | "bmc" | "tpmdev";
  /** Video memory can be given with vgamem_mb, and is the length of this block. */
  vgamem?: string;
  /** It has a ROM of its own where a block PATH/NAME.rom is there, and else was started with romfile=. */
  rom?: boolean;
  /**
   * Its MAC address is in its configuration space as a serial number, and must be equal: whole, or the last three bytes
   * first.
   */
  serial?: "whole" | "halves";
  /** It takes a netdev. */
  network?: true;
  /** Options that each name a CAN bus (an object of its own). */
  canbus?: readonly string[];
  /** Further options that it cannot do without. */
  options?: string;
  /** Other devices name it, so it comes before them. */
  early?: true;
  /** Known from the source, by no capture. */
  read?: true;
}

const nic = (name: string, device = name, more: Partial<DeviceKind> = {}): DeviceKind => ({
  name,
  device,
  rom: true,
  network: true,
  ...more,
});

/** Intel's 8255x cards, each with a section of its own name. */
const EEPRO100 =
  "i82550 i82551 i82557a i82557b i82557c i82558a i82558b i82559a i82559b i82559c i82559er i82562 i82801".split(" ");

export const DEVICE_KINDS: readonly DeviceKind[] = [
  // Network.
  nic("virtio-net", "virtio-net-pci"),
  nic("e1000", "e1000-82544gc", { pci: "8086:100c" }),
  nic("e1000", "e1000-82545em", { pci: "8086:100f" }),
  nic("e1000"),
  nic("e1000e", "e1000e", { serial: "whole" }),
  nic("rtl8139"),
  nic("pcnet"),
  nic("vmxnet3", "vmxnet3", { serial: "halves" }),
  nic("ne2000", "ne2k_pci"),
  ...EEPRO100.map((name) => nic(name)),
  nic("tulip", "tulip", { rom: false }),
  nic("igb", "igb", { serial: "whole", read: true }),
  // Disks and their controllers.
  { name: "virtio-blk", device: "virtio-blk-pci", backend: "drive" },
  { name: "virtio-scsi", device: "virtio-scsi-pci" },
  { name: "pvscsi", device: "pvscsi" },
  { name: "lsiscsi", pci: "1000:0012", device: "lsi53c895a" },
  { name: "lsiscsi", pci: "1000:0001", device: "lsi53c810" },
  { name: "megasas", device: "megasas" },
  { name: "megasas-gen2", device: "megasas-gen2" },
  { name: "mptsas", device: "mptsas1068" },
  { name: "pciespscsi", device: "am53c974" },
  { name: "ich9_ahci", device: "ahci" },
  { name: "ide", pci: "8086:7010", device: "piix3-ide" },
  { name: "ide", pci: "8086:7111", device: "piix4-ide" },
  { name: "nvme", pci: "8086:5845", device: "nvme", backend: "drive", options: "use-intel-id=on,serial=SERIAL" },
  { name: "nvme", device: "nvme", backend: "drive", options: "serial=SERIAL" },
  { name: "sdhci", device: "sdhci-pci" },
  // Other virtio devices.
  { name: "virtio-console", device: "virtio-serial-pci" },
  { name: "virtio-rng", device: "virtio-rng-pci" },
  { name: "virtio-balloon", device: "virtio-balloon-pci" },
  { name: "virtio-input", class: 0x900, device: "virtio-keyboard-pci" },
  { name: "virtio-input", class: 0x902, device: "virtio-mouse-pci" },
  { name: "virtio-input", class: 0x980, device: "virtio-tablet-pci", also: ["virtio-multitouch-pci"] },
  { name: "virtio-gpu", class: 0x300, device: "virtio-vga", rom: true },
  { name: "virtio-gpu", class: 0x380, device: "virtio-gpu-pci" },
  { name: "virtio-iommu", device: "virtio-iommu-pci" },
  { name: "virtio-9p", device: "virtio-9p-pci", backend: "fsdev", options: "mount_tag=TAG" },
  { name: "virtio-mem", device: "virtio-mem-pci", backend: "memdev" },
  { name: "virtio-pmem", device: "virtio-pmem-pci", backend: "memdev" },
  { name: "virtio-crypto", device: "virtio-crypto-pci", read: true },
  { name: "virtio-rtc", device: "virtio-rtc-pci" },
  // Displays.
  { name: "vga", pci: "1002:5046", device: "ati-vga", vgamem: "vga.vram", rom: true },
  { name: "vga", class: 0x300, device: "VGA", vgamem: "vga.vram", rom: true },
  { name: "vga", class: 0x380, device: "secondary-vga", vgamem: "vga.vram", rom: true },
  { name: "cirrus_vga", device: "cirrus-vga", vgamem: "vga.vram", rom: true },
  { name: "bochs-display", device: "bochs-display", vgamem: "bochs-display-vram", rom: true },
  { name: "qxl", class: 0x300, device: "qxl-vga", rom: true },
  { name: "qxl", class: 0x380, device: "qxl", rom: true },
  { name: "vmware_vga", device: "vmware-svga", vgamem: "vga.vram", rom: true },
  // Bridges.
  { name: "pcie-root-port", device: "pcie-root-port" },
  { name: "ioh-3240-express-root-port", device: "ioh3420" },
  { name: "xio3130-express-upstream-port", device: "x3130-upstream" },
  { name: "xio3130-express-downstream-port", device: "xio3130-downstream" },
  { name: "pcie-pci-bridge", device: "pcie-pci-bridge" },
  { name: "pci_bridge", pci: "1b36:0001", device: "pci-bridge" },
  { name: "pci_bridge", pci: "1b36:000a", device: "pci-bridge-seat" },
  { name: "i82801b11_bridge", device: "i82801b11-bridge" },
  // USB.
  { name: "xhci", pci: "1b36:000d", device: "qemu-xhci" },
  { name: "xhci", pci: "1033:0194", device: "nec-usb-xhci" },
  { name: "ehci", pci: "8086:24cd", device: "usb-ehci" },
  { name: "ehci", pci: "8086:293a", device: "ich9-usb-ehci1" },
  { name: "ehci", pci: "8086:293c", device: "ich9-usb-ehci2" },
  { name: "uhci", pci: "8086:2934", device: "ich9-usb-uhci1" },
  { name: "uhci", pci: "8086:2935", device: "ich9-usb-uhci2" },
  { name: "uhci", pci: "8086:2936", device: "ich9-usb-uhci3" },
  { name: "uhci", pci: "8086:2937", device: "ich9-usb-uhci4" },
  { name: "uhci", pci: "8086:2938", device: "ich9-usb-uhci5" },
  { name: "uhci", pci: "8086:2939", device: "ich9-usb-uhci6" },
  { name: "uhci", pci: "8086:7020", device: "piix3-usb-uhci" },
  { name: "uhci", pci: "8086:7112", device: "piix4-usb-uhci" },
  { name: "ohci", device: "pci-ohci" },
  // Sound.
  { name: "intel-hda", pci: "8086:2668", device: "intel-hda" },
  { name: "intel-hda", pci: "8086:293e", device: "ich9-intel-hda" },
  { name: "ac97", device: "AC97", backend: "audiodev" },
  { name: "es1370", device: "ES1370", backend: "audiodev" },
  // Other PCI.
  { name: "i6300esb_wdt", device: "i6300esb" },
  { name: "pvpanic-pci", device: "pvpanic-pci" },
  { name: "ipmi-interface-pci-kcs", device: "pci-ipmi-kcs", backend: "bmc" },
  { name: "acpi-erst", device: "acpi-erst", backend: "memdev" },
  { name: "pci-serial", device: "pci-serial", backend: "chardev" },
  { name: "edu", device: "edu" },
  { name: "ivshmem-plain", device: "ivshmem-plain", backend: "memdev", options: "master=on" },
  { name: "ipmi-interface-pci-bt", device: "pci-ipmi-bt", backend: "bmc" },
  { name: "tpci200", device: "tpci200" },
  { name: "kvaser_pci", device: "kvaser_pci", canbus: ["canbus"] },
  { name: "mioe3680_pci", device: "mioe3680_pci", canbus: ["canbus0", "canbus1"] },
  { name: "pcm3680i_pci", device: "pcm3680_pci", canbus: ["canbus0", "canbus1"] },
  { name: "ctucan_pci", device: "ctucan_pci", canbus: ["canbus0", "canbus1"] },
  { name: "pci-serial-multi", pci: "1b36:0003", device: "pci-serial-2x", backend: "chardev1" },
  { name: "pci-serial-multi", pci: "1b36:0004", device: "pci-serial-4x", backend: "chardev1" },
];

/** Devices on buses other than PCI, whose path continues that of their controller. */
export const BUS_DEVICES: readonly DeviceKind[] = [
  { name: "scsi-disk", device: "scsi-hd", also: ["scsi-cd", "scsi-block"], backend: "drive" },
  { name: "usb-ptr", device: "usb-tablet", also: ["usb-mouse"] },
  { name: "usb-kbd", device: "usb-kbd" },
  { name: "usb-hub", device: "usb-hub" },
  { name: "usb-storage", device: "usb-storage", also: ["usb-bot"], backend: "drive" },
  { name: "usb-ccid", device: "usb-ccid" },
  { name: "usb-redir", device: "usb-redir", backend: "chardev" },
];

/** Devices whose sections have no path. */
export const PATHLESS: readonly DeviceKind[] = [
  { name: "fdc", device: "isa-fdc" },
  { name: "serial", device: "isa-serial", backend: "chardev" },
  { name: "parallel_isa", device: "isa-parallel", backend: "chardev" },
  { name: "hda-audio", device: "hda-duplex", also: ["hda-output", "hda-micro"], backend: "audiodev" },
  { name: "vmgenid", device: "vmgenid" },
  { name: "ramfb-dev", device: "ramfb" },
  { name: "vmcoreinfo", device: "vmcoreinfo" },
  { name: "vmclock", device: "vmclock" },
  { name: "uefi-vars-sysbus", device: "uefi-vars-x64" },
  { name: "tpm-tis", device: "tpm-tis", backend: "tpmdev", read: true },
  { name: "tpm-crb", device: "tpm-crb", backend: "tpmdev", read: true },
  { name: "ib700_wdt", device: "ib700" },
  { name: "sd-card", device: "sd-card", backend: "drive" },
  { name: "sb16", device: "sb16", backend: "audiodev" },
  { name: "cs4231a", device: "cs4231a", backend: "audiodev" },
  { name: "gus", device: "gus", backend: "audiodev" },
  { name: "ipmi-bmc-sim", device: "ipmi-bmc-sim", early: true },
  { name: "ipmi-interface", device: "isa-ipmi-kcs", backend: "bmc" },
  { name: "ipmi-interface-isa-bt", device: "isa-ipmi-bt", backend: "bmc" },
  { name: "smbus-ipmi", device: "smbus-ipmi", backend: "bmc" },
  // On the IndustryPack bus of a tpci200.
  { name: "ipoctal232", device: "ipoctal232" },
  { name: "isa-ide", device: "isa-ide" },
  { name: "ne2000", device: "ne2k_isa" },
  { name: "vga", device: "isa-vga", vgamem: "vga.vram" },
  { name: "vga-isa", device: "isa-vga", vgamem: "vga.vram" },
  { name: "cirrus_vga", device: "isa-cirrus-vga", vgamem: "vga.vram" },
  { name: "iommu-intel", device: "intel-iommu", early: true },
];

/** Sections that PC machine types have of themselves, whatever their options: `name`, or `PATH/name` at that place. */
export const OF_PC: ReadonlySet<string> = new Set([
  ..."timer cpu_common cpu kvm-tpr-opt apic fw_cfg PCIHost PCIBUS dma i8259 ioapic hpet mc146818rtc i8254".split(" "),
  ..."pcspk ps2kbd ps2mouse pckbd vmmouse port92 i2c_bus acpi_build globalstate kvmclock mch microvm".split(" "),
  ..."0000:00:00.0/I440FX 0000:00:01.0/PIIX3 0000:00:01.1/ide 0000:00:01.3/piix4_pm".split(" "),
  ..."acpi-ged xhci-sysbus 0000:00:00.0/gpex_root".split(" "),
  ..."0000:00:00.0/mch 0000:00:1f.0/ICH9LPC 0000:00:1f.2/ich9_ahci 0000:00:1f.3/ich9_smb".split(" "),
]);

/** Sections of what is named by others: network backends, and parts of devices that have a section too. */
export const OF_OTHERS: ReadonlySet<string> = new Set(["slirp", "audio", "eeprom", "i2c-ddc", "tpm-emulator"]);

/** Network cards that share a section's name with others: the block of their ROM is named by the device. */
export const ROM_VARIANTS: ReadonlySet<string> = new Set([
  "virtio-net-pci-transitional",
  "virtio-net-pci-non-transitional",
]);
