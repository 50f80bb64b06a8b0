// Compiles everything (src, spec, tools) into dist/ with tsc, the page engine (AssemblyScript) with asc where it changed,
// brings the program together in dist/bin, and holds the public names against their list and documentation.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { bundleProgram } from "./bundle.mjs";
import { buildPage } from "./page.mjs";
import { checkPublicNames } from "./public-names.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
if (process.argv.includes("--clean")) rmSync(`${root}dist`, { recursive: true, force: true });
// What did not change since the last build is not compiled again.
const tsc = ["-p", root, "--incremental", "--tsBuildInfoFile", `${root}dist/.tsbuildinfo`];
const run = spawnSync(process.execPath, [`${root}node_modules/typescript/bin/tsc`, ...tsc], {
  stdio: ["ignore", 2, 2],
});
if (run.status !== 0) process.exit(run.status ?? 1);
buildPageEngine();
extractZstd();
copyFileSync(`${root}src/io/catalogue/catalogue.br`, `${root}dist/src/io/catalogue/catalogue.br`);
await bundleProgram(`${root}dist/`);
await writeManPage();
await writeSchemas();
await buildPage(`${root}dist/`, root);
holdPublicNames();

/** Writes dist/qevm.1 from the program's table of options. */
async function writeManPage() {
  const { manPage } = await import(`${root}dist/src/cli/man-page.js`);
  const { version } = JSON.parse(readFileSync(`${root}package.json`, "utf8"));
  writeFileSync(`${root}dist/qevm.1`, manPage(version));
}

/** Writes dist/schema/*.json, which the package exports. */
async function writeSchemas() {
  const { printed, schemas } = await import(`${root}dist/tools/schema/make.js`);
  rmSync(`${root}dist/schema`, { recursive: true, force: true });
  mkdirSync(`${root}dist/schema`);
  for (const [name, schema] of schemas()) writeFileSync(`${root}dist/schema/${name}`, printed(schema));
}

/** Fails where a public name has no documentation or is not listed; asked again when a declaration has changed. */
function holdPublicNames() {
  const hash = createHash("sha256");
  const declarations = readdirSync(`${root}dist/src`, { recursive: true }).filter((name) => name.endsWith(".d.ts"));
  for (const name of declarations.toSorted()) hash.update(name).update(readFileSync(`${root}dist/src/${name}`));
  for (const name of ["spec/public-names.txt", "tools/public-names.mjs"]) hash.update(readFileSync(root + name));
  const want = hash.digest("hex");
  const stamp = `${root}dist/.public-names`;
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === want) return;
  const problems = checkPublicNames();
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) process.exit(1);
  writeFileSync(stamp, want);
}

/**
 * Rebuilds dist/src/engine/page.wasm, page-simd.wasm and unzstd-shared.wasm when a source, the compiler or its options
 * changed.
 */
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
    "4",
  ];
  // 65,535 of 64 KiB: what 32 bits can address.
  const shared = ["--enable", "simd,threads", "--importMemory", "--sharedMemory", "--maximumMemory", "65535"];
  const outputs = [
    { file: `${root}dist/src/engine/page.wasm`, options: common },
    { file: `${root}dist/src/engine/page-simd.wasm`, options: [...common, "--enable", "simd"] },
    { file: `${root}dist/src/engine/unzstd-shared.wasm`, entry: "unzstd-exports.ts", options: [...common, ...shared] },
  ];
  const hash = createHash("sha256").update(JSON.stringify(outputs.map(({ entry, options }) => [entry, options])));
  hash.update(readFileSync(`${root}node_modules/assemblyscript/package.json`));
  for (const name of readdirSync(sources).toSorted()) hash.update(name).update(readFileSync(sources + name));
  const want = hash.digest("hex");
  const stamp = `${root}dist/.page-engine`;
  const fresh =
    existsSync(stamp) && readFileSync(stamp, "utf8") === want && outputs.every(({ file }) => existsSync(file));
  if (fresh) return;
  const compiler = `${root}node_modules/assemblyscript/bin/asc.js`;
  for (const { file, entry = "index.ts", options } of outputs) {
    const asc = [compiler, `${sources}${entry}`, "--outFile", file, ...options];
    const made = spawnSync(process.execPath, asc, { stdio: ["ignore", 2, 2], cwd: root });
    if (made.status !== 0) process.exit(made.status ?? 1);
  }
  writeFileSync(stamp, want);
}

/**
 * Writes the zstd library's compressor as WebAssembly, out of the package `@oneidentity/zstd-js`, whose own wrapper
 * does not flush; and zstd's licence with it.
 */
function extractZstd() {
  const to = `${root}dist/src/engine/`;
  const source = readFileSync(`${root}node_modules/@oneidentity/zstd-js/wasm/index.js`, "utf8");
  const module = moduleIn(source, "ZSTD_compressStream2_simpleArgs");
  writeFileSync(`${to}zstd-compress.wasm.gz`, gzipSync(module, { level: 9 }));
  copyFileSync(`${root}src/engine/zstd-LICENSE.txt`, `${to}zstd-LICENSE.txt`);
}

/** The WebAssembly module in Base64 that a package's code has, by a name that it exports. */
function moduleIn(source, name) {
  for (const [text] of source.matchAll(/AGFzbQ[\w+/]+=*/gu)) {
    const bytes = Buffer.from(text, "base64");
    if (WebAssembly.Module.exports(new WebAssembly.Module(bytes)).some((one) => one.name === name)) return bytes;
  }
  throw new Error(`no WebAssembly with ${name} where it was`);
}
