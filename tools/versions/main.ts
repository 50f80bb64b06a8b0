/**
 * `npm run test:versions [-- OPTIONS] [VERSION...]`: QEMU 5.2, 7.2, 10.0 and 11.1 side by side, and all tests that need
 * them.
 *
 *   --dir DIR      where the chroots are; default `QEVM_QEMU_DIR`, else the user's cache folder
 *   --mirror URL   Debian mirror; default debootstrap's own
 *   --no-install   use what is installed
 *   --matrix       only the table of versions and features
 *   --adapt        only the matrix of `qevm adapt` (tools/adapt), which takes hours
 *   --no-adapt     all but that
 *   --match RE     of the matrix of `qevm adapt` only the cells and device sets with such a name, of the other tests
 *                  none (`--match '^pc-q35-9.2 '`)
 *   --linux FOLDER under that matrix a Linux, which is made there, instead of SeaBIOS alone
 *   --jobs N       of that matrix so many guests at a time (1)
 *   --write        write the table to spec/22-versions.md; only with all four versions
 *
 * Exit 1 when a test fails. A version that cannot be installed is reported with the reason, and its tests are left out.
 */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { projectRoot } from "../corpus.js";
import { findQemu, findQemus, qemuFolder } from "../qemu/find.js";
import { good, wordsOf } from "./feature.js";
import { features } from "./features.js";
import { install, whyNot } from "./install.js";
import { proveAll, tableOf, writeTable } from "./matrix.js";
import { suites } from "./suites.js";

/** The chapters whose tests use a real QEMU: the others do not depend on the versions. */
function chapters(): string[] {
  const folder = join(projectRoot(), "spec");
  return readdirSync(folder)
    .filter((name) => name.endsWith(".spec.ts"))
    .filter((name) => /\b(?:qemuOf|findQemus?|testEach)\b/u.test(readFileSync(join(folder, name), "utf8")))
    .map((name) => name.replace(/ts$/u, ""));
}

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    dir: { type: "string" },
    mirror: { type: "string" },
    "no-install": { type: "boolean" },
    matrix: { type: "boolean" },
    adapt: { type: "boolean" },
    "no-adapt": { type: "boolean" },
    match: { type: "string" },
    linux: { type: "string" },
    jobs: { type: "string", default: "1" },
    write: { type: "boolean" },
  },
});

const folder = resolve(options.dir ?? qemuFolder());
process.env["QEVM_QEMU_DIR"] = folder;
const wanted = suites.filter(({ version }) => positionals.length === 0 || positionals.includes(version));
const unknown = positionals.filter((version) => suites.every((suite) => suite.version !== version));
if (unknown.length > 0) {
  console.error(
    `not among the versions: ${unknown.join(", ")}; there are ${suites.map(({ version }) => version).join(", ")}`,
  );
  process.exit(2);
}

/** Installs what is missing. Returns the versions that could not be installed, with the reasons. */
async function installMissing(): Promise<Map<string, string>> {
  const out = new Map<string, string>();
  const missing = wanted.filter(({ version }) => findQemus().every((qemu) => qemu.version !== version));
  const no = options["no-install"] === true ? "not installed (--no-install)" : whyNot();
  for (const suite of missing) {
    if (no !== undefined) {
      out.set(suite.version, no);
      continue;
    }
    console.log(`QEMU ${suite.version}: installing Debian ${suite.suite}${suite.backports ? " with backports" : ""}`);
    try {
      const root = await install(suite, folder, options.mirror);
      if (findQemus(true).every((qemu) => qemu.version !== suite.version)) {
        out.set(suite.version, `${root} holds another version than it should`);
      }
    } catch (error) {
      out.set(suite.version, error instanceof Error ? error.message : String(error));
    }
  }
  return out;
}

const without = await installMissing();
for (const { version, banner, root } of findQemus())
  console.log(`QEMU ${version}: ${banner}${root === undefined ? "" : `, in ${root}`}`);
for (const [version, why] of without) console.log(`QEMU ${version}: left out, with all its proofs: ${why}`);

/** Runs the chapters. True when all passed. */
function proveChapters(): boolean {
  const env = { ...process.env, QEVM_VERSIONS: "all" };
  const args = [join(projectRoot(), "tools/test.mjs"), "--no-coverage", "--no-lint", "--no-package", ...chapters()];
  return spawnSync(process.execPath, args, { stdio: "inherit", env }).status === 0;
}

/** Makes the table, prints it, and writes it if requested. True when all passed. */
async function proveMatrix(): Promise<boolean> {
  const versions = suites.map(({ version }) => version);
  const rows = await proveAll(features, versions, (version, name, cell) => {
    if (!good(cell)) console.log(`QEMU ${version}, ${name}: ${wordsOf(cell)}`);
  });
  const table = tableOf(rows, versions);
  console.log(`\n${table}\n`);
  const fine = rows.every(({ cells }) => Object.values(cells).every((cell) => good(cell)));
  if (options.write === true && versions.every((version) => findQemu(version) !== undefined)) {
    writeTable(join(projectRoot(), "spec/22-versions.md"), table);
  }
  return fine;
}

/** Runs the matrix of `qevm adapt`, and compares its predictions with the QEMUs. True when all passed. */
function proveAdapt(): boolean {
  const chosen = options.match === undefined ? [] : ["--match", options.match];
  const linux = options.linux === undefined ? [] : ["--linux", resolve(options.linux)];
  const runs = [
    ..."5.2 7.2 10.0".split(" ").map((from) => ["main.js", "--from", from, "--under", "newest,nearest"]),
    ["main.js", "--from", "10.0", "--to", "7.2"],
    ["main.js", "--from", "11.1", "--to", "7.2"],
    ...["7.2 11.1", "11.1 7.2", "10.0 7.2", "5.2 10.0"].map((pair) => {
      const [from = "", to = ""] = pair.split(" ");
      return ["devices.js", "--from", from, "--to", to];
    }),
  ];
  return runs
    .map(([program = "", ...args]) => {
      console.log(`qevm adapt: ${program} ${args.join(" ")}`);
      const path = join(projectRoot(), "dist/tools/adapt", program);
      const rest = [...chosen, ...(program === "main.js" ? ["--jobs", options.jobs, ...linux] : [])];
      return spawnSync(process.execPath, [path, ...args, ...rest], { stdio: "inherit" }).status === 0;
    })
    .every(Boolean);
}

const onlyAdapt = options.adapt === true || options.match !== undefined;
const proven = options.matrix === true || onlyAdapt || proveChapters();
const fine = onlyAdapt || (await proveMatrix());
const adapted = options.matrix === true || options["no-adapt"] === true || proveAdapt();
// A failed test may have left a listener open.
process.exit(proven && fine && adapted ? 0 : 1);
