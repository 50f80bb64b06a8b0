// The other releases of Node that people have, and vite: both come from npm, into a folder that is kept.
//
//   node tools/test/nodes.mjs [MAJOR...]      (22 24; after a build)
//
// The packed package is imported and required by each Node and bundled by vite; then each Node runs the quick chapters.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { installed } from "./installed.mjs";
import { pack } from "./package.mjs";
import { root } from "./process.mjs";
import { makeProject, runBundle, runIn } from "./users.mjs";

const majors = process.argv.length > 2 ? process.argv.slice(2) : ["22", "24"];
if (majors.some((major) => !/^\d+$/u.test(major))) {
  console.error("usage: node tools/test/nodes.mjs [MAJOR...]");
  process.exit(2);
}
let failed = 0;

function say({ name, code, output }, seconds) {
  console.log(`${code === 0 ? "ok  " : "FAIL"} ${name}${seconds === undefined ? "" : ` ${seconds.toFixed(1)} s`}`);
  if (code !== 0) console.log(output);
  if (code !== 0) failed++;
}

function bundledByVite(app) {
  const out = join(app, "vite");
  const script = `
    const { build } = await import(process.argv[1]);
    const lib = { entry: process.argv[2], formats: ["es"], fileName: () => "bundle.mjs" };
    await build({ configFile: false, logLevel: "error", root: process.argv[3], build: { lib, outDir: process.argv[4] } });`;
  const vite = join(installed("vite@8"), "dist/node/index.js");
  const args = ["--input-type=module", "-e", script, vite, join(app, "browser.js"), app, out];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  if (status !== 0) return { name: "package: vite", code: 1, output: stdout + stderr };
  return runBundle("vite", join(out, "bundle.mjs"), app);
}

const folder = mkdtempSync(join(tmpdir(), "qevm-nodes-"));
try {
  const { tarball, trouble } = pack(folder);
  if (trouble !== undefined) throw new Error(`npm pack: ${trouble}`);
  const app = join(folder, "app");
  makeProject(tarball, app);
  say(bundledByVite(app));
  for (const major of majors) {
    const program = join(installed(`node-${process.platform}-${process.arch}@${major}`), "bin", "node");
    for (const use of runIn(program, app)) say({ ...use, name: `Node ${major}: ${use.name}` });
    const start = performance.now();
    const args = [`${root}tools/test.mjs`, "--fast"];
    const { status, stdout } = spawnSync(program, args, { encoding: "utf8", maxBuffer: 1 << 28 });
    const name = `Node ${major}: quick chapters, ${stdout.trim().split("\n").at(-1)}`;
    say({ name, code: status ?? 1, output: stdout }, (performance.now() - start) / 1000);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = failed > 0 ? 1 : 0;
