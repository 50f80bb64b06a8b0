/**
 * `npm run test:versions [-- OPTIONS] [VERSION...]`: QEMU 5.2, 7.2, 10.0 and 11.1 side by side, and everything that can be shown
 * only with them.
 *
 *   --dir DIR      where the chroots are; default `QEVM_QEMU_DIR`, else the user's cache folder
 *   --mirror URL   Debian mirror; default debootstrap's own
 *   --no-install   use what is there
 *
 * Exit 1 when a proof fails. A version that cannot be had is named with the reason, and its proofs are left out.
 */
import { spawnSync } from "node:child_process";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { projectRoot } from "../corpus.js";
import { findQemus, qemuFolder } from "../qemu/find.js";
import { install, whyNot } from "./install.js";
import { suites } from "./suites.js";

/** Chapters with proofs that ask for other versions than the machine's own. */
const chapters = ["20-corpus", "21-destination", "22-versions", "30-convert", "32-generate", "50-mapped-ram"];

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { dir: { type: "string" }, mirror: { type: "string" }, "no-install": { type: "boolean" } },
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

/** Installs what is missing; answers what could not be had, by version. */
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

const env = { ...process.env, QEVM_VERSIONS: "all" };
const args = [join(projectRoot(), "tools/test.mjs"), "--no-coverage", "--no-lint", "--no-package", ...chapters];
const { status } = spawnSync(process.execPath, args, { stdio: "inherit", env });
process.exitCode = status === 0 ? 0 : 1;
