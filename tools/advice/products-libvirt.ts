/**
 * More command lines as libvirt makes them for virt-manager, GNOME Boxes, OpenStack (nova), KubeVirt and Vagrant: each
 * is a chassis and devices on it. Same placeholders as in `products.ts`.
 */
import { AGENT, libvirtPorts, libvirtUsb2, LIBVIRT, PFLASH, RNG, SERIAL, UUID } from "./product-parts.js";

const net = (n: number, model: string, place: string, more = ""): string =>
  `-netdev user,id=hostnet${n} -device ${model},netdev=hostnet${n},id=net${n},mac=52:54:00:6b:3c:0${n},${place}${more}`;
const port = (n: number): string => `bus=pci.${n},addr=0x0`;
const slot = (n: number): string => `bus=pci.0,addr=0x${n.toString(16)}`;
const q35 = (cpus: string, ports: number, memory = "128", options = ""): string =>
  `-machine q35,usb=off,dump-guest-core=off${options} -m ${memory} ${LIBVIRT} -smp ${cpus} ${UUID} ${libvirtPorts(ports)}`;
const i440fx = (cpus: string, memory = "128", options = ""): string =>
  `-machine pc,usb=off,dump-guest-core=off${options} -m ${memory} ${LIBVIRT} -smp ${cpus} ${UUID}`;
const xhci = (n: number): string => `-device qemu-xhci,p2=15,p3=15,id=usb,${port(n)}`;
const uhci = "-device piix3-usb-uhci,id=usb,bus=pci.0,addr=0x1.0x2";
const blk = (n: number, place: string, more = ""): string =>
  `-device virtio-blk-pci,${place},drive=DISK${n},id=virtio-disk${n}${more}`;
const channel = (n: number, name: string): string =>
  `-chardev null,id=charchannel${n} -device virtserialport,bus=virtio-serial0.0,nr=${n + 1},chardev=charchannel${n},id=channel${n},name=${name}`;
const redir = (count: number, first = 2): string =>
  Array.from(
    { length: count },
    (_, i) => `-chardev null,id=redir${i} -device usb-redir,chardev=redir${i},id=redir${i},bus=usb.0,port=${first + i}`,
  ).join(" ");
const serial = (place: string, more = ""): string => `-device virtio-serial-pci,id=virtio-serial0,${place}${more}`;
const tablet = "-device usb-tablet,id=input0,bus=usb.0,port=1";
const vga = "-device VGA,id=video0,vgamem_mb=16,bus=pcie.0,addr=0x1";
const kubevirtDevice = (model: string, place: string, more = ""): string =>
  `-device ${model}-non-transitional,${place}${more}`;
const kubevirt = (ports: number, memory = "128", options = ",smm=on"): string =>
  `${q35("1,sockets=1,dies=1,cores=1,threads=1", ports, memory, options)} -object iothread,id=iothread1
   ${kubevirtDevice("virtio-scsi-pci", port(5), ",id=scsi0")} ${kubevirtDevice("virtio-serial-pci", port(6), ",id=virtio-serial0")}
   -netdev user,id=hostua -device virtio-net-pci-non-transitional,host_mtu=1430,netdev=hostua,id=ua-default,mac=02:00:00:6e:45:1a,bus=pci.1,addr=0x0,romfile=
   ${SERIAL} ${AGENT("virtio-serial0.0")} ${vga} ${kubevirtDevice("virtio-balloon-pci", port(9), ",id=balloon0,free-page-reporting=on")}`;
const nodes = (size: string, cpus: readonly string[]): string =>
  cpus
    .map(
      (list, i) =>
        `-object memory-backend-ram,id=ram-node${i},size=${size} -numa node,nodeid=${i},cpus=${list},memdev=ram-node${i}`,
    )
    .join(" ");

const virtManager: Readonly<Record<string, string>> = {
  "windows 11 secure boot": `${q35("4,sockets=1,dies=1,cores=4,threads=1", 14, "256", ",smm=on,vmport=off")} ${PFLASH} -global driver=cfi.pflash01,property=secure,value=off
    ${xhci(2)} ${serial(port(3))} -device ide-hd,bus=ide.0,drive=DISK0,id=sata0-0-0,bootindex=1 -device ide-cd,bus=ide.1,id=sata0-0-1
    ${net(0, "e1000e", port(1))} ${SERIAL} ${channel(0, "com.redhat.spice.0")} ${tablet} ${redir(2)} -audiodev none,id=audio1
    -device qxl-vga,id=video0,max_outputs=1,ram_size=67108864,vram_size=67108864,vram64_size_mb=0,vgamem_mb=16,bus=pcie.0,addr=0x1
    -device ich9-intel-hda,id=sound0,bus=pcie.0,addr=0x1b -device hda-duplex,id=sound0-codec0,bus=sound0.0,cad=0,audiodev=audio1 -device virtio-balloon-pci,id=balloon0,${port(4)}`,
  "fedora all virtio": `${q35("2,maxcpus=8,sockets=8,cores=1,threads=1", 14, "256", ",vmport=off")} ${xhci(2)} ${serial(port(3))} ${blk(0, port(4), ",bootindex=1")}
    -device virtio-scsi-pci,id=scsi0,${port(7)} -device scsi-cd,bus=scsi0.0,channel=0,scsi-id=0,lun=0,id=scsi0-0-0-0 ${net(0, "virtio-net-pci", port(1))} ${SERIAL} ${AGENT("virtio-serial0.0")}
    ${channel(1, "com.redhat.spice.0")} ${tablet} -device virtio-gpu-pci,id=video0,max_outputs=1,${port(8)} ${redir(2)} -device virtio-balloon-pci,id=balloon0,${port(5)} ${RNG},${port(6)}`,
  "two screens": `${q35("2", 10)} ${xhci(2)} ${tablet} -device qxl-vga,id=video0,ram_size=67108864,vram_size=33554432,vgamem_mb=16,bus=pcie.0,addr=0x1
    -device qxl,id=video1,ram_size=67108864,vram_size=67108864,vgamem_mb=16,${port(4)} ${net(0, "virtio-net-pci", port(1))}`,
  "pcie bridge and old cards": `${q35("1", 8)} -device pcie-pci-bridge,id=pci.9,bus=pci.1,addr=0x0 ${net(0, "rtl8139", "bus=pci.9,addr=0x1")} ${net(1, "pcnet", "bus=pci.9,addr=0x2")}
    -audiodev none,id=a -device ES1370,id=sound0,bus=pci.9,addr=0x3,audiodev=a -device i6300esb,id=watchdog0,bus=pci.9,addr=0x4 -device virtio-balloon-pci,${port(2)}`,
  "many disks and cards": `${q35("4", 20)} ${[0, 1, 2, 3, 4].map((n) => blk(n, port(2 + n))).join(" ")} ${[0, 1, 2, 3].map((n) => net(n, n === 3 ? "e1000" : "virtio-net-pci", port(8 + n))).join(" ")}`,
  "i440fx bsd": `${i440fx("2,sockets=2")} ${uhci} -device lsi,id=scsi0,${slot(4)} -device scsi-hd,bus=scsi0.0,scsi-id=0,drive=DISK0,id=scsi0-0-0 ${net(0, "e1000", slot(3))} ${tablet}
    ${SERIAL} -device VGA,id=video0,vgamem_mb=16,${slot(2)} -audiodev none,id=a -device intel-hda,id=sound0,${slot(5)} -device hda-output,id=sound0-codec0,bus=sound0.0,cad=0,audiodev=a`,
  "i440fx xp": `${i440fx("1")} ${libvirtUsb2("0x4")} -device ide-hd,bus=ide.0,unit=0,drive=DISK0,id=ide0-0-0 ${net(0, "rtl8139", slot(3))} ${tablet} -audiodev none,id=a -device AC97,id=sound0,${slot(5)},audiodev=a
    -device cirrus-vga,id=video0,${slot(2)} -fda $DIR/floppy`,
  "smartcard and tpm-less": `${q35("2", 8)} ${libvirtUsb2("0x1d", "pcie.0")} -device usb-ccid,id=ccid0,bus=usb.0,port=4 ${tablet} -device usb-kbd,id=input1,bus=usb.0,port=2 -device usb-hub,id=hub0,bus=usb.0,port=3
    -device usb-mouse,id=input2,bus=usb.0,port=3.1 ${serial(port(2))} ${channel(0, "org.spice-space.webdav.0")} -device virtio-vga,id=video0,max_outputs=2,bus=pcie.0,addr=0x1`,
  "viommu virtio": `${q35("4", 8)} -device virtio-iommu-pci,bus=pcie.0,addr=0x5 ${blk(0, port(2), ",iommu_platform=on,ats=on")} ${net(0, "virtio-net-pci", port(1), ",iommu_platform=on,ats=on")} ${serial(port(3), ",iommu_platform=on")}`,
  "intel iommu eim": `-machine q35,usb=off,kernel_irqchip=split -m 128 ${LIBVIRT} -device intel-iommu,id=iommu0,intremap=on,eim=off,aw-bits=48 -smp 2 ${libvirtPorts(4)} ${net(0, "igb", port(1))} ${blk(0, port(2))}`,
  "memory backing and nvdimm": `${q35("2,maxcpus=4", 4, "size=256M,slots=4,maxmem=4G", ",nvdimm=on")} ${nodes("256M", ["0-3"])} -object memory-backend-ram,id=memnvdimm0,size=64M,share=on
    -device nvdimm,node=0,memdev=memnvdimm0,id=nvdimm0,slot=0 ${blk(0, port(1))}`,
};

const boxes: Readonly<Record<string, string>> = {
  "windows 10": `${q35("4,sockets=1,cores=4,threads=1", 8, "256", ",vmport=off")} ${libvirtUsb2("0x1d", "pcie.0")} ${serial(port(2))} -device ide-hd,bus=ide.0,drive=DISK0,id=sata0-0-0 -device ide-cd,bus=ide.1,id=sata0-0-1
    ${net(0, "e1000e", port(1))} ${tablet} -device qxl-vga,id=video0,max_outputs=1,ram_size=67108864,vram_size=67108864,vgamem_mb=16,bus=pcie.0,addr=0x1 -audiodev none,id=a
    -device ich9-intel-hda,id=sound0,bus=pcie.0,addr=0x1b -device hda-duplex,bus=sound0.0,cad=0,audiodev=a ${redir(4)} -device virtio-balloon-pci,${port(4)} ${channel(0, "com.redhat.spice.0")} ${channel(1, "org.spice-space.webdav.0")}`,
  "silverblue 3d": `${q35("8,sockets=1,cores=8,threads=1", 14, "256")} ${xhci(2)} ${serial(port(3))} ${blk(0, port(4))} ${net(0, "virtio-net-pci", port(1))} ${tablet} -device virtio-vga,id=video0,max_outputs=1,bus=pcie.0,addr=0x1
    ${redir(4)} ${RNG},${port(6)} -device virtio-balloon-pci,${port(5)} -audiodev none,id=a -device ich9-intel-hda,id=sound0,bus=pcie.0,addr=0x1b -device hda-micro,bus=sound0.0,cad=0,audiodev=a`,
  uefi: `${q35("2", 14, "128", ",smm=on")} ${PFLASH} ${xhci(2)} ${blk(0, port(3))} ${net(0, "virtio-net-pci", port(1))} ${tablet} -device bochs-display,id=video0,bus=pcie.0,addr=0x1,vgamem=16777216`,
  "windows xp": `${i440fx("1")} ${libvirtUsb2("0x6")} ${serial(slot(5))} -device ide-hd,bus=ide.0,unit=0,drive=DISK0 ${net(0, "rtl8139", slot(3))} ${tablet} -device cirrus-vga,id=video0,${slot(2)} -audiodev none,id=a -device AC97,${slot(4)},audiodev=a ${redir(4)}`,
  "express install floppy": `${i440fx("2")} ${libvirtUsb2("0x6")} ${blk(0, slot(7))} -fda $DIR/floppy ${net(0, "virtio-net-pci", slot(3))} -device qxl-vga,id=video0,ram_size=67108864,vram_size=67108864,vgamem_mb=16,${slot(2)} ${tablet}`,
  "debian pcie": `${q35("4", 10)} ${xhci(2)} ${blk(0, port(4), "")} ${net(0, "virtio-net-pci", port(1))} ${serial(port(3))} ${channel(0, "com.redhat.spice.0")} ${channel(1, "org.qemu.guest_agent.0")} ${channel(2, "org.spice-space.webdav.0")} ${tablet} -device virtio-gpu-pci,${port(7)}`,
};

const nova: Readonly<Record<string, string>> = {
  "many volumes": `${i440fx("4,sockets=4,dies=1,cores=1,threads=1")} ${uhci} ${[0, 1, 2, 3, 4, 5].map((n) => blk(n, slot(5 + n), ",write-cache=on")).join(" ")} ${net(0, "virtio-net-pci", slot(3), ",rx_queue_size=512,host_mtu=1450")} ${SERIAL} ${tablet} -device virtio-vga,id=video0,max_outputs=1,${slot(2)} -device virtio-balloon-pci,${slot(11)} ${RNG},${slot(12)} -device vmcoreinfo`,
  "config drive ide": `${i440fx("1")} ${uhci} ${blk(0, slot(4))} -device ide-cd,bus=ide.0,unit=0,drive=DISK1,id=ide0-0-0,write-cache=on ${net(0, "virtio-net-pci", slot(3), ",host_mtu=1500")} ${SERIAL} -chardev null,id=charserial1 -device isa-serial,chardev=charserial1,id=serial1,index=1 ${tablet} -device cirrus-vga,${slot(2)} -device virtio-balloon-pci,${slot(5)}`,
  multiqueue: `${i440fx("4")} ${uhci} ${blk(0, slot(4), ",num-queues=4")} ${net(0, "virtio-net-pci", slot(3), ",mq=on,vectors=10,rx_queue_size=1024,tx_queue_size=256")} ${SERIAL} -device VGA,${slot(2)} -device virtio-balloon-pci,${slot(5)}`,
  "virtio-scsi": `${i440fx("2")} ${uhci} -device virtio-scsi-pci,id=scsi0,num_queues=2,${slot(4)} ${[0, 1, 2].map((n) => `-device scsi-hd,bus=scsi0.0,channel=0,scsi-id=0,lun=${n},drive=DISK${n},id=scsi0-0-0-${n},write-cache=on`).join(" ")} ${net(0, "virtio-net-pci", slot(3))} -device i6300esb,id=watchdog0,${slot(6)} -watchdog-action none`,
  "pinned numa": `${i440fx("8,sockets=2,cores=4,threads=1", "512")} ${nodes("256M", ["0-3", "4-7"])} ${uhci} ${blk(0, slot(4))} ${net(0, "virtio-net-pci", slot(3))} ${SERIAL} -device VGA,${slot(2)}`,
  "q35 28 ports": `${q35("2,sockets=2", 28)} ${xhci(2)} ${blk(0, port(3), ",write-cache=on")} ${net(0, "virtio-net-pci", port(1), ",host_mtu=8950")} ${SERIAL} ${tablet} -device virtio-vga,bus=pcie.0,addr=0x1 -device virtio-balloon-pci,${port(4)} ${RNG},${port(5)} -device vmcoreinfo`,
  "q35 viommu": `${q35("4", 26)} -device intel-iommu,id=iommu0,intremap=off,caching-mode=on,eim=off,aw-bits=48,device-iotlb=on ${blk(0, port(2))} ${net(0, "virtio-net-pci", port(1))} ${net(1, "e1000e", port(3))}`,
  "sev like": `${q35("2", 26, "128", "")} ${PFLASH} ${blk(0, port(3), ",iommu_platform=on")} ${net(0, "virtio-net-pci", port(1), ",iommu_platform=on,romfile=")} ${serial(port(4), ",iommu_platform=on")} ${RNG},${port(5)},iommu_platform=on -device virtio-balloon-pci,${port(6)},iommu_platform=on`,
  "volumes by usb": `${q35("1", 12)} -device nec-usb-xhci,id=usb,${port(2)} -device usb-storage,bus=usb.0,port=2,drive=DISK0,id=usb-disk0,removable=off ${tablet} ${net(0, "vmxnet3", port(1))} ${vga}`,
  "sata boot": `${q35("2", 12)} -device ide-hd,bus=ide.0,drive=DISK0 -device ahci,id=sata1,${port(4)} -device ide-hd,bus=sata1.0,drive=DISK1 ${net(0, "e1000", port(1))} -device qxl-vga,id=video0,vgamem_mb=64,ram_size=134217728,vram_size=67108864,bus=pcie.0,addr=0x1`,
};

const kubevirtLines: Readonly<Record<string, string>> = {
  cirros: `${kubevirt(11)} ${kubevirtDevice("virtio-blk-pci", port(7), ",drive=DISK0,id=ua-containerdisk,bootindex=1,write-cache=on")} ${kubevirtDevice("virtio-blk-pci", port(8), ",drive=DISK1,id=ua-cloudinitdisk,write-cache=on")}`,
  "rng and rootdisk": `${kubevirt(12)} ${kubevirtDevice("virtio-blk-pci", port(7), ",drive=DISK0,num-queues=1")} -object rng-builtin,id=objrng0 ${kubevirtDevice("virtio-rng-pci", port(10), ",rng=objrng0,id=rng0")}`,
  "windows hyperv": `${kubevirt(13, "256", ",smm=on")} ${PFLASH} -device ide-hd,bus=ide.0,drive=DISK0,id=ua-rootdisk,bootindex=1 -device ide-cd,bus=ide.1,id=ua-virtiocontainerdisk -device qemu-xhci,id=usb,bus=pci.10,addr=0x0 -device usb-tablet,id=ua-tablet,bus=usb.0,port=1`,
  "multus multiqueue": `${kubevirt(16)} ${kubevirtDevice("virtio-blk-pci", port(7), ",drive=DISK0,num-queues=4,write-cache=on")} -netdev user,id=h2 -device virtio-net-pci-non-transitional,mq=on,vectors=10,netdev=h2,id=ua-net1,mac=02:00:00:6e:45:1b,bus=pci.2,addr=0x0,romfile= -netdev user,id=h3 -device e1000e,netdev=h3,id=ua-net2,bus=pci.3,addr=0x0,romfile=`,
  "hotplug memory": `-machine q35,usb=off,smm=on -m size=256M,slots=0,maxmem=2G ${LIBVIRT} -smp 1,maxcpus=4,sockets=4,dies=1,cores=1,threads=1 ${nodes("256M", ["0-3"])} ${libvirtPorts(12)} ${kubevirtDevice("virtio-scsi-pci", port(5), ",id=scsi0")} -object memory-backend-ram,id=memvirtiomem0,size=256M,reserve=off -device virtio-mem-pci,node=0,block-size=2097152,requested-size=0,memdev=memvirtiomem0,id=virtiomem0,bus=pci.1,addr=0x0`,
  "hotplug cpus": `-machine q35,usb=off -m 256 ${LIBVIRT} -smp 2,maxcpus=8,sockets=4,dies=1,cores=2,threads=1 ${libvirtPorts(14)} ${kubevirtDevice("virtio-blk-pci", port(7), ",drive=DISK0")}`,
  "hotplug disks": `${kubevirt(16)} -device scsi-hd,bus=scsi0.0,channel=0,scsi-id=0,lun=0,drive=DISK0,id=ua-hotplug1 -device scsi-hd,bus=scsi0.0,channel=0,scsi-id=0,lun=3,drive=DISK1,id=ua-hotplug2`,
  "downward metrics": `${kubevirt(12)} ${channel(1, "org.github.vhostmd.1")} -device i6300esb,id=ua-watchdog,bus=pcie.0,addr=0x1e -watchdog-action poweroff -device pvpanic-pci,id=panic0,bus=pcie.0,addr=0x1d`,
  "virtio input and gpu": `${q35("2", 14)} ${kubevirtDevice("virtio-scsi-pci", port(5), ",id=scsi0")} -device virtio-tablet-pci,id=ua-tablet1,bus=pci.7,addr=0x0 -device virtio-keyboard-pci,id=ua-kbd,bus=pci.8,addr=0x0 -device virtio-gpu-pci,id=video0,max_outputs=1,bus=pci.9,addr=0x0`,
  "bochs efi": `-machine q35,usb=off,smm=on -m 128 ${LIBVIRT} ${PFLASH} -smp 2 ${libvirtPorts(11)} ${kubevirtDevice("virtio-blk-pci", port(7), ",drive=DISK0,logical_block_size=512,physical_block_size=4096")} -device bochs-display,id=video0,vgamem=16777216,bus=pcie.0,addr=0x1`,
};

const vagrant: Readonly<Record<string, string>> = {
  ubuntu: `${i440fx("2,sockets=2")} ${uhci} ${blk(0, slot(3))} ${net(0, "virtio-net-pci", slot(5))} ${SERIAL} -device cirrus-vga,id=video0,${slot(2)} -device virtio-balloon-pci,${slot(4)}`,
  "two networks rng": `${i440fx("1")} ${uhci} ${blk(0, slot(3))} ${net(0, "virtio-net-pci", slot(5))} ${net(1, "virtio-net-pci", slot(6))} ${SERIAL} -device VGA,vgamem_mb=16,${slot(2)} -device virtio-balloon-pci,${slot(4)} ${RNG},${slot(7)}`,
  "windows box": `${i440fx("2,sockets=1,cores=2")} ${libvirtUsb2("0x7")} -device ahci,id=sata0,${slot(8)} -device ide-hd,bus=sata0.0,drive=DISK0 ${net(0, "e1000", slot(5))} ${serial(slot(6))} ${channel(0, "com.redhat.spice.0")} ${tablet} -device qxl-vga,ram_size=67108864,vram_size=67108864,vgamem_mb=16,${slot(2)} -audiodev none,id=a -device intel-hda,id=s,${slot(9)} -device hda-duplex,bus=s.0,audiodev=a`,
  "q35 nec xhci": `${q35("2", 7)} -device nec-usb-xhci,id=usb,p2=8,p3=8,${port(2)} ${tablet} ${blk(0, port(3))} ${net(0, "virtio-net-pci", port(1))} ${SERIAL} -device cirrus-vga,bus=pcie.0,addr=0x1 -device virtio-balloon-pci,${port(4)}`,
  "storage pool": `${i440fx("4")} ${uhci} ${[0, 1, 2, 3].map((n) => blk(n, slot(3 + n))).join(" ")} -device virtio-scsi-pci,id=scsi0,${slot(8)} -device scsi-hd,bus=scsi0.0,channel=0,scsi-id=0,lun=0,drive=DISK4 ${net(0, "virtio-net-pci", slot(9))} -device VGA,${slot(2)}`,
  "memory slots": `${i440fx("2,maxcpus=6,sockets=6,cores=1,threads=1", "size=256M,slots=8,maxmem=2G")} ${nodes("256M", ["0-5"])} ${uhci} ${blk(0, slot(3))} ${net(0, "virtio-net-pci", slot(5))}`,
  "9p share": `${i440fx("1")} ${uhci} -fsdev local,security_model=none,id=fsdev-fs0,path=$DIR -device virtio-9p-pci,id=fs0,fsdev=fsdev-fs0,mount_tag=share,${slot(4)} ${blk(0, slot(3))} ${net(0, "virtio-net-pci", slot(5))}`,
  "graphics none": `${i440fx("1")} ${uhci} ${blk(0, slot(3))} ${net(0, "virtio-net-pci", slot(5))} ${SERIAL}`,
  "sound and input": `${i440fx("1")} ${uhci} -device usb-mouse,id=input0,bus=usb.0,port=1 -device usb-kbd,id=input1,bus=usb.0,port=2 -audiodev none,id=a -device AC97,audiodev=a,${slot(4)} -device vmware-svga,${slot(2)},vgamem_mb=16 ${blk(0, slot(3))} ${net(0, "pcnet", slot(5))}`,
  "watchdog panic": `${i440fx("2")} ${uhci} ${blk(0, slot(3))} ${net(0, "vmxnet3", slot(5))} -device ib700,id=watchdog0 -watchdog-action reset -device pvpanic -device bochs-display,${slot(2)}`,
};

const family = (name: string, lines: Readonly<Record<string, string>>): [string, string][] =>
  Object.entries(lines).map(([title, line]) => [`${name}: ${title}`, line]);

/** Name and words; each DISKn gets a disk. */
export const libvirtLines: readonly (readonly [string, string])[] = [
  ...family("virt-manager", virtManager),
  ...family("boxes", boxes),
  ...family("nova", nova),
  ...family("kubevirt", kubevirtLines),
  ...family("vagrant", vagrant),
];
