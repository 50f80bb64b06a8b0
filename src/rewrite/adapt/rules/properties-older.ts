/**
 * As `NEWER_PROPERTIES`, for machine types that QEMU 11.1 does not have any more. A later value of one property
 * counts. Source: `query-machines` with compat-props of QEMU 10.0 (2.4 to 5.1); hw/core/machine.c and hw/i386/pc.c of
 * 7.2 for those before.
 */
export const OLDER_PROPERTIES: Readonly<Record<string, string>> = {
  "5.1": `
    vhost-scsi.num_queues=1
    vhost-user-blk.num-queues=1
    vhost-user-scsi.num_queues=1
    virtio-blk-device.num-queues=1
    virtio-scsi-device.num_queues=1
    nvme.use-intel-id=on
    pvpanic.events=1
    pl011.migrate-clk=off
    virtio-pci.x-ats-page-aligned=off
    ICH9-LPC.x-smi-cpu-hotplug=off
    x86_64-cpu.kvm-msi-ext-dest-id=off
`,
  "5.0": `
    pci-host-bridge.x-config-reg-migration-enabled=off
    virtio-balloon-device.page-poison=false
    vmport.x-read-set-eax=off
    vmport.x-signal-unsupported-cmd=off
    vmport.x-report-vmx-type=off
    vmport.x-cmds-v2=off
    virtio-device.x-disable-legacy-check=true
`,
  "4.2": `
    virtio-blk-device.queue-size=128
    virtio-scsi-device.virtqueue_size=128
    virtio-blk-device.x-enable-wce-if-config-wce=off
    virtio-blk-device.seg-max-adjust=off
    virtio-scsi-device.seg_max_adjust=off
    vhost-blk-device.seg_max_adjust=off
    usb-host.suppress-remote-wake=off
    usb-redir.suppress-remote-wake=off
    qxl.revision=4
    qxl-vga.revision=4
    fw_cfg.acpi-mr-restore=false
    virtio-device.use-disabled-flag=false
    mch.smbase-smram=off
`,
  "4.1": `
    virtio-pci.x-pcie-flr-init=off
`,
  "4.0": `
    VGA.edid=false
    secondary-vga.edid=false
    bochs-display.edid=false
    virtio-vga.edid=false
    virtio-gpu-device.edid=false
    virtio-device.use-started=false
    virtio-balloon-device.qemu-4-0-config-size=true
    pl031.migrate-tick-offset=false
`,
  "3.1": `
    pcie-root-port.x-speed=2_5
    pcie-root-port.x-width=1
    memory-backend-file.x-use-canonical-path-for-ramblock-id=true
    memory-backend-memfd.x-use-canonical-path-for-ramblock-id=true
    tpm-crb.ppi=false
    tpm-tis.ppi=false
    usb-kbd.serial=42
    usb-mouse.serial=42
    usb-tablet.serial=42
    virtio-blk-device.discard=false
    virtio-blk-device.write-zeroes=false
    virtio-balloon-device.qemu-4-0-config-size=false
    pcie-root-port-base.disable-acs=true
    intel-iommu.dma-drain=off
    Opteron_G3-x86_64-cpu.rdtscp=off
    Opteron_G4-x86_64-cpu.rdtscp=off
    Opteron_G4-x86_64-cpu.npt=off
    Opteron_G4-x86_64-cpu.nrip-save=off
    Opteron_G5-x86_64-cpu.rdtscp=off
    Opteron_G5-x86_64-cpu.npt=off
    Opteron_G5-x86_64-cpu.nrip-save=off
    EPYC-x86_64-cpu.npt=off
    EPYC-x86_64-cpu.nrip-save=off
    EPYC-IBPB-x86_64-cpu.npt=off
    EPYC-IBPB-x86_64-cpu.nrip-save=off
    Skylake-Client-x86_64-cpu.mpx=on
    Skylake-Client-IBRS-x86_64-cpu.mpx=on
    Skylake-Server-x86_64-cpu.mpx=on
    Skylake-Server-IBRS-x86_64-cpu.mpx=on
    Cascadelake-Server-x86_64-cpu.mpx=on
    Icelake-Client-x86_64-cpu.mpx=on
    Icelake-Server-x86_64-cpu.mpx=on
    Cascadelake-Server-x86_64-cpu.stepping=5
    x86_64-cpu.x-intel-pt-auto-level=off
`,
  "3.0": `
    x86_64-cpu.x-hv-synic-kvm-only=on
    Skylake-Server-x86_64-cpu.pku=off
    Skylake-Server-IBRS-x86_64-cpu.pku=off
`,
  "2.12": `
    hda-audio.use-timer=false
    cirrus-vga.global-vmstate=true
    VGA.global-vmstate=true
    vmware-svga.global-vmstate=true
    qxl-vga.global-vmstate=true
    x86_64-cpu.legacy-cache=on
    x86_64-cpu.topoext=off
    EPYC-x86_64-cpu.xlevel=0x8000000a
    EPYC-IBPB-x86_64-cpu.xlevel=0x8000000a
`,
  "2.11": `
    hpet.hpet-offset-saved=false
    virtio-blk-pci.vectors=2
    vhost-user-blk-pci.vectors=2
    e1000.migrate_tso_props=off
    x86_64-cpu.x-migrate-smi-count=off
    Skylake-Server-x86_64-cpu.clflushopt=off
`,
  "2.10": `
    virtio-mouse-device.wheel-axis=false
    virtio-tablet-device.wheel-axis=false
    x86_64-cpu.x-hv-max-vps=0x40
    i440FX-pcihost.x-pci-hole64-fix=off
    q35-pcihost.x-pci-hole64-fix=off
`,
  "2.9": `
    pci-bridge.shpc=off
    intel-iommu.pt=off
    virtio-net-device.x-mtu-bypass-backend=off
    pcie-root-port.x-migrate-msix=false
    mch.extended-tseg-mbytes=0
`,
  "2.8": `
    fw_cfg_mem.x-file-slots=0x10
    fw_cfg_io.x-file-slots=0x10
    pflash_cfi01.old-multiple-chip-handling=on
    pci-bridge.shpc=on
    pci-device.x-pcie-extcap-init=off
    virtio-pci.x-pcie-deverr-init=off
    virtio-pci.x-pcie-lnkctl-init=off
    virtio-pci.x-pcie-pm-init=off
    cirrus-vga.vgamem_mb=8
    isa-cirrus-vga.vgamem_mb=8
    x86_64-cpu.tcg-cpuid=off
    kvmclock.x-mach-use-reliable-get-clock=off
    ICH9-LPC.x-smi-broadcast=off
    x86_64-cpu.vmware-cpuid-freq=off
    Haswell-x86_64-cpu.stepping=1
`,
  "2.7": `
    virtio-pci.page-per-vq=on
    virtio-serial-device.emergency-write=off
    ioapic.version=0x11
    intel-iommu.x-buggy-eim=true
    virtio-pci.x-ignore-backend-features=on
    x86_64-cpu.l3-cache=off
    x86_64-cpu.full-cpuid-auto-level=off
    Opteron_G3-x86_64-cpu.family=15
    Opteron_G3-x86_64-cpu.model=6
    Opteron_G3-x86_64-cpu.stepping=1
    isa-pcspk.migrate=off
`,
  "2.6": `
    virtio-mmio.format_transport_address=off
    virtio-pci.disable-modern=on
    virtio-pci.disable-legacy=off
    x86_64-cpu.cpuid-0xb=off
    vmxnet3.romfile=
    x86_64-cpu.fill-mtrr-mask=off
    apic-common.legacy-instance-id=on
`,
  "2.5": `
    isa-fdc.fallback=144
    pvscsi.x-old-pci-configuration=on
    pvscsi.x-disable-pcie=on
    vmxnet3.x-old-msi-offsets=on
    vmxnet3.x-disable-pcie=on
`,
  "2.4": `
    e1000.extra_mac_registers=off
    virtio-pci.x-disable-pcie=on
    virtio-pci.migrate-extra=off
    fw_cfg_mem.dma_enabled=off
    fw_cfg_io.dma_enabled=off
    qemu32-x86_64-cpu.model-id=QEMU Virtual CPU version 2.4.0
    qemu64-x86_64-cpu.model-id=QEMU Virtual CPU version 2.4.0
    athlon-x86_64-cpu.model-id=QEMU Virtual CPU version 2.4.0
    Haswell-x86_64-cpu.abm=off
    Haswell-noTSX-x86_64-cpu.abm=off
    Broadwell-x86_64-cpu.abm=off
    Broadwell-noTSX-x86_64-cpu.abm=off
    host-x86_64-cpu.host-cache-info=on
    x86_64-cpu.check=off
    qemu64-x86_64-cpu.sse4a=on
    qemu64-x86_64-cpu.abm=on
    qemu64-x86_64-cpu.popcnt=on
    qemu32-x86_64-cpu.popcnt=on
    Opteron_G2-x86_64-cpu.rdtscp=on
    Opteron_G3-x86_64-cpu.rdtscp=on
    Opteron_G4-x86_64-cpu.rdtscp=on
    Opteron_G5-x86_64-cpu.rdtscp=on
`,
  "2.3": `
    pci-device.x-pcie-lnksta-dllla=off
    virtio-blk-pci.any_layout=off
    virtio-balloon-pci.any_layout=off
    virtio-serial-pci.any_layout=off
    virtio-9p-pci.any_layout=off
    virtio-rng-pci.any_layout=off
    x86_64-cpu.arat=off
    qemu64-x86_64-cpu.min-level=4
    kvm64-x86_64-cpu.min-level=5
    pentium3-x86_64-cpu.min-level=2
    n270-x86_64-cpu.min-level=5
    Conroe-x86_64-cpu.min-level=4
    Penryn-x86_64-cpu.min-level=4
    Nehalem-x86_64-cpu.min-level=4
    n270-x86_64-cpu.min-xlevel=0x8000000a
    Penryn-x86_64-cpu.min-xlevel=0x8000000a
    Conroe-x86_64-cpu.min-xlevel=0x8000000a
    Nehalem-x86_64-cpu.min-xlevel=0x8000000a
    Westmere-x86_64-cpu.min-xlevel=0x8000000a
    SandyBridge-x86_64-cpu.min-xlevel=0x8000000a
    IvyBridge-x86_64-cpu.min-xlevel=0x8000000a
    Haswell-x86_64-cpu.min-xlevel=0x8000000a
    qemu64-x86_64-cpu.model-id=QEMU Virtual CPU version 2.3.0
    qemu32-x86_64-cpu.model-id=QEMU Virtual CPU version 2.3.0
`,
  "2.2": `
    kvm64-x86_64-cpu.vme=off
    qemu64-x86_64-cpu.model-id=QEMU Virtual CPU version 2.2.0
    qemu32-x86_64-cpu.model-id=QEMU Virtual CPU version 2.2.0
`,
  "2.1": `
    intel-hda.old_msi_addr=on
    VGA.qemu-extended-regs=off
    secondary-vga.qemu-extended-regs=off
    virtio-scsi-pci.any_layout=off
    usb-mouse.usb_version=1
    usb-kbd.usb_version=1
    virtio-pci.virtio-pci-bus-master-bug-migration=on
    qemu64-x86_64-cpu.model-id=QEMU Virtual CPU version 2.1.0
    qemu32-x86_64-cpu.model-id=QEMU Virtual CPU version 2.1.0
`,
  "2.0": `
    virtio-scsi-pci.any_layout=off
    PIIX4_PM.memory-hotplug-support=off
    apic-common.version=0x11
    virtio-net-pci.guest_announce=off
    ICH9-LPC.memory-hotplug-support=off
    xio3130-downstream.power_controller_present=off
    ioh3420.power_controller_present=off
    pci-serial.prog_if=0
`,
  "1.7": `
    usb-device.msos-desc=no
    PIIX4_PM.acpi-pci-hotplug-with-bridge-support=off
    hpet.hpet-intcap=4
    qemu64-x86_64-cpu.model-id=QEMU Virtual CPU version 1.7.0
    qemu32-x86_64-cpu.model-id=QEMU Virtual CPU version 1.7.0
`,
  "1.6": `
    e1000.mitigation=off
    qemu64-x86_64-cpu.model=2
    qemu32-x86_64-cpu.model=3
    i440FX-pcihost.short_root_bus=1
    q35-pcihost.short_root_bus=1
    qemu64-x86_64-cpu.model-id=QEMU Virtual CPU version 1.6.0
    qemu32-x86_64-cpu.model-id=QEMU Virtual CPU version 1.6.0
`,
  "1.5": `
    Conroe-x86_64-cpu.model=2
    Conroe-x86_64-cpu.min-level=2
    Penryn-x86_64-cpu.model=2
    Penryn-x86_64-cpu.min-level=2
    Nehalem-x86_64-cpu.model=2
    Nehalem-x86_64-cpu.min-level=2
    virtio-net-pci.any_layout=off
    x86_64-cpu.pmu=on
    i440FX-pcihost.short_root_bus=0
    q35-pcihost.short_root_bus=0
    qemu64-x86_64-cpu.model-id=QEMU Virtual CPU version 1.5.0
    qemu32-x86_64-cpu.model-id=QEMU Virtual CPU version 1.5.0
`,
  "1.4": `
    scsi-disk-base.discard_granularity=0
    ide-hd.discard_granularity=0
    ide-cd.discard_granularity=0
    virtio-blk-pci.discard_granularity=0
    virtio-serial-pci.vectors=0xffffffff
    virtio-net-pci.ctrl_guest_offloads=off
    486-x86_64-cpu.model=0
    n270-x86_64-cpu.movbe=off
    Westmere-x86_64-cpu.pclmulqdq=off
    qemu64-x86_64-cpu.model-id=QEMU Virtual CPU version 1.4.0
    qemu32-x86_64-cpu.model-id=QEMU Virtual CPU version 1.4.0
`,
};
