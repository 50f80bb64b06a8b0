import { derived, field, joined, within, type Feature, type Place, type Register } from "./places.js";

/** `prefix0` to `prefixN`. */
function numbered(count: number, one: (k: number) => Register): Register[] {
  return Array.from({ length: count }, (_, k) => one(k));
}

/** QEMU's gdb-xml of 7.2: core and vector registers. System registers have no names in the stream. */
export function aarch64Features(apart: boolean): Feature[] {
  const status = (name: string, mask: bigint): Place =>
    apart ? within("cpu/vfp/fpcr_fpsr", name) : derived((cpu) => within("cpu/vfp", "fpscr").read(cpu) & mask);
  return [
    {
      name: "org.gnu.gdb.aarch64.core",
      registers: [
        ...numbered(31, (k) => ({ name: `x${k}`, bits: 64, place: field("env.xregs", k) })),
        { name: "sp", bits: 64, type: "data_ptr", place: field("env.xregs", 31) },
        { name: "pc", bits: 64, type: "code_ptr", place: field("env.pc") },
        { name: "cpsr", bits: 32, place: field("cpsr") },
      ],
    },
    {
      name: "org.gnu.gdb.aarch64.fpu",
      registers: [
        ...numbered(32, (k) => {
          const half = (q: number): Required<Place> => within("cpu/vfp", `env.vfp.zregs[${k}].d`, q);
          return { name: `v${k}`, bits: 128, type: "vec128", place: joined(half(1), half(0)) };
        }),
        { name: "fpsr", bits: 32, place: status("fpsr", 0xf800_009fn) },
        { name: "fpcr", bits: 32, place: status("fpcr", 0x07ff_9f00n) },
      ],
    },
  ];
}

/** A 32-bit ARM CPU: the core registers. */
export function armFeatures(): Feature[] {
  const names: Readonly<Record<number, string>> = { 13: "sp", 14: "lr", 15: "pc" };
  return [
    {
      name: "org.gnu.gdb.arm.core",
      registers: [
        ...numbered(16, (k): Register => {
          const type = k === 13 ? "data_ptr" : k === 15 ? "code_ptr" : "uint32";
          return { name: names[k] ?? `r${k}`, bits: 32, type, place: field("env.regs", k) };
        }),
        { name: "cpsr", bits: 32, number: 25, place: field("cpsr") },
      ],
    },
  ];
}

const RISCV =
  "zero ra sp gp tp t0 t1 t2 fp s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 t3 t4 t5 t6".split(" ");
const RISCV_FLOAT =
  "ft0 ft1 ft2 ft3 ft4 ft5 ft6 ft7 fs0 fs1 fa0 fa1 fa2 fa3 fa4 fa5 fa6 fa7 fs2 fs3 fs4 fs5 fs6 fs7 fs8 fs9 fs10 fs11 ft8 ft9 ft10 ft11".split(
    " ",
  );
/** The registers that the stream has as fields, by number. Source: the RISC-V privileged specification, 1.12. */
const RISCV_CSRS: Readonly<Record<string, number>> = {
  stvec: 0x105,
  sscratch: 0x140,
  sepc: 0x141,
  scause: 0x142,
  stval: 0x143,
  satp: 0x180,
  mstatus: 0x300,
  medeleg: 0x302,
  mideleg: 0x303,
  mie: 0x304,
  mtvec: 0x305,
  mscratch: 0x340,
  mepc: 0x341,
  mcause: 0x342,
  mtval: 0x343,
  mip: 0x344,
  mhartid: 0xf14,
};
/** GDB's number of the first of them in QEMU's description. */
const FIRST_CSR = 66;

/** A RISC-V CPU of 64 or 32 bits. */
export function riscvFeatures(wide: boolean): Feature[] {
  const bits = wide ? 64 : 32;
  const pointers = new Set(["sp", "gp", "tp", "fp"]);
  return [
    {
      name: "org.gnu.gdb.riscv.cpu",
      registers: [
        ...RISCV.map((name, k): Register => {
          const type = name === "ra" ? "code_ptr" : pointers.has(name) ? "data_ptr" : "int";
          return { name, bits, type, place: k === 0 ? derived(() => 0n) : field("env.gpr", k) };
        }),
        { name: "pc", bits, type: "code_ptr", place: field("env.pc") },
      ],
    },
    {
      name: "org.gnu.gdb.riscv.fpu",
      registers: RISCV_FLOAT.map((name, k) => ({ name, bits: 64, type: "ieee_double", place: field("env.fpr", k) })),
    },
    { name: "org.gnu.gdb.riscv.virtual", registers: [{ name: "priv", bits, type: "int", place: field("env.priv") }] },
    {
      name: "org.gnu.gdb.riscv.csr",
      registers: Object.entries(RISCV_CSRS).map(([name, number]) => ({
        name,
        bits,
        type: "int",
        number: FIRST_CSR + number,
        place: field(`env.${name}`),
      })),
    },
  ];
}

function s390Word(name: string, group: string, place: Place): Register {
  return { name, bits: 64, type: "uint64", group, place };
}

/** Half 0 (high) or 1 of vector `k`. */
function s390Half(k: number, q: 0 | 1): Required<Place> {
  return within(k < 16 && q === 0 ? "cpu/fpu" : "cpu/vregs", `env.vregs[${k}][${q}]`);
}

/** An s390x CPU. */
export function s390Features(): Feature[] {
  const gs = ["gs_reserved", "gsd", "gssm", "gsepla"];
  return [
    {
      name: "org.gnu.gdb.s390.core",
      registers: [
        s390Word("pswm", "psw", field("env.psw.mask")),
        s390Word("pswa", "psw", field("env.psw.addr")),
        ...numbered(16, (k) => s390Word(`r${k}`, "general", field("env.regs", k))),
      ],
    },
    {
      name: "org.gnu.gdb.s390.acr",
      registers: numbered(16, (k) => ({
        name: `acr${k}`,
        bits: 32,
        type: "uint32",
        group: "access",
        place: field("env.aregs", k),
      })),
    },
    {
      name: "org.gnu.gdb.s390.fpr",
      registers: [
        { name: "fpc", bits: 32, type: "uint32", group: "float", place: within("cpu/fpu", "env.fpc") },
        ...numbered(16, (k) => ({
          name: `f${k}`,
          bits: 64,
          type: "ieee_double",
          group: "float",
          place: s390Half(k, 0),
        })),
      ],
    },
    {
      name: "org.gnu.gdb.s390.vx",
      registers: [
        ...numbered(16, (k) => ({ name: `v${k}l`, bits: 64, type: "uint64", place: s390Half(k, 1) })),
        ...numbered(16, (k) => ({
          name: `v${k + 16}`,
          bits: 128,
          type: "vec128",
          place: joined(s390Half(k + 16, 0), s390Half(k + 16, 1)),
        })),
      ],
    },
    {
      name: "org.gnu.gdb.s390.gs",
      registers: gs.map((name, k) => s390Word(name, "system", within("cpu/gscb", "env.gscb", k))),
    },
    {
      name: "org.gnu.gdb.s390.cr",
      registers: numbered(16, (k) => s390Word(`cr${k}`, "control", field("env.cregs", k))),
    },
  ];
}

const XER = 1;
const LR = 8;
const CTR = 9;
const VRSAVE = 256;

/** The halves of a vector are swapped in the stream. */
function powerVector(k: number): Place {
  return derived((cpu) => {
    const value = within("cpu/altivec", "env.vsr", k).read(cpu);
    return (BigInt.asUintN(64, value) << 64n) | (value >> 64n);
  });
}

/** A POWER CPU of 64 or 32 bits; vector registers as the stream of a little-endian host holds them. */
export function powerFeatures(wide: boolean): Feature[] {
  const bits = wide ? 64 : 32;
  const type = `uint${bits}`;
  const condition = derived(
    (cpu) => numbers(8).reduce((cr, k) => (cr << 4n) | (field("env.crf", k).read(cpu) & 15n), 0n),
    (cpu, value) => {
      for (const k of numbers(8)) field("env.crf", k).write(cpu, (value >> BigInt(28 - 4 * k)) & 15n);
    },
  );
  const core: Feature = {
    name: "org.gnu.gdb.power.core",
    registers: [
      ...numbered(32, (k) => ({ name: `r${k}`, bits, type, place: field("env.gpr", k) })),
      { name: "pc", bits, type: "code_ptr", number: 64, place: field("env.nip") },
      { name: "msr", bits, type, place: field("env.msr") },
      { name: "cr", bits: 32, type: "uint32", place: condition },
      { name: "lr", bits, type: "code_ptr", place: field("env.spr", LR) },
      { name: "ctr", bits, type, place: field("env.spr", CTR) },
      { name: "xer", bits: 32, type: "uint32", place: field("env.spr", XER) },
    ],
  };
  if (!wide) return [core];
  return [
    core,
    {
      name: "org.gnu.gdb.power.fpu",
      registers: [
        ...numbered(32, (k): Register => {
          const place = within("cpu/fpu", "env.vsr", k);
          return { name: `f${k}`, bits: 64, type: "ieee_double", place, ...(k === 0 ? { number: 71 } : {}) };
        }),
        { name: "fpscr", bits: 32, type: "int", group: "float", place: within("cpu/fpu", "env.fpscr") },
      ],
    },
    {
      name: "org.gnu.gdb.power.altivec",
      registers: [
        ...numbered(32, (k) => ({ name: `vr${k}`, bits: 128, type: "vec128", place: powerVector(k) })),
        { name: "vscr", bits: 32, type: "int", group: "vector", place: within("cpu/altivec", "vscr", "value") },
        { name: "vrsave", bits: 32, type: "int", group: "vector", place: field("env.spr", VRSAVE) },
      ],
    },
    {
      name: "org.gnu.gdb.power.vsx",
      registers: numbered(32, (k) => ({
        name: `vs${k}h`,
        bits: 64,
        type: "uint64",
        place: within("cpu/vsx", "env.vsr", k),
      })),
    },
  ];
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, k) => k);
}
