/** Nothing compiles code at run time: the program and the library run where a policy forbids it. */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import test from "tape";
import { corpusEntry, projectRoot } from "../tools/corpus.js";
import { image } from "./support/container-bytes.js";
import { PROGRAM } from "./support/program.js";

const FLAG = "--disallow-code-generation-from-strings";
const corpus = join(projectRoot(), "corpus");
const work = mkdtempSync(join(tmpdir(), "qevm-csp-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));

const out = (name: string): string => join(work, name);

function run(args: readonly string[]): Promise<{ code: number | null; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [FLAG, ...args], { stdio: ["ignore", "ignore", "pipe"] });
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stderr }));
  });
}

test("the flag works in this Node", async (t) => {
  const { code, stderr } = await run(["-e", "new Function('return 1')()"]);
  t.notEqual(code, 0);
  t.match(stderr, /EvalError/u);
  t.end();
});

test("every command runs on captures of each container without compiling code", async (t) => {
  const libvirt = (format: string): string => join(corpus, "libvirt", `save.${format}`);
  const recording = (name: string): string => join(corpus, name);
  const plain = join(corpus, "machine-none", "stream.gz");
  const commands: string[][] = [
    ...["gzip", "bzip2", "xz", "lzop", "zstd", "raw.gz", "sparse.gz"].map((format) => ["inspect", libvirt(format)]),
    ["verify", join(corpus, "field", "savevm-mapped-ram.bin")],
    ["verify", recording("recording-7.2-zlib")],
    ["verify", recording("recording-10.0-zstd")],
    ["inspect", recording("postcopy-7.2-preempt")],
    ["devices", plain],
    ["explain", plain],
    ["report", plain, "--out", out("page.html")],
    ["diff", plain, plain],
    ["extract", plain, "--format", "blocks", "--out", out("blocks")],
    ["read", plain, "--block", "ram"],
    ["unpack", plain, out("folder")],
    ["pack", out("folder"), "--out", out("packed")],
    ["convert", recording("recording-7.2-none"), "--flatten", "--out", out("flat")],
    ["convert", plain, "--to", "recording", "--out", out("recording")],
    ["convert", libvirt("gzip"), "--to", "libvirt", "--out", out("image")],
    ["generate", "--machine", "none", "--pages", "zlib", "--out", out("made")],
    ["send", plain, `exec:cat > ${out("sent")}`],
    ["receive", `exec:cat ${out("made")}`, "--out", out("received"), "--as", "stream"],
    ["fuzz", "decode", plain, "--cases", "2"],
  ];
  const failed: string[] = [];
  for (const args of commands) {
    const { code, stderr } = await run([PROGRAM, ...args]);
    if (code !== 0 || stderr.includes("EvalError")) failed.push(`${args.join(" ")}: ${code} ${stderr}`);
  }
  t.deepEqual(failed, [], `${commands.length} commands`);
  t.end();
});

test("no module compiles code from text", (t) => {
  const files = readdirSync(join(projectRoot(), "src"), { recursive: true, encoding: "utf8" });
  const wrong = files.filter((file) => {
    if (!/\.tsx?$/u.test(file)) return false;
    const text = readFileSync(join(projectRoot(), "src", file), "utf8").replaceAll(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/gu, "");
    return /\beval\(|new Function\b|from "binary-parser"/u.test(text);
  });
  t.deepEqual(wrong, []);
  t.end();
});

/** The page's policy: no code from text, but WebAssembly. */
const POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'";

test("the library's bundle runs in a browser under a content security policy", { timeout: 120_000 }, async (t) => {
  const executablePath = ["chromium", "chromium-browser", "google-chrome"]
    .map((name) => `/usr/bin/${name}`)
    .find((path) => existsSync(path));
  if (executablePath === undefined) return t.skip("no Chromium in /usr/bin: the browser is not asked");
  const contents = `import { openStream } from "./dist/src/index.js";
    const summary = async (path) => {
      const bytes = new Uint8Array(await (await fetch(path)).arrayBuffer());
      try {
        const stream = await openStream(bytes);
        let parts = 0;
        for await (const _ of stream) parts++;
        return [stream.machine, stream.complete, parts > 3];
      } catch (error) { return [String(error)]; }
    };
    Promise.all([summary("/stream"), summary("/libvirt")]).then(
      (result) => (globalThis.result = result), (error) => (globalThis.result = String(error)));`;
  const bundled = await build({
    stdin: { contents, resolveDir: projectRoot() },
    bundle: true,
    write: false,
    format: "esm",
    platform: "browser",
    external: ["node:*"],
    logLevel: "silent",
  });
  const page = `<!doctype html><meta charset="utf-8"><script type="module" src="/app.js"></script>`;
  const files: Readonly<Record<string, [string, string | Uint8Array]>> = {
    "/": ["text/html", page],
    "/app.js": ["text/javascript", bundled.outputFiles[0]!.text],
    "/stream": ["application/octet-stream", corpusEntry("pc-never-run").open()],
    "/page-simd.wasm": [
      "application/wasm",
      readFileSync(join(projectRoot(), "dist", "src", "engine", "page-simd.wasm")),
    ],
    "/libvirt": ["application/octet-stream", image("zstd")],
  };
  const server = createServer((request, response) => {
    const [type, body] = files[request.url ?? ""] ?? ["text/plain", ""];
    response.writeHead(200, { "content-type": type, "content-security-policy": POLICY }).end(body);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
  try {
    const tab = await browser.newPage();
    const problems: string[] = [];
    tab.on("pageerror", (error) => problems.push(error.message));
    await tab.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    // waitForFunction compiles its text in the page, which the policy forbids.
    const asked = async (): Promise<[unknown[], unknown[]] | undefined> => await tab.evaluate("globalThis.result");
    let result = await asked();
    for (let k = 0; k < 600 && result === undefined; k++) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      result = await asked();
    }
    const [stream, libvirt] = result ?? [["no result"], ["no result"]];
    t.deepEqual(problems, []);
    t.deepEqual(stream.slice(1), [true, true], String(stream[0]));
    t.deepEqual(libvirt.slice(1), [true, true], `of a libvirt save image: ${String(libvirt[0])}`);
  } finally {
    await browser.close();
    server.close();
  }
});
