/**
 * What machine types of each release set so that their devices stay what they were in it, beside all that newer ones
 * set: `driver.property=value`, one a line. Source: `query-machines` with compat-props of QEMU 11.1 (pc-q35, of which
 * pc-i440fx has all but the last).
 */
export const NEWER_PROPERTIES: Readonly<Record<string, string>> = {
  "11.0": `
    virtio-mmio.x-override-queue-size=1024
    chardev-vc.encoding=cp437
    tpm-crb.cap-chunk=off
    tpm-crb.x-allow-chunk-migration=off
    tpm-tis-device.ppi=off
    arm-smmuv3.ats=off
    arm-smmuv3.ril=on
    arm-smmuv3.ssidsize=0
    arm-smmuv3.oas=44
    migration.switchover-ack-legacy=on
`,
  "10.2": `
    scsi-block.migrate-pr=off
    isa-cirrus-vga.global-vmstate=true
`,
  "10.1": `
    acpi-ged.x-has-hest-addr=false
    virtio-net-device.host_tunnel=off
    virtio-net-device.host_tunnel_csum=off
    virtio-net-device.guest_tunnel=off
    virtio-net-device.guest_tunnel_csum=off
    mch.extended-tseg-mbytes=16
`,
  "10.0": `
    scsi-hd.dpofua=off
    vfio-pci.x-migration-load-config-after-iter=off
    ramfb.use-legacy-x86-rom=true
    vfio-pci-nohotplug.use-legacy-x86-rom=true
    chardev-qemu-vdagent.x-migration-blocked=true
    x86_64-cpu.x-consistent-cache=false
    x86_64-cpu.x-vendor-cpuid-only-v2=false
    x86_64-cpu.x-arch-cap-always-on=true
    x86_64-cpu.x-pdcm-on-even-without-pmu=true
`,
  "9.2": `
    arm-cpu.backcompat-pauth-default-use-qarma5=true
    virtio-balloon-pci.vectors=0
    virtio-balloon-pci-transitional.vectors=0
    virtio-balloon-pci-non-transitional.vectors=0
    virtio-mem-pci.vectors=0
    migration.multifd-clean-tls-termination=false
    migration.send-switchover-start=off
    vfio-pci.x-migration-multifd-transfer=off
`,
  "9.1": `
    pci-device.x-pcie-ext-tag=false
    ICH9-LPC.x-smi-swsmi-timer=off
    ICH9-LPC.x-smi-periodic-timer=off
    intel-iommu.stale-tm=on
    intel-iommu.aw-bits=39
`,
  "9.0": `
    arm-cpu.backcompat-cntfrq=true
    scsi-hd.migrate-emulated-scsi-request=false
    scsi-cd.migrate-emulated-scsi-request=false
    vfio-pci.skip-vsc-check=false
    virtio-pci.x-pcie-pm-no-soft-reset=off
    sd-card.spec_version=2
    x86_64-cpu.x-amd-topoext-features-only=false
    x86_64-cpu.x-l1-cache-per-thread=false
    x86_64-cpu.guest-phys-bits=0
    sev-guest.legacy-vm-type=on
    x86_64-cpu.legacy-multi-node=on
`,
  "8.2": `
    migration.zero-page-detection=legacy
    virtio-iommu-pci.granule=4k
    virtio-iommu-pci.aw-bits=64
    virtio-gpu-device.x-scanout-vmstate-version=1
`,
  "8.1": `
    base-pci-bridge.x-pci-express-writeable-slt-bug=true
    ramfb.x-migrate=off
    vfio-pci-nohotplug.x-ramfb-migrate=off
    igb.x-pcie-flr-init=off
    virtio-net-device.host_uso=off
    virtio-net-device.guest_uso4=off
    virtio-net-device.guest_uso6=off
`,
  "8.0": `
    migration.multifd-flush-after-each-section=on
    pci-device.x-pcie-ari-nextfn-1=on
    virtio-mem.unplugged-inaccessible=auto
`,
  "7.2": `
    e1000e.migrate-timadj=off
    virtio-mem.x-early-migration=false
    migration.x-preempt-pre-7-2=true
    pci-device.x-pcie-err-unc-mask=off
    ICH9-LPC.noreboot=true
`,
  "7.1": `
    virtio-device.queue_reset=false
    virtio-rng-pci.vectors=0
    virtio-rng-pci-transitional.vectors=0
    virtio-rng-pci-non-transitional.vectors=0
`,
  "7.0": `
    arm-gicv3-common.force-8-bit-prio=on
    nvme-ns.eui64-default=on
`,
  "6.2": `
    PIIX4_PM.x-not-migrate-acpi-index=on
    virtio-mem.unplugged-inaccessible=off
`,
  "6.1": `
    vhost-user-vsock-device.seqpacket=off
    nvme-ns.shared=off
    x86_64-cpu.hv-version-id-build=0x1bbc
    x86_64-cpu.hv-version-id-major=0x0006
    x86_64-cpu.hv-version-id-minor=0x0001
    ICH9-LPC.x-keep-pci-slot-hpc=false
`,
  "6.0": `
    gpex-pcihost.allow-unmapped-accesses=false
    i8042.extended-state=false
    nvme-ns.eui64-default=off
    e1000.init-vet=off
    e1000e.init-vet=off
    vhost-vsock-device.seqpacket=off
    qemu64-x86_64-cpu.family=6
    qemu64-x86_64-cpu.model=6
    qemu64-x86_64-cpu.stepping=3
    x86_64-cpu.x-vendor-cpuid-only=off
    ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off
    ICH9-LPC.x-keep-pci-slot-hpc=true
`,
  "5.2": `
    ICH9-LPC.smm-compat=on
    PIIX4_PM.smm-compat=on
    virtio-blk-device.report-discard-granularity=off
    virtio-net-pci-base.vectors=3
    nvme.msix-exclusive-bar=on
    ICH9-LPC.x-smi-cpu-hotunplug=off
`,
};
