import { deviceToPlain, type DeviceState, type PlainDevice } from "../../codec/vmstate/index.js";
import { CpuFields } from "./cpu-fields.js";

/** CPUs by their kind of registers. x86 is both 32 and 64 bits. */
export type Architecture = "x86" | "aarch64" | "arm" | "riscv" | "s390x" | "ppc64" | "ppc";

/** One CPU of a saved guest, from its "cpu" section. */
export interface CpuState {
  architecture: Architecture;
  /** Number of the CPU: the instance of its section. */
  instance: number;
  /**
   * All fields of the section, as `deviceToPlain` returns them. x86: `taskPriority` is the register of the CPU's APIC, 0
   * to 255, from section "apic".
   */
  device: PlainDevice & { taskPriority?: number };
}

/** The CPU in a "cpu" section; undefined for sections of another form (for example a CPU without a known MMU). */
export function cpuStateOf(instance: number, state: DeviceState): CpuState | undefined {
  const device = deviceToPlain(state);
  const architecture = architectureOf(new CpuFields(device));
  return architecture === undefined ? undefined : { architecture, instance, device };
}

/** The kind of CPU that has these fields: each QEMU names its registers differently (target/X/machine.c, 7.2). */
function architectureOf(fields: CpuFields): Architecture | undefined {
  if (fields.has("env.segs") && fields.has("env.eip")) return "x86";
  if (fields.has("env.xregs")) return fields.has("cpreg_vmstate_indexes") && hasFpcr(fields) ? "aarch64" : "arm";
  if (fields.has("env.gpr") && fields.has("env.mstatus")) return "riscv";
  if (fields.has("env.psw.mask")) return "s390x";
  if (fields.has("env.nip") && fields.has("env.crf")) return fields.isWide("env.gpr") ? "ppc64" : "ppc";
  return undefined;
}

/** KVM's id of FPCR: no 32-bit ARM CPU has it. */
const FPCR = 0x60300000_0013da20n;

function hasFpcr(fields: CpuFields): boolean {
  const count = Number(fields.number("cpreg_vmstate_array_len"));
  return fields.array("cpreg_vmstate_indexes", count).includes(FPCR);
}
