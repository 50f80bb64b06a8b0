/**
 * `npm run --silent bench -- WHAT [ROW...] [--json] [--runs N]`: prints ratios against reference programs. WHAT is the
 * name of a file in this folder. With ROW, only those rows are measured.
 */
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { machine, type BenchOptions, type BenchRow } from "./pair.js";

/** The exports of each measurement. */
interface Bench {
  rows(options: BenchOptions): Promise<BenchRow[]>;
}

const SHARED = new Set(["main", "pair", "resident"]);

function names(): string[] {
  return readdirSync(fileURLToPath(new URL(".", import.meta.url)))
    .filter((file) => file.endsWith(".js"))
    .map((file) => file.slice(0, -3))
    .filter((name) => !SHARED.has(name))
    .toSorted();
}

function usage(message: string): never {
  console.error(`${message}\nusage: npm run --silent bench -- ${names().join("|")} [ROW...] [--json] [--runs N]`);
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
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { json: { type: "boolean" }, runs: { type: "string" } },
  });
  const [what, ...rest] = positionals;
  if (what === undefined) usage("nothing to measure");
  if (!names().includes(what)) usage(`no such measurement: ${what}`);
  const runs = values.runs === undefined ? undefined : Number(values.runs);
  if (runs !== undefined && !(Number.isInteger(runs) && runs > 0)) usage(`--runs ${values.runs} is not a count`);
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
