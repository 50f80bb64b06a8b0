/** `npm run demo`: the main commands on a real capture of the corpus, by the program as a user runs it. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { corpusEntry, projectRoot } from "./corpus.js";

const entry = corpusEntry(process.argv[2] ?? "compress-live");
const folder = mkdtempSync(join(tmpdir(), "qevm-demo-"));
const file = join(folder, `${entry.name}.mig`);
let status = 0;

function qevm(...args: string[]): void {
  process.stdout.write(`\n$ qevm ${args.map((arg) => arg.replace(`${folder}/`, "")).join(" ")}\n`);
  const run = spawnSync(process.execPath, [join(projectRoot(), "dist/bin/qevm.cjs"), ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  process.stdout.write(run.stdout.toString().replaceAll(`${folder}/`, ""));
  if (run.status !== 0) status = 1;
}

try {
  writeFileSync(file, entry.open());
  process.stdout.write(`${entry.name}: ${entry.capture.shows} (${entry.capture.qemu.split("\n")[0]})\n`);
  qevm("verify", file);
  qevm("inspect", file);
  qevm("devices", file);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = status;
