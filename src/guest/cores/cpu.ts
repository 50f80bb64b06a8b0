import type { DeviceState } from "../../codec/vmstate/index.js";
import { deviceToPlain } from "../../codec/vmstate/index.js";

/** A segment register. */
export interface SegmentRegister {
  selector: bigint;
  base: bigint;
  limit: bigint;
  flags: bigint;
}

/** An x86_64 CPU's registers by their names. */
export interface CpuRegisters {
  /** rax, rbx, ..., r15, rip, rflags. */
  general: Record<string, bigint>;
  /** es, cs, ss, ds, fs, gs, ldt, tr, gdt, idt. */
  segments: Record<string, SegmentRegister>;
  /** cr0, cr2, cr3, cr4, xcr0. */
  control: Record<string, bigint>;
  /** dr0 to dr3, dr6, dr7. */
  debug: Record<string, bigint>;
  /** By the usual names of the MSRs. */
  msrs: Record<string, bigint>;
}

export const GENERAL: readonly string[] = [
  "rax",
  "rcx",
  "rdx",
  "rbx",
  "rsp",
  "rbp",
  "rsi",
  "rdi",
  "r8",
  "r9",
  "r10",
  "r11",
  "r12",
  "r13",
  "r14",
  "r15",
];
export const SEGMENTS: readonly string[] = ["es", "cs", "ss", "ds", "fs", "gs"];
/** MSRs by their usual names, and their fields; the later ones are in subsections. */
export const MSRS: Readonly<Record<string, string>> = {
  EFER: "env.efer",
  STAR: "env.star",
  LSTAR: "env.lstar",
  CSTAR: "env.cstar",
  FMASK: "env.fmask",
  KERNEL_GS_BASE: "env.kernelgsbase",
  SYSENTER_CS: "env.sysenter_cs",
  SYSENTER_ESP: "env.sysenter_esp",
  SYSENTER_EIP: "env.sysenter_eip",
  TSC: "env.tsc",
  TSC_AUX: "env.tsc_aux",
  PAT: "env.pat",
  MTRR_DEF_TYPE: "env.mtrr_deftype",
  MCG_CAP: "env.mcg_cap",
  MCG_STATUS: "env.mcg_status",
  MCG_CTL: "env.mcg_ctl",
  VM_HSAVE_PA: "env.vm_hsave",
  KVM_SYSTEM_TIME: "env.system_time_msr",
  KVM_WALL_CLOCK: "env.wall_clock_msr",
  KVM_ASYNC_PF_EN: "env.async_pf_en_msr",
  KVM_STEAL_TIME: "env.steal_time_msr",
  KVM_PV_EOI_EN: "env.pv_eoi_en_msr",
  KVM_POLL_CONTROL: "env.poll_control_msr",
  SMI_COUNT: "env.msr_smi_count",
  TSC_ADJUST: "env.tsc_adjust",
  TSC_DEADLINE: "env.tsc_deadline",
  MISC_ENABLE: "env.msr_ia32_misc_enable",
  FEATURE_CONTROL: "env.msr_ia32_feature_control",
  XSS: "env.xss",
  SPEC_CTRL: "env.spec_ctrl",
  TSX_CTRL: "env.tsx_ctrl",
};

/**
 * The registers in the state of a "cpu" section of x86 (QEMU target/i386/machine.c, version 12); undefined for another
 * CPU.
 */
export function cpuRegisters(state: DeviceState): CpuRegisters | undefined {
  const plain = deviceToPlain(state);
  const fields = plain.fields as Record<string, unknown>;
  const regs = fields["env.regs"];
  const segs = fields["env.segs"];
  if (!Array.isArray(regs) || !Array.isArray(segs) || segs.length < 6 || fields["env.eip"] === undefined)
    return undefined;
  const general: Record<string, bigint> = {};
  regs.forEach((value, k) => {
    const name = GENERAL[k];
    if (name !== undefined) general[name] = number(value);
  });
  general["rip"] = number(fields["env.eip"]);
  general["rflags"] = number(fields["env.eflags"]);
  const segments: Record<string, SegmentRegister> = {};
  SEGMENTS.forEach((name, k) => (segments[name] = segment(segs[k])));
  for (const name of ["ldt", "tr", "gdt", "idt"]) segments[name] = segment(fields[`env.${name}`]);
  const control: Record<string, bigint> = {};
  for (const k of [0, 2, 3, 4]) control[`cr${k}`] = number(fields[`env.cr[${k}]`]);
  control["xcr0"] = number(fields["env.xcr0"]);
  const debug: Record<string, bigint> = {};
  const dr: unknown = fields["env.dr"];
  if (Array.isArray(dr)) for (const k of [0, 1, 2, 3, 6, 7]) debug[`dr${k}`] = number(dr[k]);
  const msrs: Record<string, bigint> = {};
  const named: Record<string, unknown> = Object.assign({}, ...Object.values(plain.subsections as object), fields);
  for (const [name, field] of Object.entries(MSRS)) if (named[field] !== undefined) msrs[name] = number(named[field]);
  return { general, segments, control, debug, msrs };
}

function number(value: unknown): bigint {
  return typeof value === "string" || typeof value === "number" || typeof value === "bigint" ? BigInt(value) : 0n;
}

function segment(value: unknown): SegmentRegister {
  const of = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  const { selector, base, limit, flags } = of;
  return { selector: number(selector), base: number(base), limit: number(limit), flags: number(flags) };
}
