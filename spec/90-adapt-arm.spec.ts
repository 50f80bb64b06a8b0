/** System registers of Arm CPUs: two lists, which QEMU compares with its own. */
import test from "tape";
import type { DeviceState, StructState } from "../src/codec/vmstate/index.js";
import { MergeContext } from "../src/rewrite/adapt/context.js";
import { mergeDevice } from "../src/rewrite/adapt/merge.js";
import { alignRegisters } from "../src/rewrite/adapt/rules/arm-registers.js";
import type { Change } from "../src/rewrite/adapt/types.js";

const [TTBR0, ISAR0, DFR0, OLD] = [0x603000000013c100n, 0x603000000013c030n, 0x603000000013c00an, 0x603000000013e001n];

function cpu(registers: [bigint, bigint][]): StructState {
  const arrayLength = registers.length;
  const field = { type: "uint64", size: 8, arrayLength };
  const [indexes, values] = [registers.map(([index]) => index), registers.map(([, value]) => value)];
  return {
    description: {
      vmsdName: "cpu",
      version: 22,
      fields: [
        { name: "cpreg_vmstate_indexes", ...field },
        { name: "cpreg_vmstate_values", ...field },
      ],
    },
    fields: { cpreg_vmstate_indexes: indexes, cpreg_vmstate_values: values },
    subsections: [],
  };
}

function aligned(old: [bigint, bigint][], pattern: [bigint, bigint][]): { state: StructState; changes: Change[] } {
  const changes: Change[] = [];
  return { state: alignRegisters(cpu(old), cpu(pattern), new MergeContext("cpu", 0, changes)), changes };
}

test("the destination's registers, with the guest's values", (t) => {
  const { state, changes } = aligned(
    [
      [OLD, 0n],
      [TTBR0, 5n],
    ],
    [
      [TTBR0, 0n],
      [TTBR0 + 1n, 7n],
    ],
  );
  t.deepEqual(state.fields["cpreg_vmstate_indexes"], [TTBR0, TTBR0 + 1n]);
  t.deepEqual(state.fields["cpreg_vmstate_values"], [5n, 7n]);
  t.equal(state.description.fields[0]!.arrayLength, 2);
  t.deepEqual(
    changes.map(({ rule, weight }) => [rule, weight]),
    [
      ["arm-register", "unused"],
      ["arm-register-new", "unused"],
    ],
  );
  t.equal(aligned([[OLD, 1n]], [[TTBR0, 0n]]).changes[0]?.weight, "guest", "a register that is lost");
  const RMR = 0x603000000013c602n;
  t.equal(aligned([[RMR, 1n]], [[TTBR0, 0n]]).changes[0]?.weight, "unused", "but for one that only asks for a reset");
  t.equal(aligned([[RMR, 3n]], [[TTBR0, 0n]]).changes[0]?.weight, "guest");
  t.end();
});

test("registers that say what the CPU is are the destination's", (t) => {
  t.deepEqual(
    aligned(
      [
        [ISAR0, 1n],
        [TTBR0, 0n],
      ],
      [[TTBR0, 0n]],
    ).changes,
    [],
    "one that QEMU does not save any more",
  );
  const more = aligned([[DFR0, 0x10n]], [[DFR0, 0x21n]]);
  t.deepEqual([more.changes[0]?.rule, more.changes[0]?.weight], ["arm-identity", "unused"]);
  t.deepEqual(more.state.fields["cpreg_vmstate_values"], [0x21n]);
  t.equal(aligned([[DFR0, 0x20n]], [[DFR0, 0x11n]]).changes[0]?.weight, "guest", "a feature that is less");
  const trace = aligned([[DFR0, 0x3010006n]], [[DFR0, 0x3000006n]]);
  t.deepEqual([trace.changes[0]?.weight, trace.state.fields["cpreg_vmstate_values"]], ["unused", [0x3000006n]]);
  t.equal(aligned([[DFR0, 0x3010006n]], [[DFR0, 0x2000006n]]).changes[0]?.weight, "guest", "beside trace, one less");
  const keys = aligned([[ISAR0 + 1n, 0x12n]], [[ISAR0 + 1n, 0x502n]]).changes[0];
  t.deepEqual([keys?.weight, /pauth-qarma5=on/u.test(keys?.remedy ?? "")], ["guest", true], "signed addresses");
  const other: StructState = { description: { fields: [] }, fields: {}, subsections: [] };
  t.equal(alignRegisters(other, cpu([]), new MergeContext("d", 0, [])), other, "what is no Arm CPU");
  t.end();
});

/** A CPU with the timer of WFIT. */
function timed(wfxt_timer: bigint): DeviceState {
  const description = {
    vmsdName: "cpu/wfxt-timer",
    version: 1,
    fields: [{ name: "wfxt_timer", type: "timer", size: 8 }],
  };
  const { description: whole, fields } = cpu([]);
  const subsections = [{ description, fields: { wfxt_timer }, subsections: [] }];
  const named = { ...whole, name: "cpu", instanceId: 0, subsections: [description] };
  return { description: named, fields, subsections, bytes: { typed: 0, named: 0, opaque: 0 } };
}

test("the timer of a CPU that waits, where the destination's CPU has none", (t) => {
  const without = { ...timed(0n), subsections: [] };
  const left = (time: bigint, release: string): (string | number)[] => {
    const changes: Change[] = [];
    const { subsections } = mergeDevice(timed(time), without, new MergeContext("cpu", 0, changes, { release }));
    return [subsections.length, ...changes.map(({ rule, weight }) => `${rule} ${weight}`)];
  };
  t.deepEqual(left((1n << 64n) - 1n, "10.0"), [0, "wfxt-timer unused"], "no timer is set: QEMU 10.0 would end");
  t.deepEqual(left(5n, "10.0"), [0, "wfxt-timer guest"]);
  t.deepEqual(left(5n, "11.1"), [1], "11.1 has it of each");
  t.end();
});
