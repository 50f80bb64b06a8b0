// Builds the page (src/page): one self-contained HTML file, which is in the package, and the same as a static folder.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { brotliDecompressSync, gzipSync } from "node:zlib";
import { build } from "esbuild";

/** Modules in whose place others stand where there is no Node; by their paths below `dist/src`. */
const INSTEAD = {
  "io/transport/spool.js": "spool",
  "guest/files/scratch.js": "scratch",
  "io/catalogue/load.js": "catalogue",
  "engine/beside.js": "beside",
  "io/container/open-path.js": "none",
  "io/container/is-folder.js": "none",
  "io/container/recording.js": "none",
  "io/container/threads/in-threads.js": "none",
  "analyse/report/hash-thread.js": "none",
  "guest/read/page-index.js": "none",
  "io/transport/attempt.js": "none",
  "io/transport/file.js": "none",
  "io/transport/same-file.js": "none",
  "io/transport/temporary.js": "temporary",
  "engine/fast.js": "none",
};

/** The same for Node's own. What is not here is reached by paths only. */
const NODE = { "node:crypto": "crypto", "node:path": "path" };

/** Builds the folder `page` in a folder that `tsc` wrote: `qevm.html`, which is all of it, and the same in files. */
export async function buildPage(folder, root) {
  const src = `${folder}src/`;
  const { version } = JSON.parse(readFileSync(`${root}package.json`, "utf8"));
  const common = {
    bundle: true,
    write: false,
    minify: true,
    legalComments: "none",
    platform: "browser",
    target: "es2022",
    logLevel: "warning",
    define: { PROGRAM: JSON.stringify(`qevm ${version}`), "globalThis.process": "undefined" },
    loader: { ".wasm": "binary", ".gz": "binary" },
  };
  const script = async (entry, more) => {
    const { outputFiles } = await build({ ...common, ...more, entryPoints: [`${src}page/${entry}.js`] });
    return outputFiles[0].text.trim();
  };
  const worker = await script("worker", { format: "iife", plugins: [instead(src)] });
  const { STYLE } = await import(`${src}page/style.js`);
  const notice = noticeOf(root);
  rmSync(`${folder}page`, { recursive: true, force: true });
  mkdirSync(`${folder}page`, { recursive: true });
  const single = await script("start-single", { format: "esm" });
  const files = await script("start", { format: "esm" });
  writeFileSync(
    `${folder}page/qevm.html`,
    page({
      notice,
      policy: `script-src '${hashOf(single)}' 'wasm-unsafe-eval'; style-src '${hashOf(STYLE)}'; worker-src blob:`,
      style: `<style>${STYLE}</style>`,
      script: `<script type="text/plain" id="worker">${gzipSync(worker, { level: 9 }).toString("base64")}</script>
<script type="module">${single}</script>`,
    }),
  );
  const inFolder = page({
    notice,
    policy: "script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; worker-src blob:",
    style: '<link rel="stylesheet" href="page.css">',
    script: '<script type="module" src="page.js"></script>',
  });
  for (const [name, text] of [
    ["index.html", inFolder],
    ["page.js", files],
    ["worker.js", worker],
    ["page.css", STYLE],
  ])
    writeFileSync(`${folder}page/${name}`, text);
}

function page({ notice, policy, style, script }) {
  return `<!doctype html>
<!--
${notice}
-->
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; ${policy}; img-src data:; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>qevm</title>
<link rel="icon" href="data:,">
${style}
</head>
<body>
<div id="page"><noscript>This page reads files by its own script: allow scripts for it.</noscript></div>
${script}
</body>
</html>
`;
}

function hashOf(text) {
  return `sha256-${createHash("sha256").update(text).digest("base64")}`;
}

/** Puts the modules for the browser in the place of Node's, and the binary files into the two that read them. */
function instead(src) {
  return {
    name: "modules for the browser",
    setup(bundle) {
      bundle.onResolve({ filter: /^node:/ }, ({ path }) => {
        const name = NODE[path];
        return name === undefined ? { path, namespace: "none" } : { path: `${src}page/browser/${name}.js` };
      });
      bundle.onResolve({ filter: /^\.{1,2}\/.*\.js$/ }, ({ path, resolveDir }) => {
        const name = INSTEAD[relative(src, join(resolveDir, path)).replaceAll("\\", "/")];
        if (name === undefined) return undefined;
        return name === "none" ? { path, namespace: "none" } : { path: `${src}page/browser/${name}.js` };
      });
      // CommonJS, for any name can be imported from it; each is a function that says what is missing.
      bundle.onLoad({ filter: /.*/, namespace: "none" }, () => ({
        contents: `const { unreachable } = require("./none.js");
          module.exports = new Proxy({}, { get: (_, name) => (name === "__esModule" ? undefined : unreachable) });`,
        resolveDir: `${src}page/browser`,
      }));
      bundle.onLoad({ filter: /browser[\\/](?:beside|catalogue)\.js$/ }, ({ path }) => ({
        contents: (path.endsWith("beside.js") ? WASM : catalogue(src)) + readFileSync(path, "utf8"),
        resolveDir: `${src}page/browser`,
      }));
    },
  };
}

/** Without SIMD no browser is left that the page runs in. */
const WASM = `import simd from "../../engine/page-simd.wasm";
  const WASM = { "page-simd.wasm": simd };\n`;

/** The catalogue's text, packed as browsers can unpack it. */
function catalogue(src) {
  const text = brotliDecompressSync(readFileSync(`${src}io/catalogue/catalogue.br`));
  const packed = gzipSync(text, { level: 9 }).toString("base64");
  return `const CATALOGUE = Uint8Array.from(atob("${packed}"), (c) => c.charCodeAt(0));\n`;
}

/** What others' licences want to be kept. */
function noticeOf(root) {
  const licence = (name) => readFileSync(`${root}node_modules/${name}/LICENSE`, "utf8").trim();
  const parts = [
    ["qevm", readFileSync(`${root}LICENSE`, "utf8").trim()],
    ["preact", licence("preact")],
    ["pako", licence("pako")],
  ];
  return parts
    .map(([name, text]) => `${name}\n\n${text}`)
    .join("\n\n")
    .replaceAll("--", "- -");
}
