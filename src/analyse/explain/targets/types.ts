import type { Survey, SurveyedDevice } from "../survey.js";
import type { LikelyDevice } from "../types.js";

/** What a stream of a machine that is not a PC says of its destination. */
export interface TargetAdvice {
  /** QEMU's program: `qemu-system-aarch64`. */
  program: string;
  /** Properties of -machine: `gic-version=3`. */
  machine: string[];
  /** Whether -nodefaults is given: not for boards whose devices are there by default. */
  nodefaults: boolean;
  /** CPU model and counts, firmware, -global. */
  arguments: string[];
  /** Blocks that the machine or its devices make by themselves. */
  own: (block: string) => boolean;
  /** Slots of memory devices in the stream; 0: none. */
  slots: number;
  devices: LikelyDevice[];
  /** Sections with no option known. */
  unnamed: string[];
  notes: string[];
}

/** One family of machines: a file of its own, and a line in `index.ts`. */
export interface Target {
  fits: (survey: Survey) => boolean;
  advise: (survey: Survey) => TargetAdvice;
}

/** Whether a section of this name is in the stream. */
export function has({ devices }: Survey, name: string): boolean {
  return devices.some((one) => one.name === name);
}

/** How many sections of this name there are. */
export function count({ devices }: Survey, name: string): number {
  return devices.filter((one) => one.name === name).length;
}

export function first({ devices }: Survey, name: string): SurveyedDevice | undefined {
  return devices.find((one) => one.name === name);
}

/** `-smp 4`; nothing for one CPU. */
export function smpArguments(survey: Survey): string[] {
  const cpus = count(survey, "cpu");
  return cpus > 1 ? ["-smp", `${cpus}`] : [];
}
