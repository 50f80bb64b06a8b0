// Coverage by nyc. It does not see native ESM unless the build is instrumented first, so a copy of the build is
// instrumented, and the specification runs from that copy. Only src counts, and of it not the page, which runs in a browser.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { runInNewContext } from "node:vm";
import { bundleProgram } from "../bundle.mjs";
import { bin, node, root } from "./process.mjs";

const nyc = bin("nyc/bin/nyc.js");
const common = ["--exclude-after-remap=false"];
/** Where each process writes its counters, and where nyc reads them. */
const COUNTERS = `${root}.nyc_output/counters`;
/** Istanbul's data of each instrumented module, with the number of processes that reached each place; by its number. */
const modules = [];

/** dist -> dist-cov, src instrumented, the rest copied. */
export async function instrument() {
  for (const old of ["dist-cov", ".nyc_output", "coverage"]) rmSync(`${root}${old}`, { recursive: true, force: true });
  mkdirSync(COUNTERS, { recursive: true });
  const run = await node([
    nyc,
    "instrument",
    "--complete-copy",
    "--include",
    "dist/src/**",
    "--exclude",
    "dist/src/page/**",
    "--produce-source-map=false",
    "--preserve-comments=false",
    "dist",
    "dist-cov",
  ]);
  if (run.code !== 0) return run;
  for (const name of readdirSync(`${root}dist-cov/src`, { recursive: true })) {
    if (name.endsWith(".js")) takeOut(`${root}dist-cov/src/${name}`);
  }
  await bundleProgram(`${root}dist-cov/`);
  return run;
}

/**
 * Moves an instrumented module's coverage data (positions of statements, the source map) into this process, which is
 * nine tenths of what every start of the program would read. What is left in the module is one byte for each place
 * (statements, functions, branches in turn), which is 1 once the place was reached: istanbul's counter, three objects
 * deep behind a call, took a third of the processor time of what was counted.
 */
function takeOut(path) {
  const code = readFileSync(path, "utf8");
  const start = code.indexOf("{path:");
  const end = code.indexOf(";var coverage=global[gcv]");
  if (start < 0 || end < start) return;
  const [, before = "", name] = /^(#!.*\n)?function (cov_\w+)\(\)/u.exec(code);
  const data = runInNewContext(`(${code.slice(start, end)})`);
  const number = modules.push(data) - 1;
  const first = { s: 0, f: Object.keys(data.s).length };
  const branches = [];
  let size = first.f + Object.keys(data.f).length;
  for (const ways of Object.values(data.b)) {
    branches.push(size);
    size += ways.length;
  }
  const call = `${name}();`;
  const counted = code.slice(code.indexOf(call, end) + call.length);
  const places = new RegExp(String.raw`\b${name}\(\)\.(?:([sf])\[(\d+)\]|b\[(\d+)\]\[(\d+)\])\+\+`, "gu");
  const marked = counted.replace(
    places,
    (_, kind, at, branch, way) => `${name}[${kind ? first[kind] + Number(at) : branches[branch] + Number(way)}]=1`,
  );
  if (marked.includes(`${name}()`)) throw new Error(`${path}: a counter that is not understood`);
  const bytes = `globalThis.qevmReached?.(${number},${size})??new Uint8Array(${size})`;
  writeFileSync(path, `${before}const ${name}=${bytes};${marked}`);
}

/** The environment in which every process of a chapter writes its counters. */
export function counting() {
  return { QEVM_COVERAGE: COUNTERS, NODE_OPTIONS: `--require ${JSON.stringify(`${root}tools/test/collect.cjs`)}` };
}

/** Adds what processes that have exited reached. */
export function gather() {
  for (const name of readdirSync(COUNTERS)) {
    // A name that begins with a dot is still being written.
    if (name.startsWith(".")) continue;
    const path = `${COUNTERS}/${name}`;
    const bytes = readFileSync(path);
    let at = bytes.indexOf("\n") + 1;
    for (const number of JSON.parse(bytes.toString("latin1", 0, at))) {
      const { s, f, b } = modules[number];
      for (const key of Object.keys(s)) s[key] += bytes[at++];
      for (const key of Object.keys(f)) f[key] += bytes[at++];
      for (const ways of Object.values(b)) for (const way of ways.keys()) ways[way] += bytes[at++];
    }
    if (at !== bytes.length) throw new Error(`${path}: ${bytes.length - at} bytes more than places`);
    rmSync(path);
  }
}

/** Writes coverage/ (lcov and a summary). Returns a table per folder, the total, and the source files no test loaded. */
export async function report() {
  gather();
  const seen = modules.filter(({ s }) => Object.values(s).some((times) => times > 0));
  writeFileSync(
    `${root}.nyc_output/all.json`,
    JSON.stringify(Object.fromEntries(seen.map((data) => [data.path, data]))),
  );
  const run = await node([nyc, "report", ...common, "--reporter=json-summary", "--reporter=lcovonly"]);
  const summary = `${root}coverage/coverage-summary.json`;
  if (run.code !== 0 || !existsSync(summary)) return { table: run.output, total: {}, unloaded: [] };
  const files = JSON.parse(readFileSync(summary, "utf8"));
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
  const unloaded = modules
    .filter((data) => Object.keys(data.s).length > 0 && !seen.includes(data))
    .map(({ path }) => `src/${path.slice(`${root}dist/src/`.length).replace(/\.js$/u, ".ts")}`);
  return { table, total: files.total, unloaded };
}

function percent({ covered, total }) {
  return (total === 0 ? "-" : `${((100 * covered) / total).toFixed(1)} %`).padStart(11);
}

/**
 * Compares the summary's `total` with the thresholds of `thresholds.json`: `with-qemu`, or `without-qemu` where the
 * tests that need one were skipped.
 */
export function check(total, which) {
  const thresholds = JSON.parse(readFileSync(`${root}tools/test/thresholds.json`, "utf8"))[which];
  const below = Object.entries(thresholds).filter(([kind, least]) => !(total[kind]?.pct >= least));
  const output = below.map(([kind, least]) => `${kind}: ${total[kind]?.pct} %, at least ${least} %`).join("\n");
  return { code: below.length, output };
}
