/**
 * Whether `qevm adapt --check` says what the real QEMU says: every device set of `tools/capture/device-sets.ts`, saved
 * by one QEMU under its newest q35, adapted, loaded by another under its own; `--group 12` of them at a time
 * (`groups.ts`). What is refused is written and loaded all the same. Prints each set where the two differ and each
 * refusal, then a table: `node dist/tools/adapt/devices.js [--from 7.2] [--to 11.1] [--match RE] [--keep DIR]`. With
 * `--kinds` it takes the machines of `kinds.ts`, each saved under a type by chance of those that are older (`--seed 1`).
 *
 * | line         | meaning                                                                        |
 * |--------------|--------------------------------------------------------------------------------|
 * | none         | a QEMU does not start with these devices here, or does not save them           |
 * | MISSED       | nothing was refused, and QEMU does not load it: a missed refusal               |
 * | FALSE        | refused as what no QEMU would load, and it loads: a false alarm                |
 * | refused      | refused, and QEMU refuses it too                                               |
 * | guest        | refused since the guest would notice; QEMU loads what `--accept` makes of it   |
 */
import { argv, exit } from "node:process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Random } from "../../src/analyse/fuzz/random.js";
import { findQemu, type QemuBinary } from "../qemu/find.js";
import { tryCell, type Cell, type Outcome } from "./cell.js";
import { describesState, machineTypes, releaseOf } from "./cells.js";
import { blamed, groupArguments, groupsOf, setsOf, type DeviceSetText } from "./groups.js";
import { filesOf, kinds, withTpm } from "./kinds.js";

const words = argv.slice(2);
const option = (name: string, usual: string): string => {
  const at = words.indexOf(name);
  return at < 0 ? usual : (words[at + 1] ?? usual);
};
const [old, now] = [findQemu(option("--from", "7.2")), findQemu(option("--to", "11.1"))];
if (old === undefined || now === undefined) {
  console.log("skipped: this machine does not have both QEMUs");
  exit(0);
}
const match = new RegExp(option("--match", ""), "u");
const keep = option("--keep", "");

/** One guest: its machine types and arguments. */
interface Guest {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  readonly args: readonly string[];
  readonly plugged?: readonly string[];
}

function guests(older: QemuBinary, newer: QemuBinary): Guest[] {
  const random = new Random(Number(option("--seed", "1")));
  return kinds().map(({ name, family, args, plugged }) => {
    // Others have no versions.
    const to = machineTypes(newer, family).at(-1) ?? family;
    const types = machineTypes(older, family).filter((type) => describesState(type));
    const earlier = types.filter((type) => releaseOf(type) < releaseOf(to));
    const from = types.length === 0 ? family : random.pick(earlier.length > 0 ? earlier : types);
    return { name: `${from} ${name}`, from, to, args, plugged };
  });
}

/** What a set of devices came to. */
function verdict({ passed, at, why, report, forced }: Outcome): string {
  if (at === "source" || (at === "pattern" && /^QEMU did not start|non-migratable device/u.test(why))) return "none";
  if (report?.enough === true) return passed ? "loaded" : "MISSED";
  if (report === undefined) return "MISSED";
  if (forced === undefined || !forced) return "refused";
  return report.refused.some(({ weight }) => weight === "never") ? "FALSE" : "guest";
}

async function tried({ from, to, args, plugged = [] }: Guest): Promise<Outcome> {
  const toArgs = [...args, ...plugged.flatMap((device) => ["-device", device])];
  const files = filesOf(args);
  const cell: Cell = { old: old!, now: now!, from, to, args, toArgs, plugged, files, run: 1000, force: true };
  return await withTpm(args, [old!, now!], () => tryCell(cell));
}

const total = new Map<string, number>();

/** Prints what a guest came to, and keeps what is needed to find out why. */
function tell(name: string, outcome: Outcome): void {
  const is = verdict(outcome);
  total.set(is, (total.get(is) ?? 0) + 1);
  if (words.includes("--verbose") || is !== "loaded")
    console.log(`${is} ${name}: ${outcome.at}: ${outcome.why.split("\n").slice(0, 5).join(" / ").slice(0, 1000)}`);
  if (keep !== "" && /^[A-Z]/u.test(is) && outcome.stream !== undefined && outcome.pattern !== undefined) {
    mkdirSync(keep, { recursive: true });
    const stem = join(keep, name.replaceAll(/[^\w.-]+/gu, "_"));
    writeFileSync(`${stem}.old`, outcome.stream);
    writeFileSync(`${stem}.pattern`, outcome.pattern);
  }
}

/** Tries device sets in one machine; where not all load, in smaller ones. */
async function tryGroup(group: readonly DeviceSetText[]): Promise<void> {
  if (group.length === 0) return;
  const [from, to] = [machineTypes(old!, "pc-q35").at(-1)!, machineTypes(now!, "pc-q35").at(-1)!];
  const args = [...groupArguments(group), "-machine", "nvdimm=on"];
  const outcome = await tried({ name: "", from, to, args });
  if (group.length === 1 || verdict(outcome) === "loaded") {
    for (const set of group) tell(set, outcome);
    return;
  }
  if (words.includes("--verbose")) console.log(`apart: ${group.length}: ${outcome.at}: ${outcome.why.slice(0, 300)}`);
  const { sets, final } = outcome.at === "source" || outcome.at === "pattern" ? blamed(group, outcome.why) : NOBODY;
  if (final) for (const set of sets) tell(set, outcome);
  else for (const set of sets) await tryGroup([set]);
  const rest = group.filter((set) => !sets.includes(set));
  const parts = sets.length > 0 ? [rest] : [rest.slice(0, rest.length >> 1), rest.slice(rest.length >> 1)];
  for (const part of parts) await tryGroup(part);
}

const NOBODY = { sets: [], final: false };

if (words.includes("--kinds")) {
  for (const guest of guests(old, now).filter(({ name }) => match.test(name))) tell(guest.name, await tried(guest));
} else {
  const { all, missing } = setsOf([old, now]);
  const chosen = all.filter((set) => match.test(set));
  const absent = missing.filter((set) => match.test(set)).length;
  console.log(`${chosen.length} device sets that both have, ${absent} that one lacks`);
  for (const group of groupsOf(chosen, Number(option("--group", "12")))) await tryGroup(group);
}
for (const [is, count] of total) console.log(`| ${is} | ${count} |`);
exit((total.get("MISSED") ?? 0) + (total.get("FALSE") ?? 0) === 0 ? 0 : 1);
