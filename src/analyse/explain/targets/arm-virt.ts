/** Machine `virt` of ARM. Source: QEMU hw/arm/virt.c (5.2 to 11.1), and the streams of its options. */
import { isStructState, type StructState } from "../../../codec/vmstate/index.js";
import type { Survey } from "../survey.js";
import { armCpu } from "./arm-cpu.js";
import { EVERYWHERE, mmioArguments, names, onMmio, onPci } from "./place.js";
import { count, first, has, smpArguments, type Target, type TargetAdvice } from "./types.js";

/** Sections of the machine itself. */
const OWN = names(`${EVERYWHERE} arm_gic arm_gicv3 arm_gicv3_its arm_gicv2m pl011 pl031 pl061 gpio-key
  pflash_cfi01 0000:00:00.0/gpex_root acpi-ged virt_acpi_build smmuv3 cfi.pflash01 arm_gicv5 tpm-tis armv7m_nvic`);

const BLOCKS = /^(?:virt\.flash[01]|mach-virt\.(?:secure-)?tag|virt\.secure-ram|\/rom@.*)$/u;

export const armVirt: Target = {
  fits: ({ blocks, inspection, devices }) =>
    /^virt(?:-|$)/u.test(inspection.machine ?? "virt") &&
    (blocks.has("mach-virt.ram") || devices.some(({ name }) => name.startsWith("arm_gic"))),
  advise,
};

function advise(survey: Survey): TargetAdvice {
  const cpu = armCpu(survey);
  const notes: string[] = [];
  const mmio = onMmio(survey, { base: 0xa000000, step: 0x200, count: 32 });
  const pci = onPci(mmio.rest, OWN);
  const firmware = has(survey, "acpi-ged");
  if (cpu.kvm) {
    notes.push("the system registers are those of KVM: -accel kvm -cpu host, on a host with the same CPU");
  } else if (cpu.model === undefined) {
    notes.push("no CPU model that is known has these system registers: -cpu must be the source's");
  } else {
    notes.push(
      `CPU ${cpu.model}: by its identification registers; other features that were taken from it or added do not show`,
    );
  }
  if (firmware) {
    notes.push(
      `FLASH0, FLASH1: the source's firmware and its variables, in files of ${survey.blocks.get("virt.flash0")?.length ?? 67108864} bytes (or -bios); their contents are in the stream`,
    );
  }
  return {
    program: "qemu-system-aarch64 (qemu-system-arm for 32-bit CPUs)",
    machine: machineProperties(survey, cpu),
    nodefaults: true,
    arguments: [
      ...(cpu.kvm ? ["-accel", "kvm", "-cpu", "host"] : cpu.model === undefined ? [] : ["-cpu", cpu.model]),
      ...smpArguments(survey),
      ...(firmware ? [0, 1].flatMap((n) => ["-drive", `if=pflash,format=raw,unit=${n},file=FLASH${n}`]) : []),
      // Since 9.1 a second -serial makes a second UART; with secure=on there is one anyway.
      ...(count(survey, "pl011") > 1 && !survey.blocks.has("virt.secure-ram")
        ? ["-serial", "null", "-serial", "null"]
        : []),
      ...mmioArguments(survey),
    ],
    own: (block) => BLOCKS.test(block),
    slots: memorySlots(survey),
    devices: [...pci.devices, ...mmio.devices],
    unnamed: [...pci.unnamed, ...mmio.unnamed],
    notes: [...notes, ...pci.notes, ...mmio.notes],
  };
}

function machineProperties(survey: Survey, { el2 }: { el2: boolean }): string[] {
  const { blocks } = survey;
  const secure = blocks.has("virt.secure-ram");
  const gic3 = has(survey, "arm_gicv3");
  return [
    ...(gic3 ? ["gic-version=3"] : has(survey, "arm_gic") ? ["gic-version=2"] : []),
    ...(gic3 && !has(survey, "arm_gicv3_its") ? ["its=off"] : []),
    ...(secure ? ["secure=on"] : []),
    ...(el2 && (!secure || virtualized(survey)) ? ["virtualization=on"] : []),
    ...([...blocks.keys()].some((name) => name.startsWith("mach-virt.tag")) ? ["mte=on"] : []),
    ...(has(survey, "smmuv3") ? ["iommu=smmuv3"] : []),
    ...(has(survey, "virt_acpi_build") ? [] : ["acpi=off"]),
  ];
}

/**
 * With EL3, QEMU lists registers of EL2 without EL2 too, as constants: the CPU interface of the GIC shows whether it
 * has EL2.
 */
function virtualized(survey: Survey): boolean {
  const gic = first(survey, "arm_gicv3") ?? first(survey, "arm_gic");
  return gic?.state !== undefined && hasSubsection(gic.state, /virt/u);
}

function hasSubsection(state: StructState, name: RegExp): boolean {
  const inside = Object.values(state.fields).flatMap((value) => (Array.isArray(value) ? value : [value]));
  return (
    state.subsections.some((sub) => name.test(sub.description.vmsdName ?? "") || hasSubsection(sub, name)) ||
    inside.some((value) => isStructState(value) && hasSubsection(value, name))
  );
}

/** Slots of memory devices: the entries of the hotplug controller's table. */
function memorySlots(survey: Survey): number {
  const memory = first(survey, "acpi-ged")?.state?.subsections.find(
    ({ description }) => description.vmsdName === "acpi-ged/memhp",
  );
  const inner = memory?.fields["memhp_state"];
  const devs = inner !== undefined && isStructState(inner) ? inner.fields["devs"] : undefined;
  return Array.isArray(devs) ? devs.length : 0;
}
