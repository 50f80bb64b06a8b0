import type { CpuFields } from "../cores/cpu-fields.js";
import { noTables, type AddressSpace, type Decoded, type Level, type PhysicalMemory, type Region } from "./types.js";

const CR0_PG = 1n << 31n;
const CR4_PSE = 1n << 4n;
const CR4_PAE = 1n << 5n;
const CR4_LA57 = 1n << 12n;
const EFER_LMA = 1n << 10n;
const EFER_NXE = 1n << 11n;
/** QEMU's own flags of the CPU (target/i386/cpu.h): system management mode, a guest under SVM. */
const HF_SMM = 1n << 19n;
const HF_GUEST = 1n << 21n;

const PRESENT = 1n;
const WRITABLE = 1n << 1n;
const USER = 1n << 2n;
const LARGE = 1n << 7n;
const NO_EXECUTE = 1n << 63n;
const NAMED: readonly (readonly [bigint, string])[] = [
  [1n << 5n, "accessed"],
  [1n << 6n, "dirty"],
  [1n << 8n, "global"],
];
/** Bits 12 to 51 of an entry. */
const ADDRESS = 0xf_ffff_ffff_f000n;
const FOUR_GIB = 1n << 32n;

const level = (name: string, shift: number, bits = 9): Level => ({ name, shift, bits, bytes: 8, little: true });
const PT = level("PT", 12);
const PD = level("PD", 21);
const PDPT = level("PDPT", 30);
const PML4 = level("PML4", 39);
const PML5 = level("PML5", 48);
/** The four entries of PAE have neither rights nor pages. */
const PAE_PDPT = level("PDPT", 30, 2);
const OLD_PT: Level = { name: "PT", shift: 12, bits: 10, bytes: 4, little: true };
const OLD_PD: Level = { name: "PD", shift: 22, bits: 10, bytes: 4, little: true };
const NEXT = new Map([
  [PML5, PML4],
  [PML4, PDPT],
  [PDPT, PD],
  [PAE_PDPT, PD],
  [PD, PT],
  [OLD_PD, OLD_PT],
]);

/**
 * The linear addresses of an x86 CPU: no paging (real mode too; the segment's base is already in a linear address),
 * 32-bit with 4 MiB pages, PAE, 4 and 5 levels with pages of 2 MiB and 1 GiB. Outside of long mode addresses wrap at
 * 4 GiB. The A20 gate applies unless the CPU is in system management mode. Sources: Intel SDM volume 3, chapter 4;
 * QEMU target/i386/helper.c (7.2 to 11.1), which like this does not judge reserved bits.
 */
export function x86Space(cpu: CpuFields, memory: PhysicalMemory): AddressSpace | string {
  const [cr0, cr3, cr4] = [0, 3, 4].map((k) => cpu.number(`env.cr[${k}]`)) as [bigint, bigint, bigint];
  const efer = cpu.has("env.efer") ? cpu.number("env.efer") : cpu.number("env.efer", "cpu/efer32");
  const flags = cpu.number("env.hflags");
  const gate = (flags & HF_SMM) === 0n ? a20(cpu) : undefined;
  const common = { memory, littleEndian: true, ...(gate === undefined ? {} : { absolute: gate }) };
  const through = (address: bigint): bigint => gate?.(address).physical ?? address;
  const wrapped = { effective: (address: bigint) => BigInt.asUintN(32, address), outside: "" };
  if ((cr0 & CR0_PG) === 0n) {
    const regions = [{ first: 0n, last: FOUR_GIB - 1n, linear: 0n }];
    const mode = (cr0 & 1n) === 0n ? "x86, real mode" : "x86, paging off";
    return { mode, regions, decode: noTables, ...common, ...wrapped };
  }
  if ((flags & HF_GUEST) !== 0n && cpu.has("env.nested_cr3", "cpu/svm_npt"))
    return "the CPU runs a nested guest with nested paging, which is not supported";
  const decode = decoder((cr4 & CR4_PSE) !== 0n, (efer & EFER_NXE) !== 0n, through);
  if ((cr4 & CR4_PAE) === 0n) {
    const regions = [tables(0n, FOUR_GIB - 1n, OLD_PD, through(cr3 & 0xffff_f000n))];
    return { mode: "x86, 32 bits", regions, decode, ...common, ...wrapped };
  }
  if ((efer & EFER_LMA) === 0n) {
    const regions = [tables(0n, FOUR_GIB - 1n, PAE_PDPT, through(cr3 & 0xffff_ffe0n))];
    return { mode: "x86, PAE", regions, decode, ...common, ...wrapped };
  }
  const five = (cr4 & CR4_LA57) !== 0n;
  const bits = five ? 56n : 47n;
  const [root, at] = [five ? PML5 : PML4, through(cr3 & ADDRESS)];
  const half = 1n << bits;
  const regions = [tables(0n, half - 1n, root, at), tables((1n << 64n) - half, (1n << 64n) - 1n, root, at)];
  const outside = `the address is not canonical: bits ${bits} to 63 differ`;
  return { mode: `x86, ${five ? 5 : 4} levels`, regions, decode, outside, ...common };
}

function tables(first: bigint, last: bigint, root: Level, address: bigint): Region {
  return { first, last, root: () => ({ level: root, address }) };
}

/** The gate in QEMU's `a20_mask`; undefined where it is open. */
function a20(cpu: CpuFields): AddressSpace["absolute"] {
  const mask = BigInt.asUintN(64, BigInt.asIntN(32, cpu.number("env.a20_mask")));
  if (!cpu.has("env.a20_mask") || (mask & (1n << 20n)) !== 0n) return undefined;
  return (real) => ({ physical: real & mask, left: 0x10_0000n - (real & 0xf_ffffn) });
}

function decoder(pse: boolean, nxe: boolean, through: (address: bigint) => bigint): AddressSpace["decode"] {
  return (entry, at, above): Decoded => {
    if ((entry & PRESENT) === 0n) return { kind: "invalid", why: "not present" };
    const pae = at === PAE_PDPT;
    const writable = above.writable !== false && (pae || (entry & WRITABLE) !== 0n);
    const user = above.user !== false && (pae || (entry & USER) !== 0n);
    const executable = above.executable !== false && !(nxe && at.bytes === 8 && (entry & NO_EXECUTE) !== 0n);
    const own = [(entry & WRITABLE) === 0n ? "read-only" : "writable", (entry & USER) === 0n ? "supervisor" : "user"];
    if (nxe && (entry & NO_EXECUTE) !== 0n) own.push("no execute");
    const words = pae
      ? ""
      : [...own, ...NAMED.filter(([bit]) => (entry & bit) !== 0n).map(([, word]) => word)].join(", ");
    const rights = { writable, user, executable, words };
    const large = (entry & LARGE) !== 0n && (at === PD || at === PDPT || (at === OLD_PD && pse));
    if (at === PT || at === OLD_PT || large) {
      const bits = at.shift;
      const high = at === OLD_PD ? ((entry >> 13n) & 0xffn) << 32n : 0n;
      const physical = (((entry & ADDRESS) >> BigInt(bits)) << BigInt(bits)) | high;
      return { kind: "page", physical, bits, ...rights };
    }
    return { kind: "table", next: { level: NEXT.get(at)!, address: through(entry & ADDRESS) }, ...rights };
  };
}
