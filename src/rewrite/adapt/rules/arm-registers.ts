import type { FieldValue, StructState } from "../../../codec/vmstate/index.js";
import type { MergeContext } from "../context.js";

const INDEXES = "cpreg_vmstate_indexes";
const VALUES = "cpreg_vmstate_values";
const COUNT = "cpreg_vmstate_array_len";

/**
 * The system registers of an Arm CPU are two lists: their numbers, and their values. QEMU refuses a number that it does
 * not have, and leaves those that are missing as they are (target/arm/machine.c `cpu_post_load`, 7.2 and 11.1). So the
 * list is the destination's, with the guest's values; those that say what the CPU is are the destination's. Any other state is returned as it is.
 */
export function alignRegisters(old: StructState, pattern: StructState, ctx: MergeContext): StructState {
  const [mine, theirs] = [lists(old), lists(pattern)];
  if (mine === undefined || theirs === undefined) return old;
  const values = new Map(mine.indexes.map((index, i) => [String(index), mine.values[i]!]));
  const known = new Set(theirs.indexes.map(String));
  for (const [i, index] of mine.indexes.entries()) {
    const value = mine.values[i]!;
    if (known.has(String(index)) || isIdentity(BigInt(index))) continue;
    const what = `the destination's CPU has no system register 0x${BigInt(index).toString(16)}`;
    const remedy = "the CPU model that the guest was started with (-cpu), or a QEMU that has the register";
    const rests = (BigInt(value) & ~(RESTING.get(BigInt(index)) ?? 0n)) === 0n;
    const weight = rests ? "unused" : "guest";
    ctx.within(INDEXES, () =>
      ctx.note("arm-register", weight, value, undefined, what, weight === "guest" ? remedy : undefined),
    );
  }
  const taken = theirs.indexes.map((index, i) => {
    const own = values.get(String(index));
    const value = theirs.values[i]!;
    if (own === undefined && BigInt(value) !== 0n) {
      const what = `system register 0x${BigInt(index).toString(16)}, which the old CPU does not have: as it starts`;
      ctx.within(INDEXES, () => ctx.note("arm-register-new", "unused", undefined, value, what));
    }
    if (own === undefined || !isIdentity(BigInt(index)) || BigInt(own) === BigInt(value)) return own ?? value;
    const what = `register 0x${BigInt(index).toString(16)} says what the CPU is: QEMU takes no other value than its own`;
    const kept = ~unmodelled(BigInt(index));
    const weight = isMore(BigInt(own) & kept, BigInt(value) & kept) ? "unused" : "guest";
    const remedy = weight === "guest" && POINTER_KEYS.has(BigInt(index)) ? POINTER_REMEDY : undefined;
    ctx.within(VALUES, () => ctx.note("arm-identity", weight, own, value, what, remedy));
    return value;
  });
  const names = new Set([INDEXES, VALUES]);
  const of = (state: StructState): StructState["description"]["fields"] =>
    state.description.fields.filter(({ name }) => names.has(name));
  const like = of(pattern);
  const fields = old.description.fields.map((field) => like.find(({ name }) => name === field.name) ?? field);
  const changed: Record<string, FieldValue> = { [INDEXES]: theirs.indexes, [VALUES]: taken };
  if (COUNT in old.fields) changed[COUNT] = pattern.fields[COUNT]!;
  return { ...old, description: { ...old.description, fields }, fields: { ...old.fields, ...changed } };
}

/**
 * Whether a register says what the CPU is: numbers as KVM's, 0x6030... of AArch64 (op0 3, op1 0, 1 or 3, CRn 0),
 * 0x4020... of cp15 (CRn 0) and cp14 (DBGDIDR, DBGDEVID); CSSELR and what EL2 sets are none. Source: Arm ARM DDI 0487, D12 and G8; QEMU
 * target/arm/kvm-consts.h (7.2).
 */
function isIdentity(index: bigint): boolean {
  const low = Number(index & 0xffffn);
  switch (index >> 48n) {
    case 0x6030n:
      return low >> 14 === 3 && ((low >> 7) & 15) === 0 && [0, 1, 3].includes((low >> 11) & 7);
    case 0x4020n:
      if (((index >> 16n) & 15n) === 14n) return low === 0 || low === 0x3802;
      return ((index >> 16n) & 15n) === 15n && low >> 11 === 0 && ((low >> 3) & 15) !== 2;
    default:
      return false;
  }
}

/**
 * Bits that say nothing of what the guest did, of registers that not every QEMU has: RMR_EL1 and RMR, whose bit AA64 is
 * what the CPU is, and whose bit RR asks for a reset. Source: Arm ARM DDI 0487, D19.2 and G8.2; target/arm/helper.c
 * (10.0 has them, 7.2 not).
 */
const RESTING: ReadonlyMap<bigint, bigint> = new Map([
  [0x6030_0000_0013_c602n, 1n],
  [0x4020_0000_200f_6002n, 1n],
]);

/** ID_AA64ISAR1_EL1 and ISAR2 say how addresses are signed: those in the guest's memory keep their signatures. */
const POINTER_KEYS: ReadonlySet<bigint> = new Set([0x6030_0000_0013_c031n, 0x6030_0000_0013_c032n]);
const POINTER_REMEDY =
  "the algorithm that signs addresses: -cpu max,pauth-qarma5=on as up to 10.1, for a guest that uses it";

/**
 * Fields of what no QEMU models, which older ones took over from the real CPU: trace (TraceVer, CopTrc, MMapTrc,
 * TraceFilt), sampling (PMSVer), activity monitors (AMU), caches (CLIDR), the registers of an external debugger
 * (DBGDEVID). A guest that found them could do nothing with them. Source: target/arm/cpu.c `arm_cpu_realizefn` (11.1),
 * which clears them; registers of cortex-a57, cortex-a72 and max in streams of 7.2 and 11.1.
 */
const UNMODELLED: ReadonlyMap<bigint, bigint> = new Map([
  [0x6030_0000_0013_c00an, nibbles(12, 16, 28)],
  [0x4020_0000_200f_0082n, nibbles(12, 16, 28)],
  [0x6030_0000_0013_c028n, nibbles(4, 32, 40, 44)],
  [0x6030_0000_0013_c020n, nibbles(44)],
  [0x6030_0000_0013_c008n, nibbles(20)],
  [0x4020_0000_200f_0080n, nibbles(20)],
  [0x6030_0000_0013_c801n, -1n],
  [0x4020_0000_200f_0009n, -1n],
  [0x4020_0000_200e_3802n, -1n],
]);

/** The fields of four bits from these bits on. */
function nibbles(...shifts: number[]): bigint {
  return shifts.reduce((mask, shift) => mask | (15n << BigInt(shift)), 0n);
}

function unmodelled(index: bigint): bigint {
  return UNMODELLED.get(index) ?? 0n;
}

/** Whether each of the fields of four bits is at least what it was: newer features are added to older ones. */
function isMore(old: bigint, now: bigint): boolean {
  for (let shift = 0n; shift < 64n; shift += 4n) if (((now >> shift) & 15n) < ((old >> shift) & 15n)) return false;
  return true;
}

type Numbers = (number | bigint)[];

function lists({ fields }: StructState): { indexes: Numbers; values: Numbers } | undefined {
  const [indexes, values] = [numbers(fields[INDEXES]), numbers(fields[VALUES])];
  if (indexes === undefined || values === undefined || indexes.length !== values.length) return undefined;
  return { indexes, values };
}

function numbers(value: FieldValue | undefined): Numbers | undefined {
  if (!Array.isArray(value)) return undefined;
  const found = value.filter((one) => typeof one === "number" || typeof one === "bigint");
  return found.length === value.length ? found : undefined;
}
