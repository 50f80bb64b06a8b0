import { type CoreCpu, NoteContent } from "./core-note.js";
import type { CpuFields } from "./cpu-fields.js";

const EM_RISCV = 243;
/** mstatus.UBE: user mode reads and writes big-endian. */
const UBE = 1n << 6n;

/**
 * A RISC-V CPU; 32-bit CPUs have no notes. NT_PRSTATUS of 376 bytes (32 zero, u32 pid, 76 zero, pc, x1 to x31, 8 zero).
 * Source: QEMU target/riscv/arch_dump.c (6.0 to 11.1).
 */
export function riscvCpu(fields: CpuFields): CoreCpu | undefined {
  if (!fields.has("env.gpr") || !fields.has("env.mstatus")) return undefined;
  if (fields.number("env.misa_mxl") !== 2n) return { machine: EM_RISCV, littleEndian: true, notes: () => [] };
  const registers = [fields.number("env.pc"), ...fields.array("env.gpr", 32).slice(1)];
  return {
    machine: EM_RISCV,
    littleEndian: (fields.number("env.mstatus") & UBE) === 0n,
    notes: (index, little) => {
      const content = new NoteContent(376, little).u32(32, BigInt(index + 1)).u64(112, ...registers);
      return [{ name: "CORE", type: 1, content: content.bytes }];
    },
  };
}
