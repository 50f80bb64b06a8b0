/**
 * Command lines of targets other than x86, as common programs make them: libvirt (virt-install, virt-manager,
 * OpenStack), Proxmox VE, LXD, UTM, Lima and Multipass. Every backend is a null backend.
 */

/** One source. */
export interface TargetLine {
  /** Target name in the table. */
  readonly target: string;
  readonly name: string;
  readonly program: string;
  /** Arguments after the common ones. `$MACHINE` is not used: each QEMU resolves its own aliases (`virt`). */
  readonly args: readonly string[];
}

const words = (text: string): string[] => text.split(/\s+/u).filter((word) => word !== "");
const lines = (target: string, program: string, texts: Readonly<Record<string, string>>): TargetLine[] =>
  Object.entries(texts).map(([name, text]) => ({ target, name, program, args: words(text) }));

const disk = (id: string): string => `-blockdev null-co,node-name=${id},size=1048576,read-zeroes=on`;
const rootPorts = (first: number, count: number, slot = 1): string =>
  Array.from({ length: count }, (_, i) => {
    const port = first + i;
    const fn = i % 8;
    const addr =
      fn === 0
        ? `0x${(slot + Math.floor(i / 8)).toString(16)}`
        : `0x${(slot + Math.floor(i / 8)).toString(16)}.0x${fn}`;
    const multi = fn === 0 ? ",multifunction=on" : "";
    return `-device pcie-root-port,port=${port},chassis=${i + 1},id=pci.${i + 1},bus=pcie.0${multi},addr=${addr}`;
  }).join(" ");

/** libvirt's devices for a PCI Express guest of any target. */
const libvirtPcie = `${rootPorts(8, 12)} ${disk("d0")} ${disk("d1")}
  -device qemu-xhci,p2=15,p3=15,id=usb,bus=pci.2,addr=0x0 -device virtio-scsi-pci,id=scsi0,bus=pci.3,addr=0x0
  -device virtio-serial-pci,id=virtio-serial0,bus=pci.4,addr=0x0 -device virtio-blk-pci,bus=pci.5,addr=0x0,drive=d0,id=virtio-disk0,bootindex=1
  -device scsi-cd,bus=scsi0.0,channel=0,scsi-id=0,lun=0,device_id=drive-scsi0-0-0-0,drive=d1,id=scsi0-0-0-0
  -netdev user,id=hostnet0 -device virtio-net-pci,netdev=hostnet0,id=net0,mac=52:54:00:13:f2:01,bus=pci.1,addr=0x0
  -chardev null,id=charserial0 -serial chardev:charserial0 -chardev null,id=charchannel0
  -device virtserialport,bus=virtio-serial0.0,nr=1,chardev=charchannel0,id=channel0,name=org.qemu.guest_agent.0
  -device usb-tablet,id=input0,bus=usb.0,port=1 -device usb-kbd,id=input1,bus=usb.0,port=2
  -device virtio-gpu-pci,id=video0,max_outputs=1,bus=pci.7,addr=0x0 -device virtio-balloon-pci,id=balloon0,bus=pci.6,addr=0x0
  -object rng-builtin,id=objrng0 -device virtio-rng-pci,rng=objrng0,id=rng0,bus=pci.8,addr=0x0`;
const libvirtHead = `-uuid 6a5bd4f1-3b51-4a8e-9e0a-4ff5d7c3a101 -no-user-config -nodefaults -rtc base=utc -boot strict=on`;
const backend = (id: string, size: string): string => `-object memory-backend-ram,id=${id},size=${size}`;

/** LXD's configuration: root ports with chassis, virtio input devices, 9p, USB redirection. */
const lxd = `-nodefaults ${rootPorts(0, 8)} ${disk("d0")} -fsdev local,path=$DIR,id=fs0,security_model=none
  -device virtio-balloon-pci,id=qemu_balloon,bus=pci.1,addr=00.0,multifunction=on -object rng-builtin,id=r0
  -device virtio-rng-pci,rng=r0,bus=pci.1,addr=00.1 -device virtio-keyboard-pci,bus=pci.1,addr=00.2
  -device virtio-tablet-pci,bus=pci.1,addr=00.3 -device virtio-serial-pci,id=dev-qemu_serial,bus=pci.1,addr=00.5
  -chardev ringbuf,id=qemu_serial-chardev -device virtserialport,chardev=qemu_serial-chardev,name=com.canonical.lxd,bus=dev-qemu_serial.0
  -device qemu-xhci,p2=8,p3=8,id=qemu_usb,bus=pci.1,addr=00.4 -device virtio-scsi-pci,id=qemu_scsi,bus=pci.2,addr=00.0,multifunction=on
  -device virtio-9p-pci,fsdev=fs0,mount_tag=config,bus=pci.2,addr=00.1 -device virtio-gpu-pci,bus=pci.3,addr=00.0
  -netdev user,id=n0 -device virtio-net-pci,netdev=n0,bus=pci.4,addr=00.0,mq=on,vectors=6,mac=00:16:3e:12:34:56
  -device scsi-hd,bus=qemu_scsi.0,channel=0,scsi-id=0,lun=1,drive=d0`;

const aarch64 = {
  bare: "-machine virt -cpu cortex-a57 -m 32 -nodefaults",
  defaults: "-machine virt -cpu cortex-a72 -m 32 -smp 2",
  "max-gic3": "-machine virt,gic-version=3 -cpu max -m 32 -smp 2 -nodefaults",
  "gic-max": "-machine virt,gic-version=max -cpu cortex-a53 -m 32 -nodefaults",
  "its-off": "-machine virt,gic-version=3,its=off -cpu cortex-a57 -m 32 -smp 4 -nodefaults",
  virtualization: "-machine virt,gic-version=3,virtualization=on -cpu cortex-a72 -m 32 -nodefaults",
  "virtualization-gic2": "-machine virt,gic-version=2,virtualization=on -cpu cortex-a57 -m 32 -smp 2 -nodefaults",
  secure: "-machine virt,secure=on -cpu cortex-a57 -m 32 -nodefaults",
  "secure-virtualization": "-machine virt,secure=on,virtualization=on,gic-version=3 -cpu max -m 32 -nodefaults",
  mte: "-machine virt,mte=on -cpu max -m 32 -nodefaults",
  smmuv3: "-machine virt,iommu=smmuv3,gic-version=3 -cpu cortex-a57 -m 32 -nodefaults",
  "acpi-off": "-machine virt,acpi=off -cpu cortex-a57 -m 32 -nodefaults -bios $DIR/bios",
  bios: "-machine virt -cpu cortex-a57 -m 32 -nodefaults -bios $DIR/bios",
  pflash:
    "-machine virt -cpu cortex-a57 -m 32 -nodefaults -drive if=pflash,format=raw,file=$DIR/flash0 -drive if=pflash,format=raw,file=$DIR/flash1",
  "highmem-off": "-machine virt,highmem=off -cpu cortex-a57 -m 32 -nodefaults",
  maxcpus: "-machine virt -cpu cortex-a57 -m 32 -smp 2,maxcpus=6 -nodefaults",
  a15: "-machine virt -cpu cortex-a15 -m 32 -smp 2 -nodefaults",
  "no-features": "-machine virt -cpu max,sve=off,pauth=off -m 32 -nodefaults",
  "no-pmu": "-machine virt -cpu cortex-a57,pmu=off -m 32 -nodefaults",
  a64fx: "-machine virt -cpu a64fx -m 32 -nodefaults",
  dimm: `-machine virt -cpu cortex-a57 -m 32,slots=2,maxmem=4G -nodefaults -bios $DIR/bios ${backend("m1", "128M")} -device pc-dimm,memdev=m1,id=dimm1`,
  nvdimm: `-machine virt,nvdimm=on -cpu cortex-a57 -m 32,slots=2,maxmem=4G -nodefaults -bios $DIR/bios ${backend("m1", "128M")} -device nvdimm,memdev=m1,id=nv1`,
  "virtio-mmio": `-machine virt -cpu cortex-a57 -m 32 -nodefaults ${disk("d0")} -device virtio-blk-device,drive=d0 -netdev user,id=n0 -device virtio-net-device,netdev=n0 -device virtio-rng-device`,
  "virtio-mmio-modern": `-machine virt -cpu cortex-a57 -m 32 -nodefaults -global virtio-mmio.force-legacy=false ${disk("d0")} -device virtio-blk-device,drive=d0,bus=virtio-mmio-bus.3 -device virtio-scsi-device -device virtio-serial-device -device virtio-balloon-device -device virtio-gpu-device -device virtio-keyboard-device -device virtio-tablet-device`,
  "virt-manager": `-machine virt,usb=off,gic-version=3,dump-guest-core=off,memory-backend=mach-virt.ram,acpi=on -cpu cortex-a57 -m 64 ${backend("mach-virt.ram", "64M")} -overcommit mem-lock=off -smp 2,sockets=2,cores=1,threads=1 ${libvirtHead} -drive if=pflash,format=raw,file=$DIR/flash0 -drive if=pflash,format=raw,file=$DIR/flash1 ${libvirtPcie}`,
  "virt-install-gic2": `-machine virt,usb=off,gic-version=2,acpi=on -cpu cortex-a72 -m 64 -smp 1 ${libvirtHead} -drive if=pflash,format=raw,file=$DIR/flash0 ${libvirtPcie} -device pcie-pci-bridge,id=pci.13,bus=pci.9,addr=0x0 -device usb-mouse,bus=usb.0,port=3`,
  openstack: `-machine virt,usb=off,dump-guest-core=off,gic-version=3,acpi=on -cpu max -m 64 -smp 2,sockets=2,dies=1,cores=1,threads=1 ${libvirtHead} -smbios type=1,manufacturer=OpenStack -drive if=pflash,format=raw,file=$DIR/flash0 -drive if=pflash,format=raw,file=$DIR/flash1 ${rootPorts(8, 26)} ${disk("d0")} -netdev user,id=h0 -device virtio-net-pci,rx_queue_size=512,host_mtu=1450,netdev=h0,id=net0,mac=fa:16:3e:aa:bb:cc,bus=pci.1,addr=0x0 -device virtio-blk-pci,bus=pci.3,addr=0x0,drive=d0,id=virtio-disk0,bootindex=1,write-cache=on -device virtio-gpu-pci,id=video0,max_outputs=1,bus=pci.4,addr=0x0 -device virtio-balloon-pci,id=balloon0,bus=pci.5,addr=0x0 -object rng-builtin,id=r -device virtio-rng-pci,rng=r,bus=pci.6,addr=0x0 -device qemu-xhci,id=usb,bus=pci.2,addr=0x0 -device usb-tablet,id=input0,bus=usb.0,port=1 -device usb-kbd,bus=usb.0,port=2`,
  "openstack-nested": `-machine virt,gic-version=2,acpi=on -cpu cortex-a57 -m 64 -smp 2,maxcpus=4,sockets=4,cores=1,threads=1 ${libvirtHead} -bios $DIR/bios ${rootPorts(16, 9)} ${disk("d0")} -device virtio-scsi-pci,num_queues=2,id=scsi0,bus=pci.1,addr=0x0 -device scsi-hd,bus=scsi0.0,channel=0,scsi-id=0,lun=0,drive=d0`,
  proxmox: `-machine type=virt,gic-version=3 -cpu cortex-a57 -m 64 -smp 2,sockets=1,cores=2,maxcpus=2 -nodefaults -drive if=pflash,unit=0,format=raw,readonly=on,file=$DIR/flash0 -drive if=pflash,unit=1,format=raw,id=drive-efidisk0,file=$DIR/flash1 -device pcie-root-port,id=pcie.1,chassis=1,addr=10.0,port=1 -device pci-bridge,id=pci.0,chassis_nr=9,addr=9 -device pci-bridge,id=pci.1,chassis_nr=1,bus=pci.0,addr=1 -device qemu-xhci,p2=15,p3=15,id=ehci,bus=pci.1,addr=0x1b -device usb-tablet,bus=ehci.0,port=1 -device usb-kbd,bus=ehci.0,port=2 -device virtio-gpu,id=vga,bus=pci.0,addr=0x2 -device virtio-balloon-pci,id=balloon0,bus=pci.0,addr=0x3 ${disk("d0")} ${disk("d1")} -device virtio-scsi-pci,id=scsihw0,bus=pci.0,addr=0x5 -device scsi-hd,bus=scsihw0.0,channel=0,scsi-id=0,lun=0,drive=d0,id=scsi0 -device scsi-cd,bus=scsihw0.0,channel=0,scsi-id=0,lun=2,drive=d1,id=scsi2 -netdev user,id=net0 -device virtio-net-pci,mac=BC:24:11:00:00:01,netdev=net0,bus=pci.0,addr=0x12,id=net0,rx_queue_size=1024,tx_queue_size=256 -chardev null,id=serial0 -serial chardev:serial0 -device virtio-serial,id=qga0,bus=pci.0,addr=0x8 -chardev null,id=qga0 -device virtserialport,chardev=qga0,name=org.qemu.guest_agent.0`,
  "utm-linux": `-machine virt,highmem=on -cpu cortex-a72 -m 64 -smp cpus=4,sockets=1,cores=4,threads=1 -nodefaults -vga none -drive if=pflash,format=raw,unit=0,file=$DIR/flash0,readonly=on -drive if=pflash,unit=1,format=raw,file=$DIR/flash1 -device virtio-net-pci,mac=52:EA:9A:AC:53:01,netdev=net0 -netdev user,id=net0 -device virtio-gpu-pci -audiodev none,id=audio0 -device intel-hda -device hda-duplex,audiodev=audio0 -device nec-usb-xhci,id=usb-bus -device usb-tablet,bus=usb-bus.0 -device usb-mouse,bus=usb-bus.0 -device usb-kbd,bus=usb-bus.0 -device qemu-xhci,id=usb-controller-0 -chardev null,id=c1 -chardev null,id=c2 -device virtio-serial -device virtserialport,chardev=c1,name=org.qemu.guest_agent.0 -device virtserialport,chardev=c2,name=com.redhat.spice.0 ${disk("d0")} ${disk("d1")} -device virtio-blk-pci,drive=d0,bootindex=1 -device usb-storage,drive=d1,removable=true,bootindex=0,bus=usb-bus.0 -object rng-builtin,id=r -device virtio-rng-pci,rng=r -fsdev local,path=$DIR,id=fs0,security_model=none -device virtio-9p-pci,fsdev=fs0,mount_tag=share`,
  "utm-windows":
    `-machine virt -cpu max -m 64 -smp 2 -nodefaults -vga none -drive if=pflash,format=raw,unit=0,file=$DIR/flash0,readonly=on -drive if=pflash,unit=1,format=raw,file=$DIR/flash1 -device ramfb -audiodev none,id=a -device usb-audio,audiodev=a,bus=usb-bus.0 -device nec-usb-xhci,id=usb-bus -device usb-tablet,bus=usb-bus.0 -device usb-kbd,bus=usb-bus.0 -device virtio-net-pci,netdev=net0 -netdev user,id=net0 ${disk("d0")} -device virtio-blk-pci,drive=d0`.replace(
      "-device usb-audio,audiodev=a,bus=usb-bus.0 ",
      "",
    ),
  lima: `-machine virt -cpu cortex-a72 -m 64 -smp 2,sockets=1,cores=2,threads=1 -drive if=pflash,format=raw,readonly=on,file=$DIR/flash0 -drive if=pflash,format=raw,file=$DIR/flash1 ${disk("d0")} ${disk("d1")} -device virtio-blk-pci,drive=d0 -device virtio-scsi-pci,id=scsi0 -device scsi-cd,bus=scsi0.0,drive=d1 -netdev user,id=net0 -device virtio-net-pci,netdev=net0,mac=52:55:55:11:22:33 -object rng-builtin,id=r -device virtio-rng-pci,rng=r -chardev null,id=s -serial chardev:s -device virtio-serial-pci -chardev null,id=q -device virtserialport,chardev=q,name=io.lima-vm.guest_agent.0 -device qemu-xhci,id=usb-bus -device usb-kbd,bus=usb-bus.0`,
  multipass: `-machine virt,gic-version=3 -cpu cortex-a72 -m 64 -smp 2 -nographic -nodefaults -drive if=pflash,file=$DIR/flash0,format=raw,readonly=on -device virtio-scsi-pci,id=scsi0 ${disk("d0")} ${disk("d1")} -device scsi-hd,drive=d0,bus=scsi0.0 -device scsi-cd,drive=d1,bus=scsi0.0 -netdev user,id=net0 -device virtio-net-pci,netdev=net0,mac=52:54:00:11:22:33`,
  lxd: `-machine virt,gic-version=max -cpu max -m 64 -smp 2,sockets=1,cores=2,threads=1 -drive if=pflash,format=raw,readonly=on,file=$DIR/flash0 -drive if=pflash,format=raw,file=$DIR/flash1 ${lxd}`,
  quickemu:
    `-machine virt -cpu max -m 64 -smp 2 -nodefaults -bios $DIR/bios -device virtio-rng-pci -device qemu-xhci,id=spicepass -device virtio-gpu-pci -device usb-ehci,id=input -device usb-kbd,bus=input.0 -device usb-tablet,bus=input.0 -audiodev none,id=audio0 -device intel-hda -device hda-micro,audiodev=audio0 -device virtio-net-pci,netdev=nic -netdev user,id=nic ${disk("d0")} -device virtio-blk-pci,drive=d0 -device nvme,id=n,serial=foo`.replace(
      " -device nvme,id=n,serial=foo",
      "",
    ),
};

const s390x = {
  bare: "-machine s390-ccw-virtio -m 32 -nodefaults",
  defaults: "-machine s390-ccw-virtio -m 32 -smp 2",
  maxcpus: "-machine s390-ccw-virtio -cpu qemu -m 32 -smp 2,maxcpus=8 -nodefaults",
  loadparm: "-machine s390-ccw-virtio,loadparm=PROMPT -m 32 -nodefaults",
  "cpu-max": "-machine s390-ccw-virtio -cpu max -m 32 -nodefaults",
  "virt-install": `-machine s390-ccw-virtio,usb=off,dump-guest-core=off,memory-backend=s390.ram -cpu qemu -m 64 ${backend("s390.ram", "64M")} -overcommit mem-lock=off -smp 2,sockets=2,cores=1,threads=1 ${libvirtHead} ${disk("d0")} ${disk("d1")} -device virtio-serial-ccw,id=virtio-serial0,devno=fe.0.0001 -device virtio-scsi-ccw,id=scsi0,devno=fe.0.0002 -device virtio-blk-ccw,devno=fe.0.0000,drive=d0,id=virtio-disk0,bootindex=1 -device scsi-cd,bus=scsi0.0,channel=0,scsi-id=0,lun=0,drive=d1 -netdev user,id=hostnet0 -device virtio-net-ccw,netdev=hostnet0,id=net0,mac=52:54:00:e6:00:01,devno=fe.0.0003 -chardev null,id=charconsole0 -device sclpconsole,chardev=charconsole0,id=console0 -chardev null,id=c1 -device virtserialport,bus=virtio-serial0.0,nr=1,chardev=c1,id=channel0,name=org.qemu.guest_agent.0 -device virtio-balloon-ccw,id=balloon0,devno=fe.0.0004 -object rng-builtin,id=r -device virtio-rng-ccw,rng=r,id=rng0,devno=fe.0.0005`,
  "virt-manager-gpu": `-machine s390-ccw-virtio -cpu qemu -m 64 -smp 1 ${libvirtHead} ${disk("d0")} -device virtio-gpu-ccw,id=video0,max_outputs=1,devno=fe.0.0002 -device virtio-keyboard-ccw,id=input0,devno=fe.0.0006 -device virtio-tablet-ccw,id=input1,devno=fe.0.0007 -device virtio-blk-ccw,devno=fe.0.0000,drive=d0,num-queues=2 -chardev null,id=c -device sclplmconsole,chardev=c -device virtio-mouse-ccw,devno=fe.0.0010`,
  openstack: `-machine s390-ccw-virtio,aes-key-wrap=off,dea-key-wrap=off -cpu qemu -m 64 -smp 2,sockets=2 ${libvirtHead} ${disk("d0")} ${disk("d1")} -device virtio-blk-ccw,devno=fe.0.0000,drive=d0 -device virtio-blk-ccw,devno=fe.0.0001,drive=d1 -netdev user,id=h -device virtio-net-ccw,host_mtu=1450,netdev=h,mac=fa:16:3e:00:00:01,devno=fe.0.0002 -chardev null,id=c -device sclpconsole,chardev=c -device virtio-balloon-ccw,devno=fe.0.0003 -device diag288,id=watchdog0 -watchdog-action reset`,
  zpci: `-machine s390-ccw-virtio -cpu max -m 64 -nodefaults ${disk("d0")} -device zpci,uid=5,fid=7,target=net0,id=zpci1 -netdev user,id=h -device virtio-net-pci,netdev=h,id=net0 -device virtio-blk-ccw,drive=d0`,
  lxd: `-machine s390-ccw-virtio -cpu max -m 64 -smp 2 -nodefaults -fsdev local,path=$DIR,id=fs0,security_model=none ${disk("d0")} -device virtio-balloon-ccw -object rng-builtin,id=r -device virtio-rng-ccw,rng=r -device virtio-keyboard-ccw -device virtio-tablet-ccw -device virtio-serial-ccw,id=s -chardev ringbuf,id=c -device virtserialport,chardev=c,name=com.canonical.lxd,bus=s.0 -device virtio-scsi-ccw,id=qemu_scsi -device virtio-9p-ccw,fsdev=fs0,mount_tag=config -device virtio-gpu-ccw -netdev user,id=n0 -device virtio-net-ccw,netdev=n0,mq=on -device scsi-hd,bus=qemu_scsi.0,channel=0,scsi-id=0,lun=1,drive=d0`,
  "kvm-sample": `-machine s390-ccw-virtio -m 64 -nographic ${disk("d0")} -device virtio-blk,drive=d0 -netdev user,id=n -device virtio-net,netdev=n`,
};

const pciHead = `-device qemu-xhci,id=usb,bus=pci.0,addr=0x2`;
const ppc64 = {
  bare: "-machine pseries -m 256 -nodefaults",
  defaults: "-machine pseries -m 256 -smp 2",
  power8: "-machine pseries -cpu power8 -m 256 -smp 4 -nodefaults",
  power10: "-machine pseries -cpu power10 -m 256 -smp 2 -nodefaults",
  // TCG has one thread in a core.
  maxcpus: "-machine pseries -cpu power9 -m 256 -smp 4,maxcpus=8,cores=2,threads=1,sockets=4 -nodefaults",
  caps: "-machine pseries,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-htm=off -cpu power9 -m 256 -nodefaults",
  "caps-more":
    "-machine pseries,cap-ccf-assist=off,cap-fwnmi=off,cap-large-decr=off,cap-hpt-max-page-size=64k -m 256 -nodefaults",
  "ic-xics": "-machine pseries,ic-mode=xics -cpu power9 -m 256 -nodefaults",
  "ic-xive": "-machine pseries,ic-mode=xive -cpu power9 -m 256 -nodefaults",
  "virt-install": `-machine pseries,usb=off,dump-guest-core=off,memory-backend=ppc_spapr.ram -cpu POWER9 -m 256 ${backend("ppc_spapr.ram", "256M")} -overcommit mem-lock=off -smp 2,sockets=2,cores=1,threads=1 ${libvirtHead} ${disk("d0")} ${disk("d1")} -device qemu-xhci,p2=15,p3=15,id=usb,bus=pci.0,addr=0x2 -device virtio-scsi-pci,id=scsi0,bus=pci.0,addr=0x3 -device virtio-serial-pci,id=virtio-serial0,bus=pci.0,addr=0x4 -device virtio-blk-pci,bus=pci.0,addr=0x5,drive=d0,id=virtio-disk0,bootindex=1 -device scsi-cd,bus=scsi0.0,channel=0,scsi-id=0,lun=0,drive=d1 -netdev user,id=h -device virtio-net-pci,netdev=h,id=net0,mac=52:54:00:00:00:07,bus=pci.0,addr=0x1 -chardev null,id=charserial0 -device spapr-vty,chardev=charserial0,id=serial0,reg=0x30000000 -chardev null,id=c1 -device virtserialport,bus=virtio-serial0.0,nr=1,chardev=c1,name=org.qemu.guest_agent.0 -device usb-tablet,id=input0,bus=usb.0,port=1 -device usb-kbd,id=input1,bus=usb.0,port=2 -device VGA,id=video0,vgamem_mb=16,bus=pci.0,addr=0x7 -device virtio-balloon-pci,id=balloon0,bus=pci.0,addr=0x6 -object rng-builtin,id=r -device virtio-rng-pci,rng=r,id=rng0,bus=pci.0,addr=0x8`,
  "virt-manager-vscsi": `-machine pseries,usb=off -cpu POWER9 -m 256 -smp 1 ${libvirtHead} ${disk("d0")} ${disk("d1")} -device spapr-pci-host-bridge,index=1,id=pci.1 -device pci-ohci,id=usb,bus=pci.0,addr=0x1 -device spapr-vscsi,id=scsi0,reg=0x2000 -device scsi-hd,bus=scsi0.0,channel=0,scsi-id=0,lun=0,drive=d0 -device scsi-cd,bus=scsi0.0,channel=0,scsi-id=1,lun=0,drive=d1 -netdev user,id=h -device spapr-vlan,netdev=h,id=net0,mac=52:54:00:00:00:08,reg=0x1000 -chardev null,id=s0 -device spapr-vty,chardev=s0,id=serial0,reg=0x30000000 -device virtio-balloon-pci,bus=pci.1.0,addr=0x1 -device usb-kbd,bus=usb.0,port=1`,
  openstack: `-machine pseries -cpu POWER9 -m 256 -smp 4,sockets=4,cores=1,threads=1 ${libvirtHead} ${disk("d0")} ${pciHead} -device virtio-blk-pci,bus=pci.0,addr=0x3,drive=d0 -netdev user,id=h -device virtio-net-pci,host_mtu=1450,netdev=h,mac=fa:16:3e:00:00:02,bus=pci.0,addr=0x1 -chardev null,id=s0 -device spapr-vty,chardev=s0,reg=0x30000000 -device VGA,id=video0,vgamem_mb=16,bus=pci.0,addr=0x5 -device usb-kbd,bus=usb.0,port=1 -device virtio-balloon-pci,bus=pci.0,addr=0x4`,
  dimm: `-machine pseries -cpu power9 -m 256,slots=16,maxmem=4G -nodefaults ${backend("m1", "256M")} -device pc-dimm,memdev=m1,id=dimm1`,
  slots: `-machine pseries -cpu power9 -m 256,slots=16,maxmem=4G -nodefaults`,
  phbs: `-machine pseries -m 256 -nodefaults -device spapr-pci-host-bridge,index=1,id=p1 -device spapr-pci-host-bridge,index=3,id=p3 -device pci-bridge,chassis_nr=4,id=b,bus=pci.0,addr=5 -device e1000,bus=b,addr=1 -device virtio-rng-pci,bus=p3.0,addr=2`,
  "g4-mac99": "-machine mac99 -m 128",
};

const riscv64 = {
  bare: "-machine virt -m 32 -nodefaults -bios none",
  defaults: "-machine virt -m 32 -smp 4 -bios none",
  aia: "-machine virt,aia=aplic-imsic -m 32 -smp 2 -nodefaults -bios none",
  "aia-aplic": "-machine virt,aia=aplic -m 32 -nodefaults -bios none",
  aclint: "-machine virt,aclint=on -m 32 -smp 2 -nodefaults -bios none",
  pflash:
    "-machine virt -m 32 -nodefaults -bios none -drive if=pflash,unit=0,format=raw,file=$DIR/flash32a -drive if=pflash,unit=1,format=raw,file=$DIR/flash32b",
  mmio: `-machine virt -cpu rv64 -m 32 -nodefaults -bios none ${disk("d0")} -device virtio-blk-device,drive=d0 -netdev user,id=n0 -device virtio-net-device,netdev=n0 -device virtio-rng-device`,
  "virt-install": `-machine virt,usb=off,dump-guest-core=off,memory-backend=riscv_virt_board.ram -cpu rv64 -m 64 ${backend("riscv_virt_board.ram", "64M")} -smp 2,sockets=2,cores=1,threads=1 ${libvirtHead} -bios none ${libvirtPcie}`,
  openstack: `-machine virt -cpu rv64 -m 64 -smp 2 ${libvirtHead} -bios none ${rootPorts(8, 9)} ${disk("d0")} -netdev user,id=h -device virtio-net-pci,netdev=h,mac=fa:16:3e:00:00:03,bus=pci.1,addr=0x0 -device virtio-blk-pci,bus=pci.2,addr=0x0,drive=d0 -device qemu-xhci,id=usb,bus=pci.3,addr=0x0`,
  ubuntu: `-machine virt -m 64 -smp 4 -nographic -bios none ${disk("d0")} -device virtio-blk-pci,drive=d0 -netdev user,id=n -device virtio-net-pci,netdev=n -device virtio-rng-pci`,
  lxd: `-machine virt -m 64 -smp 2 -bios none ${lxd}`,
};

/** Boards that need no options: started by name only, and with a memory size where they accept one. */
const smallMachines: Readonly<Record<string, readonly string[]>> = {
  "qemu-system-arm": words(
    "integratorcp microbit versatilepb versatileab vexpress-a9 vexpress-a15 realview-pb-a8 realview-eb lm3s811evb lm3s6965evb mps2-an385 mps2-an505 mps2-an511 netduino2 netduinoplus2 stm32vldiscovery cubieboard orangepi-pc raspi0 raspi1ap raspi2b sabrelite smdkc210 nuri xilinx-zynq-a9 highbank midway musicpal collie akita z2 sx1 n800 ast2500-evb palmetto-bmc npcm750-evb imx25-pdk kzm mcimx6ul-evk mcimx7d-sabre emcraft-sf2 bananapi b-l475e-iot01a bpim2u musca-a canon-a1100",
  ),
  "qemu-system-aarch64": words("raspi3b xlnx-zcu102 raspi4b imx8mp-evk"),
  "qemu-system-avr": words("arduino-uno arduino-mega-2560-v3 arduino-duemilanove mega"),
  "qemu-system-m68k": words("virt q800 mcf5208evb an5206 next-cube"),
  "qemu-system-riscv64": words("sifive_u sifive_e spike microchip-icicle-kit"),
  "qemu-system-ppc64": words("powernv9 powernv8 mac99 pegasos2"),
  "qemu-system-ppc": words("g3beige bamboo sam460ex ppce500 40p"),
};

/** All command lines. Machines that a QEMU does not have are not counted. */
export const targetLines: readonly TargetLine[] = [
  ...lines("aarch64", "qemu-system-aarch64", aarch64),
  ...lines("arm", "qemu-system-arm", {
    "virt-a15": "-machine virt -cpu cortex-a15 -m 32 -smp 2 -nodefaults",
    "virt-a7": `-machine virt -cpu cortex-a7 -m 32 -nodefaults ${disk("d0")} -device virtio-blk-device,drive=d0 -device virtio-net-pci`,
    "virt-secure": "-machine virt,secure=on -cpu cortex-a15 -m 32 -nodefaults",
  }),
  ...lines("s390x", "qemu-system-s390x", s390x),
  ...lines("ppc64", "qemu-system-ppc64", ppc64),
  ...lines("riscv64", "qemu-system-riscv64", riscv64),
  ...Object.entries(smallMachines).flatMap(([program, machines]) =>
    machines.map((name) => ({ target: "boards", name, program, args: ["-machine", name] })),
  ),
];
