/**
 * Measures how many of explain's command lines load: `node dist/tools/advice/main.js [--corpus] [--devices]
 * [--products] [--match REGEXP] [--keep FOLDER] [--start] [--list] [VERSION...]`. For every installed QEMU: each x86
 * capture of the corpus, each device set of the sweep, and the products' command lines. The latter are saved before
 * their first instruction and (without --start) again after their firmware has run. Exit 1 when fewer than 95 % load.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { argv, exit } from "node:process";
import { deviceJobs } from "../capture/device-sets.js";
import { entries } from "../capture/entries/index.js";
import { listCorpus } from "../corpus.js";
import { findQemus, usualProgram, type QemuBinary } from "../qemu/find.js";
import { commandLines } from "../../src/analyse/explain/index.js";
import { productJobs } from "./products.js";
import { loadsItself, proveStream, saveSource } from "./proof.js";

interface Case {
  readonly name: string;
  readonly machine?: string;
  /** The source's arguments, where it is started here. */
  readonly args?: readonly string[];
  /** Rejects where there is no such stream. */
  readonly stream: () => Promise<Buffer>;
}

/** Milliseconds after which SeaBIOS has initialised its devices. */
const FIRMWARE = 2500;

function cases(qemu: QemuBinary, kinds: ReadonlySet<string>): [string, Case[]][] {
  const wanted = (kind: string): boolean =>
    kinds.has(kind) || ![...kinds].some((one) => ["--corpus", "--devices", "--products"].includes(one));
  const all: [string, Case[]][] = [];
  if (wanted("--products"))
    all.push([
      "products",
      productJobs().flatMap(({ name, args }) =>
        (kinds.has("--start") ? [0] : [0, FIRMWARE]).map((run) => ({
          name: run === 0 ? name : `${name}, run`,
          args,
          stream: async () => await saveSource(qemu, { args, run }),
        })),
      ),
    ]);
  if (wanted("--corpus")) all.push(["corpus", corpusCases(qemu)]);
  if (wanted("--devices"))
    all.push([
      "devices",
      deviceJobs().map(({ name, args }) => ({
        name,
        args,
        stream: async () => await saveSource(qemu, { args, run: 0 }),
      })),
    ]);
  return all;
}

const notLoadable = new Set(entries.filter((one) => one.notLoadable !== undefined).map(({ name }) => name));

/** Captures of this QEMU that it can load itself. */
function corpusCases(qemu: QemuBinary): Case[] {
  return listCorpus()
    .filter(
      ({ name, capture }) =>
        capture.version === qemu.version && capture.command[0] === usualProgram && !notLoadable.has(name),
    )
    .map(({ name, capture, open }) => ({
      name,
      machine: capture.machine,
      stream: async () => await Promise.resolve(open()),
    }));
}

const words = argv.slice(2);
const option = (name: string): string | undefined => {
  const at = words.indexOf(name);
  return at < 0 ? undefined : words.splice(at, 2)[1];
};
const match = new RegExp(option("--match") ?? "", "u");
const keep = option("--keep");
const kinds = new Set(words.filter((word) => word.startsWith("--")));
const versions = words.filter((word) => !word.startsWith("--"));

/** A failed case in a few lines. */
async function tryCase(qemu: QemuBinary, { name, machine, args, stream }: Case): Promise<"loads" | "fails" | "none"> {
  let bytes: Buffer;
  try {
    bytes = await stream();
  } catch (error) {
    if (kinds.has("--list")) console.log(`  no source: ${name}: ${String(error).split("\n").at(-1)}`);
    return "none";
  }
  const { loaded, error, explained } = await proveStream(qemu, bytes, machine);
  if (!loaded && args !== undefined && !(await loadsItself(qemu, args, bytes))) {
    console.log(`  no source: ${name}: QEMU ${qemu.version} does not load it with the source's arguments either`);
    return "none";
  }
  if (keep !== undefined && !loaded) {
    mkdirSync(keep, { recursive: true });
    writeFileSync(join(keep, `${qemu.version}-${name.replaceAll(/[^\w.-]+/gu, "_")}.mig`), bytes);
  }
  if (!loaded) {
    console.log(`FAILS ${qemu.version} ${name}: ${error.trim()}`);
    console.log(commandLines(explained.destination.arguments, "    ").join("\n"));
    for (const note of explained.destination.unnamed) console.log(`    unnamed: ${note}`);
  }
  return loaded ? "loads" : "fails";
}

let worst = 1;
const table: string[] = [];
for (const qemu of findQemus().filter(({ version }) => versions.length === 0 || versions.includes(version))) {
  const total = { loads: 0, fails: 0, none: 0 };
  for (const [kind, list] of cases(qemu, kinds)) {
    const count = { loads: 0, fails: 0, none: 0 };
    const left = list.filter(({ name }) => match.test(name));
    const worker = async (): Promise<void> => {
      for (let one = left.shift(); one !== undefined; one = left.shift()) count[await tryCase(qemu, one)]++;
    };
    await Promise.all([worker(), worker()]);
    for (const key of ["loads", "fails", "none"] as const) total[key] += count[key];
    table.push(row(qemu, kind, count));
  }
  table.push(row(qemu, "all", total));
  worst = Math.min(worst, total.loads / Math.max(1, total.loads + total.fails));
}
console.log(["| QEMU | cases | load | of | % | no source |", "|---|---|---|---|---|---|", ...table].join("\n"));
exit(worst >= 0.95 ? 0 : 1);

function row({ version }: QemuBinary, kind: string, count: Record<"loads" | "fails" | "none", number>): string {
  const of = count.loads + count.fails;
  const share = of === 0 ? "-" : ((100 * count.loads) / of).toFixed(1);
  return `| ${version} | ${kind} | ${count.loads} | ${of} | ${share} | ${count.none} |`;
}
