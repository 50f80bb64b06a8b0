/**
 * Command lines of x86 guests as common products make them, without parts that do not affect the stream (paths,
 * sockets, passwords, spice, KVM). `DISKn` are disks of 1 MiB, `$FLASHn` images of pflash. Source: logs of
 * virt-manager, virt-install, Proxmox VE, LXD, Multipass, UTM, GNOME Boxes, quickemu and OpenStack, as quoted in public
 * reports.
 */
import { emptyDisks, words } from "../capture/entries/parts.js";
import type { Job } from "../capture/device-sets.js";
import { AGENT, libvirtPorts, libvirtUsb2, LIBVIRT, PFLASH, RNG, SERIAL, UUID } from "./product-parts.js";
import { libvirtLines } from "./products-libvirt.js";
import { ownLines } from "./products-own.js";

/** Name and words; each DISKn gets a disk. */
const LINES: readonly (readonly [string, string])[] = [
  [
    "virt-manager q35 linux",
    `-name guest=fedora39,debug-threads=on -machine q35,usb=off,vmport=off,dump-guest-core=off,hpet=off,memory-backend=pc.ram -m 128
     -object memory-backend-ram,id=pc.ram,size=128M ${LIBVIRT} -smp 2,sockets=2,cores=1,threads=1 ${UUID}
     -global ICH9-LPC.disable_s3=1 -global ICH9-LPC.disable_s4=1 ${libvirtPorts(14)}
     -device qemu-xhci,p2=15,p3=15,id=usb,bus=pci.2,addr=0x0 -device virtio-serial-pci,id=virtio-serial0,bus=pci.3,addr=0x0
     -device virtio-blk-pci,bus=pci.4,addr=0x0,drive=DISK0,id=virtio-disk0,bootindex=1 -device ide-cd,bus=ide.0,id=sata0-0-0
     -netdev user,id=hostnet0 -device virtio-net-pci,netdev=hostnet0,id=net0,mac=52:54:00:3c:41:7d,bus=pci.1,addr=0x0 ${SERIAL} ${AGENT("virtio-serial0.0")}
     -chardev null,id=charchannel1 -device virtserialport,bus=virtio-serial0.0,nr=2,chardev=charchannel1,id=channel1,name=com.redhat.spice.0
     -device usb-tablet,id=input0,bus=usb.0,port=1 -audiodev none,id=audio1 -device virtio-vga,id=video0,max_outputs=1,bus=pcie.0,addr=0x1
     -device ich9-intel-hda,id=sound0,bus=pcie.0,addr=0x1b -device hda-duplex,id=sound0-codec0,bus=sound0.0,cad=0,audiodev=audio1
     -device virtio-balloon-pci,id=balloon0,bus=pci.5,addr=0x0 ${RNG},bus=pci.6,addr=0x0`,
  ],
  [
    "virt-manager q35 windows qxl",
    `-machine q35,usb=off,vmport=off,dump-guest-core=off -m 128 ${LIBVIRT} -smp 4,sockets=1,cores=4,threads=1 ${UUID} ${libvirtPorts(8)}
     -device pcie-pci-bridge,id=pci.9,bus=pci.1,addr=0x0 ${libvirtUsb2("0x1d", "pcie.0")}
     -device virtio-serial-pci,id=virtio-serial0,bus=pci.2,addr=0x0 -device ide-hd,bus=ide.0,drive=DISK0,id=sata0-0-0 -device ide-cd,bus=ide.1,id=sata0-0-1
     -netdev user,id=hostnet0 -device e1000e,netdev=hostnet0,id=net0,mac=52:54:00:8a:01:02,bus=pci.3,addr=0x0 ${SERIAL}
     -device usb-tablet,id=input0,bus=usb.0,port=1 -audiodev none,id=audio1
     -device qxl-vga,id=video0,ram_size=67108864,vram_size=67108864,vram64_size_mb=0,vgamem_mb=16,max_outputs=1,bus=pcie.0,addr=0x1
     -device ich9-intel-hda,id=sound0,bus=pcie.0,addr=0x1b -device hda-duplex,id=sound0-codec0,bus=sound0.0,cad=0,audiodev=audio1
     -device virtio-balloon-pci,id=balloon0,bus=pci.4,addr=0x0`,
  ],
  [
    "virt-manager i440fx qxl",
    `-machine pc,usb=off,vmport=off,dump-guest-core=off -m 128 ${LIBVIRT} -smp 2,sockets=2,cores=1,threads=1 ${UUID} -global PIIX4_PM.disable_s3=1
     -global PIIX4_PM.disable_s4=1 ${libvirtUsb2("0x5")} -device virtio-serial-pci,id=virtio-serial0,bus=pci.0,addr=0x6
     -device virtio-blk-pci,bus=pci.0,addr=0x7,drive=DISK0,id=virtio-disk0,bootindex=1 -device ide-cd,bus=ide.0,unit=0,id=ide0-0-0
     -netdev user,id=hostnet0 -device rtl8139,netdev=hostnet0,id=net0,mac=52:54:00:11:22:33,bus=pci.0,addr=0x3 ${SERIAL} ${AGENT("virtio-serial0.0")}
     -device usb-tablet,id=input0,bus=usb.0,port=1 -audiodev none,id=audio1
     -device qxl-vga,id=video0,ram_size=67108864,vram_size=67108864,vram64_size_mb=0,vgamem_mb=16,max_outputs=1,bus=pci.0,addr=0x2
     -device intel-hda,id=sound0,bus=pci.0,addr=0x4 -device hda-duplex,id=sound0-codec0,bus=sound0.0,cad=0,audiodev=audio1
     -device virtio-balloon-pci,id=balloon0,bus=pci.0,addr=0x8`,
  ],
  [
    "virt-install uefi q35 scsi",
    `-machine q35,usb=off,smm=on,dump-guest-core=off -global driver=cfi.pflash01,property=secure,value=off ${PFLASH} -m 128 ${LIBVIRT}
     -smp 2,maxcpus=4,sockets=4,cores=1,threads=1 ${UUID} ${libvirtPorts(10)} -device qemu-xhci,p2=15,p3=15,id=usb,bus=pci.2,addr=0x0
     -device virtio-scsi-pci,id=scsi0,bus=pci.3,addr=0x0 -device scsi-hd,bus=scsi0.0,channel=0,scsi-id=0,lun=0,device_id=drive-scsi0-0-0-0,drive=DISK0,id=scsi0-0-0-0
     -device scsi-cd,bus=scsi0.0,channel=0,scsi-id=0,lun=1,id=scsi0-0-0-1 -netdev user,id=hostnet0
     -device virtio-net-pci,netdev=hostnet0,id=net0,mac=52:54:00:77:01:02,bus=pci.1,addr=0x0,host_mtu=1442 ${SERIAL}
     -device virtio-balloon-pci,id=balloon0,bus=pci.5,addr=0x0,free-page-reporting=on ${RNG},bus=pci.6,addr=0x0
     -device virtio-keyboard-pci,id=input1,bus=pci.7,addr=0x0 -device virtio-tablet-pci,id=input2,bus=pci.8,addr=0x0 -device bochs-display,id=video0,vgamem=16777216,bus=pcie.0,addr=0x1`,
  ],
  [
    "virt-install hotplug memory numa",
    `-machine q35,usb=off,dump-guest-core=off -m size=256M,slots=16,maxmem=4G ${LIBVIRT} -smp 4,maxcpus=8,sockets=2,dies=1,cores=2,threads=2 ${UUID}
     -object memory-backend-memfd,id=ram-node0,share=on,size=128M -numa node,nodeid=0,cpus=0-3,memdev=ram-node0
     -object memory-backend-memfd,id=ram-node1,share=on,size=128M -numa node,nodeid=1,cpus=4-7,memdev=ram-node1 -numa dist,src=0,dst=1,val=21
     -object memory-backend-memfd,id=memdimm0,share=on,size=128M -device pc-dimm,node=0,memdev=memdimm0,id=dimm0,slot=0,addr=4294967296
     ${libvirtPorts(6)} -device virtio-blk-pci,bus=pci.2,addr=0x0,drive=DISK0,id=virtio-disk0 ${SERIAL} -device VGA,id=video0,vgamem_mb=16,bus=pcie.0,addr=0x1`,
  ],
  [
    "libvirt iommu ats packed",
    `-machine q35,usb=off -m 128 ${LIBVIRT} -smp 2 -device intel-iommu,id=iommu0,caching-mode=on,device-iotlb=on ${libvirtPorts(6)}
     -netdev user,id=hostnet0 -device virtio-net-pci,netdev=hostnet0,id=net0,bus=pci.1,addr=0x0,iommu_platform=on,ats=on,packed=on,page-per-vq=on
     -device virtio-blk-pci,bus=pci.2,addr=0x0,drive=DISK0,iommu_platform=on,ats=on,num-queues=4,queue-size=512 ${SERIAL}`,
  ],
  [
    "libvirt bridges i440fx",
    `-machine pc,usb=off,acpi=on -m 128 ${LIBVIRT} -smp 1,maxcpus=240,sockets=240 -device pci-bridge,chassis_nr=1,id=pci.1,bus=pci.0,addr=0x3
     -device pci-bridge,chassis_nr=2,id=pci.2,bus=pci.1,addr=0x1,shpc=on -device piix3-usb-uhci,id=usb,bus=pci.0,addr=0x1.0x2
     -device lsi,id=scsi0,bus=pci.1,addr=0x2 -device scsi-hd,bus=scsi0.0,scsi-id=0,drive=DISK0 -device virtio-net-pci,id=net0,bus=pci.2,addr=0x1,vectors=0
     -device usb-tablet,id=input0,bus=usb.0,port=1 -device cirrus-vga,id=video0,bus=pci.0,addr=0x2 -device i6300esb,id=watchdog0,bus=pci.2,addr=0x4 -watchdog-action reset
     -device pvpanic,ioport=1285 -device vmcoreinfo -device vmgenid,guid=324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87,id=vmgenid0 ${SERIAL}
     -chardev null,id=charserial1 -device isa-serial,chardev=charserial1,id=serial1,index=1 -chardev null,id=charparallel0 -device isa-parallel,chardev=charparallel0,id=parallel0`,
  ],
  [
    "libvirt pxb numa",
    `-machine q35,usb=off -m 256 ${LIBVIRT} -smp 2,sockets=2 -object memory-backend-ram,id=ram-node0,size=128M -object memory-backend-ram,id=ram-node1,size=128M
     -numa node,nodeid=0,cpus=0,memdev=ram-node0 -numa node,nodeid=1,cpus=1,memdev=ram-node1 ${libvirtPorts(3)}
     -device pxb-pcie,bus_nr=254,id=pci.4,numa_node=1,bus=pcie.0,addr=0x3 -device pcie-root-port,port=0,chassis=5,id=pci.5,bus=pci.4,addr=0x0
     -device virtio-net-pci,id=net0,bus=pci.5,addr=0x0 -device virtio-blk-pci,bus=pci.1,addr=0x0,drive=DISK0`,
  ],
  [
    "libvirt pxb i440fx",
    `-machine pc,usb=off -m 128 ${LIBVIRT} -device pxb,bus_nr=254,id=pci.1,bus=pci.0,addr=0x5 -device virtio-net-pci,id=net0,bus=pci.1,addr=0x3 -device VGA,bus=pci.0,addr=0x2`,
  ],
  [
    "libvirt switch downstream",
    `-machine q35,usb=off -m 128 ${LIBVIRT} -device ioh3420,port=16,chassis=1,id=pci.1,bus=pcie.0,multifunction=on,addr=0x2 -device x3130-upstream,id=pci.2,bus=pci.1,addr=0x0
     -device xio3130-downstream,port=0,chassis=3,id=pci.3,bus=pci.2,addr=0x0 -device xio3130-downstream,port=1,chassis=4,id=pci.4,bus=pci.2,addr=0x1
     -device virtio-net-pci,id=net0,bus=pci.3,addr=0x0 -device virtio-scsi-pci,id=scsi0,num_queues=4,bus=pci.4,addr=0x0 -device i82801b11-bridge,id=dmi,bus=pcie.0,addr=0x1e
     -device pci-bridge,chassis_nr=6,id=pci.6,bus=dmi,addr=0x1 -device e1000,bus=pci.6,addr=0x1`,
  ],
  [
    "proxmox i440fx default",
    `-name vm100 -no-shutdown -smp 2,sockets=1,cores=2,maxcpus=2 -nodefaults -boot menu=on,strict=on,reboot-timeout=1000 -m 128 -global PIIX4_PM.disable_s3=1
     -machine pc,hpet=off -device pci-bridge,id=pci.1,chassis_nr=1,bus=pci.0,addr=0x1e -device pci-bridge,id=pci.2,chassis_nr=2,bus=pci.0,addr=0x1f
     -device vmgenid,guid=8f3ec2a5-5c2e-4a7d-a0b4-7c0e2b0b7d2e -device piix3-usb-uhci,id=uhci,bus=pci.0,addr=0x1.0x2 -device usb-tablet,id=tablet,bus=uhci.0,port=1
     -chardev null,id=qga0 -device virtio-serial,id=qga0,bus=pci.0,addr=0x8 -device virtserialport,chardev=qga0,name=org.qemu.guest_agent.0
     -device VGA,id=vga,bus=pci.0,addr=0x2 -device virtio-balloon-pci,id=balloon0,bus=pci.0,addr=0x3,free-page-reporting=on
     -device ide-cd,bus=ide.1,unit=0,id=ide2,bootindex=101 -device virtio-scsi-pci,id=scsihw0,bus=pci.0,addr=0x5 -device scsi-hd,bus=scsihw0.0,channel=0,scsi-id=0,lun=0,drive=DISK0,id=scsi0,bootindex=100
     -netdev user,id=net0 -device virtio-net-pci,mac=BC:24:11:4F:0A:10,netdev=net0,bus=pci.0,addr=0x12,id=net0,rx_queue_size=1024,tx_queue_size=256,bootindex=102`,
  ],
  [
    "proxmox i440fx scsi single iothread hotplug",
    `-no-shutdown -smp 1,sockets=2,cores=2,maxcpus=4 -nodefaults -m size=1024,slots=255,maxmem=524288M -object memory-backend-ram,id=ram-node0,size=1024M
     -numa node,nodeid=0,cpus=0-3,memdev=ram-node0 -object memory-backend-ram,id=mem-dimm0,size=512M -device pc-dimm,id=dimm0,memdev=mem-dimm0,node=0
     -machine pc -device pci-bridge,id=pci.1,chassis_nr=1,bus=pci.0,addr=0x1e -device pci-bridge,id=pci.3,chassis_nr=3,bus=pci.0,addr=0x5
     -device piix3-usb-uhci,id=uhci,bus=pci.0,addr=0x1.0x2 -device usb-tablet,id=tablet,bus=uhci.0,port=1 -device usb-kbd,id=keyboard,bus=uhci.0,port=2
     -object iothread,id=iothread-virtioscsi0 -device virtio-scsi-pci,id=virtioscsi0,bus=pci.3,addr=0x1,iothread=iothread-virtioscsi0
     -device scsi-hd,bus=virtioscsi0.0,channel=0,scsi-id=0,lun=0,drive=DISK0,id=scsi0 -device VGA,id=vga,bus=pci.0,addr=0x2
     -object rng-builtin,id=rng0 -device virtio-rng-pci,rng=rng0,max-bytes=1024,period=1000,bus=pci.1,addr=0x1d`,
  ],
  [
    "proxmox q35 ovmf",
    `-no-shutdown ${PFLASH} -smp 4,sockets=1,cores=4,maxcpus=4 -nodefaults -m 128 -machine hpet=off,type=q35
     -device pcie-root-port,id=ich9-pcie-port-1,addr=1c.0,x-speed=16,x-width=32,multifunction=on,bus=pcie.0,port=1,chassis=1
     -device pcie-root-port,id=ich9-pcie-port-2,addr=1c.1,x-speed=16,x-width=32,multifunction=on,bus=pcie.0,port=2,chassis=2
     -device pcie-root-port,id=ich9-pcie-port-3,addr=1c.2,x-speed=16,x-width=32,multifunction=on,bus=pcie.0,port=3,chassis=3
     -device pcie-root-port,id=ich9-pcie-port-4,addr=1c.3,x-speed=16,x-width=32,multifunction=on,bus=pcie.0,port=4,chassis=4
     -device i82801b11-bridge,id=pcidmi,bus=pcie.0,addr=1e.0 -device pci-bridge,id=pci.0,bus=pcidmi,addr=1.0,chassis_nr=1
     -device pci-bridge,id=pci.1,bus=pcidmi,addr=2.0,chassis_nr=2 -device pci-bridge,id=pci.2,bus=pcidmi,addr=3.0,chassis_nr=3
     ${libvirtUsb2("0x1d", "pcie.0")} ${libvirtUsb2("0x1a", "pcie.0").replaceAll("usb-ehci1", "usb-ehci2").replaceAll("id=usb", "id=ehci-2").replaceAll("usb.0", "ehci-2.0").replace("uhci1", "uhci4").replace("uhci2", "uhci5").replace("uhci3", "uhci6")}
     -device vmgenid,guid=8f3ec2a5-5c2e-4a7d-a0b4-7c0e2b0b7d2e -device usb-tablet,id=tablet,bus=usb.0,port=1
     -device virtio-serial,id=qga0,bus=pci.0,addr=0x8 -chardev null,id=qga0 -device virtserialport,chardev=qga0,name=org.qemu.guest_agent.0
     -device qxl-vga,id=vga,max_outputs=1,vgamem_mb=16,bus=pcie.0,addr=0x1 -device virtio-balloon-pci,id=balloon0,bus=pci.0,addr=0x3,free-page-reporting=on
     -device ahci,id=ahci0,multifunction=on,bus=pci.0,addr=0x7 -device ide-hd,bus=ahci0.0,drive=DISK1,id=sata0
     -device virtio-scsi-pci,id=scsihw0,bus=pci.0,addr=0x5 -device scsi-hd,bus=scsihw0.0,channel=0,scsi-id=0,lun=0,drive=DISK0,id=scsi0
     -netdev user,id=net0 -device virtio-net-pci,mac=BC:24:11:4F:0A:11,netdev=net0,bus=pci.0,addr=0x12,id=net0,rx_queue_size=1024,tx_queue_size=256,host_mtu=1500
     -audiodev none,id=spice -device ich9-intel-hda,id=audiodev0,bus=pci.2,addr=0xc -device hda-micro,id=audiodev0-codec0,bus=audiodev0.0,cad=0,audiodev=spice
     -device hda-duplex,id=audiodev0-codec1,bus=audiodev0.0,cad=1,audiodev=spice`,
  ],
  [
    "proxmox windows e1000 ide",
    `-no-shutdown -smp 2,sockets=1,cores=2,maxcpus=2 -nodefaults -m 128 -machine pc,hpet=off -global kvm-pit.lost_tick_policy=discard -rtc base=localtime
     -device pci-bridge,id=pci.1,chassis_nr=1,bus=pci.0,addr=0x1e -device piix3-usb-uhci,id=uhci,bus=pci.0,addr=0x1.0x2 -device usb-tablet,id=tablet,bus=uhci.0,port=1
     -device VGA,id=vga,bus=pci.0,addr=0x2,edid=off -device ide-hd,bus=ide.0,unit=0,drive=DISK0,id=ide0 -device ide-cd,bus=ide.1,unit=0,id=ide2
     -device lsi,id=scsihw0,bus=pci.0,addr=0x5 -netdev user,id=net0 -device e1000,mac=BC:24:11:00:00:01,netdev=net0,bus=pci.0,addr=0x12,id=net0 -device ib700
     -device megasas,id=scsihw1,bus=pci.1,addr=0x5`,
  ],
  [
    "lxd vm",
    `-name v1 -uuid 3c1b7b9e-6f0a-4f55-b4a6-8f5d2c1c8e11 -no-user-config -nodefaults -machine q35,usb=off,graphics=off -global ICH9-LPC.disable_s3=1 -global ICH9-LPC.disable_s4=0
     -boot strict=on ${PFLASH} -object memory-backend-memfd,id=mem0,size=256M,share=on -m 256 -numa node,nodeid=0,memdev=mem0 -smp 2,sockets=1,cores=2,threads=1 -device vmcoreinfo
     -device pcie-root-port,id=qemu_pcie0,port=0x0,chassis=0,bus=pcie.0,addr=1.0,multifunction=on -device virtio-balloon-pci,id=qemu_balloon,bus=qemu_pcie0,addr=00.0,multifunction=on
     -object rng-builtin,id=qemu_rng -device virtio-rng-pci,rng=qemu_rng,bus=qemu_pcie0,addr=00.1
     -device virtio-keyboard-pci,id=qemu_keyboard,bus=qemu_pcie0,addr=00.2 -device virtio-tablet-pci,id=qemu_tablet,bus=qemu_pcie0,addr=00.3
     -device virtio-serial-pci,id=dev-qemu_serial,bus=qemu_pcie0,addr=00.5 -chardev null,id=qemu_serial-chardev
     -device virtserialport,chardev=qemu_serial-chardev,name=com.canonical.lxd,bus=dev-qemu_serial.0
     -device qemu-xhci,id=qemu_usb,bus=qemu_pcie0,addr=00.4,p2=8,p3=8
     -device pcie-root-port,id=qemu_pcie1,port=1,chassis=1,bus=pcie.0,addr=1.1 -device virtio-scsi-pci,id=qemu_scsi,bus=qemu_pcie1,addr=00.0,multifunction=on
     -device scsi-hd,bus=qemu_scsi.0,lun=1,drive=DISK0,id=dev-lxd_root
     -device pcie-root-port,id=qemu_pcie2,port=2,chassis=2,bus=pcie.0,addr=1.2 -device pcie-root-port,id=qemu_pcie3,port=3,chassis=3,bus=pcie.0,addr=1.3
     -device virtio-vga,id=qemu_gpu,bus=qemu_pcie3,addr=00.0 -device pcie-root-port,id=qemu_pcie4,port=4,chassis=4,bus=pcie.0,addr=1.4
     -netdev user,id=eth0 -device virtio-net-pci,netdev=eth0,id=dev-eth0,bus=qemu_pcie4,addr=00.0,vectors=6,bootindex=1
     -device pcie-root-port,id=qemu_pcie5,port=5,chassis=5,bus=pcie.0,addr=1.5 -device pcie-root-port,id=qemu_pcie6,port=6,chassis=6,bus=pcie.0,addr=1.6`,
  ],
  [
    "incus vm maxcpus",
    `-no-user-config -nodefaults -machine q35,usb=off,graphics=off -boot strict=on -object memory-backend-ram,id=mem0,size=256M,share=on -m size=256M,slots=8,maxmem=2G
     -numa node,nodeid=0,memdev=mem0 -smp 1,maxcpus=16 -device vmcoreinfo -device pcie-root-port,id=qemu_pcie0,port=0x0,chassis=0,bus=pcie.0,addr=1.0,multifunction=on
     -device virtio-balloon-pci,id=qemu_balloon,bus=qemu_pcie0,addr=00.0,multifunction=on -device virtio-rng-pci,bus=qemu_pcie0,addr=00.1
     -device pcie-root-port,id=qemu_pcie1,port=1,chassis=1,bus=pcie.0,addr=1.1 -device virtio-blk-pci,bus=qemu_pcie1,addr=00.0,drive=DISK0,num-queues=1`,
  ],
  [
    "multipass",
    `-machine q35 -device virtio-scsi-pci,id=scsi0 -device scsi-hd,drive=DISK0,bus=scsi0.0 -smp 2 -m 256M -chardev null,id=char0 -serial chardev:char0
     -nic user,model=virtio-net-pci,mac=52:54:00:7a:0f:4e -cdrom $DIR/empty`,
  ],
  [
    "multipass default machine",
    `-machine pc -device virtio-scsi-pci,id=scsi0 -device scsi-hd,drive=DISK0,bus=scsi0.0 -smp 1 -m 256M -device virtio-net-pci,netdev=hostnet0,id=net0,mac=52:54:00:7a:0f:4e -netdev user,id=hostnet0 -cdrom $DIR/empty`,
  ],
  [
    "utm q35",
    `-nodefaults -vga none -machine q35,vmport=off -smp cpus=4,sockets=1,cores=4,threads=1 -m 256 -device virtio-net-pci,mac=BE:3A:0F:5B:11:02,netdev=net0 -netdev user,id=net0
     -device virtio-vga -audiodev none,id=audio0 -device intel-hda -device hda-duplex,audiodev=audio0 -device nec-usb-xhci,id=usb-bus -device usb-tablet,bus=usb-bus.0
     -device usb-mouse,bus=usb-bus.0 -device usb-kbd,bus=usb-bus.0 -device qemu-xhci,id=usb-controller-0 -device usb-redir,chardev=usbredir0,id=usbredirdev0,bus=usb-controller-0.0
     -chardev null,id=usbredir0 -device ide-cd,bus=ide.0,id=cd0,bootindex=0 -device virtio-blk-pci,drive=DISK0,bootindex=1 ${UUID} -device virtio-rng-pci
     -device virtio-serial -device virtserialport,chardev=vdagent,name=com.redhat.spice.0 -chardev null,id=vdagent -device virtserialport,chardev=ga,name=org.qemu.guest_agent.0 -chardev null,id=ga`,
  ],
  [
    "utm pc windows xp",
    `-nodefaults -vga none -machine pc,vmport=off -smp cpus=1 -m 128 -device rtl8139,netdev=net0 -netdev user,id=net0 -device cirrus-vga -audiodev none,id=audio0
     -device AC97,audiodev=audio0 -device piix3-usb-uhci,id=usb -device usb-tablet,bus=usb.0 -device ide-hd,bus=ide.0,drive=DISK0 -device ide-cd,bus=ide.1`,
  ],
  [
    "gnome boxes",
    `-machine q35,usb=off,vmport=off,dump-guest-core=off -m 128 ${LIBVIRT} -smp 8,sockets=1,dies=1,cores=8,threads=1 ${UUID} ${libvirtPorts(6)}
     ${libvirtUsb2("0x1d", "pcie.0")} -device virtio-serial-pci,id=virtio-serial0,bus=pci.2,addr=0x0 -device virtio-blk-pci,bus=pci.3,addr=0x0,drive=DISK0
     -netdev user,id=hostnet0 -device virtio-net-pci,netdev=hostnet0,id=net0,bus=pci.1,addr=0x0 -chardev null,id=smart -device usb-ccid,id=ccid0,bus=usb.0,port=1
     -device usb-tablet,id=input0,bus=usb.0,port=2 -device virtio-vga,id=video0,max_outputs=1,bus=pcie.0,addr=0x1 -audiodev none,id=audio1
     -device AC97,id=sound0,bus=pcie.0,addr=0x4,audiodev=audio1 -chardev null,id=r1 -device usb-redir,chardev=r1,id=redir0,bus=usb.0,port=3
     -chardev null,id=r2 -device usb-redir,chardev=r2,id=redir1,bus=usb.0,port=4 -device virtio-balloon-pci,id=balloon0,bus=pci.4,addr=0x0 ${SERIAL} ${AGENT("virtio-serial0.0")}`,
  ],
  [
    "quickemu linux",
    `-name ubuntu,process=ubuntu -machine q35,smm=off,vmport=off,hpet=off -global kvm-pit.lost_tick_policy=discard -smp cores=2,threads=2,sockets=1 -m 256M -device virtio-balloon
     -rtc base=utc,clock=host -vga none -device virtio-vga,xres=1280,yres=800 -device virtio-rng-pci -device qemu-xhci,id=spicepass
     -chardev null,id=usbredirchardev1 -device usb-redir,chardev=usbredirchardev1,id=usbredirdev1 -chardev null,id=usbredirchardev2 -device usb-redir,chardev=usbredirchardev2,id=usbredirdev2
     -device pci-ohci,id=smartpass -device usb-ccid -device usb-ehci,id=input -device usb-kbd,bus=input.0 -k en-us -device usb-tablet,bus=input.0
     -audiodev none,id=audio0 -device intel-hda -device hda-micro,audiodev=audio0 -device virtio-net,netdev=nic -netdev user,hostname=ubuntu,id=nic ${PFLASH}
     -device virtio-serial-pci -chardev null,id=agent0 -device virtserialport,chardev=agent0,name=org.qemu.guest_agent.0 -device virtio-blk-pci,drive=DISK0`,
  ],
  [
    "quickemu macos like",
    `-machine q35,smm=off,vmport=off,hpet=off -smp cores=4,threads=1,sockets=1 -m 256M -device virtio-balloon -vga none -device VGA,vgamem_mb=128 -device nec-usb-xhci,id=input
     -device usb-kbd,bus=input.0 -device usb-tablet,bus=input.0 -device isa-applesmc,osk=none -device vmxnet3,netdev=nic -netdev user,id=nic ${PFLASH}
     -device ahci,id=ahci -device ide-hd,bus=ahci.0,drive=DISK0,bootindex=0 -device virtio-blk-pci,drive=DISK1 -audiodev none,id=audio0 -device ich9-intel-hda -device hda-duplex,audiodev=audio0`,
  ],
  [
    "openstack nova",
    `-machine pc,usb=off,dump-guest-core=off -m 128 ${LIBVIRT} -smp 2,sockets=2,dies=1,cores=1,threads=1 ${UUID} -device piix3-usb-uhci,id=usb,bus=pci.0,addr=0x1.0x2
     -device virtio-serial-pci,id=virtio-serial0,bus=pci.0,addr=0x4 -device virtio-blk-pci,bus=pci.0,addr=0x5,drive=DISK0,id=virtio-disk0,bootindex=1,write-cache=on
     -netdev user,id=hostnet0 -device virtio-net-pci,rx_queue_size=512,host_mtu=1450,netdev=hostnet0,id=net0,mac=fa:16:3e:1c:7e:01,bus=pci.0,addr=0x3 ${SERIAL} ${AGENT("virtio-serial0.0")}
     -device usb-tablet,id=input0,bus=usb.0,port=1 -device cirrus-vga,id=video0,bus=pci.0,addr=0x2 -device virtio-balloon-pci,id=balloon0,bus=pci.0,addr=0x6 ${RNG},bus=pci.0,addr=0x7 -device vmcoreinfo`,
  ],
  [
    "openstack nova q35 mq",
    `-machine q35,usb=off,dump-guest-core=off -m 128 ${LIBVIRT} -smp 8,maxcpus=16,sockets=16,dies=1,cores=1,threads=1 ${libvirtPorts(25)}
     -device virtio-scsi-pci,id=scsi0,num_queues=8,bus=pci.2,addr=0x0 -device scsi-hd,bus=scsi0.0,channel=0,scsi-id=0,lun=0,drive=DISK0 -device qemu-xhci,id=usb,bus=pci.3,addr=0x0
     -device virtio-net-pci,rx_queue_size=1024,bus=pci.1,addr=0x0,mac=fa:16:3e:1c:7e:02 ${SERIAL} -device usb-tablet,bus=usb.0,port=1 -device virtio-vga,max_outputs=1,bus=pcie.0,addr=0x1
     -object rng-builtin,id=objrng0 -device virtio-rng-pci,rng=objrng0,max-bytes=1024,period=1000,bus=pci.5,addr=0x0 -device i6300esb,bus=pcie.0,addr=0x1e`,
  ],
  [
    "openstack virtio-mem",
    `-machine q35,usb=off -m size=128M,slots=4,maxmem=2G ${LIBVIRT} -smp 2 -object memory-backend-ram,id=ram-node0,size=128M -numa node,nodeid=0,memdev=ram-node0 ${libvirtPorts(4)}
     -object memory-backend-ram,id=memvirtiomem0,reserve=off,size=512M -device virtio-mem-pci,node=0,block-size=2097152,requested-size=134217728,memdev=memvirtiomem0,id=virtiomem0,bus=pci.1,addr=0x0,memaddr=0x140000000`,
  ],
  [
    "nvdimm",
    `-machine q35,nvdimm=on -m size=128M,slots=4,maxmem=2G -nodefaults -object memory-backend-ram,id=memnvdimm0,share=on,size=128M -device nvdimm,memdev=memnvdimm0,id=nvdimm0,label-size=128K`,
  ],
  [
    "pmem q35 ports",
    `-machine q35 -m size=128M,slots=4,maxmem=2G -nodefaults ${libvirtPorts(2)} -object memory-backend-ram,id=mem1,share=on,size=64M -device virtio-pmem-pci,memdev=mem1,id=nv1,bus=pci.1`,
  ],
  ["bare qemu", "-m 128"],
  ["bare qemu q35", "-machine q35 -m 128"],
  ["qemu hda usb", "-m 128 -usb -device usb-tablet -hda $DIR/empty -nic user,model=e1000 -vga std -smp 4"],
  [
    "qemu q35 usb",
    "-machine q35 -m 128 -usb -device usb-tablet -device usb-mouse -device usb-kbd -device usb-hub -nic user,model=virtio-net-pci",
  ],
  [
    "qemu soundhw",
    "-m 128 -audiodev none,id=a -device ES1370,audiodev=a -device sb16,audiodev=a -vga cirrus -fda $DIR/floppy -rtc base=localtime",
  ],
  [
    "qemu q35 floppy serials",
    "-machine q35 -m 128 -fda $DIR/floppy -chardev null,id=c0 -device isa-serial,chardev=c0 -chardev null,id=c1 -device isa-serial,chardev=c1 -chardev null,id=c2 -device isa-serial,chardev=c2 -chardev null,id=c3 -device isa-parallel,chardev=c3",
  ],
  ["qemu no acpi", "-machine pc,acpi=off,hpet=off -m 128 -nodefaults -vga std"],
  ["qemu smp 3 cores", "-machine q35 -m 128 -nodefaults -smp 6,sockets=2,cores=3,threads=1"],
  ["qemu smp threads", "-machine pc -m 128 -nodefaults -smp 5,maxcpus=12,sockets=2,cores=3,threads=2"],
  ["qemu smp dies", "-machine q35 -m 128 -nodefaults -smp 12,sockets=1,dies=2,cores=3,threads=2"],
  ["cpu model avx512", "-machine q35 -m 128 -nodefaults -cpu max -smp 2"],
  ["qemu32 cpu", "-machine pc -m 128 -nodefaults -cpu qemu32"],
  [
    "virtio-serial few ports",
    "-machine q35 -m 128 -nodefaults -chardev null,id=c0 -device virtio-serial-pci,max_ports=4,vectors=4,id=s -device virtserialport,chardev=c0,bus=s.0,nr=2 -device virtio-serial-pci,max_ports=16,id=s2",
  ],
  [
    "virtio disable modern",
    "-machine pc -m 128 -nodefaults -device virtio-net-pci,disable-modern=on -device virtio-blk-pci,disable-legacy=on,drive=DISK0 -device virtio-scsi-pci-non-transitional -device virtio-rng-pci,disable-modern=on -device virtio-balloon-pci,disable-legacy=on",
  ],
  [
    "virtio behind ports legacy",
    "-machine q35 -m 128 -nodefaults -device pcie-root-port,id=p1,chassis=1 -device virtio-net-pci,disable-legacy=off,bus=p1 -device pcie-root-port,id=p2,chassis=2,slot=7 -device virtio-blk-pci-transitional,bus=p2,drive=DISK0 -device pcie-root-port,id=p3,chassis=3 -device virtio-balloon-pci,bus=p3,disable-legacy=off,deflate-on-oom=on",
  ],
  [
    "root port options",
    "-machine q35 -m 128 -nodefaults -device pcie-root-port,id=p1,chassis=1,hotplug=off,x-speed=8,x-width=4 -device pcie-root-port,id=p2,chassis=2,bus-reserve=4,io-reserve=4096,mem-reserve=2M,pref64-reserve=32M -device pcie-root-port,id=p3,chassis=3,aer_log_max=16,disable-acs=on -device pcie-root-port,id=p4,chassis=4,pref32-reserve=8M",
  ],
  [
    "virtio queues",
    "-machine q35 -m 128 -smp 4 -nodefaults -device virtio-blk-pci,drive=DISK0,num-queues=1 -device virtio-blk-pci,drive=DISK1,num-queues=3,vectors=2,queue-size=64 -device virtio-scsi-pci,num_queues=2,virtqueue_size=128 -device virtio-scsi-pci,vectors=0 -device virtio-rng-pci -device virtio-balloon-pci",
  ],
  [
    "virtio gpu outputs",
    "-machine q35 -m 128 -nodefaults -device virtio-gpu-pci,max_outputs=4 -device virtio-vga,max_outputs=2",
  ],
  [
    "vga memory",
    "-machine pc -m 128 -nodefaults -device VGA,vgamem_mb=64,mmio=off -device secondary-vga,vgamem_mb=32 -device cirrus-vga,vgamem_mb=8",
  ],
  [
    "xhci odd ports",
    "-machine q35 -m 128 -nodefaults -device qemu-xhci,p2=6,p3=2,id=x -device usb-tablet,bus=x.0,port=6 -device nec-usb-xhci,p2=8,p3=8,slots=32,intrs=8,msi=off",
  ],
  [
    "usb uhci alone beside ehci",
    "-machine pc -m 128 -nodefaults -device ich9-usb-uhci1,addr=5.0,multifunction=on,id=u -device ich9-usb-ehci1,addr=5.7 -device usb-tablet,bus=u.0,port=1 -device usb-hub,bus=u.0,port=2 -device usb-kbd,bus=u.0,port=2.1",
  ],
  [
    "ahci multifunction",
    "-machine pc -m 128 -nodefaults -device ahci,multifunction=on,id=a -device ide-hd,bus=a.0,drive=DISK0 -device pvscsi,multifunction=on",
  ],
  [
    "pci bridges deep",
    "-machine pc -m 128 -nodefaults -device pci-bridge,chassis_nr=9,id=b1,msi=off -device pci-bridge,chassis_nr=3,id=b2,bus=b1,addr=1,shpc=on -device e1000,bus=b2,addr=3",
  ],
  [
    "pcie-pci-bridge",
    "-machine q35 -m 128 -nodefaults -device pcie-root-port,id=p1,chassis=1 -device pcie-pci-bridge,id=b,bus=p1 -device e1000,bus=b,addr=2 -device pci-bridge,bus=b,addr=3,chassis_nr=7,id=c -device rtl8139,bus=c,addr=1",
  ],
  [
    "cxl expander",
    "-machine q35,cxl=on -m 128,slots=4,maxmem=4G -nodefaults -device pxb-cxl,bus_nr=12,bus=pcie.0,id=cxl.1 -device cxl-rp,port=0,bus=cxl.1,id=rp0,chassis=0,slot=2",
  ],
  ["ipmi", "-machine q35 -m 128 -nodefaults -device ipmi-bmc-sim,id=bmc0 -device isa-ipmi-kcs,bmc=bmc0,ioport=0xca2"],
  [
    "no acpi hotplug bridges",
    "-machine pc -m 128 -nodefaults -global PIIX4_PM.acpi-pci-hotplug-with-bridge-support=off",
  ],
  [
    "q35 no acpi hotplug",
    "-machine q35 -m 128 -nodefaults -global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off -device pcie-root-port,id=p1,chassis=1",
  ],
  ["root pci hotplug off", "-machine pc -m 128 -nodefaults -global PIIX4_PM.acpi-root-pci-hotplug=off"],
  ["memory smm off sata off", "-machine q35,sata=off,smbus=off,pit=off -m 128 -nodefaults"],
  [
    "free page hint",
    "-machine pc -m 128 -nodefaults -object iothread,id=io1 -device virtio-balloon-pci,free-page-hint=on,free-page-reporting=on,iothread=io1",
  ],
  [
    "two scsi controllers",
    "-machine pc -m 128 -nodefaults -device lsi53c810 -device mptsas1068,id=m -device scsi-hd,bus=m.0,scsi-id=3,drive=DISK0 -device virtio-scsi-pci,id=v -device scsi-hd,bus=v.0,channel=0,scsi-id=2,lun=5,drive=DISK1",
  ],
  [
    "usb storage",
    "-machine q35 -m 128 -nodefaults -device qemu-xhci,id=x -device usb-storage,bus=x.0,port=2,drive=DISK0 -device usb-hub,bus=x.0,port=1 -device usb-kbd,bus=x.0,port=1.3",
  ],
  [
    "microvm",
    "-machine microvm -m 128 -nodefaults -no-reboot -device virtio-blk-device,drive=DISK0 -netdev user,id=n -device virtio-net-device,netdev=n -chardev null,id=v -device virtio-serial-device -device virtconsole,chardev=v",
  ],
  ["microvm acpi off", "-machine microvm,acpi=off,pic=off,pit=off,rtc=on -m 128 -nodefaults -device virtio-rng-device"],
];

/** The devices of these products, in order. */
export function productJobs(): Job[] {
  return [...LINES, ...libvirtLines, ...ownLines].map(([name, text]) => {
    const line = words(text).map((word) => word.replace(/\bDISK(\d)/gu, "disk$1"));
    const disks = [...new Set(line.join(" ").match(/\bdisk\d/gu) ?? [])];
    return { name, args: [...emptyDisks(...disks), ...line] };
  });
}
