import { hex } from "../../bytes/errors.js";
import type { CpuFields } from "../cores/cpu-fields.js";
import {
  noTables,
  type AddressSpace,
  type Decoded,
  type Level,
  type PageRights,
  type PhysicalMemory,
  type Region,
} from "./types.js";

/** KVM's ids of the system registers, by which QEMU keeps them (op0, op1, CRn, CRm, op2). */
const SYSTEM = 0x60300000_00130000n;
const EL1 = { sctlr: 0xc080n, ttbr0: 0xc100n, ttbr1: 0xc101n, tcr: 0xc102n };
const EL2 = { sctlr: 0xe080n, ttbr0: 0xe100n, ttbr1: 0xe101n, tcr: 0xe102n };
const EL3 = { sctlr: 0xf080n, ttbr0: 0xf100n, ttbr1: undefined, tcr: 0xf102n };
const HCR_EL2 = 0xe088n;
const SCR_EL3 = 0xf088n;

const HCR_VM = 1n;
const HCR_DC = 1n << 12n;
const HCR_TGE = 1n << 27n;
const HCR_E2H = 1n << 34n;
const SCR_NS = 1n;
const SCR_EEL2 = 1n << 18n;
const SCTLR_M = 1n;
const SCTLR_EE = 1n << 25n;
/** PSTATE.nRW: AArch32. */
const AARCH32 = 1n << 4n;

/** Bits of the offset in a page, by TG0 and by TG1. */
const TG0: readonly (number | undefined)[] = [12, 16, 14, undefined];
const TG1: readonly (number | undefined)[] = [undefined, 14, 12, 16];

const TOP = 1n << 64n;

/** How one half of the addresses is translated. */
interface Half {
  /** Offset bits in a page. */
  page: number;
  /** Bits of the virtual address. */
  size: number;
  /** Table attributes of this half do not apply (HPD). */
  flat: boolean;
  /** Addresses of 52 bits: in the entries' bits 12 to 15 (64 KiB pages) or 8 and 9 (TCR.DS). */
  wide: "no" | "64k" | "ds";
}

/**
 * Stage 1 of an aarch64 CPU at its exception level: pages of 4, 16 and 64 KiB, both halves, blocks, addresses of 52 bits
 * (LPA, LPA2), top byte ignored, EL2 with and without VHE, EL3. An access flag that is clear is shown, not judged.
 * AArch32 and stage 2 are not supported. Sources: Arm ARM (DDI 0487), chapter D8; QEMU target/arm/ptw.c (7.2).
 */
export function aarch64Space(cpu: CpuFields, memory: PhysicalMemory): AddressSpace | string {
  const pstate = cpu.number("cpsr");
  if ((pstate & AARCH32) !== 0n) return "the CPU is in AArch32, whose page tables are not supported";
  const read = registers(cpu);
  const el = Number((pstate >> 2n) & 3n);
  const [hcr, scr] = [read(HCR_EL2), read(SCR_EL3)];
  const hypervisor = (scr & SCR_NS) !== 0n || (scr & SCR_EEL2) !== 0n || !read.has(SCR_EL3);
  const vhe = hypervisor && (hcr & HCR_E2H) !== 0n;
  const hosted = vhe && (el === 2 || (el === 0 && (hcr & HCR_TGE) !== 0n));
  const of = el === 3 ? EL3 : el === 2 || hosted ? EL2 : EL1;
  const under = of === EL1 && hypervisor;
  if (under && (hcr & (HCR_VM | HCR_DC)) !== 0n)
    return "the CPU runs a guest of its hypervisor (HCR_EL2.VM), and stage 2 is not supported";
  const tcr = read(of.tcr);
  const two = of === EL1 || hosted;
  const name = hosted ? `EL${el} with VHE` : `EL${el}`;
  const tbi = (top: boolean): boolean => (tcr & (1n << (two ? (top ? 38n : 37n) : 20n))) !== 0n;
  const effective = (address: bigint): bigint => {
    const top = two && ((address >> 55n) & 1n) === 1n;
    if (!tbi(top)) return address;
    return top ? address | (0xffn << 56n) : address & ~(0xffn << 56n);
  };
  const little = (read(of.sctlr) & SCTLR_EE) === 0n;
  const common = { memory, littleEndian: little, effective };
  if ((read(of.sctlr) & SCTLR_M) === 0n) {
    const regions = [{ first: 0n, last: (1n << 52n) - 1n, linear: 0n }];
    const outside = "the MMU is off, and the address has more than 52 bits";
    return { mode: `aarch64, ${name}, MMU off`, regions, outside, decode: noTables, ...common };
  }
  const regions: Region[] = [];
  const halves = new Map<Level, Half>();
  const modes: string[] = [];
  const notes: string[] = [];
  for (const top of two ? [false, true] : [false]) {
    const disabled = two && (tcr & (1n << (top ? 23n : 7n))) !== 0n;
    const half = halfOf(tcr, two, top);
    const ttbr = top ? "TTBR1" : "TTBR0";
    if (typeof half === "string") {
      notes.push(half);
      continue;
    }
    const last = top ? TOP - 1n : (1n << BigInt(half.size)) - 1n;
    const first = top ? TOP - (1n << BigInt(half.size)) : 0n;
    const register = read(top ? of.ttbr1! : of.ttbr0);
    const levels = levelsOf(half, little, ttbr);
    for (const level of levels) halves.set(level, half);
    const address = baseOf(register, levels[0]!, half);
    const root = disabled
      ? () => `walks by ${ttbr} are off (TCR.EPD${top ? 1 : 0})`
      : () => ({ level: levels[0]!, address });
    regions.push({ first, last, root });
    modes.push(`${half.size} bits of ${ttbr} in pages of ${2 ** (half.page - 10)} KiB`);
  }
  const outside = ["the address is in neither TTBR's range", ...notes].join(": ");
  const decode = decoder(halves, two);
  return { mode: `aarch64, ${name}, ${modes.join(", ")}`, regions, outside, decode, ...common };
}

interface Registers {
  (id: bigint | undefined): bigint;
  has: (id: bigint) => boolean;
}

function registers(cpu: CpuFields): Registers {
  const count = Number(cpu.number("cpreg_vmstate_array_len"));
  const ids = cpu.array("cpreg_vmstate_indexes", count);
  const values = cpu.array("cpreg_vmstate_values", count);
  const found = new Map(ids.map((id, k) => [id, values[k]!]));
  const read = (id: bigint | undefined): bigint => found.get(SYSTEM | (id ?? 0n)) ?? 0n;
  return Object.assign(read, { has: (id: bigint) => found.has(SYSTEM | id) });
}

/** The fields of TCR for one half, or what is wrong with them. */
function halfOf(tcr: bigint, two: boolean, top: boolean): Half | string {
  const bits = (from: number, count: number): number => Number((tcr >> BigInt(from)) & ((1n << BigInt(count)) - 1n));
  const page = top ? TG1[bits(30, 2)] : TG0[bits(14, 2)];
  const zero = bits(top ? 16 : 0, 6);
  if (page === undefined) return `TCR.TG${top ? 1 : 0} is reserved`;
  const size = 64 - zero;
  // 52 bits of a virtual address are the most; less than a page and one bit cannot be translated.
  if (size > 52 || size <= page) return `TCR.T${top ? 1 : 0}SZ is ${zero}`;
  const physical = two ? bits(32, 3) : bits(16, 3);
  const ds = (tcr & (1n << (two ? 59n : 32n))) !== 0n && page !== 16;
  const flat = (tcr & (1n << (two ? (top ? 42n : 41n) : 24n))) !== 0n;
  return { page, size, flat, wide: ds ? "ds" : page === 16 && physical === 6 ? "64k" : "no" };
}

/** From the first level down to level 3; level -1 exists with addresses of 52 bits. */
function levelsOf({ page, size }: Half, little: boolean, ttbr: string): Level[] {
  const stride = page - 3;
  const count = Math.ceil((size - page) / stride);
  return Array.from({ length: count }, (_, k) => {
    const number = 4 - count + k;
    const shift = page + (3 - number) * stride;
    return { name: `${ttbr} level ${number}`, shift, bits: Math.min(stride, size - shift), bytes: 8, little };
  });
}

/** The address of the first table, which is aligned to its size and at least to 64 bytes with addresses of 52 bits. */
function baseOf(ttbr: bigint, { bits }: Level, { wide }: Half): bigint {
  const low = BigInt(wide === "no" ? bits + 3 : Math.max(bits + 3, 6));
  const high = wide === "no" ? 0n : ((ttbr >> 2n) & 0xfn) << 48n;
  return (((ttbr & 0xffff_ffff_fffen) >> low) << low) | high;
}

const VALID = 1n;
const TABLE = 1n << 1n;
const NAMED: readonly (readonly [bigint, string])[] = [
  [1n << 10n, "accessed"],
  [1n << 11n, "not global"],
  [1n << 51n, "dirty by hardware"],
  [1n << 52n, "contiguous"],
];

function decoder(halves: ReadonlyMap<Level, Half>, two: boolean): AddressSpace["decode"] {
  const after = new Map<Level, Level>();
  const all = [...halves.keys()];
  all.forEach((level, k) => {
    const next = all[k + 1];
    if (next !== undefined && halves.get(next) === halves.get(level)) after.set(level, next);
  });
  return (entry, level, above): Decoded => {
    if ((entry & VALID) === 0n) return { kind: "invalid", why: "not valid" };
    const half = halves.get(level)!;
    const next = after.get(level);
    const isTable = (entry & TABLE) !== 0n;
    const address = outputOf(entry, half);
    if (next !== undefined && isTable) {
      const { rights, words } = half.flat ? { rights: {}, words: "" } : tableRights(entry, two, above);
      return { kind: "table", next: { level: next, address: cut(address, half.page) }, words, ...rights };
    }
    if (next === undefined && !isTable) return { kind: "invalid", why: "reserved form of an entry" };
    if (next !== undefined && !hasBlocks(level, half))
      return { kind: "invalid", why: `a block of 2^${level.shift} bytes does not exist here` };
    const { rights, words } = pageRights(entry, two, above);
    return { kind: "page", physical: cut(address, level.shift), bits: level.shift, words, ...rights };
  };
}

function cut(address: bigint, bits: number): bigint {
  return (address >> BigInt(bits)) << BigInt(bits);
}

/** The address in an entry: bits 12 to 47, and the parts of those above. */
function outputOf(entry: bigint, { wide }: Half): bigint {
  if (wide === "ds") return (entry & 0x3_ffff_ffff_f000n) | (((entry >> 8n) & 3n) << 50n);
  if (wide === "64k") return (entry & 0xffff_ffff_0000n) | (((entry >> 12n) & 0xfn) << 48n);
  return entry & 0xffff_ffff_f000n;
}

/** Blocks exist at levels 1 and 2 (4 KiB pages), at level 2 (16 and 64 KiB), one level higher with 52 bits. */
function hasBlocks({ shift }: Level, { page, wide }: Half): boolean {
  const stride = page - 3;
  const levels = (page === 12 ? 2 : 1) + (wide === "no" ? 0 : 1);
  return (shift - page) / stride <= levels;
}

/** The limits in a table's entry: APTable, UXNTable and PXNTable. */
function tableRights(entry: bigint, two: boolean, above: PageRights): { rights: PageRights; words: string } {
  const bit = (k: bigint): boolean => (entry & (1n << k)) !== 0n;
  const readOnly = bit(62n);
  const kernel = two && bit(61n);
  const never = bit(two ? 59n : 60n);
  const words = [readOnly ? "read-only" : "", kernel ? "not for EL0" : "", never ? "no execute" : ""];
  const rights: PageRights = {
    ...above,
    ...(readOnly ? { writable: false } : {}),
    ...(kernel ? { user: false } : {}),
    ...(never ? { executable: false } : {}),
  };
  return { rights, words: words.filter((word) => word !== "").join(", ") };
}

/** AP, PXN and UXN. Executable: at the level of the tables; for EL0 alone where it is a page of EL0. */
function pageRights(entry: bigint, two: boolean, above: PageRights): { rights: PageRights; words: string } {
  const bit = (k: bigint): boolean => (entry & (1n << k)) !== 0n;
  const user = two && bit(6n);
  const never = two ? bit(53n) && (!user || bit(54n)) : bit(54n);
  const words = [bit(7n) ? "read-only" : "writable"];
  if (two) words.push(user ? "EL0" : "not for EL0");
  if (never) words.push("no execute");
  words.push(`attributes ${hex((entry >> 2n) & 7n)}`);
  words.push(...NAMED.filter(([mask]) => (entry & mask) !== 0n).map(([, word]) => word));
  const rights = {
    writable: above.writable !== false && !bit(7n),
    user: above.user !== false && user,
    executable: above.executable !== false && !never,
  };
  return { rights, words: words.join(", ") };
}
