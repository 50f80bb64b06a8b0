// The API reference, by typedoc from the comments of what the package exports: dist/api.
//
//   node tools/api.mjs
//
// typedoc needs the programming interface of TypeScript, which TypeScript 7 does not have: an older one stands beside
// it. The build checks the types.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { installed } from "./test/installed.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const typedoc = join(installed("typedoc@0.28", "typescript@5.9"), "bin/typedoc");
const entries = ["index", "codec", "node"].flatMap((name) => ["--entryPoints", `src/${name}.ts`]);
const flags = `--name qevm --readme none --out dist/api --skipErrorChecking --excludeInternal --excludePrivate
  --disableGit --sourceLinkTemplate {path}#L{line} --validation.invalidLink --treatValidationWarningsAsErrors`;
const args = [typedoc, ...entries, ...flags.split(/\s+/u)];
const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" });
process.exitCode = status ?? 1;
