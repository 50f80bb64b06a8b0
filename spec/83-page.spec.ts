/** The page that files are dropped on, in a Chromium: the texts are those of the program for the same file. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import type { Browser } from "playwright-core";
import test, { type Test } from "tape";
import { MemorySink } from "../src/bytes/index.js";
import { createStreamWriter } from "../src/codec/stream/index.js";
import { deviceFromPlain } from "../src/codec/vmstate/index.js";
import { corpusEntry, projectRoot } from "../tools/corpus.js";
import { field, struct } from "./support/devices.js";
import { findChromium, launchChromium, NO_CHROMIUM } from "./support/chromium.js";
import { mappedRamFile } from "./support/mapped-ram-file.js";
import { PageInBrowser } from "./support/page-in-browser.js";
import { qevm } from "./support/program.js";
import { image } from "./support/qcow2-image.js";

const work = mkdtempSync(join(tmpdir(), "qevm-page-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));

const executablePath = findChromium();
const options = { timeout: 300_000, ...(executablePath === undefined ? { skip: NO_CHROMIUM } : {}) };

function put(name: string, bytes: Uint8Array): string {
  writeFileSync(join(work, name), bytes);
  return name;
}

/** What the program prints, run in the folder with the files. */
async function printed(...args: string[]): Promise<string> {
  return (await qevm(args, { cwd: work })).stdout;
}

let running: Promise<Browser> | undefined;
test.onFinish(() => void running?.then((browser) => browser.close()));

/** One browser for all tests. */
async function openPage(how: { width?: number; dark?: boolean } = {}): Promise<PageInBrowser> {
  running ??= launchChromium(executablePath!);
  return await PageInBrowser.open(await running, how);
}

/** Nothing went wrong on a page, and it asked for nothing but itself. */
async function finish(t: Test, page: PageInBrowser): Promise<void> {
  t.deepEqual(page.problems, [], "no error, no message");
  const asked = page.requests.filter((address) => !address.startsWith("blob:"));
  t.equal(asked.length, 1, `nothing but the page itself was asked for: ${asked.slice(1).join(" ")}`);
  await page.close();
}

/** A capture in every container: names of files that hold the same stream, and of others. */
function containers(): { same: string[]; others: string[] } {
  const stream = corpusEntry("pc-4.2").open();
  const members = [stream.subarray(0, 300_000), stream.subarray(300_000)].map((part) => gzipSync(part));
  const same = [
    put("two members.gz", Buffer.concat(members)),
    put("foreign.bin", Buffer.concat([Buffer.alloc(5000, 7), stream])),
  ];
  for (const [program, ending, ...args] of PROGRAMS) {
    const made = spawnSync(program, ["-c", ...args], { input: stream, maxBuffer: 1 << 26 });
    if (made.error === undefined) same.push(put(`packed.${ending}`, made.stdout));
  }
  const folder = join(projectRoot(), "corpus", "libvirt");
  const others = ["save.xz", "save.zstd"].map((name) => put(name, readFileSync(join(folder, name))));
  for (const name of ["save.raw", "save.sparse"])
    others.push(put(name, gunzipSync(readFileSync(join(folder, `${name}.gz`)))));
  others.push(put("mapped-ram.mig", mappedRamFile()));
  const states = [{ name: "one", bytes: corpusEntry("machine-none").open() }];
  others.push(put("disk.qcow2", image({ states, packed: (k) => k % 2 === 0 }).bytes));
  return { same, others };
}

const PROGRAMS = [
  ["gzip", "gz"],
  ["xz", "xz"],
  ["bzip2", "bz2"],
  ["zstd", "zst", "-q"],
  ["lz4", "lz4", "-q"],
  ["lzop", "lzo"],
] as const;

test("each tab on a capture in every container: what the program prints", options, async (t) => {
  const { same, others } = containers();
  const plain = put("plain.mig", corpusEntry("pc-4.2").open());
  const page = await openPage();
  const devices = await holdAgainst(t, page, plain);
  await bytesOf(t, page, plain);
  for (const name of same) await holdAgainst(t, page, name, devices);
  for (const name of others) await holdAgainst(t, page, name);
  await finish(t, page);
});

/** @param known what `devices` prints of it; default: it is asked */
async function holdAgainst(t: Test, page: PageInBrowser, name: string, known?: string): Promise<string> {
  const asked = Promise.all([
    printed("inspect", name),
    known ?? printed("devices", name),
    known === undefined ? printed("explain", name) : undefined,
  ]);
  await page.choose(join(work, name));
  await page.whole();
  const [inspect, devices, explain] = await asked;
  t.equal(await page.lines("Summary"), inspect, `${name}: inspect`);
  await page.tab("Devices");
  t.equal(await page.lines("Devices"), devices, "devices");
  await page.tab("Explain");
  if (explain !== undefined) t.equal(await page.lines("Explanation"), explain, "explain");
  await page.tab("RAM map");
  t.ok((await page.page.locator("svg.strip").count()) > 0, "the map");
  await page.tab("Memory");
  t.match(await page.lines("Memory at"), /^(?:[0-9a-f]{8}: (?:[0-9a-f]{4} ){8} .{16}\n){32}$/u, "memory");
  await page.tab("Stream");
  t.match(await page.lines("What this byte is"), /^byte 0x[0-9a-f]+ \(\d+\)\n {2}header\n/u, "the stream");
  return devices;
}

/** Every view of single bytes, and the tree of devices. */
async function bytesOf(t: Test, opened: PageInBrowser, name: string): Promise<void> {
  const { page } = opened;
  await opened.tab("Memory");
  const address = page.getByLabel("Address");
  for (const [space, at, ...args] of [
    ["physical", "0x7c00", "--physical", "0x7c00"],
    ["block pc.bios", "0xff00", "--block", "pc.bios", "--offset", "0xff00"],
    ["virtual 0", "0xffff0", "--virtual", "0xffff0"],
  ] as const) {
    await page.locator("#panel select").selectOption(space);
    await address.fill(at);
    await address.press("Enter");
    const length = space === "block pc.bios" ? "256" : "512";
    await page.locator(`pre[aria-label="Memory at ${at}"]`).waitFor();
    t.equal(
      await opened.lines(`Memory at ${at}`),
      await printed("read", name, ...args, "--length", length),
      `read ${args.join(" ")}`,
    );
  }
  await opened.tab("Stream");
  for (const at of [0, 0x2a, 0x1234, 100_000, 700_001, 1_000_000]) {
    const text = `0x${at.toString(16)}`;
    await page.getByLabel("Byte of the stream").fill(text);
    await page.getByLabel("Byte of the stream").press("Enter");
    await page.locator(`.bytes .here[data-at="${at}"]`).waitFor();
    const shown = await opened.lines("What this byte is");
    const wanted = await printed("dump", name, "--at", text);
    t.equal(shown, `${wanted.split("\n").slice(0, 4).join("\n")}\n`, `dump --at ${text}`);
  }
  await opened.tab("Devices");
  await page.getByLabel("Find in names and values").fill("env.eip");
  await page.getByText("1 of 29 devices have it").waitFor();
  await page.locator(".tree summary").first().click();
  t.equal(await opened.lines("Values of cpu/0"), await printed("devices", name, "cpu/0"), "the values of a device");
  t.match(await opened.lines("Registers of cpu/0"), /\brip 0/u, "its registers by name");
  await page.getByLabel("Find in names and values").fill("");
  await opened.tab("Explain");
  const text = 'qemu-system-x86_64: Unknown ramblock "pc.ram", cannot accept migration';
  await page.locator("textarea").fill(text);
  await page.getByRole("button", { name: "Explain", exact: true }).click();
  await page.locator('pre[aria-label="Explanation"]').filter({ hasText: "QEMU says" }).waitFor();
  const told = await printed("explain", name, text);
  t.equal(await opened.lines("Explanation"), told, "explain with a text");
  for (const [tab, label] of [
    ["Memory", "Address"],
    ["Stream", "Byte of the stream"],
  ] as const) {
    await opened.tab(tab);
    await page.getByLabel(label).fill("7c0x");
    await page.getByLabel(label).press("Enter");
    await page.locator("#panel .refusal").filter({ hasText: "7c0x is no address" }).waitFor();
    t.equal(await page.getByLabel(label).inputValue(), "7c0x", `${tab}: what is no address is said, and stays`);
  }
  await opened.tab("Explain");
  t.equal(await page.locator("textarea").inputValue(), text, "the text stays while other tabs are looked at");
  t.equal(await opened.lines("Explanation"), told, "and what was told");
}

async function saved(opened: PageInBrowser, button: string): Promise<string> {
  const [download] = await Promise.all([
    opened.page.waitForEvent("download"),
    opened.page.getByRole("button", { name: button, exact: true }).click(),
  ]);
  return readFileSync(await download.path(), "latin1");
}

test(
  "what is saved is what the program writes; two files are compared; the fragment keeps the tab",
  options,
  async (t) => {
    const name = put("plain.mig", corpusEntry("pc-4.2").open());
    const page = await openPage();
    // Downloads: a picker cannot be answered.
    await page.page.evaluate("delete globalThis.showSaveFilePicker; delete Window.prototype.showSaveFilePicker");
    await page.choose(join(work, name));
    await page.whole();
    await page.tab("Save");
    t.match(page.page.url(), /#tab=export$/u, "the fragment names the tab and nothing of the file");
    await qevm(["report", name, "--out", "report.html"], { cwd: work });
    t.equal(await saved(page, "Save the report"), readFileSync(join(work, "report.html"), "latin1"), "the report");
    for (const which of ["inspect", "devices", "explain"])
      t.equal(await saved(page, `Save ${which}`), await printed(which, name, "--json"), `${which} --json`);
    await page.page.locator("#panel select").selectOption("pc.bios, 64 KiB");
    await qevm(["extract", name, "--out", "blocks", "--format", "blocks"], { cwd: work });
    t.equal(await saved(page, "Save the block"), readFileSync(join(work, "blocks", "pc.bios"), "latin1"), "a block");
    put("other.mig", corpusEntry("pc-6.2").open());
    await page.choose(join(work, name), join(work, "other.mig"));
    t.equal(await page.lines("Comparison"), await printed("diff", name, "other.mig"), "diff");
    t.equal(await saved(page, "Save as JSON"), await printed("diff", name, "other.mig", "--json"), "diff --json");
    await finish(t, page);
  },
);

test("a qcow2 image of several states asks for one", options, async (t) => {
  const bytes = corpusEntry("machine-none").open();
  put(
    "two.qcow2",
    image({
      states: [
        { name: "one", bytes },
        { name: "<b>two\u001b[31m", bytes },
      ],
    }).bytes,
  );
  const page = await openPage();
  await page.choose(join(work, "two.qcow2"));
  t.match(
    (await page.page.locator("main option[value='2']").textContent()) ?? "",
    /^<b>two\\x1b\[31m, /u,
    "what a name does to a line is escaped",
  );
  await page.page.locator("main select").selectOption("2");
  await page.whole();
  t.equal(await page.lines("Summary"), await printed("inspect", "two.qcow2", "--snapshot", "2"), "inspect --snapshot");
  await finish(t, page);
});

test(
  "light and dark, wide and 390 px: nothing for axe to complain of, nothing wider than the page",
  options,
  async (t) => {
    const name = put("plain.mig", corpusEntry("pc-4.2").open());
    for (const how of [{ width: 1100 }, { width: 390, dark: true }]) {
      const page = await openPage(how);
      const what = JSON.stringify(how);
      t.deepEqual(await page.violations(), [], `${what}: empty`);
      await page.choose(join(work, name));
      await page.whole();
      for (const tab of ["Summary", "RAM map", "Devices", "Memory", "Stream", "Explain", "Save"]) {
        await page.tab(tab);
        if (tab === "Devices") await page.page.locator(".tree summary").nth(2).click();
        if (tab === "Memory") await page.lines("Memory at");
        if (tab === "Stream") await page.page.locator(".bytes .here").waitFor();
        t.deepEqual(await page.violations(), [], `${what}: ${tab}`);
        const wide = await page.page.evaluate<number>("document.documentElement.scrollWidth");
        t.ok(wide <= how.width, `${wide} px wide`);
      }
      await page.page.getByRole("tab", { name: "Save" }).press("ArrowRight");
      t.equal(
        await page.page.locator("[role=tab][aria-selected=true]").textContent(),
        "Summary",
        "arrow keys change the tab",
      );
      await finish(t, page);
    }
  },
);

test("the tabs stay where they are while a stream is read, so that no click is lost", options, async (t) => {
  const name = put("plain.mig", corpusEntry("pc-4.2").open());
  const page = await openPage();
  await page.page.evaluate(() => {
    const places = new Set<string>();
    Object.assign(globalThis, { places });
    new MutationObserver(() => {
      const tabs = document.querySelector("[role=tablist]");
      const reading = document.querySelector("progress") === null ? "read" : "reading";
      if (tabs !== null) places.add(`${reading}: ${tabs.getBoundingClientRect().top}`);
    }).observe(document.body, { childList: true, subtree: true });
  });
  await page.choose(join(work, name));
  await page.whole();
  const places = await page.page.evaluate<string[]>("[...places]");
  const [whileRead = "", after = ""] = places;
  t.match(whileRead, /^reading: \d+/u, "the progress is shown");
  t.deepEqual(places, [whileRead, after], "two states");
  t.equal(after, whileRead.replace("reading", "read"), "at one place");
  await finish(t, page);
});

/** Names that stop a careless page from being what it was meant to be. */
const NAMES = [
  "<img src=x onerror=\"document.title='owned'\">",
  "</pre><script>document.title='owned'</script>",
  "\u001b[31mred\u0007",
  "\u00e2\u0080\u00aegnp.exe",
  "javascript:document.title=1",
  "x".repeat(255),
];

/** A stream all of whose names are hostile. */
async function hostile(): Promise<Uint8Array> {
  const sink = new MemorySink();
  const writer = createStreamWriter(sink, { machine: NAMES[0]! });
  const blocks = writer.ram.blocks(NAMES.map((idstr) => ({ idstr, usedLength: 4096 * 4 })));
  for (const block of blocks) await writer.ram.page(block, 0, new Uint8Array(4096).fill(0x3c));
  writer.ram.end();
  for (const [instanceId, name] of NAMES.entries()) {
    const description = { name, instanceId, ...struct(name, [field(name, "uint32", 4)]) };
    await writer.device({
      state: deviceFromPlain(description, { fields: { [name]: 7 }, subsections: {} }),
      versionId: 1,
    });
  }
  await writer.finish();
  return sink.bytes();
}

/** The stream of a guest whose only CPU is one that was plugged in, with a higher number. */
function withCpu(stream: Buffer, instance: number): Buffer {
  const changed = Buffer.from(stream);
  const section = changed.indexOf(Buffer.from([3, ...Buffer.from("cpu"), 0, 0, 0, 0]));
  changed[section + 7] = instance;
  const described = changed.indexOf('"name": "cpu", "instance_id": 0', section, "latin1");
  changed.write(`"name": "cpu", "instance_id": ${instance}`, described, "latin1");
  return changed;
}

test("hostile files: names are text, damage is told, nothing hangs", options, async (t) => {
  const stream = corpusEntry("pc-4.2").open();
  const finds = join(projectRoot(), "corpus", "finds");
  const names = [
    put("wicked.mig", await hostile()),
    put("cut.mig", stream.subarray(0, 700_000)),
    put("cpu5.mig", withCpu(stream, 5)),
    put("cut.gz", gzipSync(stream).subarray(0, 100_000)),
    put("empty.mig", new Uint8Array(0)),
    put(
      "noise.bin",
      Uint8Array.from({ length: 5000 }, (_, k) => (k * 7919) >> 3),
    ),
    ...readdirSync(finds)
      .filter((name) => name.endsWith(".bin"))
      .map((name) => put(name, readFileSync(join(finds, name)))),
  ];
  const page = await openPage();
  for (const name of names) {
    await page.choose(join(work, name));
    await page.whole();
    const { stdout, stderr } = await qevm(["inspect", name], { cwd: work });
    t.equal(await page.lines("Summary"), stdout === "" ? stderr : stdout, `${name}: what inspect prints`);
    for (const tab of ["RAM map", "Devices", "Memory", "Stream", "Explain", "Save"]) {
      await page.tab(tab);
      await page.page.locator("#panel h2").filter({ hasText: tab }).waitFor();
    }
    if (name === "cpu5.mig") {
      await page.tab("Memory");
      await page.page.locator("#panel select").selectOption("virtual 5");
      const read = await printed("read", name, "--virtual", "0", "--cpu", "5", "--length", "512");
      await page.page.locator("#panel .command").filter({ hasText: "--cpu 5" }).waitFor();
      t.equal(await page.lines("Memory at 0x0"), read, "a CPU by its number, not by its place");
    }
    if (name === "cut.mig") {
      await page.tab("Memory");
      const shown = await page.lines("Memory at");
      const command = (await page.page.locator("#panel .command code").textContent()) ?? "";
      t.match(command, / --lenient$/u, "what is left of a damaged file's memory, by the command that prints it");
      t.equal(shown, await printed(...command.split(" ").slice(1)), "read --lenient");
      await page.tab("Explain");
      t.equal(await page.lines("Explanation"), await printed("explain", name), "explain");
    }
  }
  t.equal(await page.page.title(), "qevm", "nothing of a file was run");
  t.equal(await page.page.locator("img, #panel script, #panel iframe").count(), 0, "no markup of a file");
  await finish(t, page);
});

/** A byte of the registers in the capture. */
const CPU = 936_900;

test("pictures for the README, where they are asked for", options, async (t) => {
  const name = put("pc-4.2.mig", corpusEntry("pc-4.2").open());
  const page = await openPage({ width: 900 });
  await page.choose(join(work, name));
  await page.whole();
  const shown: Record<string, Uint8Array> = { summary: await page.page.screenshot() };
  await page.tab("Stream");
  await page.page.getByLabel("Byte of the stream").fill(`0x${CPU.toString(16)}`);
  await page.page.getByLabel("Byte of the stream").press("Enter");
  await page.page.locator(`.bytes .here[data-at="${CPU}"]`).waitFor();
  shown["stream"] = await page.page.screenshot({ clip: { x: 0, y: 0, width: 900, height: 900 } });
  for (const [what, picture] of Object.entries(shown)) {
    t.ok(picture.length > 10_000 && picture.length < 150_000, `${what}: ${picture.length} bytes`);
    if (process.env["QEVM_PICTURES"] === "1")
      writeFileSync(join(projectRoot(), "spec", `83-page-${what}.png`), picture);
  }
  await finish(t, page);
});
