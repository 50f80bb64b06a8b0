import { type CoreCpu, NoteContent } from "./core-note.js";
import type { CpuFields } from "./cpu-fields.js";

const EM_S390 = 22;

function of(length: number): NoteContent {
  return new NoteContent(length, false);
}

/**
 * An s390x CPU, always big-endian. "CORE": NT_PRSTATUS of 336 bytes (32 zero, u32 pid, 76 zero, PSW mask and address,
 * 16 registers, 16 u32 access registers, 16 zero) and NT_FPREGSET (u32 fpc, u32 zero, 16 registers). "LINUX": 0x305
 * prefix, 0x304 control registers, 0x301 CPU timer, 0x302 clock comparator, 0x303 TOD programmable register, 0x309 low
 * halves of vectors 0 to 15, 0x30a vectors 16 to 31, 0x30b guarded storage. QEMU on a little-endian host writes the pid
 * little-endian; here it is in the core's byte order. Source: QEMU target/s390x/arch_dump.c (7.2).
 */
export function s390Cpu(fields: CpuFields): CoreCpu | undefined {
  if (!fields.has("env.psw.mask")) return undefined;
  const n = (name: string, subsection?: string): bigint => fields.number(name, subsection);
  const vector = (k: number, half: 0 | 1): bigint =>
    n(`env.vregs[${k}][${half}]`, k < 16 && half === 0 ? "cpu/fpu" : "cpu/vregs");
  const numbers = Array.from({ length: 16 }, (_, k) => k);
  return {
    machine: EM_S390,
    littleEndian: false,
    notes: (index) => {
      const status = of(336)
        .u32(32, BigInt(index + 1))
        .u64(112, n("env.psw.mask"), n("env.psw.addr"), ...fields.array("env.regs", 16))
        .u32(256, ...fields.array("env.aregs", 16));
      const floating = of(136)
        .u32(0, n("env.fpc", "cpu/fpu"))
        .u64(8, ...numbers.map((k) => vector(k, 0)));
      const linux: readonly (readonly [number, NoteContent])[] = [
        [0x305, of(4).u32(0, n("env.psa"))],
        [0x304, of(128).u64(0, ...fields.array("env.cregs", 16))],
        [0x301, of(8).u64(0, n("env.cputm"))],
        [0x302, of(8).u64(0, n("env.ckc"))],
        [0x303, of(4).u32(0, n("env.todpr"))],
        [0x309, of(128).u64(0, ...numbers.map((k) => vector(k, 1)))],
        [0x30a, of(256).u64(0, ...numbers.flatMap((k) => [vector(k + 16, 0), vector(k + 16, 1)]))],
        [0x30b, of(32).u64(0, ...fields.array("env.gscb", 4, "cpu/gscb"))],
      ];
      return [
        { name: "CORE", type: 1, content: status.bytes },
        { name: "CORE", type: 2, content: floating.bytes },
        ...linux.map(([type, { bytes }]) => ({ name: "LINUX", type, content: bytes })),
      ];
    },
  };
}
