/** Boards whose devices are what their name says: integratorcp, microbit, arduino-uno, ... */
import type { Survey } from "../survey.js";
import { EVERYWHERE, mmioArguments, names, onMmio, onPci } from "./place.js";
import { has, type Target } from "./types.js";

/**
 * Names that boards give main memory of which -m says the size (`default-ram-id` of QMP query-machines, QEMU 5.2 to
 * 11.1).
 */
const MEMORY = names(`DDR an5206.ram bpim2u.ram cubieboard.ram ddr ddr-ram ef405ep.ram ext-sdram highbank.dram hppa.ram
  imx25.ram imx8mm-evk.ram imx8mp-evk.ram integrator.ram kzm.ram loongarch.ram m68k_mac.ram m68k_virt.ram mach-virt.ram
  mcf5208.ram mcimx6ul-evk.ram mcimx7d-sabre.ram microchip.icicle.kit.ram mpc8544ds.ram mps.ram musicpal.ram next.ram
  omap1.dram omap2.dram orangepi.ram pegasos2.ram pnv.ram ppc405.ram ppc4xx.sdram ppc_core99.ram ppc_heathrow.ram
  ppc_spapr.ram ram riscv.lowrisc.ibex.ram riscv.shakti.c.ram riscv.sifive.e.ram riscv.sifive.u.ram riscv.spike.ram
  riscv_virt_board.ram s390.ram sabrelite.ram sbsa-ref.ram strongarm.sdram taihu_405ep.ram versatile.ram
  vexpress.highmem zynq.ext_ram`);

export function mainMemory({ blocks }: Survey): string | undefined {
  return [...blocks.keys()].find((name) => MEMORY.has(name));
}

/** Boards whose number of CPUs follows -smp. */
const COUNTED = /^(?:virt|loongson3|sifive_u|spike|powernv)/u;

/** Machine `virt` of m68k (QEMU hw/m68k/virt.c, 6.0 to 11.1): four controllers with 32 interrupts each. */
const M68K_VIRT = { base: 0xff010000, step: 0x200, count: 128 };

export const board: Target = {
  fits: ({ inspection, devices }) => inspection.machine !== null && inspection.machine !== "none" && devices.length > 0,
  advise(survey) {
    const { machine } = survey.inspection;
    const mmio = machine?.startsWith("virt") === true ? onMmio(survey, M68K_VIRT) : undefined;
    // Devices that are on the board have sections like those that were asked for; only PCI devices tell their place.
    const usual = has(survey, "slirp") || mainMemory(survey) === undefined;
    const onBus = (mmio?.rest ?? survey).devices.filter(({ name }) => /^[0-9a-f]{4}:[0-9a-f]{2}:/u.test(name));
    const pci = usual ? undefined : onPci({ ...survey, devices: onBus }, names(EVERYWHERE));
    const cpus = survey.devices.filter(({ name }) => name === "cpu").length;
    return {
      program: "the qemu-system-* that has this machine",
      machine: [],
      nodefaults: false,
      arguments: [...(cpus > 1 && COUNTED.test(machine ?? "") ? ["-smp", `${cpus}`] : []), ...mmioArguments(survey)],
      own: (block) => !MEMORY.has(block),
      slots: 0,
      devices: [...(pci?.devices ?? []), ...(mmio?.devices ?? [])],
      unnamed: [...(pci?.unnamed ?? []), ...(mmio?.unnamed ?? [])],
      notes: [
        "the sections of this board are taken for its own devices: what was added to them with -device does not show",
        "the CPU model (-cpu) does not show where the board has a choice",
      ],
    };
  },
};
