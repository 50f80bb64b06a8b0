// The packed package in a project of its own: imported, required, typed and bundled as users do it.
import { spawnSync } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { build } from "esbuild";
import { bin, node, root } from "./process.mjs";

const CAPTURE = `${root}corpus/compress-live/stream.gz`;
const PRINTS = "pc-i440fx-7.2 true";

/** What each file of the project does with the package; the last line of the output is `PRINTS`. */
const USES = {
  "main.mjs": `
    import { readFileSync } from "node:fs";
    import { inspectStream } from "qevm";
    import { QemuFileReader } from "qevm/codec";
    import { openMemory } from "qevm/node";
    import schema from "qevm/schema/inspect.json" with { type: "json" };
    const { machine } = await inspectStream(readFileSync(process.argv[2]));
    const memory = await openMemory(process.argv[2]);
    await memory.close();
    console.log(machine, typeof QemuFileReader === "function" && typeof schema === "object");`,
  "main.cjs": `
    const { openStream } = require("qevm");
    const { QemuFileReader } = require("qevm/codec");
    const { openMemory } = require("qevm/node");
    openStream(process.argv[2]).then((stream) => {
      console.log(stream.machine, typeof QemuFileReader === "function" && typeof openMemory === "function");
      return stream.close();
    });`,
  "typed.ts": `
    import { inspectStream, openStream, QevmError } from "qevm";
    import { QemuFileReader } from "qevm/codec";
    import { openMemory } from "qevm/node";
    export async function pages(bytes: Uint8Array): Promise<number> {
      const stream = await openStream(bytes);
      let count = 0;
      for await (const item of stream) {
        if (item.kind !== "section") continue;
        for await (const batch of item.records()) for (const record of batch) if (record.block !== undefined) count++;
      }
      return count;
    }
    export const used = [inspectStream, QevmError, QemuFileReader, openMemory];`,
  "browser.js": `
    import { inspectStream } from "qevm";
    export const machineOf = async (bytes) => (await inspectStream(bytes)).machine;`,
  "bundled.mjs": `
    import { readFileSync } from "node:fs";
    const { machineOf } = await import(process.argv[3]);
    console.log(await machineOf(readFileSync(process.argv[2])), true);`,
};

/** Makes the project in `folder`, with the package of `tarball` and the packages that it needs. */
export function makeProject(tarball, folder) {
  const modules = join(folder, "node_modules");
  mkdirSync(join(modules, "qevm"), { recursive: true });
  const tar = ["-xzf", tarball, "-C", join(modules, "qevm"), "--strip-components=1"];
  const { status, stderr } = spawnSync("tar", tar, { encoding: "utf8" });
  if (status !== 0) throw new Error(`tar ${tar.join(" ")}: ${stderr}`);
  for (const name of ["@rgrove/parse-xml", "pako", "xxhash-wasm", "@types/node"]) {
    const place = join(modules, name);
    mkdirSync(dirname(place), { recursive: true });
    symlinkSync(`${root}node_modules/${name}`, place);
  }
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "user", type: "module", private: true }));
  for (const [name, text] of Object.entries(USES)) writeFileSync(join(folder, name), text);
}

/** Imported and required by the Node at `program`. Returns a list of `{ name, code, output }`. */
export function runIn(program, folder) {
  return ["main.mjs", "main.cjs"].map((file) => {
    const { status, stdout, stderr } = spawnSync(program, [join(folder, file), CAPTURE], { encoding: "utf8" });
    return judged(`package: ${file}`, status, stdout, stderr);
  });
}

/** Bundled for a browser: the file `bundle` has what `browser.js` exports. */
export function runBundle(name, bundle, folder) {
  const args = [join(folder, "bundled.mjs"), CAPTURE, bundle];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  return judged(`package: ${name}`, status, stdout, stderr);
}

function judged(name, status, stdout, stderr) {
  const right = status === 0 && stdout.trim() === PRINTS && stderr === "";
  return { name, code: right ? 0 : 1, output: `exit ${status}, expected ${PRINTS}\n${stdout}${stderr}` };
}

/** The declarations under each way of finding modules that TypeScript has for packages. */
export async function typed(folder) {
  const runs = [];
  for (const [module, moduleResolution] of [
    ["node16", "node16"],
    ["nodenext", "nodenext"],
    ["esnext", "bundler"],
  ]) {
    // Our declarations are checked, TypeScript's own are not.
    const flags = ["--noEmit", "--strict", "--skipDefaultLibCheck", "--target", "es2022", "--lib", "es2023,dom"];
    const way = ["--types", "node", "--module", module, "--moduleResolution", moduleResolution, "--ignoreConfig"];
    const run = await node([bin("typescript/bin/tsc"), ...flags, ...way, join(folder, "typed.ts")]);
    runs.push({ name: `package: types, ${moduleResolution}`, ...run });
  }
  return runs;
}

/** Imported, required, typed, and bundled by esbuild. */
export async function checkUses(tarball, folder) {
  makeProject(tarball, folder);
  const bundle = join(folder, "esbuild.mjs");
  const made = await build({
    entryPoints: [join(folder, "browser.js")],
    bundle: true,
    format: "esm",
    platform: "browser",
    outfile: bundle,
    logLevel: "silent",
  }).then(
    () => undefined,
    (error) => ({ name: "package: esbuild", code: 1, output: String(error) }),
  );
  return [...runIn(process.execPath, folder), ...(await typed(folder)), made ?? runBundle("esbuild", bundle, folder)];
}
