// Installs the locked dependencies when they are missing or out of date, so that every npm script works on a fresh
// clone.
import { spawnSync } from "node:child_process";
import { existsSync, lstatSync, readFileSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const major = Number(process.versions.node.split(".")[0]);
if (major < 20) {
  console.error(`qevm needs Node 20.19 or later, this is ${process.version}`);
  process.exit(1);
}
const stamp = `${root}node_modules/.qevm-setup`;
const want = createHash("sha256")
  .update(readFileSync(`${root}package-lock.json`))
  .update(process.versions.modules)
  .digest("hex");
if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== want) {
  // npm empties the folder that a link leads to, which may be that of another work tree.
  if (lstatSync(`${root}node_modules`, { throwIfNoEntry: false })?.isSymbolicLink() === true) {
    console.error("qevm: node_modules is a link and not up to date: install where it leads");
    process.exit(1);
  }
  if (!process.argv.includes("--quiet")) console.error("qevm: installing dependencies (npm ci)");
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  const run = spawnSync(npm, ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: root,
    stdio: ["ignore", 2, 2],
    env: { ...process.env, NODE_ENV: "development" },
  });
  if (run.status !== 0) process.exit(run.status ?? 1);
  writeFileSync(stamp, want);
}
