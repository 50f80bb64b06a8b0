// Packages from npm that are too large, or too rarely used, to be among the dependencies: each in a folder that is kept.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

const kept = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "qevm", "npm");

/**
 * The folder of an npm package, installed where it is not there yet.
 * @param wanted `name@version`, and what it has to find beside it
 */
export function installed(...wanted) {
  const [name = ""] = wanted[0].split("@");
  const folder = join(kept, wanted.join("+"));
  const found = join(folder, "node_modules", name);
  if (existsSync(join(found, "package.json"))) return found;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true }));
  const npm = ["install", "--no-audit", "--no-fund", "--loglevel=error", ...wanted];
  const { status } = spawnSync("npm", npm, { cwd: folder, stdio: ["ignore", 2, 2] });
  if (status !== 0) throw new Error(`npm ${npm.join(" ")} in ${folder} failed`);
  return found;
}
