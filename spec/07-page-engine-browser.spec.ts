import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import type { AddressInfo } from "node:net";
import test from "tape";
import { corpusEntry, projectRoot } from "../tools/corpus.js";
import { findChromium, launchChromium, NO_CHROMIUM } from "./support/chromium.js";
import { decodeCapture, type Decoded } from "./support/decode-capture.js";

/** A level-1 capture of the corpus. */
const CAPTURE = "compress-1-threads-1";
const TYPES: Readonly<Record<string, string>> = {
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
};
/** A browser needs a map for bare names; nothing else is done to the code. */
const PAGE = `<!doctype html><meta charset="utf-8"><title>qevm</title>
<script type="importmap">{ "imports": { "pako": "/node_modules/pako/dist/pako.mjs" } }</script>
<script type="module">
  import { decodeCapture } from "/built/spec/support/decode-capture.js";
  const bytes = new Uint8Array(await (await fetch("/capture")).arrayBuffer());
  globalThis.result = decodeCapture(bytes);
  globalThis.ready = true;
</script>`;

/** Serves the built program unchanged, and the capture. */
async function serve(capture: Uint8Array): Promise<{ url: string; close: () => void }> {
  const built = fileURLToPath(new URL("..", import.meta.url));
  const server = createServer((request, response) => {
    const path = normalize(new URL(request.url ?? "/", "http://localhost").pathname);
    if (path === "/") return response.setHeader("content-type", "text/html").end(PAGE);
    if (path === "/capture") return response.end(capture);
    const file = path.startsWith("/built/") ? join(built, path.slice(7)) : join(projectRoot(), path);
    if (!/^\/(built|node_modules\/pako)\//u.test(path) || !existsSync(file)) return response.writeHead(404).end();
    return response
      .setHeader("content-type", TYPES[extname(file)] ?? "application/octet-stream")
      .end(readFileSync(file));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/`, close: () => server.close() };
}

test("the same engine decodes a capture in a browser, to the same bytes", { timeout: 120_000 }, async (t) => {
  const executablePath = findChromium();
  if (executablePath === undefined) return t.skip(NO_CHROMIUM);
  const capture = corpusEntry(CAPTURE).open();
  const here = await decodeCapture(capture);
  t.ok(here.compressed > 100, `${here.compressed} compressed pages`);
  t.equal(here.identical, here.compressed, "compressed again identically, in Node");

  const server = await serve(capture);
  const browser = await launchChromium(executablePath);
  try {
    const page = await browser.newPage();
    const problems: string[] = [];
    page.on("pageerror", (error) => problems.push(error.message));
    page.on("response", (response) => {
      if (!response.ok() && !response.url().endsWith("/favicon.ico")) problems.push(`${response.url()} not served`);
    });
    await page.goto(server.url);
    await page.waitForFunction("globalThis.ready === true", undefined, { timeout: 60_000 }).catch(() => undefined);
    t.deepEqual(problems, [], "nothing goes wrong on the page");
    const there = await page.evaluate<Decoded>("globalThis.result");
    t.comment(`${browser.browserType().name()} ${browser.version()}: ${JSON.stringify(there)}`);
    t.deepEqual(there, here, "the same items, pages and payloads");
  } finally {
    await browser.close();
    server.close();
  }
});
