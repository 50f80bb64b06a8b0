import type { DeviceState, StructState } from "../../../codec/vmstate/index.js";
import type { MergeContext } from "../context.js";
import type { Survey } from "../types.js";

const NAME = "hpet/offset";
/** Nanoseconds of one tick of its counter. */
const PERIOD = 10n;

/**
 * The virtual clock at which a guest was stopped, in nanoseconds; undefined: the stream does not say. Source:
 * softmmu/cpu-timers.c `vmstate_timers`, 7.2.
 */
export function stoppedAt({ sections }: Survey): bigint | undefined {
  const state = sections.find(({ idstr }) => idstr === "timer")?.state;
  const clock = state?.fields["cpu_clock_offset"];
  return typeof clock === "bigint" || typeof clock === "number" ? BigInt(clock) : undefined;
}

/**
 * The state of an HPET that counts, with what its counter is ahead of the virtual clock. Machine types up to 2.11 do not
 * save it, and QEMU up to 10.1 computes it where they load; 11.1 takes it as zero, and the guest's clock would jump.
 * Source: hw/timer/hpet.c `hpet_pre_save`, `hpet_post_load` and the property hpet-offset-saved, 7.2 and 11.1.
 */
export function withOffset(state: DeviceState, clock: bigint | undefined, ctx: MergeContext): DeviceState {
  const { description, fields, subsections } = state;
  const [config, counter] = [fields["config"], fields["hpet_counter"]];
  if (description.vmsdName !== "hpet" || clock === undefined) return state;
  if (typeof config !== "bigint" || typeof counter !== "bigint" || (config & 1n) === 0n) return state;
  if (subsections.some((one) => one.description.vmsdName === NAME)) return state;
  const offset = BigInt.asUintN(64, counter * PERIOD - clock);
  const reason =
    "how far its counter is ahead of the virtual clock, which machine types up to 2.11 leave to be computed";
  ctx.note("hpet-offset", "form", undefined, offset, reason);
  const added: StructState = {
    description: { vmsdName: NAME, version: 1, fields: [{ name: "hpet_offset", type: "uint64", size: 8 }] },
    fields: { hpet_offset: offset },
    subsections: [],
  };
  const all = [...subsections, added];
  return {
    ...state,
    subsections: all,
    description: { ...description, subsections: all.map((one) => one.description) },
  };
}
