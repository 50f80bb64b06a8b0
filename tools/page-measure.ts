/**
 * What the page takes for a file, in Debian's Chromium, beside what `qevm inspect` takes:
 *
 *     node dist/tools/page-measure.js FILE
 *
 * Seconds until the first lines, until all was read, until bytes of guest memory are shown; most resident memory of the
 * tab's process, shared libraries included.
 */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [file] = process.argv.slice(2);
if (file === undefined) throw new Error("usage: node dist/tools/page-measure.js FILE");

const PROGRAM = fileURLToPath(new URL("../bin/qevm.cjs", import.meta.url));
const PAGE = pathToFileURL(fileURLToPath(new URL("../page/qevm.html", import.meta.url))).href;
const PATIENCE = { timeout: 600_000 };

function status(pid: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+)`, "mu").exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1] ?? 0);
}

function isOurs(pid: string): boolean {
  let at = Number(pid);
  while (at > 1 && at !== process.pid) at = status(String(at), "PPid");
  return at === process.pid;
}

/** MiB of the largest process of a tab. */
function most(): number {
  const sizes = readdirSync("/proc")
    .filter((name) => /^\d+$/u.test(name))
    .map((pid) => {
      try {
        const isTab = readFileSync(`/proc/${pid}/cmdline`, "latin1").includes("--type=renderer") && isOurs(pid);
        return isTab ? status(pid, "VmHWM") : 0;
      } catch {
        // The process ended.
        return 0;
      }
    });
  return Math.round(Math.max(...sizes) / 1024);
}

function program(): number {
  const start = performance.now();
  spawnSync(process.execPath, [PROGRAM, "inspect", file!]);
  return performance.now() - start;
}

const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(2)} s`;

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
try {
  const page = await browser.newPage();
  await page.goto(PAGE);
  await page.locator("input[multiple]").waitFor();
  console.log(`before: ${most()} MiB`);
  const before = program();
  const start = performance.now();
  await page.setInputFiles("input[multiple]", file);
  await page.locator("#panel, .refusal").first().waitFor(PATIENCE);
  const first = performance.now() - start;
  console.log(`first lines: ${seconds(first)}, ${most()} MiB`);
  const state = page.locator(".state strong").filter({ hasText: /^(?:Damaged|No damage found)$/u });
  await state.or(page.locator(".refusal")).first().waitFor(PATIENCE);
  console.log(`all: ${seconds(performance.now() - start)}, ${most()} MiB`);
  await page.getByRole("tab", { name: "Memory" }).click();
  await page.locator("pre[aria-label^='Memory at'], .refusal").first().waitFor(PATIENCE);
  console.log(`guest memory: ${seconds(performance.now() - start)}, ${most()} MiB`);
  const after = program();
  console.log(
    `qevm inspect: ${seconds(before)}, ${seconds(after)}; first lines: ${((2 * first) / (before + after)).toFixed(2)} x`,
  );
} finally {
  await browser.close();
}
