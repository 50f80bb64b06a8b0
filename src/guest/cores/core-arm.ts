import { type CoreCpu, NoteContent } from "./core-note.js";
import type { CpuFields } from "./cpu-fields.js";

const EM_ARM = 40;
const EM_AARCH64 = 183;
/** KVM's ids of system registers. No 32-bit CPU has FPCR. */
const FPCR_ID = 0x60300000_0013da20n;
const SCTLR_EL1_ID = 0x60300000_0013c080n;
/** SCTLR_EL1.EE: EL1 reads and writes big-endian. */
const EE = 1n << 25n;
/** PSTATE.nRW: the CPU is in AArch32. */
const AARCH32 = 1n << 4n;
/** The bits of the AArch32 FPSCR that belong to FPSR and FPCR. */
const FPSR = 0xf800_009fn;
const FPCR = 0x07ff_9f00n;

/**
 * An ARM CPU; 32-bit CPUs have no notes. "CORE" NT_PRSTATUS of 392 bytes (32 zero, u32 pid, 76 zero, x0 to x30, sp, pc,
 * pstate, u32 1, 4 zero) and NT_FPREGSET of 528 bytes (32 vectors of 128 bits, u32 fpsr, u32 fpcr, 8 zero). QEMU's SVE
 * notes are not written. The core has EL1's byte order. Source: QEMU target/arm/arch_dump.c (7.2); for the 32-bit view
 * of the registers, the architecture's table of AArch32 state.
 */
export function armCpu(fields: CpuFields): CoreCpu | undefined {
  if (!fields.has("env.xregs")) return undefined;
  const ids = fields.array("cpreg_vmstate_indexes", Number(fields.number("cpreg_vmstate_array_len")));
  if (!ids.includes(FPCR_ID)) return { machine: EM_ARM, littleEndian: true, notes: () => [] };
  const control = fields.array("cpreg_vmstate_values", ids.length)[ids.indexOf(SCTLR_EL1_ID)] ?? 0n;
  const pstate = fields.number("cpsr");
  const registers =
    (pstate & AARCH32) === 0n
      ? [...fields.array("env.xregs", 32), fields.number("env.pc"), pstate]
      : [...from32(fields, Number(pstate & 0x1fn)), pstate];
  const halves = Array.from({ length: 32 }, (_, k) => fields.array(`env.vfp.zregs[${k}].d`, 2, "cpu/vfp"));
  const apart = fields.has("fpcr", "cpu/vfp/fpcr_fpsr");
  const status = fields.number("fpscr", "cpu/vfp");
  const fpsr = apart ? fields.number("fpsr", "cpu/vfp/fpcr_fpsr") : status & FPSR;
  const fpcr = apart ? fields.number("fpcr", "cpu/vfp/fpcr_fpsr") : status & FPCR;
  return {
    machine: EM_AARCH64,
    littleEndian: (control & EE) === 0n,
    notes: (index, little) => [
      {
        name: "CORE",
        type: 1,
        content: new NoteContent(392, little)
          .u32(32, BigInt(index + 1))
          .u64(112, ...registers)
          .u32(384, 1n).bytes,
      },
      {
        name: "CORE",
        type: 2,
        content: new NoteContent(528, little)
          .u64(0, ...halves.flatMap(([low = 0n, high = 0n]) => (little ? [low, high] : [high, low])))
          .u32(512, fpsr, fpcr).bytes,
      },
    ],
  };
}

const MODE = { usr: 0x10, fiq: 0x11, irq: 0x12, svc: 0x13, abt: 0x17, hyp: 0x1a, und: 0x1b, sys: 0x1f };
/** QEMU's numbers of the banks for sp and lr of the other modes. */
const BANK = { usr: 0, svc: 1, abt: 2, und: 3, irq: 4, fiq: 5, hyp: 6 };

/** x0 to x30, sp (0, as in QEMU) and pc of a CPU in AArch32 in this mode. */
function from32(fields: CpuFields, mode: number): bigint[] {
  const now = fields.array("env.regs", 16);
  const sp = fields.array("env.banked_r13", 8);
  const lr = fields.array("env.banked_r14", 8);
  const bank = (name: keyof typeof BANK): { sp: bigint; lr: bigint } => {
    const current = mode === MODE[name] || (name === "usr" && mode === MODE.sys);
    return current ? { sp: now[13]!, lr: now[14]! } : { sp: sp[BANK[name]]!, lr: lr[BANK[name]]! };
  };
  const fiq = mode === MODE.fiq;
  const usr = bank("usr");
  // Hyp mode uses the lr of user mode.
  const userLr = mode === MODE.hyp ? now[14]! : usr.lr;
  const middle = fiq ? fields.array("env.usr_regs", 5) : now.slice(8, 13);
  const fast = fiq ? now.slice(8, 13) : fields.array("env.fiq_regs", 5);
  const pairs = (["irq", "svc", "abt", "und"] as const).flatMap((name) => [bank(name).lr, bank(name).sp]);
  const last = [...fast, bank("fiq").sp, bank("fiq").lr];
  return [...now.slice(0, 8), ...middle, usr.sp, userLr, bank("hyp").sp, ...pairs, ...last, 0n, now[15]!];
}
