/**
 * More command lines of products that make them themselves: Proxmox VE, LXD and Incus, Multipass, UTM and quickemu.
 * Same placeholders as in `products.ts`.
 */
import { PFLASH } from "./product-parts.js";

/** The devices of Proxmox' pve-q35.cfg (up to 4.0): two USB 2 controllers, ports, bridges. */
const pveQ35 = `-device ich9-usb-ehci1,id=ehci,bus=pcie.0,addr=1d.7,multifunction=on
  -device ich9-usb-uhci1,id=uhci-1,bus=pcie.0,addr=1d.0,masterbus=ehci.0,firstport=0,multifunction=on
  -device ich9-usb-uhci2,id=uhci-2,bus=pcie.0,addr=1d.1,masterbus=ehci.0,firstport=2,multifunction=on
  -device ich9-usb-uhci3,id=uhci-3,bus=pcie.0,addr=1d.2,masterbus=ehci.0,firstport=4,multifunction=on
  -device ich9-usb-ehci2,id=ehci-2,bus=pcie.0,addr=1a.7,multifunction=on
  -device ich9-usb-uhci4,id=uhci-4,bus=pcie.0,addr=1a.0,masterbus=ehci-2.0,firstport=0,multifunction=on
  -device ich9-usb-uhci5,id=uhci-5,bus=pcie.0,addr=1a.1,masterbus=ehci-2.0,firstport=2,multifunction=on
  -device ich9-usb-uhci6,id=uhci-6,bus=pcie.0,addr=1a.2,masterbus=ehci-2.0,firstport=4,multifunction=on
  -device i82801b11-bridge,id=pcidmi,bus=pcie.0,addr=1e.0 -device pci-bridge,id=pci.0,bus=pcidmi,addr=1.0,chassis_nr=1
  -device pci-bridge,id=pci.1,bus=pcidmi,addr=2.0,chassis_nr=2 -device pci-bridge,id=pci.2,bus=pcidmi,addr=3.0,chassis_nr=3`;
const pvePorts = (device: string, more: string): string =>
  [0, 1, 2, 3]
    .map(
      (n) =>
        `-device ${device},id=ich9-pcie-port-${n + 1},${more}multifunction=on,bus=pcie.0,addr=1c.${n},port=${n + 1},chassis=${n + 1}`,
    )
    .join(" ");
const pve = (cpus: string, memory: string, machine: string): string =>
  `-no-shutdown -smp ${cpus} -nodefaults -boot menu=on,strict=on,reboot-timeout=1000 -m ${memory} -machine ${machine} -device vmgenid,guid=8f3ec2a5-5c2e-4a7d-a0b4-7c0e2b0b7d2e`;
const pveNet = (n: number, model: string): string =>
  `-netdev user,id=net${n} -device ${model},mac=BC:24:11:00:00:0${n},netdev=net${n},bus=pci.0,addr=0x${(18 + n).toString(16)},id=net${n}`;
const pveBridges = (...ids: readonly number[]): string =>
  ids
    .map((id) => `-device pci-bridge,id=pci.${id},chassis_nr=${id},bus=pci.0,addr=0x${(0x1d + id).toString(16)}`)
    .join(" ");
const pveUsb = "-device piix3-usb-uhci,id=uhci,bus=pci.0,addr=0x1.0x2 -device usb-tablet,id=tablet,bus=uhci.0,port=1";
const pveBalloon = "-device virtio-balloon-pci,id=balloon0,bus=pci.0,addr=0x3";

const proxmox: Readonly<Record<string, string>> = {
  "q35 old config": `${pve("2,sockets=1,cores=2,maxcpus=2", "256", "q35")} ${pveQ35} ${pvePorts("ioh3420", "")} -device ich9-intel-hda,id=audio0,bus=pcie.0,addr=1b.0 -audiodev none,id=a -device hda-duplex,bus=audio0.0,audiodev=a
    -device usb-tablet,id=tablet,bus=ehci.0,port=1 -device VGA,id=vga,bus=pcie.0,addr=0x1 ${pveBalloon} -device virtio-blk-pci,drive=DISK0,id=virtio0,bus=pci.0,addr=0xa,bootindex=100 ${pveNet(0, "virtio-net-pci")}`,
  "q35 4.0 config": `${pve("4,sockets=1,cores=4,maxcpus=4", "256", "q35")} ${pveQ35} ${pvePorts("pcie-root-port", "x-speed=16,x-width=32,")} -device usb-tablet,id=tablet,bus=ehci.0,port=1 ${pveBalloon}
    -device ahci,id=ahci0,multifunction=on,bus=pci.0,addr=0x7 -device ide-hd,bus=ahci0.0,drive=DISK0,id=sata0 ${pveNet(0, "e1000")} -device cirrus-vga,id=vga,bus=pcie.0,addr=0x1`,
  "q35 spice qxl": `${pve("2,sockets=1,cores=2,maxcpus=2", "256", "q35")} ${PFLASH} ${pveQ35} ${pvePorts("pcie-root-port", "x-speed=16,x-width=32,")} -device qxl-vga,id=vga,max_outputs=4,bus=pcie.0,addr=0x1 -device virtio-serial,id=spice,bus=pci.0,addr=0x9
    -chardev null,id=vdagent -device virtserialport,chardev=vdagent,name=com.redhat.spice.0 -chardev null,id=r0 -device usb-redir,chardev=r0,id=usbredirdev0,bus=ehci.0,port=2 -device virtio-scsi-pci,id=scsihw0,bus=pci.0,addr=0x5 -device scsi-hd,bus=scsihw0.0,channel=0,scsi-id=0,lun=0,drive=DISK0`,
  "windows i440fx": `${pve("4,sockets=1,cores=4,maxcpus=4", "256", "pc")} -rtc driftfix=slew,base=localtime ${pveBridges(1, 2)} ${pveUsb} -device VGA,id=vga,bus=pci.0,addr=0x2 ${pveBalloon},free-page-reporting=on
    -device ide-cd,bus=ide.1,unit=0,id=ide2 -device ide-hd,bus=ide.0,unit=0,drive=DISK0,id=ide0 ${pveNet(0, "e1000")}`,
  "virtio disks and nets": `${pve("2,sockets=2,cores=1,maxcpus=2", "256", "pc")} ${pveBridges(1, 2)} ${pveUsb} -device cirrus-vga,id=vga,bus=pci.0,addr=0x2 ${[0, 1, 2, 3].map((n) => `-device virtio-blk-pci,drive=DISK${n},id=virtio${n},bus=pci.0,addr=0x${(10 + n).toString(16)}`).join(" ")}
    ${pveNet(0, "virtio-net-pci")},rx_queue_size=1024,tx_queue_size=256 ${pveNet(1, "rtl8139")} ${pveNet(2, "vmxnet3")} ${pveNet(3, "e1000-82545em")}`,
  "scsi single": `${pve("4,sockets=1,cores=4,maxcpus=4", "256", "pc")} ${pveBridges(1, 2)} -device pci-bridge,id=pci.3,chassis_nr=3,bus=pci.0,addr=0x5 ${pveUsb} ${[0, 1, 2].map((n) => `-object iothread,id=it${n} -device virtio-scsi-pci,id=virtioscsi${n},bus=pci.3,addr=0x${n + 1},iothread=it${n},num_queues=4 -device scsi-hd,bus=virtioscsi${n}.0,channel=0,scsi-id=0,lun=${n},drive=DISK${n}`).join(" ")} -device VGA,id=vga,bus=pci.0,addr=0x2`,
  "other controllers": `${pve("1", "128", "pc")} ${pveBridges(1)} -device megasas,id=scsihw0,bus=pci.0,addr=0x5 -device scsi-hd,bus=scsihw0.0,channel=0,scsi-id=1,lun=0,drive=DISK0 -device pvscsi,id=scsihw1,bus=pci.0,addr=0x6 -device scsi-hd,bus=scsihw1.0,channel=0,scsi-id=0,lun=0,drive=DISK1
    -device lsi,id=scsihw2,bus=pci.1,addr=0x1 -device scsi-hd,bus=scsihw2.0,scsi-id=2,drive=DISK2 -device vmware-svga,id=vga,bus=pci.0,addr=0x2`,
  "hotplugged processor": `${pve("1,sockets=2,cores=2,maxcpus=4", "256", "pc")} -device qemu64-x86_64-cpu,id=cpu2,socket-id=0,core-id=1,thread-id=0 -device qemu64-x86_64-cpu,id=cpu4,socket-id=1,core-id=1,thread-id=0 ${pveUsb} -device VGA,bus=pci.0,addr=0x2`,
  "numa two sockets": `${pve("4,sockets=2,cores=2,maxcpus=4", "512", "pc")} -object memory-backend-ram,id=ram-node0,size=256M -numa node,nodeid=0,cpus=0-1,memdev=ram-node0 -object memory-backend-ram,id=ram-node1,size=256M -numa node,nodeid=1,cpus=2-3,memdev=ram-node1 ${pveUsb}`,
  "memory hotplug": `${pve("2,sockets=1,cores=2,maxcpus=2", "size=1024,slots=255,maxmem=524288M", "pc")} -object memory-backend-ram,id=ram-node0,size=1024M -numa node,nodeid=0,cpus=0-1,memdev=ram-node0 ${[0, 1, 2].map((n) => `-object memory-backend-ram,id=mem-dimm${n},size=512M -device pc-dimm,id=dimm${n},memdev=mem-dimm${n},node=0`).join(" ")}`,
  "serial console watchdog rng": `${pve("1", "128", "pc")} -vga none -chardev null,id=serial0 -device isa-serial,chardev=serial0 -chardev null,id=serial3 -device isa-serial,chardev=serial3,index=3 -device i6300esb,bus=pci.0,addr=0x4 -watchdog-action reset ${pveBridges(1)} -object rng-builtin,id=rng0 -device virtio-rng-pci,rng=rng0,max-bytes=1024,period=1000,bus=pci.1,addr=0x1d`,
  "virtio gpu and audio": `${pve("2", "256", "q35")} ${pveQ35} -device virtio-vga,id=vga,bus=pcie.0,addr=0x1 -device ich9-intel-hda,id=audiodev0,bus=pci.2,addr=0xc -audiodev none,id=s -device hda-micro,id=audiodev0-codec0,bus=audiodev0.0,cad=0,audiodev=s -device hda-duplex,id=audiodev0-codec1,bus=audiodev0.0,cad=1,audiodev=s`,
};

const lxdPort = (n: number): string =>
  `-device pcie-root-port,id=qemu_pcie${n},port=${n},chassis=${n},bus=pcie.0,addr=${1 + (n >> 3)}.${n & 7}${(n & 7) === 0 ? ",multifunction=on" : ""}`;
const lxd = (cpus: string, memory: string, ports: number, options = ""): string =>
  `-no-user-config -nodefaults -machine q35${options} -boot strict=on -m ${memory} -smp ${cpus} -global ICH9-LPC.disable_s3=1 -global ICH9-LPC.disable_s4=0
   ${Array.from({ length: ports }, (_, n) => lxdPort(n)).join(" ")} -device virtio-balloon-pci,id=qemu_balloon,bus=qemu_pcie0,addr=00.0,multifunction=on
   -object rng-builtin,id=qemu_rng -device virtio-rng-pci,id=dev-qemu_rng,rng=qemu_rng,bus=qemu_pcie0,addr=00.1 -device virtio-keyboard-pci,id=dev-qemu_keyboard,bus=qemu_pcie0,addr=00.2
   -device virtio-tablet-pci,id=dev-qemu_tablet,bus=qemu_pcie0,addr=00.3 -device virtio-serial-pci,id=dev-qemu_serial,bus=qemu_pcie0,addr=00.5 -chardev ringbuf,id=qemu_serial-chardev,size=16
   -device virtserialport,chardev=qemu_serial-chardev,name=com.canonical.lxd,bus=dev-qemu_serial.0`;
const lxdSpice =
  "-chardev null,id=spicechannel -device virtserialport,chardev=spicechannel,name=com.redhat.spice.0,bus=dev-qemu_serial.0 -chardev null,id=folder -device virtserialport,chardev=folder,name=org.spice-space.webdav.0,bus=dev-qemu_serial.0";
const lxdUsb = `-device qemu-xhci,id=qemu_usb,p2=8,p3=8,bus=qemu_pcie0,addr=00.6 ${[1, 2, 3].map((n) => `-chardev null,id=qemu_spice-usb-chardev${n} -device usb-redir,chardev=qemu_spice-usb-chardev${n},id=qemu_spice-usb${n},bus=qemu_usb.0`).join(" ")}`;
const lxdRoot =
  "-device virtio-scsi-pci,id=qemu_scsi,bus=qemu_pcie1,addr=00.0,multifunction=on -device scsi-hd,bus=qemu_scsi.0,channel=0,scsi-id=0,lun=1,drive=DISK0,id=dev-lxd_root";
const lxd9p = (bus: string, addr: string, tag: string, n = 0): string =>
  `-fsdev local,id=fs${n},path=$DIR,security_model=none -device virtio-9p-pci,fsdev=fs${n},mount_tag=${tag},bus=${bus},addr=${addr}`;
const lxdNic = (n: number, bus: string, queues = ""): string =>
  `-netdev user,id=lxd_eth${n} -device virtio-net-pci,netdev=lxd_eth${n},id=dev-lxd_eth${n},bus=${bus},addr=00.0,mac=00:16:3e:12:34:5${n}${queues}`;

const lxdLines: Readonly<Record<string, string>> = {
  ubuntu: `${lxd("2,sockets=1,cores=2,threads=1", "256M", 9)} ${PFLASH} ${lxdSpice} ${lxdUsb} ${lxdRoot} ${lxd9p("qemu_pcie1", "00.1", "config")} ${lxdNic(0, "qemu_pcie5", ",mq=on,vectors=6")} -device virtio-gpu-pci,id=dev-qemu_gpu,bus=qemu_pcie2,addr=00.0`,
  "virtio vga": `${lxd("4", "256M", 8)} ${lxdSpice} ${lxdUsb} ${lxdRoot} -device virtio-vga,id=dev-qemu_gpu,bus=qemu_pcie3,addr=00.0 ${lxdNic(0, "qemu_pcie4", ",mq=on,vectors=10,bootindex=1")}`,
  "two nics": `${lxd("2", "256M", 10)} ${lxdRoot} ${lxdNic(0, "qemu_pcie4", ",mq=on,vectors=6")} ${lxdNic(1, "qemu_pcie5", ",mq=on,vectors=6")} -device virtio-gpu-pci,bus=qemu_pcie3,addr=00.0`,
  "incus hotplug memory": `${lxd("2,maxcpus=8,sockets=8", "size=256M,slots=8,maxmem=4G", 9)} -object memory-backend-ram,id=mem0,size=256M -numa node,nodeid=0,memdev=mem0 ${lxdRoot} ${lxdNic(0, "qemu_pcie4")}`,
  "incus windows": `${lxd("4,sockets=1,cores=4,threads=1", "256M", 9, ",smm=on")} ${PFLASH} ${lxdUsb} -device vmcoreinfo -device vmgenid,guid=3f0d1f4e-0b5e-4c30-9f2e-0e4f3a9b8a10 ${lxdRoot} -device scsi-cd,bus=qemu_scsi.0,channel=0,scsi-id=0,lun=2,drive=DISK1 ${lxdNic(0, "qemu_pcie5")}`,
  "incus csm": `${lxd("1", "256M", 8)} -device VGA,bus=qemu_pcie3,addr=00.0 -device virtio-blk-pci,bus=qemu_pcie1,addr=00.0,drive=DISK0,num-queues=1,write-cache=on ${lxdNic(0, "qemu_pcie4")} -device pvpanic-pci,bus=qemu_pcie0,addr=00.7`,
  "bus io nvme like": `${lxd("2", "256M", 10)} ${lxdRoot} -device virtio-blk-pci,bus=qemu_pcie5,addr=00.0,drive=DISK1,num-queues=2 -device virtio-blk-pci,bus=qemu_pcie6,addr=00.0,drive=DISK2,iothread=io0 -object iothread,id=io0 ${lxdNic(0, "qemu_pcie4")}`,
  shares: `${lxd("2", "256M", 9)} ${lxdRoot} ${lxd9p("qemu_pcie1", "00.1", "config", 0)} ${lxd9p("qemu_pcie1", "00.2", "lxd_home", 1)} ${lxd9p("qemu_pcie6", "00.0", "data", 2)}`,
  numa: `${lxd("4,sockets=2,cores=2,threads=1", "512M", 8)} -object memory-backend-ram,id=mem0,size=256M -object memory-backend-ram,id=mem1,size=256M -numa node,nodeid=0,memdev=mem0,cpus=0-1 -numa node,nodeid=1,memdev=mem1,cpus=2-3 ${lxdRoot}`,
  "many ports": `${lxd("2", "256M", 24)} ${lxdRoot} ${lxdNic(0, "qemu_pcie4")} -device usb-ehci,id=ehci,bus=qemu_pcie9,addr=00.0`,
};

const multipassDisk = "-device virtio-scsi-pci,id=scsi0 -device scsi-hd,drive=DISK0,bus=scsi0.0";
const multipassEnd = "-chardev null,id=char0 -serial chardev:char0 -nographic -cdrom $DIR/empty";
const multipassNet = (n: number): string =>
  `-device virtio-net-pci,netdev=hostnet${n},id=net${n},mac=52:54:00:7a:0f:4${n} -netdev user,id=hostnet${n}`;

const multipass: Readonly<Record<string, string>> = {
  "one gigabyte": `-device virtio-net-pci,netdev=hostnet0,id=net0,mac=52:54:00:b5:f5:0c -netdev user,id=hostnet0 ${multipassDisk} -smp 1 -m 1024M ${multipassEnd}`,
  "four cpus": `${multipassNet(0)} ${multipassDisk} -smp 4 -m 256M ${multipassEnd}`,
  bridged: `${multipassNet(0)} ${multipassNet(1)} ${multipassNet(2)} ${multipassDisk} -smp 2 -m 256M ${multipassEnd}`,
  "q35 uefi": `-machine q35 ${PFLASH} ${multipassNet(0)} ${multipassDisk} -smp 2 -m 256M ${multipassEnd}`,
  mounts: `${multipassNet(0)} ${multipassDisk} -smp 1 -m 256M -virtfs local,security_model=none,path=$DIR,mount_tag=m1 -virtfs local,security_model=none,path=$DIR,mount_tag=m2 ${multipassEnd}`,
  "nic option": `-nic user,model=virtio-net-pci,mac=52:54:00:7a:0f:4e ${multipassDisk} -smp 2 -m 256M ${multipassEnd}`,
  "max cpu": `-cpu max ${multipassNet(0)} ${multipassDisk} -smp 2 -m 256M ${multipassEnd}`,
  "old virtio-blk": `-drive if=virtio,format=raw,file=$DIR/disk -net nic,model=virtio,macaddr=52:54:00:aa:bb:cc -net user -smp 1 -m 256M -nographic -cdrom $DIR/empty`,
  "ide disk": `-hda $DIR/disk ${multipassNet(0)} -smp 1 -m 256M ${multipassEnd}`,
  balloon: `${multipassNet(0)} ${multipassDisk} -smp 2 -m 256M -device virtio-balloon-pci ${multipassEnd}`,
};

const utmUsb = (controller: string): string =>
  `-device ${controller},id=usb-bus -device usb-tablet,bus=usb-bus.0 -device usb-mouse,bus=usb-bus.0 -device usb-kbd,bus=usb-bus.0`;
const utmRedir =
  "-device qemu-xhci,id=usb-controller-0 " +
  [0, 1, 2]
    .map(
      (n) =>
        `-chardev null,id=usbredir${n} -device usb-redir,chardev=usbredir${n},id=usbredirdev${n},bus=usb-controller-0.0`,
    )
    .join(" ");
const utmAgents =
  "-device virtio-serial -device virtserialport,chardev=vdagent,name=com.redhat.spice.0 -chardev null,id=vdagent -device virtserialport,chardev=charchannel1,id=channel1,name=org.spice-space.webdav.0 -chardev null,id=charchannel1";
const utm = (machine: string, cpus: number, memory: number): string =>
  `-nodefaults -vga none -audiodev none,id=audio0 -machine ${machine} -smp cpus=${cpus},sockets=1,cores=${cpus},threads=1 -m ${memory}`;
const utmNet = (model: string): string => `-device ${model},mac=BE:3A:0F:5B:11:02,netdev=net0 -netdev user,id=net0`;

const utmLines: Readonly<Record<string, string>> = {
  "windows 7": `${utm("q35,vmport=off", 2, 256)} ${utmNet("e1000")} -device qxl-vga -device intel-hda -device hda-duplex,audiodev=audio0 ${utmUsb("usb-ehci")} ${utmRedir} -device ide-hd,bus=ide.0,drive=DISK0,bootindex=0 -device ide-cd,bus=ide.1,bootindex=1 ${utmAgents}`,
  "windows 10 uefi": `${utm("q35,vmport=off", 4, 256)} ${PFLASH} ${utmNet("e1000e")} -device VGA -device intel-hda -device hda-duplex,audiodev=audio0 ${utmUsb("nec-usb-xhci")} ${utmRedir} -device ide-hd,bus=ide.0,drive=DISK0 -device usb-storage,bus=usb-bus.0,drive=DISK1,removable=true`,
  "windows 98": `${utm("pc,vmport=off", 1, 128)} ${utmNet("pcnet")} -device cirrus-vga -device sb16,audiodev=audio0 -device ide-hd,bus=ide.0,drive=DISK0 -device ide-cd,bus=ide.1 -fda $DIR/floppy`,
  "linux desktop": `${utm("q35,vmport=off", 4, 256)} ${utmNet("virtio-net-pci")} -device virtio-vga -device intel-hda -device hda-duplex,audiodev=audio0 ${utmUsb("nec-usb-xhci")} ${utmRedir} -device virtio-blk-pci,drive=DISK0,bootindex=0 -device virtio-rng-pci -device virtio-balloon-pci ${utmAgents}`,
  "dos isa": `${utm("isapc", 1, 16)} -device isa-vga -device ne2k_isa,netdev=net0 -netdev user,id=net0 -device sb16,audiodev=audio0`,
  "mac classic sound": `${utm("pc,vmport=off", 2, 128)} ${utmNet("rtl8139")} -device VGA -device ES1370,audiodev=audio0 ${utmUsb("piix3-usb-uhci")} -device ide-hd,bus=ide.0,drive=DISK0`,
  "shared folder": `${utm("q35,vmport=off", 2, 256)} ${utmNet("virtio-net-pci")} -device virtio-gpu-pci ${utmUsb("qemu-xhci")} -device virtio-blk-pci,drive=DISK0 -fsdev local,id=virtfs0,path=$DIR,security_model=none -device virtio-9p-pci,fsdev=virtfs0,mount_tag=share ${utmAgents}`,
  scsi: `${utm("q35", 2, 256)} ${utmNet("vmxnet3")} -device vmware-svga -device lsi53c895a,id=scsi0 -device scsi-hd,bus=scsi0.0,channel=0,scsi-id=0,drive=DISK0 -device scsi-cd,bus=scsi0.0,channel=0,scsi-id=1,drive=DISK1`,
  "two serials": `${utm("pc", 1, 128)} -serial null -serial null ${utmNet("virtio-net-pci")} -device secondary-vga -device virtio-blk-pci,drive=DISK0`,
  haiku: `${utm("pc,vmport=off", 2, 256)} ${utmNet("i82557b")} -device VGA -device ich9-intel-hda -device hda-output,audiodev=audio0 ${utmUsb("usb-ehci")} -device ahci,id=sata -device ide-hd,bus=sata.2,drive=DISK0`,
};

const quick = (options: string, cpus = "cores=2,threads=2,sockets=1"): string =>
  `-machine q35,vmport=off${options} -global kvm-pit.lost_tick_policy=discard -smp ${cpus} -m 256M -device virtio-balloon -rtc base=utc,clock=host -vga none`;
const quickUsb = `-device virtio-rng-pci -device qemu-xhci,id=spicepass ${[1, 2, 3].map((n) => `-chardev null,id=usbredirchardev${n} -device usb-redir,chardev=usbredirchardev${n},id=usbredirdev${n}`).join(" ")} -device pci-ohci,id=smartpass -device usb-ccid`;
const quickInput = (controller: string): string =>
  `-device ${controller},id=input -device usb-kbd,bus=input.0 -k en-us -device usb-tablet,bus=input.0`;
const quickSound = (controller: string, codec: string): string =>
  `-audiodev none,id=audio0 -device ${controller} -device ${codec},audiodev=audio0`;
const quickNet = (model: string): string => `-device ${model},netdev=nic -netdev user,id=nic`;
const quickAgent =
  "-device virtio-serial-pci -chardev null,id=agent0 -device virtserialport,chardev=agent0,name=org.qemu.guest_agent.0 -chardev null,id=vdagent0 -device virtserialport,chardev=vdagent0,name=com.redhat.spice.0";

const quickemu: Readonly<Record<string, string>> = {
  "windows 11": `${quick(",smm=on")} -global driver=cfi.pflash01,property=secure,value=off ${PFLASH} -device qxl-vga,ram_size=65536,vram_size=65536,vgamem_mb=64 ${quickUsb} ${quickInput("nec-usb-xhci")} ${quickSound("intel-hda", "hda-micro")} ${quickNet("virtio-net")} ${quickAgent} -device virtio-blk-pci,drive=DISK0 -device ide-cd,bus=ide.0`,
  macos: `${quick(",smm=off")} ${PFLASH} -device qxl-vga,ram_size=65536,vram_size=65536,vgamem_mb=64 -device isa-applesmc,osk=none ${quickInput("nec-usb-xhci")} ${quickSound("intel-hda", "hda-duplex")} ${quickNet("virtio-net")} -device ahci,id=ahci -device ide-hd,bus=ahci.0,drive=DISK0,bootindex=0 -device ide-hd,bus=ahci.1,drive=DISK1 -device virtio-blk-pci,drive=DISK2`,
  "macos old net": `${quick(",smm=off")} -device VGA,vgamem_mb=128 ${quickInput("usb-ehci")} ${quickNet("e1000-82545em")} -device ahci,id=ahci -device ide-hd,bus=ahci.2,drive=DISK0`,
  freebsd: `${quick("")} -device virtio-vga,xres=1280,yres=800 ${quickUsb} ${quickInput("usb-ehci")} ${quickSound("intel-hda", "hda-micro")} ${quickNet("virtio-net")} ${quickAgent} -device virtio-blk-pci,drive=DISK0`,
  haiku: `${quick("")} -device VGA ${quickUsb} ${quickInput("qemu-xhci")} ${quickSound("intel-hda", "hda-micro")} ${quickNet("rtl8139")} -device virtio-blk-pci,drive=DISK0`,
  reactos: `${quick("")} -device VGA ${quickInput("usb-ehci")} ${quickSound("AC97,audiodev=audio0 -device intel-hda", "hda-output")} ${quickNet("e1000")} -device ide-hd,bus=ide.0,drive=DISK0 -device ide-cd,bus=ide.1`,
  kolibrios: `${quick("", "cores=1,threads=1,sockets=1")} -device qxl-vga ${quickNet("rtl8139")} ${quickSound("AC97,audiodev=audio0 -device ich9-intel-hda", "hda-duplex")} -device usb-ehci,id=input -device usb-kbd,bus=input.0`,
  freedos: `-machine pc -smp 1 -m 64 -vga none -device VGA -audiodev none,id=audio0 -device sb16,audiodev=audio0 ${quickNet("pcnet")} -drive if=floppy,format=raw,file=$DIR/floppy`,
  solaris: `${quick("")} -device VGA,vgamem_mb=64 -device qemu-xhci,id=input -device usb-kbd,bus=input.0 -device usb-tablet,bus=input.0 ${quickNet("e1000")} -device virtio-blk-pci,drive=DISK0 -device ahci,id=a -device ide-hd,bus=a.0,drive=DISK1`,
  "display none": `${quick("")} -device virtio-gpu-pci,max_outputs=2 ${quickUsb} ${quickInput("usb-ehci")} ${quickNet("virtio-net")} -device virtio-9p-pci,fsdev=fsdev0,mount_tag=Public-user -fsdev local,id=fsdev0,path=$DIR,security_model=none -device virtio-blk-pci,drive=DISK0`,
};

const family = (name: string, lines: Readonly<Record<string, string>>): [string, string][] =>
  Object.entries(lines).map(([title, line]) => [`${name}: ${title}`, line]);

/** Name and words; each DISKn gets a disk. */
export const ownLines: readonly (readonly [string, string])[] = [
  ...family("proxmox", proxmox),
  ...family("lxd", lxdLines),
  ...family("multipass", multipass),
  ...family("utm", utmLines),
  ...family("quickemu", quickemu),
];
