import { QevmError } from "../../bytes/errors.js";
import type { CpuState } from "../cores/cpu-state.js";
import type { Segment } from "../layout-types.js";
import { addressSpaceOf, mappedRanges, type MachineFacts, type PhysicalMemory } from "../walk/index.js";

/** Memory at a virtual address, for a PT_LOAD of a core. */
export interface Load {
  virtual: bigint;
  /** Guest-physical address. */
  physical: number;
  length: number;
}

/** Mapped ranges at most; a PT_LOAD of each is 56 bytes. */
const MOST_RANGES = 1 << 20;

interface Range {
  /** Virtual minus physical address. */
  apart: bigint;
  from: bigint;
  to: bigint;
}

/**
 * What the page tables of all CPUs map to the given memory, by physical address, as `dump-guest-memory -p` lists it:
 * memory that no CPU maps is not in the list. Undefined where no CPU translates addresses. Errors: unsupported (an MMU
 * that is not known), limit.
 *
 * Source: QEMU dump/dump.c, system/memory_mapping.c qemu_get_guest_memory_mapping (7.2 to 11.1).
 */
export async function mappedLoads(
  cpus: readonly CpuState[],
  memory: PhysicalMemory,
  machine: MachineFacts,
  segments: readonly Segment[],
): Promise<Load[] | undefined> {
  const ranges: Range[] = [];
  let paging = false;
  for (const cpu of cpus) {
    const space = addressSpaceOf(cpu, memory, machine);
    if (space.regions.every(({ linear }) => linear !== undefined)) continue;
    paging = true;
    for await (const { virtual, physical, length } of mappedRanges(space)) {
      if (ranges.length >= MOST_RANGES) {
        throw new QevmError("limit", "page tables of a core with virtual addresses", {
          expected: `at most ${MOST_RANGES} mapped ranges`,
          found: "more",
        });
      }
      ranges.push({ apart: virtual - physical, from: physical, to: physical + length });
    }
  }
  if (!paging) return undefined;
  const loads: Load[] = [];
  for (const range of joined(ranges)) {
    for (const { start, length } of segments) {
      const from = Math.max(start, Number(range.from));
      const to = Math.min(start + length, Number(range.to));
      if (from < to) loads.push({ virtual: BigInt(from) + range.apart, physical: from, length: to - from });
    }
  }
  return loads.toSorted((a, b) => a.physical - b.physical || (a.virtual < b.virtual ? -1 : 1));
}

/** The same without overlaps: CPUs of one kernel map the same. */
function joined(ranges: readonly Range[]): Range[] {
  const sorted = ranges.toSorted((a, b) => sign(a.apart - b.apart) || sign(a.from - b.from));
  const found: Range[] = [];
  for (const range of sorted) {
    const last = found.at(-1);
    if (last?.apart !== range.apart || range.from > last.to) found.push({ ...range });
    else if (range.to > last.to) last.to = range.to;
  }
  return found;
}

function sign(value: bigint): number {
  return value < 0n ? -1 : value > 0n ? 1 : 0;
}
