/** A distribution's name of a machine type. */
export interface MachineAlias {
  /** The whole name; its first group is the family. */
  pattern: RegExp;
  /** The equivalent upstream machine; `$1` is the family. */
  upstream: string;
  distribution: "Ubuntu" | "RHEL" | "Proxmox VE" | "a distribution";
  /** Differences from the upstream machine, besides the name. */
  differs: readonly string[];
  /** Source of this entry. */
  source: string;
}

/** From the packages of Ubuntu 20.04 (QEMU 4.2) and 24.04 (QEMU 8.2). */
const PATCH = "Ubuntu's qemu, debian/patches/ubuntu/define-ubuntu-machine-types.patch";
const PACKAGE = "Ubuntu's package of that release has this QEMU; the patch of the machine type itself was not read";
const DROPPED = "Ubuntu's package of that release; the machine type was dropped before 20.04 (the patch there says so)";

const PHYS_BITS = "-hpb: the CPU has host-phys-bits=on";
const NO_SPLIT = "kernel-irqchip is not split (upstream 4.0 splits it; 4.0.1 does not)";

const X86 = "pc-i440fx|pc-q35";
const ALL = `${X86}|pseries|s390-ccw-virtio`;

function ubuntu(
  name: string,
  version: string,
  { families = ALL, differs = [], source = PATCH }: { families?: string; differs?: string[]; source?: string } = {},
): MachineAlias {
  const pattern = new RegExp(`^(${families})-${name}$`, "u");
  return { pattern, upstream: `$1-${version}`, distribution: "Ubuntu", differs, source };
}

/** Ubuntu, by release names. Where two rows match, the first one applies. */
const UBUNTU: readonly MachineAlias[] = [
  {
    pattern: /^(pc)-1\.0-(?:precise|qemu-kvm)$/u,
    upstream: "$1-1.0",
    distribution: "Ubuntu",
    differs: ["it is qemu-kvm's machine, not QEMU's: some devices' state has another layout"],
    source: DROPPED,
  },
  ubuntu("precise", "1.0", { families: "pc", source: DROPPED }),
  ubuntu("trusty", "2.0", { families: X86 }),
  ubuntu("utopic", "2.1", { families: X86, source: DROPPED }),
  ubuntu("vivid", "2.2", { families: X86, source: DROPPED }),
  ubuntu("wily", "2.4", {
    families: X86,
    differs: ["a mixture of 2.3 and 2.4, without configuration section and footers, as 2.3"],
  }),
  ubuntu("xenial", "2.5"),
  ubuntu("yakkety", "2.6"),
  ubuntu("zesty", "2.8"),
  ubuntu("artful", "2.10"),
  ubuntu("bionic", "2.11"),
  ubuntu("bionic-hpb", "2.11", { families: X86, differs: [PHYS_BITS] }),
  ubuntu("bionic-sxxm", "2.11-sxxm", {
    families: "pseries",
    differs: ["upstream has it from 2.12 on only: cap-cfpc=workaround,cap-sbbc=workaround,cap-ibs=fixed-ccd"],
  }),
  ubuntu("cosmic", "2.11", { families: "pc-q35" }),
  ubuntu("cosmic", "2.12"),
  ubuntu("cosmic-hpb", "2.12", { families: X86, differs: [PHYS_BITS] }),
  ubuntu("disco", "3.1"),
  ubuntu("disco-hpb", "3.1", { families: X86, differs: [PHYS_BITS] }),
  ubuntu("eoan", "4.0", { families: "pc-q35", differs: [NO_SPLIT] }),
  ubuntu("eoan", "3.1", { families: "s390-ccw-virtio" }),
  ubuntu("eoan", "4.0"),
  ubuntu("eoan-hpb", "4.0", { families: X86, differs: [PHYS_BITS] }),
  ubuntu("focal", "4.0", {
    families: "pc-i440fx",
    differs: ["4.0, as the patch of 24.04 has it, though Ubuntu 20.04 has QEMU 4.2"],
  }),
  ubuntu("focal-hpb", "4.0", { families: "pc-i440fx", differs: [PHYS_BITS] }),
  ubuntu("focal", "4.2"),
  ubuntu("focal-hpb", "4.2", { families: "pc-q35", differs: [PHYS_BITS] }),
  ubuntu("groovy", "5.0"),
  ubuntu("groovy-hpb", "5.0", { families: X86, differs: [PHYS_BITS] }),
  ubuntu("hirsute", "5.2"),
  ubuntu("hirsute-hpb", "5.1", { families: "pc-i440fx", differs: [PHYS_BITS] }),
  ubuntu("hirsute-hpb", "5.2", { families: "pc-q35", differs: [PHYS_BITS] }),
  ubuntu("impish", "6.0"),
  ubuntu("impish-hpb", "6.0", { families: X86, differs: [PHYS_BITS] }),
  ubuntu("jammy", "6.2"),
  ubuntu("jammy-v2", "6.2", { differs: ["a second edition: Ubuntu changed something after the release"] }),
  ubuntu("jammy-hpb", "6.2", { families: X86, differs: [PHYS_BITS] }),
  ubuntu("kinetic", "6.2", { families: "pseries|s390-ccw-virtio" }),
  ubuntu("kinetic", "7.0"),
  ubuntu("kinetic-hpb", "7.0", { families: X86, differs: [PHYS_BITS] }),
  ubuntu("lunar", "7.2"),
  ubuntu("lunar-hpb", "7.2", { families: X86, differs: [PHYS_BITS] }),
  ubuntu("mantic", "8.0"),
  ubuntu("mantic-hpb", "8.0", { families: X86, differs: [PHYS_BITS] }),
  ubuntu("noble", "8.2"),
  ubuntu("noble-v2", "8.2", { differs: ["a second edition: Ubuntu changed something after the release"] }),
  ubuntu("oracular", "9.0", { source: PACKAGE }),
  ubuntu("plucky", "9.2", { source: PACKAGE }),
  ubuntu("questing", "10.1", { source: PACKAGE }),
];

const RHEL_X86 = [
  "S3 and S4 are off: -global PIIX4_PM.disable_s3=1 -global PIIX4_PM.disable_s4=1 (pc-q35: ICH9-LPC)",
  "no HPET (-machine hpet=off), no parallel port, no floppy controller (pc-q35)",
  "the CPU has host-phys-bits=on",
  "SMBIOS names Red Hat, KVM",
];
const MACHINE_C = "Red Hat's qemu-kvm, hw/core/machine.c and hw/i386/pc_q35.c (RHEL 9.4 and 9.8)";
const REBASE = "the QEMU that this RHEL has (or RHEL-AV/RHV for it): the machine type itself was not read";

function rhel(name: string, version: string, compat: string, source = MACHINE_C): MachineAlias {
  const escaped = name.replaceAll(".", String.raw`\.`);
  const pattern = new RegExp(`^(${ALL}|virt)-rhel${escaped}(?:-sxxm)?$`, "u");
  const differs = [...(compat === "" ? [] : [compat]), ...RHEL_X86];
  return { pattern, upstream: `$1-${version}`, distribution: "RHEL", differs, source };
}

/**
 * Red Hat: RHEL, CentOS, Alma, Rocky, Oracle, oVirt, OpenShift. Older machines have the properties of the upstream
 * machine's hw_compat.
 */
const RHEL: readonly MachineAlias[] = [
  {
    pattern: /^(rhel6)\.[0-6]\.0$/u,
    upstream: "pc-0.12",
    distribution: "RHEL",
    differs: ["RHEL 6 has QEMU 0.12 with much of later releases in it: no upstream QEMU is known to load it"],
    source: "RHEL 6's qemu-kvm 0.12.1",
  },
  rhel("7.0.0", "1.5", "a mixture of 1.5 to 2.0", REBASE),
  rhel("7.1.0", "2.1", "", REBASE),
  rhel("7.2.0", "2.3", "it has a configuration section and footers only where the host says so", REBASE),
  rhel("7.3.0", "2.6", "", REBASE),
  rhel("7.4.0", "2.9", "", REBASE),
  rhel("7.5.0", "2.10", "", REBASE),
  rhel("7.6.0", "2.12", "parts of 2.11: x-migrate-smi-count=off"),
  rhel("8.0.0", "3.1", ""),
  rhel("8.1.0", "4.1", ""),
  rhel("8.2.0", "4.2", ""),
  rhel("8.3.0", "5.1", ""),
  rhel("8.4.0", "5.2", ""),
  rhel("8.5.0", "6.0", "parts of 6.1"),
  rhel("8.6.0", "6.2", "vhost-vsock without seqpacket"),
  rhel("9.0.0", "6.2", "parts of 7.0"),
  rhel("9.2.0", "7.2", "virtio-rng-pci has vectors=0 up to 9.1"),
  rhel("9.4.0", "8.2", "parts of 8.0 and 9.0: virtio-mem dynamic-memslots"),
  rhel("9.6.0", "9.1", ""),
  rhel("9.8.0", "10.1", ""),
  rhel("10.0.0", "9.1", "", REBASE),
  rhel("10.2.0", "10.1", "", REBASE),
];

/** Tried in this order; the last two are rules, not names. */
export const MACHINE_ALIASES: readonly MachineAlias[] = [
  ...UBUNTU,
  ...RHEL,
  {
    pattern: /^([a-z][\w-]*)-(?<version>\d+\.\d+(?:\.\d+)?)\+pve\d+$/u,
    upstream: "$1-$<version>",
    distribution: "Proxmox VE",
    differs: ["+pveN: Proxmox VE's own defaults on its command line, not other devices in the machine"],
    source: "Proxmox VE, pve-qemu and qemu-server (QemuServer/Machine.pm): +pveN counts changes of the command line",
  },
  {
    pattern: /^(pc-i440fx|pc-q35|pseries|virt|s390-ccw-virtio)-(?<version>\d+\.\d+)[-+_][\w.+-]+$/u,
    upstream: "$1-$<version>",
    distribution: "a distribution",
    differs: ["the rest of the name is the distribution's, and with it what it changed"],
    source: "the form of the name alone",
  },
];
