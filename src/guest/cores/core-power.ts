import { type CoreCpu, NoteContent } from "./core-note.js";
import type { CpuFields } from "./cpu-fields.js";

const EM_PPC = 20;
const EM_PPC64 = 21;
const XER = 1;
const LR = 8;
const CTR = 9;
const LPCR = 318;
/** LPCR.ILE: interrupts, and so the guest's kernel, are little-endian. */
const ILE = 1n << 25n;

/**
 * A POWER CPU; 32-bit CPUs have no notes. "CORE": NT_PRSTATUS of 504 bytes (32 zero, u32 pid, 76 zero, r0 to r31, nip,
 * msr, 8 zero, ctr, lr, xer, cr, the rest zero), NT_FPREGSET of 264 (32 registers, fpscr), 0x100 of 544 (32 vectors of
 * 128 bits, vscr, vrsave as zero), 0x102 of 256 (low halves of VSX 0 to 31), 0x101 of 140 (SPE: 32 u32 zero, u64
 * accumulator, u32 zero). In the stream the halves of a vector are in host memory order; the host is assumed to be
 * little-endian. QEMU leaves the pid 0, which gdb takes for a terminated thread, so it is set here. The core has the
 * byte order of the guest's interrupts. QEMU 7.2 uses the hypervisor's bit instead, which a pseries guest never sets.
 * Source: QEMU target/ppc/arch_dump.c (7.2).
 */
export function powerCpu(fields: CpuFields): CoreCpu | undefined {
  if (!fields.has("env.nip") || !fields.has("env.crf")) return undefined;
  if (!fields.isWide("env.gpr")) return { machine: EM_PPC, littleEndian: false, notes: () => [] };
  const spr = fields.array("env.spr", 1024);
  const condition = fields.array("env.crf", 8).reduce((cr, field) => (cr << 4n) | (field & 15n), 0n);
  const general = fields.array("env.gpr", 32);
  const vectors = fields.bytes("env.vsr", 32, "cpu/altivec");
  return {
    machine: EM_PPC64,
    littleEndian: ((spr[LPCR] ?? 0n) & ILE) !== 0n,
    notes: (index, little) => {
      const of = (length: number): NoteContent => new NoteContent(length, little);
      const halves = vectors.map((value) => [value >> 64n, BigInt.asUintN(64, value)] as const);
      const notes: readonly (readonly [number, NoteContent])[] = [
        [
          1,
          of(504)
            .u32(32, BigInt(index + 1))
            .u64(112, ...general, fields.number("env.nip"), fields.number("env.msr"))
            .u64(392, spr[CTR]!, spr[LR]!, spr[XER]!, condition),
        ],
        [2, of(264).u64(0, ...fields.bytes("env.vsr", 32, "cpu/fpu"), fields.number("env.fpscr", "cpu/fpu"))],
        [
          0x100,
          of(544)
            .u64(0, ...halves.flatMap(([low, high]) => (little ? [low, high] : [high, low])))
            .u32(524, fields.number("vscr", "cpu/altivec")),
        ],
        [0x102, of(256).u64(0, ...fields.bytes("env.vsr", 32, "cpu/vsx"))],
        [0x101, of(140).u64(128, fields.number("env.spe_acc"))],
      ];
      return notes.map(([type, { bytes }]) => ({ name: "CORE", type, content: bytes }));
    },
  };
}
