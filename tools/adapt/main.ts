/**
 * The matrix of `qevm adapt`: `node dist/tools/adapt/main.js [--from 7.2] [--to 11.1] [--match REGEXP] [--run MS] [--nearest] [--keep FOLDER]
 * [--verbose]`. Prints a line for each cell that fails and a table.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { argv, exit } from "node:process";
import { findQemu } from "../qemu/find.js";
import { tryCell, type Outcome } from "./cell.js";
import { DEVICE_SETS, FAMILIES, RELEASES } from "./cells.js";

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
const nearest = words.includes("--nearest");
const keep = option("--keep", "");
const run = Number(option("--run", "2500"));

const jobs = FAMILIES.flatMap((family) =>
  RELEASES.flatMap((release) =>
    DEVICE_SETS.map((set) => ({
      name: `${family}-${release} ${set.name}`,
      set: set.name,
      cell: {
        old,
        now,
        from: `${family}-${release}`,
        to: nearest ? `${family}-5.2` : `${family}-${now.version}`,
        args: [
          ..."-m 64".split(" "),
          ...set
            .args(family)
            .trim()
            .split(/\s+/u)
            .filter((word) => word !== ""),
        ],
        run,
      },
    })),
  ),
).filter(({ name }) => match.test(name));

const total = new Map<string, { passed: number; tried: number }>();
for (const { name, set, cell } of jobs) {
  const outcome = await tryCell(cell);
  if (outcome.at === "source" && /unsupported machine type/u.test(outcome.why)) continue;
  const sum = total.get(set) ?? { passed: 0, tried: 0 };
  sum.tried++;
  if (outcome.passed) sum.passed++;
  total.set(set, sum);
  tell(name, outcome);
}
const all = [...total.values()].reduce(
  (sum, one) => ({ passed: sum.passed + one.passed, tried: sum.tried + one.tried }),
  {
    passed: 0,
    tried: 0,
  },
);
for (const [set, { passed, tried }] of total) console.log(`| ${set} | ${passed} | ${tried} |`);
console.log(`${all.passed} of ${all.tried} cells passed`);

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
