import type { CpuFields } from "../cores/cpu-fields.js";
import { noTables, type AddressSpace, type Decoded, type Level, type PhysicalMemory } from "./types.js";

const MACHINE_MODE = 3n;
/** Depth of the tables by satp.MODE with 64 bits. */
const MODES = new Map([
  [8n, 3],
  [9n, 4],
  [10n, 5],
]);
const VALID = 1n;
const READ = 1n << 1n;
const WRITE = 1n << 2n;
const EXECUTE = 1n << 3n;
const USER = 1n << 4n;
const NAMED: readonly (readonly [bigint, string])[] = [
  [1n << 5n, "global"],
  [1n << 6n, "accessed"],
  [1n << 7n, "dirty"],
];
/** Svnapot: a page of 64 KiB as sixteen equal entries. */
const NAPOT = 1n << 63n;
const RESERVED = 0x7fn << 54n;
const PPN = (1n << 44n) - 1n;

/**
 * The addresses of a RISC-V hart: bare and in machine mode as they are, else Sv32, Sv39, Sv48 or Sv57 with large pages and
 * Svnapot. Loads of machine mode under MPRV are not looked at, and a guest of the hypervisor extension only where its
 * second stage is bare. Sources: RISC-V privileged specification 1.12; QEMU target/riscv/cpu_helper.c (7.2).
 */
export function riscvSpace(cpu: CpuFields, memory: PhysicalMemory): AddressSpace | string {
  const wide = cpu.number("env.misa_mxl") !== 1n;
  const satp = cpu.number("env.satp");
  const field = wide ? satp >> 60n : (satp >> 31n) & 1n;
  const machine = cpu.number("env.priv") === MACHINE_MODE;
  const top = 1n << (wide ? 64n : 32n);
  const effective = (address: bigint): bigint => (wide ? address : BigInt.asUintN(32, address));
  const common = { memory, littleEndian: true, effective };
  if (!machine && isGuest(cpu) && cpu.number("env.hgatp", "cpu/hyper") >> 60n !== 0n)
    return "the hart runs a guest of its hypervisor, and the second stage is not supported";
  if (machine || field === 0n) {
    const regions = [{ first: 0n, last: top - 1n, linear: 0n }];
    const mode = `riscv, ${machine ? "machine mode" : "bare"}`;
    return { ...common, mode, regions, outside: "", decode: noTables };
  }
  const depth = wide ? MODES.get(field) : 2;
  if (depth === undefined) return `satp.MODE ${field} is reserved`;
  const stride = wide ? 9 : 10;
  const levels: Level[] = Array.from({ length: depth }, (_, k) => {
    const number = depth - 1 - k;
    return { name: `level ${number}`, shift: 12 + number * stride, bits: stride, bytes: wide ? 8 : 4, little: true };
  });
  const after = new Map(levels.slice(0, -1).map((level, k) => [level, levels[k + 1]!]));
  const address = (satp & (wide ? PPN : 0x3f_ffffn)) << 12n;
  const root = () => ({ level: levels[0]!, address });
  const bits = 12 + depth * stride;
  const half = 1n << BigInt(bits - 1);
  const regions = wide
    ? [
        { first: 0n, last: half - 1n, root },
        { first: top - half, last: top - 1n, root },
      ]
    : [{ first: 0n, last: top - 1n, root }];
  const outside = `the address is not canonical: bits ${bits - 1} to 63 differ`;
  const decode = decoder(after, wide);
  return { ...common, mode: `riscv, Sv${bits}`, regions, outside, decode };
}

/** Whether the hart is in VS or VU mode. */
function isGuest(cpu: CpuFields): boolean {
  return (cpu.number("env.virt", "cpu/hyper") & 1n) !== 0n;
}

function decoder(after: ReadonlyMap<Level, Level>, wide: boolean): AddressSpace["decode"] {
  return (entry, level): Decoded => {
    if ((entry & VALID) === 0n) return { kind: "invalid", why: "not valid" };
    if (wide && (entry & RESERVED) !== 0n) return { kind: "invalid", why: "reserved bits are set" };
    const ppn = (entry >> 10n) & (wide ? PPN : 0x3f_ffffn);
    const next = after.get(level);
    if ((entry & (READ | WRITE | EXECUTE)) === 0n) {
      if (next === undefined) return { kind: "invalid", why: "points at a table below the last level" };
      return { kind: "table", next: { level: next, address: ppn << 12n }, words: "" };
    }
    if ((entry & READ) === 0n && (entry & WRITE) !== 0n)
      return { kind: "invalid", why: "writable and not readable is reserved" };
    const letters = [
      (entry & READ) === 0n ? "-" : "r",
      (entry & WRITE) === 0n ? "-" : "w",
      (entry & EXECUTE) === 0n ? "-" : "x",
    ].join("");
    const flags = NAMED.filter(([bit]) => (entry & bit) !== 0n).map(([, word]) => word);
    const user = (entry & USER) !== 0n;
    const words = [letters, user ? "user" : "supervisor", ...flags].join(", ");
    const rights = { writable: (entry & WRITE) !== 0n, user, executable: (entry & EXECUTE) !== 0n, words };
    if (wide && (entry & NAPOT) !== 0n) {
      if (next !== undefined || (ppn & 0xfn) !== 8n) return { kind: "invalid", why: "a reserved size (Svnapot)" };
      return { kind: "page", physical: (ppn & ~0xfn) << 12n, bits: 16, ...rights };
    }
    if ((ppn & ((1n << BigInt(level.shift - 12)) - 1n)) !== 0n)
      return { kind: "invalid", why: "a large page that is not aligned" };
    return { kind: "page", physical: ppn << 12n, bits: level.shift, ...rights };
  };
}
