/** Machines that are not PCs: each family is a file; the first one that fits advises. */
import type { Survey } from "../survey.js";
import { armVirt } from "./arm-virt.js";
import { board } from "./board.js";
import { pseries } from "./pseries.js";
import { renumber, takeNetwork } from "./place.js";
import { riscvVirt } from "./riscv-virt.js";
import { s390 } from "./s390.js";
import type { Target, TargetAdvice } from "./types.js";

export { mainMemory } from "./board.js";
export type { TargetAdvice } from "./types.js";

const TARGETS: readonly Target[] = [armVirt, riscvVirt, s390, pseries, board];

/** What the machine's family tells of its destination; undefined for a machine that no family knows. */
export function adviseTarget(survey: Survey): TargetAdvice | undefined {
  const advice = TARGETS.find(({ fits }) => fits(survey))?.advise(survey);
  return advice === undefined ? undefined : { ...advice, devices: takeNetwork(survey, renumber(advice.devices)) };
}
