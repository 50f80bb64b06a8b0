/** The CPU of an ARM guest by the system registers in its state. */
import { isRecordValue, type FieldValue } from "../../../codec/vmstate/index.js";
import type { Survey } from "../survey.js";
import { first } from "./types.js";

/**
 * System registers by the id that KVM gives them (Linux, Documentation/virt/kvm/api.rst, KVM_GET_ONE_REG), in stream
 * order.
 */
export function systemRegisters(fields: Readonly<Record<string, FieldValue>> | undefined): Map<bigint, bigint> {
  const indexes = fields?.["cpreg_vmstate_indexes"];
  const values = fields?.["cpreg_vmstate_values"];
  const found = new Map<bigint, bigint>();
  if (!Array.isArray(indexes)) return found;
  indexes.forEach((index, i) => {
    const value = Array.isArray(values) ? values[i] : undefined;
    if (typeof index === "bigint" && !isRecordValue(index)) {
      found.set(BigInt.asUintN(64, index), typeof value === "bigint" ? BigInt.asUintN(64, value) : 0n);
    }
  });
  return found;
}

/** Id of an AArch64 system register. */
function registerId(op0: number, op1: number, crn: number, crm: number, op2: number): bigint {
  return 0x6030_0000_0013_0000n | BigInt((op0 << 14) | (op1 << 11) | (crn << 7) | (crm << 3) | op2);
}

const CTR = registerId(3, 3, 0, 0, 1);
const ID_MMFR0 = registerId(3, 0, 0, 1, 4);
const ID_AA64MMFR0 = registerId(3, 0, 0, 7, 0);
const ID_AA64DFR0 = registerId(3, 0, 0, 5, 0);
const VPIDR_EL2 = registerId(3, 4, 0, 0, 0);
const ZCR_EL1 = registerId(3, 0, 1, 2, 0);
const APIAKEYLO_EL1 = registerId(3, 0, 2, 1, 0);
const HCR_EL2 = registerId(3, 4, 1, 1, 0);
const SCR_EL3 = registerId(3, 6, 1, 1, 0);
/** CP15 c0, c0, 0 (MIDR) of a 32-bit CPU, in the bank of the normal world. */
const MIDR_32 = 0x4020_0000_200f_0000n;
/** Registers of KVM's own firmware interface: only KVM saves them. */
const KVM_FIRMWARE = 0x6030_0000_0014_0000n;

/**
 * `CTR ID_MMFR0 ID_AA64MMFR0 ID_AA64DFR0` of the models that TCG has, as captures of QEMU 5.2, 7.2, 10.0 and 11.1 have
 * them. MIDR_EL1 is not in TCG's list. `max` differs by version: see {@link armCpu}.
 */
const MODELS: readonly [name: string, ctr: number, mmfr0: number, mmfr64: number, dfr64: number][] = [
  ["cortex-a35", 0x84448004, 0x10201105, 0x101122, 0x10305106],
  ["cortex-a53", 0x84448004, 0x10101105, 0x1122, 0x10305106],
  ["cortex-a55", 0x84448004, 0x10201105, 0x101122, 0x10305408],
  ["cortex-a57", 0x8444c004, 0x10101105, 0x1124, 0x10305106],
  ["cortex-a72", 0x8444c004, 0x10201105, 0x1124, 0x10305106],
  ["cortex-a76", 0x8444c004, 0x10201105, 0x101122, 0x10305408],
  ["cortex-a710", 0x9444c004, 0x10201105, 0x101122, 0x10305609],
  ["neoverse-n1", 0x8444c004, 0x10201105, 0x101125, 0x10305408],
  ["neoverse-n2", 0xb444c004, 0x10201105, 0x101125, 0x10305609],
  ["neoverse-v1", 0xb444c004, 0x10201105, 0x101125, 0x10305509],
  ["a64fx", 0x86668006, 0, 0x1122, 0x10305408],
];

/** MIDR of 32-bit models (QEMU target/arm, 5.2 to 11.1); the revision of cortex-a15 changed. */
const MIDR_MODELS: Readonly<Record<number, string>> = {
  0x410fc075: "cortex-a7",
  0x412fc0f1: "cortex-a15",
  0x414fc0f0: "cortex-a15",
  0x410fc080: "cortex-a8",
  0x410fc090: "cortex-a9",
};

/** What the registers say of the CPU. */
interface ArmCpu {
  /** Model for -cpu; undefined where no model that is known has these registers. */
  model: string | undefined;
  /** Whether KVM saved it: the model is the host's. */
  kvm: boolean;
  el2: boolean;
  el3: boolean;
}

export function armCpu(survey: Survey): ArmCpu {
  const registers = systemRegisters(first(survey, "cpu")?.state?.fields);
  const low = (id: bigint): number => Number((registers.get(id) ?? 0n) & 0xffff_ffffn);
  const [ctr, mmfr0, mmfr64, dfr64] = [CTR, ID_MMFR0, ID_AA64MMFR0, ID_AA64DFR0].map(low);
  const kvm = registers.has(KVM_FIRMWARE);
  const found = { kvm, el2: registers.has(HCR_EL2), el3: registers.has(SCR_EL3) };
  if (kvm) return { ...found, model: undefined };
  if (!registers.has(ID_AA64MMFR0)) {
    const model = MIDR_MODELS[low(MIDR_32)];
    return { ...found, model };
  }
  // Bits 16 and up of ID_AA64DFR0 and 24 and up of ID_AA64MMFR0 differ by release; bits 8 to 11 of the first are the
  // PMU's.
  const fits = MODELS.find(
    ([, a, b, c, d]) =>
      a === ctr && b === mmfr0 && (c & 0xffffff) === (mmfr64! & 0xffffff) && (d & 0xf0ff) === (dfr64! & 0xf0ff),
  );
  // "max" is a cortex-a57 with more; its MIDR says so where EL2 shows it.
  const max = (mmfr0 === 0x10101105 && ctr! % 0x10000 === 0xc004) || low(VPIDR_EL2) === 0xf0510;
  const model = fits?.[0] ?? (max ? "max" : undefined);
  return { ...found, model: model === undefined ? undefined : [model, ...without(model, registers)].join(",") };
}

/** Features that are switched off: bits 8 to 11 of ID_AA64DFR0 (the PMU), and registers that are not there. */
function without(model: string, registers: ReadonlyMap<bigint, bigint>): string[] {
  return [
    ...(((registers.get(ID_AA64DFR0) ?? 0n) & 0xf00n) === 0n ? ["pmu=off"] : []),
    ...(model !== "max" || registers.has(ZCR_EL1) ? [] : ["sve=off"]),
    ...(model !== "max" || registers.has(APIAKEYLO_EL1) ? [] : ["pauth=off"]),
  ];
}
