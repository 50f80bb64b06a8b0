/**
 * The matrix of `qevm adapt`: machine types by sets of devices, saved by one QEMU, adapted, loaded by another, and seen
 * to go on. Prints a line for each cell, then a table: `node dist/tools/adapt/main.js [OPTIONS]`. Exit 1 when a cell
 * failed that was not refused.
 *
 *   --from 7.2, --to 11.1   the two QEMUs
 *   --under newest,nearest  machine types of the destination: its newest, and the one nearest to the guest's (newest)
 *   --match REGEXP          cells whose name (`pc-i440fx-2.3 virtio`) it matches
 *   --run MS                time that a guest without a system runs before it is saved (2500)
 *   --linux FOLDER          the guest is a Linux, which is made in that folder (`linux.ts`) if it is not there
 *   --jobs N                guests at a time (1)
 *   --keep FOLDER           streams and patterns of cells that fail
 *   --verbose               every change
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { argv, exit } from "node:process";
import { findQemu } from "../qemu/find.js";
import { saveOld, tryCell, type Cell, type Outcome, type SavedGuest } from "./cell.js";
import { tickingLinux } from "./linux.js";
import { DEVICE_SETS, FAMILIES, machineTypes, nearestType } from "./cells.js";

const words = argv.slice(2);
const option = (name: string, usual: string): string => {
  const at = words.indexOf(name);
  return at < 0 ? usual : (words[at + 1] ?? usual);
};
const old = findQemu(option("--from", "7.2"));
const now = findQemu(option("--to", "11.1"));
if (old === undefined || now === undefined) {
  console.log("skipped: this machine does not have both QEMUs");
  exit(0);
}
const match = new RegExp(option("--match", ""), "u");
const under = option("--under", "newest").split(",");
const keep = option("--keep", "");
const run = Number(option("--run", "2500"));
const folder = option("--linux", "");
const linux = folder === "" ? undefined : tickingLinux(folder);

interface Job {
  /** Machine type and set of devices. */
  readonly name: string;
  readonly set: string;
  readonly cell: Omit<Cell, "to">;
  /** Machine types of the destination. */
  readonly to: readonly string[];
}

const jobs = FAMILIES.flatMap((family): Job[] => {
  const here = machineTypes(now, family);
  return machineTypes(old, family).flatMap((from) =>
    DEVICE_SETS.map((set) => ({
      name: `${from} ${set.name}`,
      set: set.name,
      to: [...new Set(under.map((kind) => (kind === "newest" ? here.at(-1)! : nearestType(here, from))))],
      cell: {
        old,
        now,
        from,
        args: ["-m", linux === undefined ? "64" : "160", ...argumentsOf(set.args(family))],
        run,
        linux,
      },
    })),
  );
}).filter(({ name }) => match.test(name));

function argumentsOf(text: string): string[] {
  return text
    .trim()
    .split(/\s+/u)
    .filter((word) => word !== "");
}

/** Cells that failed without being refused. */
let unforeseen = 0;
const total = new Map<string, { passed: number; tried: number }>();

async function runJob({ name, set, cell, to }: Job): Promise<void> {
  let guest: SavedGuest | undefined;
  try {
    guest = await saveOld({ ...cell, to: to[0]! });
  } catch {
    // Its first cell tries again, and says why.
  }
  for (const type of to) {
    const outcome = await tryCell({ ...cell, to: type }, guest);
    const row = `${set}, under the ${type === to[0] && under[0] === "newest" ? "newest" : "nearest"}`;
    const sum = total.get(row) ?? { passed: 0, tried: 0 };
    total.set(row, { passed: sum.passed + Number(outcome.passed), tried: sum.tried + 1 });
    if (!outcome.passed && outcome.at !== "refused") unforeseen++;
    tell(`${name} -> ${type}`, outcome);
  }
}

const waiting = jobs.values();
await Promise.all(
  Array.from({ length: Number(option("--jobs", "1")) }, async () => {
    for (const job of waiting) await runJob(job);
  }),
);
const all = { passed: 0, tried: 0 };
for (const [row, { passed, tried }] of total) {
  console.log(`| ${row} | ${passed} | ${tried} |`);
  all.passed += passed;
  all.tried += tried;
}
console.log(`${all.passed} of ${all.tried} cells passed`);
exit(unforeseen === 0 ? 0 : 1);

function tell(name: string, { passed, at, why, globals, report, stream, pattern }: Outcome): void {
  console.log(
    `${passed ? "passed" : "FAILED"} ${name}${passed ? "" : ` at ${at}: ${why.split("\n").slice(0, 6).join(" / ")}`}`,
  );
  if (words.includes("--verbose")) {
    console.log(`  ${globals.join(" ")}`);
    for (const { where, old: was, new: is, rule, weight, reason } of report?.changes ?? [])
      console.log(`  ${weight} ${rule}: ${where}: ${was} -> ${is} (${reason})`);
  }
  if (keep === "" || passed || stream === undefined || pattern === undefined) return;
  mkdirSync(keep, { recursive: true });
  const stem = join(keep, name.replaceAll(/[^\w.-]+/gu, "_"));
  writeFileSync(`${stem}.old`, stream);
  writeFileSync(`${stem}.pattern`, pattern);
}
