import { CpuFields } from "../../../guest/cores/cpu-fields.js";
import type { CpuState } from "../../../guest/cores/cpu-state.js";
import { aarch64Features, armFeatures, powerFeatures, riscvFeatures, s390Features } from "./others.js";
import type { Feature, Register } from "./places.js";
import { x86Features } from "./x86.js";

export type { Register } from "./places.js";

/** The registers of one kind of CPU. */
export interface RegisterSet {
  /** GDB's name of the architecture. */
  architecture: string;
  features: readonly Feature[];
  /** By GDB's number, ascending. */
  registers: ReadonlyMap<number, Register>;
}

/** The registers of a guest whose first CPU this is. */
export function registersOf({ architecture, device }: CpuState): RegisterSet {
  const fields = new CpuFields(device);
  switch (architecture) {
    case "x86": {
      const wide = fields.isWide("env.regs");
      return setOf(wide ? "i386:x86-64" : "i386", x86Features(wide));
    }
    case "aarch64":
      return setOf("aarch64", aarch64Features(fields.has("fpcr", "cpu/vfp/fpcr_fpsr")));
    case "arm":
      return setOf("arm", armFeatures());
    case "riscv": {
      const wide = fields.number("env.misa_mxl") !== 1n;
      return setOf(wide ? "riscv:rv64" : "riscv:rv32", riscvFeatures(wide));
    }
    case "s390x":
      return setOf("s390:64-bit", s390Features());
    case "ppc64":
      return setOf("powerpc:common64", powerFeatures(true));
    case "ppc":
      return setOf("powerpc:common", powerFeatures(false));
  }
}

function setOf(architecture: string, features: readonly Feature[]): RegisterSet {
  const registers = new Map<number, Register>();
  let next = 0;
  for (const register of features.flatMap((feature) => feature.registers)) {
    const number = register.number ?? next;
    registers.set(number, register);
    next = number + 1;
  }
  return { architecture, features, registers };
}

/** MSR.LE of a POWER CPU. */
const POWER_LE = 1n;

/** Byte order of registers in packets: the CPU's own. */
export function isLittle({ architecture, device }: CpuState): boolean {
  if (architecture === "s390x") return false;
  if (architecture !== "ppc64" && architecture !== "ppc") return true;
  return (new CpuFields(device).number("env.msr") & POWER_LE) !== 0n;
}
