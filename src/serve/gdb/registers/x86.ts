import type { PlainDevice } from "../../../codec/vmstate/index.js";
import { derived, field, joined, within, type Feature, type Place, type Register } from "./places.js";

/** CS.L and EFER.LMA: the CPU runs 64-bit code. */
const CS_LONG = 1n << 21n;
const LMA = 1n << 10n;
const LOW = 0xffff_ffffn;

const cs = field("env.segs", 1, "flags");
/** A program for 32-bit CPUs has it in a subsection. */
const efer = (wide: boolean): Required<Place> => (wide ? field("env.efer") : within("cpu/efer32", "env.efer"));

/** Outside 64-bit code the general registers have 32 bits. */
function narrow(place: Required<Place>, outside: bigint): Place {
  return derived(
    (cpu) => place.read(cpu) & ((cs.read(cpu) & CS_LONG) !== 0n && (efer(true).read(cpu) & LMA) !== 0n ? ~0n : outside),
    (cpu, value) => place.write(cpu, value),
  );
}

const GENERAL_64 = "rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15".split(" ");
const GENERAL_32 = "eax ecx edx ebx esp ebp esi edi".split(" ");
/** QEMU's order in `env.regs`. */
const ORDER = [0, 3, 1, 2, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15];
const SEGMENTS: Readonly<Record<string, number>> = { cs: 1, ss: 2, ds: 3, es: 0, fs: 4, gs: 5 };
const FLOAT = "fctrl fstat ftag fiseg fioff foseg fooff fop".split(" ");
const FLOAT_FIELDS: Readonly<Record<string, string>> = { fctrl: "env.fpuc", fstat: "env.fpus_vmstate" };

/** The x87 register that is `k` below the top of the stack. */
function stacked(k: number): Place {
  const place = (cpu: PlainDevice): Required<Place> => {
    const top = Number((field("env.fpus_vmstate").read(cpu) >> 11n) & 7n);
    const at = (top + k) % 8;
    return joined(field("env.fpregs", at, "tmp", "tmp_exp"), field("env.fpregs", at, "tmp", "tmp_mant"));
  };
  return derived(
    (cpu) => place(cpu).read(cpu),
    (cpu, value) => place(cpu).write(cpu, value),
  );
}

/**
 * An x86 CPU with QEMU's register names and order (gdb-xml, 7.2), 64 or 32 bits by the program that saved it. CR8 is
 * the upper half of the APIC's task priority and cannot be changed; x87's tag word and addresses are 0.
 */
export function x86Features(wide: boolean): Feature[] {
  const bits = wide ? 64 : 32;
  const int = `int${bits}`;
  const general = wide ? GENERAL_64 : GENERAL_32;
  const pointers = new Set(["rbp", "rsp", "ebp", "esp"]);
  const xmms = Array.from({ length: wide ? 16 : 8 }, (_, k) => k);
  const word = (name: string, place: Place, type: string = int): Register => ({ name, bits, type, place });
  const registers: Register[] = [
    ...general.map((name, k) => {
      const place = field("env.regs", wide ? ORDER[k]! : k);
      return word(name, wide ? narrow(place, k < 8 ? LOW : 0n) : place, pointers.has(name) ? "data_ptr" : int);
    }),
    word(wide ? "rip" : "eip", wide ? narrow(field("env.eip"), LOW) : field("env.eip"), "code_ptr"),
    { name: "eflags", bits: 32, type: "x86_eflags", place: field("env.eflags") },
    ...Object.entries(SEGMENTS).map(([name, k]): Register => ({
      name,
      bits: 32,
      type: "int32",
      place: field("env.segs", k, "selector"),
    })),
    word("fs_base", field("env.segs", 4, "base")),
    word("gs_base", field("env.segs", 5, "base")),
    word("k_gs_base", field("env.kernelgsbase")),
    word("cr0", field("env.cr[0]")),
    word("cr2", field("env.cr[2]")),
    word("cr3", field("env.cr[3]")),
    word("cr4", field("env.cr[4]")),
    word(
      "cr8",
      derived(({ taskPriority = 0 }) => BigInt(taskPriority >> 4)),
    ),
    word("efer", efer(wide)),
    ...Array.from({ length: 8 }, (_, k): Register => ({
      name: `st${k}`,
      bits: 80,
      type: "i387_ext",
      place: stacked(k),
    })),
    ...FLOAT.map((name): Register => {
      const known = FLOAT_FIELDS[name];
      const place = known === undefined ? derived(() => 0n) : field(known);
      return { name, bits: 32, type: "int", group: "float", place };
    }),
    ...xmms.map((k): Register => {
      const half = (q: number): Required<Place> => field("env.xmm_regs[0]", k, `_q_ZMMReg[${q}]`);
      return { name: `xmm${k}`, bits: 128, type: "vec128", place: joined(half(1), half(0)) };
    }),
    { name: "mxcsr", bits: 32, type: "int32", group: "vector", place: field("env.mxcsr") },
  ];
  return [{ name: "org.gnu.gdb.i386.core", registers }];
}
