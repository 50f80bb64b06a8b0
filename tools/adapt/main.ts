/**
 * The matrix of `qevm adapt`: machine types by sets of devices, saved by one QEMU, adapted, loaded by another, and seen
 * to go on. Prints a line for each cell, then tables: `node dist/tools/adapt/main.js [OPTIONS]`. Exit 1 when a cell
 * failed that was not refused.
 *
 *   --from 7.2, --to 11.1   the two QEMUs
 *   --matrix                instead of --from: machine types up to 5.1 of 5.2 and 7.2, later ones of 10.0, six sets
 *   --under newest,nearest  machine types of the destination: its newest, and the one nearest to the guest's (newest)
 *   --match REGEXP          guests whose name (`pc-i440fx-2.3 virtio`) it matches
 *   --sample N, --seed S    of those guests so many that they have N cells, by chance (seed 1)
 *   --skip N                without the first ones of them, which were run before
 *   --accept NAMES          rules whose changes are taken although the guest may notice, as `qevm adapt --accept`
 *   --list                  only the names of the guests
 *   --run MS                time that a guest without a system runs before it is saved (2500)
 *   --linux FOLDER          the guest is a Linux, which is made in that folder (`linux.ts`) if it is not there
 *   --jobs N                guests at a time (1)
 *   --results FILE          a line of JSON for each cell; cells that passed in it are not run again
 *   --keep FOLDER           streams and patterns of cells that fail
 *   --verbose               every change
 */
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { argv, exit } from "node:process";
import { findQemu } from "../qemu/find.js";
import { saveOld, tryCell, type Outcome, type SavedGuest } from "./cell.js";
import { DEVICE_SETS } from "./cells.js";
import { jobsOf, MATRIX, sampleOf, type Job, type Target } from "./jobs.js";
import { tickingLinux } from "./linux.js";
import { passedIn } from "./results.js";
import { Tables } from "./tables.js";

const words = argv.slice(2);
const option = (name: string, usual: string): string => {
  const at = words.indexOf(name);
  return at < 0 ? usual : (words[at + 1] ?? usual);
};
const now = findQemu(option("--to", "11.1"));
if (now === undefined) {
  console.log("skipped: this machine does not have both QEMUs");
  exit(0);
}
const match = new RegExp(option("--match", ""), "u");
const keep = option("--keep", "");
const folder = option("--linux", "");
const accept = option("--accept", "").split(",");
const matrix = words.includes("--matrix");
const all = jobsOf(matrix ? MATRIX : [{ source: option("--from", "7.2") }], now, {
  under: option("--under", matrix ? "newest,nearest" : "newest").split(",") as Target["under"][],
  run: Number(option("--run", "2500")),
  linux: folder === "" ? undefined : tickingLinux(folder),
  // A set that is a part of another one is there to see the rest.
  ...(matrix ? { sets: DEVICE_SETS.filter(({ part }) => part !== true) } : {}),
}).filter(({ name }) => match.test(name));
const count = Number(option("--sample", "0"));
const chosen = count === 0 ? all : sampleOf(all, count, Number(option("--seed", "1")));
const jobs = chosen.slice(Number(option("--skip", "0")));
if (words.includes("--list")) {
  for (const { source, name, to } of jobs) console.log(`${source} ${name} -> ${to.map(({ type }) => type).join(", ")}`);
  exit(0);
}
if (count > 0) {
  console.log(`${cellsOf(chosen)} of ${cellsOf(all)} cells by chance`);
}

function cellsOf(list: readonly Job[]): number {
  return list.reduce((sum, { to }) => sum + to.length, 0);
}

/** Cells that failed without being refused. */
let unforeseen = 0;
const tables = new Tables();
const results = option("--results", "");
const before = passedIn(results);

async function runJob(job: Job): Promise<void> {
  const { name, source, cell } = job;
  const named = job.to.map((target) => ({ ...target, title: `${source} ${name} -> ${target.type}` }));
  for (const target of named) if (before.has(target.title)) tables.add(job, target, true);
  const to = named.filter(({ title }) => !before.has(title));
  if (to.length === 0) return;
  let guest: SavedGuest | undefined;
  try {
    guest = await saveOld({ ...cell, to: to[0]!.type });
  } catch {
    // Its first cell tries again, and says why.
  }
  for (const target of to) {
    const outcome = await tryCell({ ...cell, to: target.type, accept }, guest);
    tables.add(job, target, outcome.passed);
    if (!outcome.passed && outcome.at !== "refused") unforeseen++;
    tell(target.title, outcome);
    const { passed, at, why, globals } = outcome;
    if (results !== "")
      appendFileSync(results, `${JSON.stringify({ cell: target.title, passed, at, why, globals })}\n`);
    if (words.includes("--verbose")) console.log(`  the guest said: ${guest?.said ?? ""}`);
  }
}

const waiting = jobs.values();
await Promise.all(
  Array.from({ length: Number(option("--jobs", "1")) }, async () => {
    for (const job of waiting) await runJob(job);
  }),
);
for (const line of tables.lines()) console.log(line);
exit(unforeseen === 0 ? 0 : 1);

/** Characters of a reason that are printed; the results have all. */
const LONGEST = 1000;

function tell(name: string, { passed, at, why, globals, report, stream, pattern }: Outcome): void {
  console.log(
    `${passed ? "passed" : "FAILED"} ${name}${passed ? "" : ` at ${at}: ${why.split("\n").slice(0, 6).join(" / ").slice(0, LONGEST)}`}`,
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
