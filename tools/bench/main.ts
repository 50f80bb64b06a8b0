/**
 * `npm run --silent bench -- WHAT [ROW...] [--json] [--runs N] [--cores N]`: prints ratios against reference programs.
 * WHAT is the name of a file in this folder. With ROW, only those rows are measured; with `--cores`, both sides on the
 * first N processors only (by taskset).
 */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { CERTIFICATES } from "../environment.mjs";
import { machine, type BenchOptions, type BenchRow } from "./pair.js";

/** The exports of each measurement. */
interface Bench {
  rows(options: BenchOptions): Promise<BenchRow[]>;
}

const SHARED = new Set(["loader", "main", "pair", "resident"]);

function names(): string[] {
  return readdirSync(fileURLToPath(new URL(".", import.meta.url)))
    .filter((file) => file.endsWith(".js"))
    .map((file) => file.slice(0, -3))
    .filter((name) => !SHARED.has(name))
    .toSorted();
}

function usage(message: string): never {
  console.error(
    `${message}\nusage: npm run --silent bench -- ${names().join("|")} [ROW...] [--json] [--runs N] [--cores N]`,
  );
  process.exit(2);
}

function table(rows: readonly BenchRow[]): string {
  const lines = rows.map(({ name, ratio, against, runs, min, max, note }) => [
    name,
    `${ratio.toFixed(2)} x`,
    `(${min.toFixed(2)} to ${max.toFixed(2)})`,
    `${against}, ${runs} rounds${note === undefined ? "" : `; ${note}`}`,
  ]);
  const widths = [0, 1, 2].map((column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return lines.map((line) => line.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ")).join("\n");
}

async function main(): Promise<void> {
  delete process.env[CERTIFICATES];
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { json: { type: "boolean" }, runs: { type: "string" }, cores: { type: "string" } },
  });
  const [what, ...rest] = positionals;
  if (what === undefined) usage("nothing to measure");
  if (!names().includes(what)) usage(`no such measurement: ${what}`);
  const runs = values.runs === undefined ? undefined : Number(values.runs);
  if (runs !== undefined && !(Number.isInteger(runs) && runs > 0)) usage(`--runs ${values.runs} is not a count`);
  if (values.cores !== undefined && availableParallelism() !== Number(values.cores)) {
    const cores = Number(values.cores);
    if (!(Number.isInteger(cores) && cores > 0 && cores < availableParallelism())) {
      usage(`--cores ${values.cores} is not a number of this machine's processors`);
    }
    const again = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
    const { status } = spawnSync("taskset", ["-c", `0-${cores - 1}`, ...again], { stdio: "inherit" });
    process.exitCode = status ?? 1;
    return;
  }
  const bench = (await import(`./${what}.js`)) as Bench;
  const rows = await bench.rows({ runs, arguments: rest });
  if (values.json === true) {
    // Notes are for people; the JSON has a fixed form without them.
    const plain = rows.map(({ note: _note, ...fixed }) => fixed);
    console.log(JSON.stringify({ what, machine: machine(), rows: plain }, null, 2));
  } else {
    console.log(`${what}, on ${machine()}; the ratio is the median of paired rounds, (least to most)\n${table(rows)}`);
  }
}

await main();
