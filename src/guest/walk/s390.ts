import type { CpuFields } from "../cores/cpu-fields.js";
import { noTables, type AddressSpace, type Decoded, type Level, type PhysicalMemory, type TableAt } from "./types.js";

const PSW_DAT = 1n << 58n;
const PSW_SPACE = 3n << 46n;
const PSW_HOME = 3n << 46n;
const PSW_64 = 1n << 32n;
const PSW_31 = 1n << 31n;
const CR0_EDAT = 1n << 23n;
const ASCE_REAL = 1n << 5n;
const ASCE_PRIVATE = 1n << 8n;

const INVALID = 1n << 5n;
const PAGE_INVALID = 1n << 10n;
const PAGE_ZERO = 1n << 11n;
const PROTECTED = 1n << 9n;
const NO_EXECUTE = 1n << 8n;
/** A region-third or segment entry that is a page of 2 GiB or 1 MiB. */
const LARGE = 1n << 10n;
const COMMON = 1n << 4n;
const TOP = 1n << 64n;
const PREFIX_LENGTH = 0x2000n;

interface Kind {
  name: string;
  shift: number;
  bits: number;
  /** The TT field of its entries; undefined in a page table. */
  type?: bigint;
}

/** By the type in an ASCE: 0 segment, 1 region third, 2 region second, 3 region first. */
const KINDS: readonly Kind[] = [
  { name: "segment table", shift: 20, bits: 11, type: 0n },
  { name: "region third table", shift: 31, bits: 11, type: 1n },
  { name: "region second table", shift: 42, bits: 11, type: 2n },
  { name: "region first table", shift: 53, bits: 11, type: 3n },
];
const PAGE_TABLE: Level = { name: "page table", shift: 12, bits: 8, bytes: 8, little: false };

/**
 * The addresses of an s390x CPU as QEMU's debugger takes them: home space where the PSW says so, else primary. Region,
 * segment and page tables with pages of 1 MiB and 2 GiB; real addresses without DAT; then prefixing. Tables are at
 * absolute addresses. Sources: z/Architecture Principles of Operation, chapter 3; QEMU target/s390x/mmu_helper.c (7.2).
 */
export function s390Space(cpu: CpuFields, memory: PhysicalMemory): AddressSpace | string {
  const psw = cpu.number("env.psw.mask");
  const prefix = cpu.number("env.psa");
  const control = cpu.array("env.cregs", 16);
  const effective = (address: bigint): bigint =>
    (psw & PSW_64) !== 0n ? address : BigInt.asUintN((psw & PSW_31) !== 0n ? 31 : 24, address);
  const absolute = prefixing(prefix);
  const common = { memory, littleEndian: false, effective, absolute };
  const [space, name] = (psw & PSW_SPACE) === PSW_HOME ? [control[13]!, "home"] : [control[1]!, "primary"];
  if ((psw & PSW_DAT) === 0n || (space & ASCE_REAL) !== 0n) {
    const regions = [{ first: 0n, last: TOP - 1n, linear: 0n }];
    const mode = (psw & PSW_DAT) === 0n ? "s390x, DAT off" : `s390x, ${name} space is real`;
    return { mode, regions, outside: "", decode: noTables, ...common };
  }
  const kind = Number((space >> 2n) & 3n);
  const { shift, bits } = KINDS[kind]!;
  const root = tableOf(kind, space & ~0xfffn, 0, Number(space & 3n));
  const last = kind === 3 ? TOP - 1n : (1n << BigInt(shift + bits)) - 1n;
  const regions = [{ first: 0n, last, root: () => root }];
  const outside = `the address is above what a ${KINDS[kind]!.name} covers`;
  const decode = decoder((control[0]! & CR0_EDAT) !== 0n, (space & ASCE_PRIVATE) !== 0n);
  return { mode: `s390x, ${name} space, ${KINDS[kind]!.name}`, regions, outside, decode, ...common };
}

/** A region or segment table, of which the quarters from `from` to `to` exist. */
function tableOf(kind: number, address: bigint, from: number, to: number): TableAt {
  const { name, shift, bits } = KINDS[kind]!;
  const first = from * 512;
  return { address, level: { name, shift, bits, bytes: 8, little: false, first, last: to * 512 + 511 } };
}

/** The first 8 KiB and those at the prefix take each other's place. */
function prefixing(prefix: bigint): NonNullable<AddressSpace["absolute"]> {
  return (real) => {
    if (real < PREFIX_LENGTH) return { physical: real + prefix, left: PREFIX_LENGTH - real };
    if (real < prefix) return { physical: real, left: prefix - real };
    const end = prefix + PREFIX_LENGTH;
    return real < end ? { physical: real - prefix, left: end - real } : { physical: real, left: TOP };
  };
}

function decoder(edat: boolean, isPrivate: boolean): AddressSpace["decode"] {
  return (entry, level, above): Decoded => {
    const writable = above.writable !== false && (entry & PROTECTED) === 0n;
    const executable = (entry & NO_EXECUTE) === 0n;
    const words = (entry & PROTECTED) === 0n ? "writable" : "read-only";
    if (level.bits === PAGE_TABLE.bits) {
      if ((entry & PAGE_INVALID) !== 0n) return { kind: "invalid", why: "invalid" };
      if ((entry & PAGE_ZERO) !== 0n) return { kind: "invalid", why: "bit 52 is not zero" };
      return { kind: "page", physical: entry & ~0xfffn, bits: 12, words, writable, executable };
    }
    const kind = KINDS.findIndex(({ shift }) => shift === level.shift);
    if ((entry & INVALID) !== 0n) return { kind: "invalid", why: "invalid" };
    if (((entry >> 2n) & 3n) !== BigInt(kind)) return { kind: "invalid", why: "the entry is of another table type" };
    if ((kind === 0 || (kind === 1 && edat)) && (entry & COMMON) !== 0n && isPrivate)
      return { kind: "invalid", why: "a common segment in a private space" };
    if (kind <= 1 && edat && (entry & LARGE) !== 0n) {
      const bits = level.shift;
      return { kind: "page", physical: (entry >> BigInt(bits)) << BigInt(bits), bits, words, writable, executable };
    }
    if (kind === 0) return { kind: "table", next: { level: PAGE_TABLE, address: entry & ~0x7ffn }, words, writable };
    const next = tableOf(kind - 1, entry & ~0xfffn, Number((entry >> 6n) & 3n), Number(entry & 3n));
    return { kind: "table", next, words: edat ? words : "", ...(edat ? { writable } : {}) };
  };
}
