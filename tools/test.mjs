// All checks before a change is merged: lint, format, a clean build, the executable specification with its coverage,
// and the packed package. Each chapter's tests run in a separate process, so that a crash or a hang in one does not
// hide results of the others. The last line is always "N passed, N failed".
//
//   node tools/test.mjs [--fast] [--no-lint] [--no-coverage] [--no-package] [--jobs N] [--timeout SECONDS] [FILTER...]
//
// --fast: only quick chapters, without lint, coverage and package.
// With a FILTER (a part of a file name: 05, ram) only the matching chapters run, without lint, coverage and package.
import { existsSync, readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { check, counting, gather, instrument, report } from "./test/coverage.mjs";
import { FAST } from "./test/fast.mjs";
import { checkPackage } from "./test/package.mjs";
import { bin, node, root } from "./test/process.mjs";
import { TapReader } from "./test/tap.mjs";

const { values: options, positionals: filters } = parseArgs({
  allowPositionals: true,
  options: {
    fast: { type: "boolean" },
    "no-lint": { type: "boolean" },
    "no-coverage": { type: "boolean" },
    "no-package": { type: "boolean" },
    // Two more than cores: chapters wait for QEMU, for a disk, for a time to pass. Three on two cores left a tenth idle.
    jobs: { type: "string", default: String(Math.min(4, availableParallelism() + 2)) },
    timeout: { type: "string", default: "600" },
  },
});
const whole = filters.length === 0 && options.fast !== true;
const collect = whole && options["no-coverage"] !== true;
const total = { passed: 0, failed: 0 };
/** The skip reasons of a test where no QEMU is installed, or not 7.2, which most of them need. */
const NO_QEMU = /no (?:qemu-system-x86_64|QEMU 7\.2) here/u;
const skipped = [];
/** What takes longest begins first (measured), so that nothing long is left alone at the end. */
const LONGEST = `
  83-page 40-save-grid 22-versions 22-versions-convert 60-libvirt-restore 82-report 66-catalogue 71-bounds
  12-program 84-advice 70-fuzz 30-convert 34-receive 81-explain-cures 83-page-folder 83-page-firefox 60-compressed
  82-report-hostile 35-relay-libvirt 63-dump-encoders 61-physical 35-relay-qemu 34-receive-hostile 36-tls-qemu
  81-explain-remedies 61-core-targets 59-to-multifd 81-explain-qemu 81-explain 40-save 41-load 12-cli 11-hostile
  37-evidence 80-diff-command 10-corpus 86-fleet 61-machines 61-device-memory 07-page-engine 62-virtual-qemu
  82-report-command 00-code-generation 60-qcow2 22-versions-generate 60-threads
`
  .trim()
  .split(/\s+/u);
/** Long chapters that run on `dist`: other chapters cover their code, and counting adds a fifth. */
const UNCOUNTED = new RegExp(
  String.raw`^(?:10-corpus|12-(?:outputs|program)|22-versions.*|30-convert|31-pack-corpus|40-save-grid|` +
    String.raw`61-core-targets|61-device-memory|61-physical|63-dump-encoders|70-fuzz|71-bounds|` +
    String.raw`81-explain-(?:cures|remedies|sweep)|83-page|84-advice|90-adapt-(?:field|printed)|.*-qemu)\.spec\.js$`,
  "u",
);

/** One step that is not a test file: one line on success, its whole output on failure. */
function step(name, { code, signal, timedOut, output, seconds }) {
  const time = seconds === undefined ? "" : ` ${seconds.toFixed(1)} s`;
  const ok = code === 0 && timedOut !== true;
  console.log(`${ok ? "ok  " : "FAIL"} ${name}${time}`);
  if (ok) return true;
  total.failed++;
  if (timedOut === true) console.log("timed out");
  else if (signal) console.log(`ended by ${signal}`);
  console.log(output.trimEnd());
  return false;
}

/** @param instrumented resolves to whether there is a counted copy */
async function chapter(file, instrumented) {
  const counted = collect && !UNCOUNTED.test(file);
  if (counted && !(await instrumented)) return;
  const folder = counted ? "dist-cov" : "dist";
  const tap = new TapReader();
  const run = await node([bin("tape/bin/tape"), `${root}${folder}/spec/${file}`], {
    env: counted ? counting() : {},
    timeout: Number(options.timeout) * 1000,
    onOutput: (text) => tap.write(text),
  });
  tap.end();
  if (counted) gather();
  const trouble = verdict(run, tap);
  const failed = tap.failed + (trouble === undefined ? 0 : 1);
  total.passed += tap.passed;
  total.failed += failed;
  for (const text of tap.skipped) skipped.push(`${file.replace(/\.spec\.js$/u, "")}: ${text}`);
  const counts = `${tap.passed} passed${failed > 0 ? `, ${failed} failed` : ""}`;
  const notes = tap.skipped.length > 0 ? `, ${tap.skipped.length} skipped` : "";
  console.log(
    `${failed > 0 ? "FAIL" : "ok  "} ${file.replace(/\.js$/u, "")} ${run.seconds.toFixed(1)} s, ${counts}${notes}`,
  );
  for (const text of tap.failures) console.log(text);
  if (trouble !== undefined) console.log(`${file}: ${trouble}`);
  if (failed > 0 && run.output !== "") console.log(run.output.trimEnd());
}

/** A failure of the process itself, apart from assertions. */
function verdict(run, tap) {
  if (run.timedOut) return `no end after ${options.timeout} s`;
  if (run.signal !== null) return `ended by ${run.signal}`;
  if (tap.plan === undefined) return `crashed (exit code ${run.code}) before its end`;
  if (run.code !== 0 && tap.failed === 0) return `exit code ${run.code}`;
  if (tap.plan === 0 && tap.skipped.length === 0) return "holds no assertion";
  return undefined;
}

async function lint() {
  // Where CI is set, oxlint prints colours whatever NO_COLOR says.
  const env = { CI: undefined };
  step("oxlint", await node([bin("oxlint/bin/oxlint"), "--type-aware", "--deny-warnings"], { env }));
  step("prettier", await node([bin("prettier/bin/prettier.cjs"), "--check", "--log-level=warn", "."]));
}

function isWanted(name) {
  if (options.fast === true) return FAST.test(name);
  return whole || filters.some((part) => name.includes(part));
}

function place(file) {
  const at = LONGEST.indexOf(file.replace(/\.spec\.js$/u, ""));
  return at < 0 ? LONGEST.length : at;
}

async function specification(instrumented) {
  const files = readdirSync(`${root}dist/spec`, { recursive: true })
    .filter((name) => existsSync(`${root}spec/${name.replace(/\.js$/u, ".ts")}`))
    .filter((name) => name.endsWith(".spec.js") && isWanted(name))
    // Of the others, later chapters take longer.
    .toSorted((a, b) => place(a) - place(b) || (a < b ? 1 : -1));
  if (files.length === 0) step("specification", { code: 1, output: `no chapter matches ${filters.join(" ")}` });
  const jobs = Array.from({ length: Math.max(1, Number(options.jobs)) }, async () => {
    for (let file = files.shift(); file !== undefined; file = files.shift()) await chapter(file, instrumented);
  });
  await Promise.all(jobs);
}

async function main() {
  // The build uses one core, lint and format the other.
  const linted = whole && options["no-lint"] !== true ? lint() : undefined;
  await specified();
  await linted;
}

async function packaged() {
  for (const { name, ...run } of await checkPackage()) step(name, run);
}

/** Build, then the package, the instruments and the chapters side by side, and the coverage. */
async function specified() {
  if (!step("build", await node([`${root}tools/build.mjs`, ...(whole ? ["--clean"] : [])]))) return;
  const instrumented = collect ? instrument().then((run) => step("instrument", run)) : Promise.resolve(false);
  const checked = whole && options["no-package"] !== true ? packaged() : undefined;
  await specification(instrumented);
  await checked;
  if (!(await instrumented)) return;
  const { table, total: covered, unloaded } = await report();
  console.log(`\n${table}`);
  for (const name of unloaded) console.log(`never loaded by any test: ${name}`);
  // Code that only a real QEMU exercises is not covered where there is none, so separate thresholds apply.
  const without = skipped.filter((text) => NO_QEMU.test(text)).length;
  if (without > 0) console.log(`coverage without a real QEMU (${without} tests skipped): lower thresholds`);
  step("coverage thresholds", check(covered, without > 0 ? "without-qemu" : "with-qemu"));
}

await main();
if (skipped.length > 0) console.log(`\nskipped:\n${skipped.map((text) => `  ${text}`).join("\n")}`);
console.log(`\n${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 ? 1 : 0;
