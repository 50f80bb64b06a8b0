/**
 * Texts about the list of system registers in the state of an ARM CPU. Source: QEMU target/arm/machine.c, cpu_post_load
 * (5.2 to 11.1); the register's id is that of KVM (Linux, Documentation/virt/kvm/api.rst, KVM_GET_ONE_REG) or QEMU's
 * own of 32 bits.
 */
import { hex } from "../../../bytes/errors.js";
import { damageNote, deviceNamed, elsewhere, ofDevice, type Answer, type Context, type Parts } from "../context.js";
import { systemRegisters } from "../targets/arm-cpu.js";
import type { Remedy } from "../types.js";
import { at, quoted } from "../words.js";
import { remediesFor } from "./devices.js";

/** Names of registers that such texts name most, those of CPU features: `op0 op1 CRn CRm op2`. */
const NAMES: Readonly<Record<string, string>> = {
  "3 0 0 0 0": "MIDR_EL1",
  "3 0 0 4 0": "ID_AA64PFR0_EL1",
  "3 0 0 5 0": "ID_AA64DFR0_EL1",
  "3 0 0 7 0": "ID_AA64MMFR0_EL1",
  "3 0 1 0 0": "SCTLR_EL1",
  "3 0 1 2 0": "ZCR_EL1",
  "3 0 1 2 6": "SMCR_EL1",
  "3 0 2 0 3": "TCR2_EL1",
  "3 0 2 1 0": "APIAKEYLO_EL1",
  "3 0 7 4 0": "PAR_EL1",
  "3 3 9 12 0": "PMCR_EL0",
  "3 3 0 0 1": "CTR_EL0",
  "3 4 1 1 0": "HCR_EL2",
  "3 6 1 1 0": "SCR_EL3",
};

/** Names of 32-bit coprocessor registers: `cp CRn opc1 CRm opc2`. */
const OLD_NAMES: Readonly<Record<string, string>> = {
  "15 0 0 0 0": "MIDR",
  "15 1 0 0 0": "SCTLR",
  "15 7 0 4 0": "PAR",
  "15 9 0 12 0": "PMCR",
  "15 13 0 0 0": "FCSEIDR",
  "15 13 0 0 1": "CONTEXTIDR",
};

/** Upper 32 bits of KVM's id: architecture and size. */
const SIZES: ReadonlySet<bigint> = new Set([0x6030_0000n, 0x6020_0000n, 0x4030_0000n, 0x4020_0000n]);

/**
 * The register that an id means, in words. KVM's: bits 16 to 27 are 0x13 for system registers of 64-bit ARM, the number
 * of the coprocessor for 32-bit ones; QEMU's own short form has bit 28 for 64-bit ARM and bit 29 for the bank of the
 * normal world.
 */
export function registerName(id: bigint): string {
  const low = Number(id & 0xffff_ffffn);
  const group = (low >>> 16) & 0xfff;
  if (group === 0x13) {
    const parts = [(low >> 14) & 3, (low >> 11) & 7, (low >> 7) & 15, (low >> 3) & 15, low & 7];
    const [op0, op1, crn, crm, op2] = parts;
    const name = NAMES[parts.join(" ")];
    return `${name === undefined ? "" : `${name}, `}op0=${op0} op1=${op1} CRn=${crn} CRm=${crm} op2=${op2}`;
  }
  if (group === 0x14) return `firmware register ${low & 0xffff} of KVM`;
  const cp = group & 15;
  const wide = (low & 0x8000) !== 0;
  const [crn, crm, opc1, opc2] = [(low >> 11) & 15, (low >> 7) & 15, (low >> 3) & 15, low & 7];
  const name = wide ? undefined : OLD_NAMES[[cp, crn, opc1, crm, opc2].join(" ")];
  const bank = (low & 0x2000_0000) === 0 ? "" : ", of the normal world";
  const place = wide ? `64 bits, opc1=${opc1} CRm=${crm}` : `CRn=${crn} opc1=${opc1} CRm=${crm} opc2=${opc2}`;
  return `${name === undefined ? "" : `${name}, `}cp${cp} ${place}${bank}`;
}

/** "system register 0x200f3a00 in the incoming stream but unknown on the destination". */
export function systemRegister({ register = "0x0", instance, missing }: Parts, context: Context): Answer {
  const asked = BigInt(register);
  const device =
    deviceNamed(context) ??
    context.survey.devices.find(({ name, instance: n }) => name === "cpu" && n === Number(instance ?? 0));
  const registers = systemRegisters(device?.state?.fields);
  const ids = [...registers.keys()];
  const index = ids.findIndex(
    (id) => id === asked || (asked >> 32n === 0n && (id & 0xffff_ffffn) === asked && SIZES.has(id >> 32n)),
  );
  const words = registerName(index < 0 ? asked : ids[index]!);
  const value = index < 0 ? undefined : registers.get(ids[index]!);
  const here =
    device === undefined
      ? [`this file has no section "cpu"${elsewhere(context)}`]
      : [
          index < 0
            ? `register ${register} (${words}) is not in the list of device ${quoted(device.name)} instance ${device.instance}${elsewhere(context)}`
            : `device ${quoted(device.name)} instance ${device.instance} ${at(device.offset)}: cpreg_vmstate_indexes[${index}] of ${ids.length} is 0x${ids[index]!.toString(16)} (${words}); its value is 0x${value!.toString(16)}`,
        ];
  return {
    about: {
      ...ofDevice(device),
      field: index < 0 ? undefined : `cpreg_vmstate_indexes[${index}]`,
      value: value === undefined ? undefined : hex(Number(value & 0xffff_ffffn)),
    },
    here: [...here, ...damageNote(context)],
    why:
      missing !== undefined
        ? "the destination's CPU has a system register that the source's does not have; QEMU keeps its value after a reset and goes on: this alone does not fail a load"
        : "the source's CPU has a system register that the destination's CPU does not have: another CPU model or feature (-cpu), another accelerator (KVM and TCG list different registers), EL2 or EL3 at one end only (virtualization=, secure=), or a release of QEMU that lists other registers",
    remedies: [...cpuRemedy(context), ...remediesFor(device, context)],
  };
}

/** "cpreg_vmstate_array_len" of more registers than the destination has. */
export function registerCount(parts: Parts, context: Context): Answer {
  const device = deviceNamed(context) ?? context.survey.devices.find(({ name }) => name === "cpu");
  const total = systemRegisters(device?.state?.fields).size;
  return {
    about: {
      ...ofDevice(device),
      field: "cpreg_vmstate_array_len",
      value: total,
    },
    here: [
      `the CPU of this file has ${total} system registers${parts["local"] === undefined ? "" : `; the destination's has ${parts["local"]}`}`,
      ...damageNote(context),
    ],
    why: "the destination's CPU has fewer system registers: it is another model (-cpu), or has no EL2 or EL3",
    remedies: [...cpuRemedy(context), ...remediesFor(device, context)],
  };
}

function cpuRemedy({ destination }: Context): Remedy[] {
  const args = destination.arguments;
  const found = ["-machine", "-cpu"].flatMap((option) => {
    const at_ = args.indexOf(option);
    return at_ < 0 ? [] : args.slice(at_, at_ + 2);
  });
  return found.includes("-cpu") ? [{ what: "give the destination the source's CPU", arguments: found }] : [];
}
