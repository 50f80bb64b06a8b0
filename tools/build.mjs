// Compiles everything (src, spec, tools) into dist/ with tsc alone, then makes the program executable.
import { spawnSync } from "node:child_process";
import { chmodSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
if (process.argv.includes("--clean")) rmSync(`${root}dist`, { recursive: true, force: true });
const run = spawnSync(process.execPath, [`${root}node_modules/typescript/bin/tsc`, "-p", root], {
  stdio: ["ignore", 2, 2],
});
if (run.status !== 0) process.exit(run.status ?? 1);
chmodSync(`${root}dist/src/cli/main.js`, 0o755);
