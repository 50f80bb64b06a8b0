/**
 * Page tables walked: virtual addresses of a saved guest, from the registers of its CPUs and its memory.
 *
 * `addressSpaceOf` makes an address space of a CPU; `translate`, `readVirtual` and `mappedRanges` use it.
 */
import { QevmError } from "../../bytes/errors.js";
import { CpuFields } from "../cores/cpu-fields.js";
import type { Architecture, CpuState } from "../cores/cpu-state.js";
import { aarch64Space } from "./aarch64.js";
import { ppc64Space } from "./ppc64.js";
import { riscvSpace } from "./riscv.js";
import { s390Space } from "./s390.js";
import type { AddressSpace, MachineFacts, PhysicalMemory } from "./types.js";
import { x86Space } from "./x86.js";

export type {
  AddressSpace,
  Fault,
  MachineFacts,
  Mapped,
  MappedRange,
  PageRights,
  PhysicalMemory,
  Translation,
  WalkStep,
} from "./types.js";
export { readPart, readString, readVirtual, virtualParts, type VirtualPart } from "./virtual.js";
export { mappedRanges, translate, type RangeOptions } from "./walk.js";

const SPACES: Partial<
  Record<Architecture, (cpu: CpuFields, memory: PhysicalMemory, machine: MachineFacts) => AddressSpace | string>
> = { x86: x86Space, aarch64: aarch64Space, riscv: riscvSpace, s390x: s390Space, ppc64: ppc64Space };

/**
 * How a CPU translates virtual addresses, by its registers as they were saved. Errors: unsupported for an MMU that is not
 * known (32-bit ARM and POWER, hash page tables, second stages).
 */
export function addressSpaceOf(
  { architecture, instance, device }: CpuState,
  memory: PhysicalMemory,
  machine: MachineFacts = {},
): AddressSpace {
  const make = SPACES[architecture];
  const space =
    make === undefined
      ? `the page tables of 32-bit ${architecture} CPUs are not supported`
      : make(new CpuFields(device), memory, machine);
  if (typeof space === "string") throw new QevmError("unsupported", `CPU ${instance}: ${space}`);
  return space;
}
