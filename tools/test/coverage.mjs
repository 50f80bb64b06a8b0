// Coverage by nyc. On native ESM it sees nothing unless the build is instrumented first, so a copy of the build is, and
// the specification runs from that copy. Only src counts.
import { existsSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { bin, node, root } from "./process.mjs";

const nyc = bin("nyc/bin/nyc.js");
const common = ["--exclude-after-remap=false"];

/** dist -> dist-cov, src instrumented, the rest copied. */
export function instrument() {
  for (const old of ["dist-cov", ".nyc_output", "coverage"]) rmSync(`${root}${old}`, { recursive: true, force: true });
  return node([nyc, "instrument", "--complete-copy", "--include", "dist/src/**", "dist", "dist-cov"]);
}

/** The arguments that run `file` under tape, with or without collecting coverage. */
export function tape(file, collect) {
  const plain = [bin("tape/bin/tape"), file];
  if (!collect) return plain;
  return [nyc, "--silent", "--no-clean", "--instrument=false", ...common, process.execPath, ...plain];
}

/** Writes coverage/ (lcov and a summary) and returns a table a folder, and the source files no test ever loaded. */
export async function report() {
  const run = await node([nyc, "report", ...common, "--reporter=json-summary", "--reporter=lcovonly"]);
  const path = `${root}coverage/coverage-summary.json`;
  if (run.code !== 0 || !existsSync(path)) return { table: run.output, unloaded: [] };
  const files = JSON.parse(readFileSync(path, "utf8"));
  const folders = new Map();
  for (const [name, figures] of Object.entries(files)) {
    const folder = name === "total" ? "all" : name.slice(root.length).replace(/\/[^/]*$/u, "");
    const sum = folders.get(folder) ?? {};
    for (const kind of ["statements", "branches", "functions", "lines"]) {
      sum[kind] ??= { covered: 0, total: 0 };
      sum[kind].covered += figures[kind].covered;
      sum[kind].total += figures[kind].total;
    }
    folders.set(folder, sum);
  }
  const rows = [...folders].toSorted(([a], [b]) => Number(a === "all") - Number(b === "all") || a.localeCompare(b));
  const table = [
    `${"coverage".padEnd(18)} statements   branches  functions      lines`,
    ...rows.map(
      ([name, sum]) =>
        name.padEnd(18) + percent(sum.statements) + percent(sum.branches) + percent(sum.functions) + percent(sum.lines),
    ),
  ].join("\n");
  const unloaded = readdirSync(`${root}dist-cov/src`, { recursive: true })
    .filter(
      (name) =>
        name.endsWith(".js") && readFileSync(`${root}dist-cov/src/${name}`, "utf8").includes('statementMap:{"0"'),
    )
    .map((name) => `src/${name.replace(/\.js$/u, ".ts")}`)
    .filter((name) => files[`${root}${name}`] === undefined);
  return { table, unloaded };
}

function percent({ covered, total }) {
  return (total === 0 ? "-" : `${((100 * covered) / total).toFixed(1)} %`).padStart(11);
}

/** Compares with the thresholds of `thresholds.json`: `with-qemu`, or `without-qemu` where the tests that need one were skipped. */
export function check(which) {
  const thresholds = JSON.parse(readFileSync(`${root}tools/test/thresholds.json`, "utf8"))[which];
  const limits = Object.entries(thresholds).map(([kind, least]) => `--${kind}=${least}`);
  return node([nyc, "check-coverage", ...common, ...limits]);
}
