/**
 * The matrix of `qevm adapt`: machine types by sets of devices, saved by one QEMU, adapted, loaded by another under
 * its newest machine type, and seen
 * to go on. Prints a line for each cell, then a table: `node dist/tools/adapt/main.js [OPTIONS]`.
 *
 *   --from 7.2, --to 11.1   the two QEMUs
 *   --releases 2.3,2.4      machine types of these releases (2.3 to 5.1)
 *   --match REGEXP          cells whose name (`pc-i440fx-2.3 virtio`) it matches
 *   --nearest               under the machine type of 5.2, the oldest that 11.1 has
 *   --run MS                time that a guest without a system runs before it is saved (2500)
 *   --linux FOLDER          the guest is a Linux: `vmlinuz`, and `initrd.gz` whose /init prints `tick N WORKS...
 * SECONDS` on ttyS0 for ever
 *   --keep FOLDER           streams and patterns of cells that fail
 *   --verbose               every change
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
const releases = option("--releases", RELEASES.join(",")).split(",");
const keep = option("--keep", "");
const run = Number(option("--run", "2500"));
const folder = option("--linux", "");
const linux = folder === "" ? undefined : { kernel: join(folder, "vmlinuz"), initrd: join(folder, "initrd.gz") };

const jobs = FAMILIES.flatMap((family) =>
  releases.flatMap((release) =>
    DEVICE_SETS.map((set) => ({
      name: `${family}-${release} ${set.name}`,
      set: set.name,
      cell: {
        old,
        now,
        from: `${family}-${release}`,
        to: nearest ? `${family}-5.2` : `${family}-${now.version}`,
        args: [
          "-m",
          linux === undefined ? "64" : "160",
          ...set
            .args(family)
            .trim()
            .split(/\s+/u)
            .filter((word) => word !== ""),
        ],
        run,
        linux,
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
