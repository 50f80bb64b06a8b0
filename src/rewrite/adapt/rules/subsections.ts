import type { SubsectionRule } from "./types.js";

const CPU_SOURCE = "the names in qemu-system-x86_64 of 5.2, 7.2, 10.0 and 11.1; target/i386/machine.c";

const ARM_SOURCE = "the names in qemu-system-aarch64 of 7.2, 10.0 and 11.1; target/arm/machine.c";
/** No timer is set. */
const UNARMED = (1n << 64n) - 1n;

/**
 * Subsections that not every QEMU knows, of what `-dump-vmstate` does not show: CPUs, elements of
 * lists. Those of devices are asked for.
 * Only a destination whose release is known to lack one is spared it.
 */
export const SUBSECTION_RULES: readonly SubsectionRule[] = [
  {
    name: "cpu-error-code",
    subsection: "cpu/error_code",
    lackedUpTo: "10.0",
    weight: "unused",
    reason:
      "the error code of the last exception, which QEMU up to 10.0 does not save: it counts while one is delivered",
    between: ["10.0", "11.1"],
    source: CPU_SOURCE,
  },
  {
    name: "wfxt-timer",
    subsection: "cpu/wfxt-timer",
    lackedUpTo: "10.0",
    weight: "guest",
    reason: "when an Arm CPU that waits with a timeout (WFIT, WFET) goes on; QEMU 10.0 has it of such CPUs alone",
    harmless: ({ fields: { wfxt_timer: time } }) => time === UNARMED,
    between: ["7.2", "10.0"],
    source: "streams of cortex-a72 and max of 7.2, 10.0 and 11.1; 10.0 ends when it loads it for another CPU",
  },
  {
    name: "uefi-variable-digest",
    subsection: "uefi-variable-digest",
    lackedUpTo: "10.0",
    weight: "guest",
    reason: "the digest of a UEFI variable, which QEMU up to 10.0 does not know",
    between: ["10.0", "11.1"],
    source:
      "streams of uefi-vars-x64: 11.1 saves an empty one, 10.0 refuses it (-dump-vmstate shows no list's elements)",
  },
  {
    name: "wait-event",
    subsection: "cpu/event",
    lackedUpTo: "10.0",
    weight: "unused",
    reason: "that an event came for WFE, for which QEMU up to 10.0 does not wait",
    between: ["10.0", "11.1"],
    source: ARM_SOURCE,
  },
  ...lacking("10.0", "11.1", ["cpu/fpmr", "cpu/pstate64", "cpu/syndrome64", "cpu/zt0"]),
  ...lacking("10.0", "11.1", ["cpu/apx", "cpu/cet", "cpu/cet_shstk", "cpu/msr_pl0_ssp"]),
  ...lacking("7.2", "10.0", ["cpu/fred", "cpu/msr_hwcr", "cpu/xen_vcpu"]),
  ...lacking("5.2", "7.2", [
    "cpu/amd_tsc_scale_msr",
    "cpu/arch_lbr",
    "cpu/intel_amx_xtile",
    "cpu/intel_sgx",
    "cpu/msr_xfd",
    "cpu/pdptrs",
    "cpu/pkrs",
    "cpu/svm_guest",
    "cpu/triple_fault",
  ]),
];

function lacking(before: string, since: string, names: readonly string[]): SubsectionRule[] {
  return names.map((subsection) => ({
    name: `subsection:${subsection}`,
    subsection,
    lackedUpTo: before,
    weight: "guest",
    reason: `registers that QEMU ${before} does not have: the guest uses them`,
    between: [before, since],
    source: CPU_SOURCE,
  }));
}
