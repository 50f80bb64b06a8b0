/** The page as a folder on a server, and recordings: folders that are dropped and chosen. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import test from "tape";
import { recordingNamed, unpackRecording } from "../tools/recording/corpus.js";
import { findChromium, launchChromium, NO_CHROMIUM } from "./support/chromium.js";
import { PageInBrowser } from "./support/page-in-browser.js";
import { qevm } from "./support/program.js";

const work = mkdtempSync(join(tmpdir(), "qevm-page-folder-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));

const executablePath = findChromium();
const options = { timeout: 300_000, ...(executablePath === undefined ? { skip: NO_CHROMIUM } : {}) };
const FOLDER = fileURLToPath(new URL("../page/", import.meta.url));
const TYPES: Readonly<Record<string, string>> = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };

/** A server of the folder that sends no header but the type, and what it was asked for. */
async function serve(): Promise<{ server: Server; address: string; asked: string[] }> {
  const asked: string[] = [];
  const server = createServer(({ url = "/" }, response) => {
    asked.push(url);
    const name = url === "/" ? "index.html" : url.slice(1);
    response.setHeader("content-type", TYPES[extname(name)] ?? "text/plain");
    response.end(readFileSync(join(FOLDER, name)));
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return { server, address: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, asked };
}

async function printed(...args: string[]): Promise<string> {
  return (await qevm(args, { cwd: work })).stdout;
}

/** Puts the file system of the origin in the place of the picker, which only a person can answer. */
const PICKED = `globalThis.showSaveFilePicker = async ({ suggestedName }) => {
  const folder = await navigator.storage.getDirectory();
  return await folder.getFileHandle(suggestedName, { create: true });
}`;

async function savedAs(opened: PageInBrowser, button: string, name: string): Promise<string> {
  await opened.page.getByRole("button", { name: button, exact: true }).click();
  await opened.page
    .locator("#panel [role=status]")
    .filter({ hasText: /^Saved$/u })
    .waitFor();
  return await opened.page.evaluate<string>(`(async () => {
    const folder = await navigator.storage.getDirectory();
    const file = await (await folder.getFileHandle(${JSON.stringify(name)})).getFile();
    return Array.from(new Uint8Array(await file.arrayBuffer()), (byte) => String.fromCharCode(byte)).join("");
  })()`);
}

test("a recording on the page of a static folder: what the program prints and writes", options, async (t) => {
  const recording = join(work, "rec");
  unpackRecording(recordingNamed("recording-7.2-zlib"), recording);
  const failed = join(work, "failed");
  cpSync(recording, failed, { recursive: true });
  writeFileSync(join(failed, "recording.json"), '{ "complete": false, "reason": "the source <b>went</b> away" }');
  const { server, address, asked } = await serve();
  const browser = await launchChromium(executablePath!);
  try {
    const opened = await PageInBrowser.open(browser, { address });
    await opened.page.evaluate(PICKED);
    await opened.drop(recording);
    await opened.whole();
    t.equal(await opened.lines("Summary"), await printed("inspect", "rec"), "inspect, with the channels");
    await opened.tab("Devices");
    t.equal(await opened.lines("Devices"), await printed("devices", "rec"), "devices");
    await opened.tab("Explain");
    t.equal(await opened.lines("Explanation"), await printed("explain", "rec"), "explain");
    await opened.tab("Memory");
    await opened.page.locator("#panel select").selectOption("block ram");
    await opened.page.getByLabel("Address").fill("0x100");
    await opened.page.getByLabel("Address").press("Enter");
    await opened.page.locator('pre[aria-label="Memory at 0x100"]').waitFor();
    const read = ["read", "rec", "--block", "ram", "--offset", "0x100", "--length", "512"];
    t.equal(await opened.lines("Memory at"), await printed(...read), "read");
    await opened.tab("Stream");
    await opened.page.locator(".bytes .here").waitFor();
    t.match(await opened.lines("What this byte is"), /^byte 0x0 \(0\)\n {2}header\n/u, "the merged stream");

    await opened.tab("Save");
    await qevm(["report", "rec", "--out", "report.html"], { cwd: work });
    const report = await savedAs(opened, "Save the report", "rec.html");
    t.equal(report, readFileSync(join(work, "report.html"), "latin1"), "the report");
    const inspect = await savedAs(opened, "Save inspect", "rec.inspect.json");
    t.equal(inspect, await printed("inspect", "rec", "--json"), "inspect --json");
    await qevm(["extract", "rec", "--out", "blocks", "--format", "blocks"], { cwd: work });
    const block = await savedAs(opened, "Save the block", "ram.raw");
    t.ok(block === readFileSync(join(work, "blocks", "ram"), "latin1"), `a block of ${block.length} bytes`);
    await opened.page.evaluate(
      "globalThis.showSaveFilePicker = () => Promise.reject(new DOMException('', 'AbortError'))",
    );
    await opened.page.getByRole("button", { name: "Save inspect" }).click();
    await opened.page.locator("#panel [role=status]").filter({ hasText: /^$/u }).waitFor({ state: "attached" });
    t.deepEqual(await opened.violations(), [], "axe");

    await opened.chooseFolder(failed);
    await opened.whole();
    t.equal(await opened.lines("Summary"), (await qevm(["inspect", "failed"], { cwd: work })).stderr, "a failed one");
    const plain = join(work, "plain.mig");
    await qevm(["convert", "rec", "--out", "plain.mig"], { cwd: work });
    await opened.drop(recording, plain);
    t.equal(await opened.lines("Comparison"), await printed("diff", "rec", "plain.mig"), "diff of a folder and a file");

    t.deepEqual(opened.problems, [], "no error, no message");
    t.deepEqual([...new Set(asked)].toSorted(), ["/", "/page.css", "/page.js", "/worker.js"], "its own files only");
    t.ok(
      opened.requests.every((one) => one.startsWith(address) || one.startsWith("blob:")),
      "no request elsewhere",
    );
    const worker = opened.page.workers()[0]!;
    const fetched = `fetch(${JSON.stringify(address)}).then(() => "fetched", () => "refused")`;
    t.equal(await worker.evaluate<string>(fetched), "refused", "the policy holds for the worker, too");
    await opened.close();

    const single = await PageInBrowser.open(browser);
    await single.drop(recording);
    await single.whole();
    t.equal(await single.lines("Summary"), await printed("inspect", "rec"), "dropped on the page that is one file");
    t.deepEqual(single.problems, [], "without a message");
  } finally {
    await browser.close();
    server.close();
  }
});
