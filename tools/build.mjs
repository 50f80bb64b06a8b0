// Compiles everything (src, spec, tools) into dist/ with tsc, the page engine (AssemblyScript) with asc where it changed, then brings the
// program together in dist/bin.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, copyFileSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
if (process.argv.includes("--clean")) rmSync(`${root}dist`, { recursive: true, force: true });
const run = spawnSync(process.execPath, [`${root}node_modules/typescript/bin/tsc`, "-p", root], {
  stdio: ["ignore", 2, 2],
});
if (run.status !== 0) process.exit(run.status ?? 1);
buildPageEngine();
await bundleProgram();

/**
 * dist/bin: the program as it is shipped, a file a command and a file a thread, with everything of ours in it. Packages stay what they are,
 * dependencies. Finding and reading a hundred and thirty modules took Node 45 ms more at each start, and its loader of ES modules
 * 20 ms more than `require` takes for one file: the commands are CommonJS.
 */
async function bundleProgram() {
  const from = `${root}dist/src/`;
  const to = `${root}dist/bin/`;
  rmSync(to, { recursive: true, force: true });
  const common = { bundle: true, packages: "external", platform: "node", target: "node20", logLevel: "warning" };
  const command = {
    ...common,
    format: "cjs",
    define: { "import.meta.url": "moduleUrl" },
    // Names stay, for stack traces; what goes is a third of the bytes, of which each command has its own copy.
    minifyWhitespace: true,
    minifySyntax: true,
    banner: { js: '"use strict"; const moduleUrl = require("node:url").pathToFileURL(__filename).href;' },
  };
  const { COMMANDS } = await import(`${from}cli/help.js`);
  const names = Object.keys(COMMANDS);
  await Promise.all(
    names.map((name) =>
      build({
        ...command,
        stdin: {
          contents: `import { run } from "./run.js"; import * as command from "./${name}.js";
            export const start = (args) => run("${name}", args, () => Promise.resolve(command));`,
          resolveDir: `${from}cli`,
        },
        outfile: `${to}${name}.cjs`,
      }),
    ),
  );
  const start = {
    name: "a file a command",
    setup(bundle) {
      bundle.onLoad({ filter: /cli\/start\.js$/ }, () => ({
        contents: "const load = require; export const start = (name, args) => load(`./${name}.cjs`).start(args);",
      }));
    },
  };
  await build({ ...command, plugins: [start], entryPoints: [`${from}cli/main.js`], outfile: `${to}qevm.cjs` });
  chmodSync(`${to}qevm.cjs`, 0o755);
  await build({
    ...common,
    format: "esm",
    splitting: true,
    outdir: to,
    // Names as the modules that start the threads know them, since all of them come to stand in one folder.
    entryPoints: {
      "compress-worker": `${from}rewrite/threads/compress-worker.js`,
      "decompress-worker": `${from}rewrite/threads/decompress-worker.js`,
      "write-worker": `${from}guest/files/write-worker.js`,
      "decode-case": `${from}analyse/fuzz/decode-case.js`,
      "decode-thread": `${from}analyse/fuzz/decode-thread.js`,
    },
  });
  for (const name of ["page.wasm", "page-simd.wasm"]) copyFileSync(`${from}engine/${name}`, `${to}${name}`);
}

/** dist/src/engine/page.wasm and page-simd.wasm, made again when a source, the compiler or its options changed. */
function buildPageEngine() {
  const sources = `${root}src/engine/wasm/`;
  const common = [
    "-O3",
    "--noAssert",
    "--runtime",
    "stub",
    "--use",
    "abort=",
    "--memoryBase",
    "0",
    "--initialMemory",
    "3",
  ];
  const outputs = [
    { file: `${root}dist/src/engine/page.wasm`, options: common },
    { file: `${root}dist/src/engine/page-simd.wasm`, options: [...common, "--enable", "simd"] },
  ];
  const hash = createHash("sha256").update(JSON.stringify(outputs.map(({ options }) => options)));
  hash.update(readFileSync(`${root}node_modules/assemblyscript/package.json`));
  for (const name of readdirSync(sources).toSorted()) hash.update(name).update(readFileSync(sources + name));
  const want = hash.digest("hex");
  const stamp = `${root}dist/.page-engine`;
  const fresh =
    existsSync(stamp) && readFileSync(stamp, "utf8") === want && outputs.every(({ file }) => existsSync(file));
  if (fresh) return;
  for (const { file, options } of outputs) {
    const asc = [`${root}node_modules/assemblyscript/bin/asc.js`, `${sources}index.ts`, "--outFile", file, ...options];
    const made = spawnSync(process.execPath, asc, { stdio: ["ignore", 2, 2], cwd: root });
    if (made.status !== 0) process.exit(made.status ?? 1);
  }
  writeFileSync(stamp, want);
}
