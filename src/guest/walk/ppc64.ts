import { hex } from "../../bytes/errors.js";
import type { CpuFields } from "../cores/cpu-fields.js";
import {
  noTables,
  type AddressSpace,
  type Decoded,
  type Level,
  type MachineFacts,
  type PhysicalMemory,
  type Region,
  type TableAt,
  type WalkStep,
} from "./types.js";
import { entryAt, readTable } from "./walk.js";

const MSR_LE = 1n;
const MSR_DR = 1n << 4n;
const MSR_HV = 1n << 60n;
/** Numbers of special purpose registers. */
const PID = 48;
const HRMOR = 313;
const LPCR = 318;
const LPIDR = 319;
const PTCR = 464;
/** LPCR.HR: the host's tables are radix trees. */
const LPCR_HR = 1n << 20n;
/** Guest radix, in the second doubleword of a partition table entry; host radix in the first. */
const RADIX = 1n << 63n;
const TABLE_BASE = 0x0fff_ffff_ffff_f000n;
const TREE_BASE = 0x0fff_ffff_ffff_ff00n;
const PAGE_BASE = 0x01ff_ffff_ffff_f000n;
const VALID = 1n << 63n;
const LEAF = 1n << 62n;
const QUADRANT = 1n << 62n;
/** In real mode the top 4 bits are ignored. */
const REAL = (1n << 60n) - 1n;

const NAMED: readonly (readonly [bigint, string])[] = [
  [1n << 8n, "referenced"],
  [1n << 7n, "changed"],
];

/**
 * The effective addresses of a 64-bit POWER CPU: real mode, and radix trees by the process table that a pseries guest
 * registered, or by the partition table of a hypervisor (PTCR). The hash MMU, and guests of a hypervisor inside the
 * guest, are not supported. Sources: Power ISA 3.1, book III, chapter 6; QEMU target/ppc/mmu-radix64.c (7.2).
 */
export function ppc64Space(cpu: CpuFields, memory: PhysicalMemory, machine: MachineFacts): AddressSpace | string {
  const msr = cpu.number("env.msr");
  const special = cpu.array("env.spr", 1024);
  const common = { memory, littleEndian: (msr & MSR_LE) !== 0n };
  const hypervisor = (msr & MSR_HV) !== 0n;
  if ((msr & MSR_DR) === 0n) {
    const offset = hypervisor ? special[HRMOR]! : 0n;
    const effective = (address: bigint): bigint => (address & REAL) | (address >> 63n === 0n ? offset : 0n);
    const regions = [{ first: 0n, last: REAL, linear: 0n }];
    return { mode: "ppc64, real mode", ...common, regions, outside: "", effective, decode: noTables };
  }
  const hash = "the CPU uses the hash MMU, whose tables are not supported: only radix trees are";
  if (!hypervisor) {
    if (special[LPIDR] !== 0n && special[PTCR] !== 0n)
      return "the CPU runs a guest of its hypervisor, and the second stage is not supported";
    const table = machine.processTable ?? 0n;
    if ((table & RADIX) === 0n) return hash;
    const regions = [
      quadrant(0n, memory, () => Promise.resolve(table), special[PID]!),
      quadrant(3n, memory, () => Promise.resolve(table), 0n),
    ];
    const outside = "the address is in quadrant 1 or 2, which a guest does not have";
    return { mode: "ppc64, radix", ...common, regions, outside, decode };
  }
  if ((special[LPCR]! & LPCR_HR) === 0n) return hash;
  const partition = async (): Promise<bigint | string> => {
    const at = special[PTCR]! & TABLE_BASE;
    const entry = await readTable(memory, at, 16);
    if (entry === undefined) return `the partition table at ${hex(at)} is not in memory`;
    return (entryAt(entry, 0, 8, false) & RADIX) === 0n
      ? "the partition uses the hash MMU"
      : entryAt(entry, 8, 8, false);
  };
  const regions = [quadrant(0n, memory, partition, special[PID]!), quadrant(3n, memory, partition, 0n)];
  const outside = "the address is in quadrant 1 or 2, which are the partition's";
  return { mode: "ppc64, radix of the hypervisor", ...common, regions, outside, decode };
}

function quadrant(number: bigint, memory: PhysicalMemory, table: () => Promise<bigint | string>, pid: bigint): Region {
  const first = number * QUADRANT;
  return {
    first,
    last: first + QUADRANT - 1n,
    root: async (steps: WalkStep[]): Promise<TableAt | string> => {
      const found = await table();
      return typeof found === "string" ? found : await processEntry(memory, found, pid, steps);
    },
  };
}

/** The tree of a process. Entries have 16 bytes; the low 5 bits of `table` are the length: 2^(12 + n) bytes. */
async function processEntry(
  memory: PhysicalMemory,
  table: bigint,
  pid: bigint,
  steps: WalkStep[],
): Promise<TableAt | string> {
  const base = table & TABLE_BASE;
  const at = base + pid * 16n;
  if (pid * 16n >= 1n << ((table & 31n) + 12n)) return `process ${pid} is after the end of the process table`;
  const bytes = await readTable(memory, at, 8);
  const step = { level: "process table", table: base, index: Number(pid), at };
  if (bytes === undefined) {
    steps.push({ ...step, entry: undefined, meaning: `${hex(at)} is not memory` });
    return `process table entry ${pid}: ${hex(at)} is not memory`;
  }
  const entry = entryAt(bytes, 0, 8, false);
  const size = 31 + Number(((entry >> 58n) & 0x18n) | ((entry >> 5n) & 7n));
  const root = treeTable(entry, size);
  const meaning = typeof root === "string" ? root : `${root.level.name} at ${hex(root.address)}, ${size} bits`;
  steps.push({ ...step, entry, meaning });
  return typeof root === "string"
    ? `process table entry ${pid} at ${hex(at)} is ${hex(entry)}: ${root}`
    : { ...root, covers: 1n << BigInt(size) };
}

/** The table that an entry points at, for this many bits of the address; or what is wrong with it. */
function treeTable(entry: bigint, left: number): TableAt | string {
  const bits = Number(entry & 31n);
  if (bits < 5 || left - bits < 12) return `a table of 2^${bits} entries for ${left} bits of address`;
  const level: Level = { name: `radix table of bit ${left - 1}`, shift: left - bits, bits, bytes: 8, little: false };
  return { level, address: entry & TREE_BASE };
}

function decode(entry: bigint, { shift }: Level): Decoded {
  if ((entry & VALID) === 0n) return { kind: "invalid", why: "not valid" };
  if ((entry & LEAF) === 0n) {
    const next = treeTable(entry, shift);
    return typeof next === "string" ? { kind: "invalid", why: next } : { kind: "table", next, words: "" };
  }
  const physical = ((entry & PAGE_BASE) >> BigInt(shift)) << BigInt(shift);
  const letters = [
    (entry & 4n) === 0n ? "-" : "r",
    (entry & 2n) === 0n ? "-" : "w",
    (entry & 1n) === 0n ? "-" : "x",
  ].join("");
  const user = (entry & 8n) === 0n;
  const flags = NAMED.filter(([bit]) => (entry & bit) !== 0n).map(([, word]) => word);
  const words = [letters, user ? "user" : "privileged", ...flags].join(", ");
  const rights = { writable: (entry & 2n) !== 0n, user, executable: (entry & 1n) !== 0n };
  return { kind: "page", physical, bits: shift, words, ...rights };
}
