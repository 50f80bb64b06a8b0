/** The guests of the matrix: which QEMU saves which machine type with which devices, for which types of the other. */
import { Random } from "../../src/analyse/fuzz/random.js";
import { findQemu, type QemuBinary } from "../qemu/find.js";
import type { Cell } from "./cell.js";
import { DEVICE_SETS, FAMILIES, machineTypes, nearestType, releaseOf, wordsOf, type DeviceSet } from "./cells.js";

/** A guest that is saved once and loaded under each of `to`. */
export interface Job {
  /** Machine type and set of devices: `pc-i440fx-2.3 virtio`. */
  readonly name: string;
  /** Release of the QEMU that saves it. */
  readonly source: string;
  readonly set: string;
  readonly cell: Omit<Cell, "to">;
  /** Machine types of the destination. */
  readonly to: readonly Target[];
}

export interface Target {
  readonly type: string;
  readonly under: "newest" | "nearest";
}

/** Machine types that one QEMU saves: from the first release to the last one. */
export interface Span {
  readonly source: string;
  readonly first?: string;
  readonly last?: string;
}

/** The whole matrix: types up to 5.1 saved by two QEMUs that have them, later ones by one that 11.1 follows. */
export const MATRIX: readonly Span[] = [
  { source: "5.2", last: "5.1" },
  { source: "7.2", last: "5.1" },
  { source: "10.0", first: "5.2" },
];

/** How the cells are run. */
interface JobOptions {
  readonly under: readonly Target["under"][];
  readonly run: number;
  readonly linux: Cell["linux"];
  readonly sets?: readonly DeviceSet[];
}

/** The guests of some spans. QEMUs that this machine does not have are named on the standard output. */
export function jobsOf(spans: readonly Span[], now: QemuBinary, options: JobOptions): Job[] {
  return spans.flatMap(({ source, first, last }) => {
    const old = findQemu(source);
    if (old === undefined) console.log(`skipped: this machine has no QEMU ${source}`);
    if (old === undefined) return [];
    return FAMILIES.flatMap((family) => {
      const here = machineTypes(now, family);
      return machineTypes(old, family)
        .filter((type) => first === undefined || releaseOf(type) >= releaseOf(first))
        .filter((type) => last === undefined || releaseOf(type) <= releaseOf(last))
        .flatMap((from) => jobsOfType({ old, now, family, from, here, ...options }));
    });
  });
}

interface Typed extends JobOptions {
  old: QemuBinary;
  now: QemuBinary;
  family: string;
  from: string;
  here: readonly string[];
}

function jobsOfType({ old, now, family, from, here, under, run, linux, sets = DEVICE_SETS }: Typed): Job[] {
  const wanted = under.map((kind): Target => ({
    type: kind === "newest" ? here.at(-1)! : nearestType(here, from),
    under: kind,
  }));
  // One type may be both.
  const to = wanted.filter(({ type }, i) => wanted.findIndex((other) => other.type === type) === i);
  const memory = ["-m", String(linux === undefined ? 64 : 160)];
  return sets.map((set) => ({
    name: `${from} ${set.name}`,
    source: old.version,
    set: set.name,
    to,
    cell: { old, now, from, args: [...memory, ...wordsOf(set.args(family))], run, linux },
  }));
}

/** Guests by chance, with at least so many cells together; a seed gives the same ones again. */
export function sampleOf(jobs: readonly Job[], cells: number, seed: number): Job[] {
  const random = new Random(seed);
  const left = [...jobs];
  const taken: Job[] = [];
  for (let count = 0; count < cells && left.length > 0; count += taken.at(-1)!.to.length) {
    taken.push(...left.splice(random.below(left.length), 1));
  }
  return taken;
}
