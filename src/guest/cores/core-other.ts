import { deviceToPlain, type DeviceState } from "../../codec/vmstate/index.js";
import { armCpu } from "./core-arm.js";
import type { CoreCpu } from "./core-note.js";
import { powerCpu } from "./core-power.js";
import { CpuFields } from "./cpu-fields.js";
import { riscvCpu } from "./core-riscv.js";
import { s390Cpu } from "./core-s390.js";

/** A core's view of a CPU that is not x86, from the state of its "cpu" section; undefined for other sections. */
export function otherCpu(state: DeviceState): CoreCpu | undefined {
  const fields = new CpuFields(deviceToPlain(state));
  return armCpu(fields) ?? riscvCpu(fields) ?? s390Cpu(fields) ?? powerCpu(fields);
}
