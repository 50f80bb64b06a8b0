// Bundles the modules of a build into the program as it is shipped.
import { chmodSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { build } from "esbuild";

/**
 * Packages that few runs use, loaded when a name of theirs is first used: pako and zlib cost each start of a command
 * 15 ms otherwise, the XML parser 6 ms, node:crypto 7 ms, node:worker_threads 1 ms.
 */
const SELDOM = /^(?:pako|node:(?:crypto|worker_threads|zlib)|@rgrove\/parse-xml)$/;

/** The plugin for them. @param from the modules whose imports say which names there must be */
function seldom(from) {
  return {
    name: "packages that few runs use",
    setup(bundle) {
      const names = importedNames(from);
      bundle.onResolve({ filter: SELDOM }, ({ path, namespace }) =>
        namespace === "seldom" ? { path, external: true } : { path, namespace: "seldom" },
      );
      bundle.onLoad({ filter: /.*/, namespace: "seldom" }, ({ path }) => {
        const get = `() => require(${JSON.stringify(path)})[name]`;
        return {
          contents: `for (const name of "${[...names.get(path)].join(" ")}".split(" "))
            Object.defineProperty(exports, name, { enumerable: true, get: ${get} });`,
        };
      });
    },
  };
}

/** The names that modules import from these packages. */
function importedNames(folder) {
  const names = new Map();
  for (const file of readdirSync(folder, { recursive: true }).filter((name) => name.endsWith(".js"))) {
    for (const [, list, path] of readFileSync(folder + file, "utf8").matchAll(
      /import\s*\{([^}]*)\}\s*from\s*"([^"]+)"/g,
    )) {
      if (!SELDOM.test(path)) continue;
      if (!names.has(path)) names.set(path, new Set());
      for (const name of list.split(",")) if (name.trim() !== "") names.get(path).add(name.trim().split(" ")[0]);
    }
  }
  return names;
}

/** The WebAssembly files stay beside the modules. */
const besideModules = {
  name: "files beside the modules",
  setup(bundle) {
    bundle.onLoad({ filter: /engine[\\/]beside\.js$/ }, ({ path }) => ({
      contents: readFileSync(path, "utf8").replaceAll('new URL("./', 'new URL("../src/engine/'),
    }));
  },
};

/** The options of all commands, which every command needs: one file for all. */
const HELP = "cli/help.js";
const sharedHelp = {
  name: "one file of help",
  setup(bundle) {
    bundle.onResolve({ filter: /^\.\/help\.js$/ }, () => ({ path: "./help.cjs", external: true }));
  },
};

/**
 * Threads that are one CommonJS file each, without Node's ES module loader: it takes 30 ms, and a reader waits for it.
 */
const SOON = {
  "hash-worker": "analyse/report/hash-worker.js",
  "lane-worker": "io/container/threads/lane-worker.js",
  "write-worker": "guest/files/write-worker.js",
  "zstd-worker": "io/container/threads/zstd-worker.js",
};

/** The names by which the modules start these threads. */
const soonStarted = {
  name: "threads as CommonJS",
  setup(bundle) {
    bundle.onLoad({ filter: /[\\/](?:hash-thread|lanes|write-thread|zstd-ahead)\.js$/ }, ({ path }) => ({
      contents: readFileSync(path, "utf8").replace(/"((?:hash|lane|write|zstd)-worker)\.js"/u, '"$1.cjs"'),
    }));
  },
};

/**
 * Writes the bin folder of a build: the program as it is shipped, one file per command and per thread, with all our
 * code in it but the options of the commands. Packages stay external dependencies. Finding and reading a hundred and
 * thirty modules took Node 45 ms more at each start, and its ES module loader 20 ms more than `require` of one file;
 * therefore the commands are CommonJS.
 */
export async function bundleProgram(folder) {
  const from = `${folder}src/`;
  const to = `${folder}bin/`;
  rmSync(to, { recursive: true, force: true });
  // A type-only import becomes a bare import once its module is instrumented.
  const logOverride = { "ignored-bare-import": "silent" };
  const common = {
    bundle: true,
    packages: "external",
    platform: "node",
    target: "node20",
    logLevel: "warning",
    logOverride,
    plugins: [besideModules, soonStarted],
  };
  const command = {
    ...common,
    format: "cjs",
    define: { "import.meta.url": "moduleUrl" },
    plugins: [sharedHelp, besideModules, soonStarted, seldom(from)],
    // Names are kept for stack traces. Removing whitespace saves a third of the bytes, of which each command has a
    // copy.
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
  await build({
    ...command,
    plugins: [start, sharedHelp, besideModules, seldom(from)],
    entryPoints: [`${from}cli/main.js`],
    outfile: `${to}qevm.cjs`,
  });
  chmodSync(`${to}qevm.cjs`, 0o755);
  await build({ ...command, entryPoints: [from + HELP], outfile: `${to}help.cjs` });
  for (const [name, module] of Object.entries(SOON)) {
    await build({ ...command, entryPoints: [from + module], outfile: `${to}${name}.cjs` });
  }
  await build({
    ...common,
    format: "esm",
    splitting: true,
    outdir: to,
    // The names by which the modules start the threads: all files end up in one folder.
    entryPoints: {
      "channel-worker": `${from}rewrite/threads/channel-worker.js`,
      "compress-worker": `${from}rewrite/threads/compress-worker.js`,
      "decompress-worker": `${from}rewrite/threads/decompress-worker.js`,
      "decode-case": `${from}analyse/fuzz/decode-case.js`,
      "decode-thread": `${from}analyse/fuzz/decode-thread.js`,
    },
  });
}
