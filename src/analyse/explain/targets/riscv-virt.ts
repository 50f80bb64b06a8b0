/** Machine `virt` of RISC-V. Source: QEMU hw/riscv/virt.c (5.2 to 11.1), and the streams of its options. */
import { EVERYWHERE, mmioArguments, names, onMmio, onPci } from "./place.js";
import { has, smpArguments, type Target } from "./types.js";

const OWN = names(`${EVERYWHERE} riscv_mtimer riscv_sifive_plic riscv_aplic riscv_imsic serial goldfish_rtc
  pflash_cfi01 0000:00:00.0/gpex_root virt_acpi_build acpi-ged`);

export const riscvVirt: Target = {
  fits: ({ blocks, inspection, devices }) =>
    /^virt(?:-|$)/u.test(inspection.machine ?? "virt") &&
    (blocks.has("riscv_virt_board.mrom") || devices.some(({ name }) => name.startsWith("riscv_"))),
  advise(survey) {
    const mmio = onMmio(survey, { base: 0x10001000, step: 0x1000, count: 8 });
    const pci = onPci(mmio.rest, OWN);
    const aia = has(survey, "riscv_imsic") ? ["aia=aplic-imsic"] : has(survey, "riscv_aplic") ? ["aia=aplic"] : [];
    return {
      program: "qemu-system-riscv64",
      machine: aia,
      nodefaults: true,
      arguments: [...smpArguments(survey), "-bios", "none", ...mmioArguments(survey)],
      own: (block) => /^(?:riscv_virt_board\.mrom|virt\.flash[01]|\/rom@.*)$/u.test(block),
      slots: 0,
      devices: [...pci.devices, ...mmio.devices],
      unnamed: [...pci.unnamed, ...mmio.unnamed],
      notes: [
        "-bios none: firmware (OpenSBI, U-Boot) is in the guest's memory and flash, which the stream has; a reset needs the source's -bios and pflash files",
        "the CPU model (-cpu) does not show",
        ...pci.notes,
        ...mmio.notes,
      ],
    };
  },
};
