/** What a report makes of names and values that want to be more than text, and of streams that want to be more than a page. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Browser } from "playwright-core";
import test, { type Test } from "tape";
import { MemorySink } from "../src/bytes/index.js";
import { SCRIPT } from "../src/analyse/report/script.js";
import { MOST_PAGE, reportStream } from "../src/analyse/report/index.js";
import { createStreamWriter, type StreamWriter } from "../src/codec/stream/index.js";
import { deviceFromPlain, type DeviceDescription, type PlainValue } from "../src/codec/vmstate/index.js";
import { corpusEntry } from "../tools/corpus.js";
import { findChromium, launchChromium, NO_CHROMIUM } from "./support/chromium.js";
import { field, struct } from "./support/devices.js";
import { readReport } from "./support/report-page.js";

const work = mkdtempSync(join(tmpdir(), "qevm-report-hostile-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));

const PAGE = 4096;

/** Names that stop a careless page from being what it was meant to be. */
const NAMES = [
  "<script>document.title='owned'</script>",
  "</code></td></table></title></style></script><script>document.title='owned'</script>",
  "<img src=x onerror=\"document.title='owned'\">",
  '"onload="document.title=\'owned\'" x="',
  "'onmouseover='document.title=1' `onclick=`",
  "<svg/onload=document.title=1><style>*{display:none}</style>",
  "<!--",
  "]]>",
  "&lt;script&gt;",
  "&#60;script>",
  "${markup}",
  "{{7*7}}",
  "javascript:document.title=1",
  "id=stream",
  "../../etc/passwd",
  Array.from({ length: 32 }, (_, k) => String.fromCharCode(k)).join(""),
  Array.from({ length: 128 }, (_, k) => String.fromCharCode(127 + k)).join(""),
  "\u00e2\u0080\u00ae\u00e2\u0081\u00a6gepj.exe",
  "x".repeat(255),
  "\u0000",
];

async function written(write: (writer: StreamWriter) => Promise<void>, machine = "none"): Promise<Uint8Array> {
  const sink = new MemorySink();
  const writer = createStreamWriter(sink, { machine });
  await write(writer);
  await writer.finish();
  return sink.bytes();
}

async function device(
  writer: StreamWriter,
  description: DeviceDescription,
  fields: Record<string, PlainValue>,
  subsections = {},
): Promise<void> {
  await writer.device({ state: deviceFromPlain(description, { fields, subsections }), versionId: 1 });
}

/** A stream all of whose names are hostile. */
async function hostile(): Promise<Uint8Array> {
  return await written(async (writer) => {
    const blocks = writer.ram.blocks(NAMES.map((idstr) => ({ idstr, usedLength: 4 * PAGE })));
    for (const block of blocks) {
      await writer.ram.page(block, 0, new Uint8Array(PAGE).fill(0x3c));
      await writer.ram.zero(block, PAGE);
    }
    writer.ram.end();
    for (const [instanceId, name] of NAMES.entries()) {
      const values = { ...struct(name, [field(name, "uint32", 4), field(`${name}2`, "capability", 1 + name.length)]) };
      const inner = struct(`${name}/inner`, [field(name, "buffer", 8)]);
      const description: DeviceDescription = {
        name,
        instanceId,
        ...values,
        fields: [...values.fields, field(`${name}3`, "struct", 8, { struct: inner })],
      };
      await device(writer, description, {
        [name]: 7,
        [`${name}2`]: name,
        [`${name}3`]: { [name]: "3c7363726970743e" },
      });
    }
  }, NAMES[1]);
}

test("nothing from a stream becomes markup", async (t) => {
  const stream = await hostile();
  const name = `\u202e<b onclick="1">\u2066\u0007&amp;.mig`;
  const { html, damage } = await reportStream(stream, { name, title: `</title><script>1</script>\u202etitle "x"` });
  const page = readReport(html);
  t.deepEqual(page.complaints, [], "no tag, attribute, id, link or control character that is not the page's own");
  t.deepEqual(damage, [], "the stream is a good one");
  t.equal(page.title, `</title><script>1</script>\\u{202e}title "x"`);
  t.equal(page.facts.get("File"), `\\u{202e}<b onclick="1">\\u{2066}\\u{7}&amp;.mig`);
  t.equal(page.facts.get("Machine"), NAMES[1]);
  const shown = NAMES.map((text) =>
    text.replaceAll(/[^\x20-\x7e]/gu, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`),
  );
  const blocks = page.tables.find(({ caption }) => caption.startsWith("RAM blocks"))!.rows.map(([block]) => block);
  t.deepEqual(
    blocks.slice(0, -1),
    shown.map((text) => text.replaceAll(/\s+/gu, " ").trim()),
    "every name is shown, as text",
  );
  for (const text of shown) t.ok(page.text.includes(text), text.slice(0, 60));
  t.ok(
    page.paths.length > 0 && page.paths.every((path) => /^[MhvHz\d -]+$/u.test(path)),
    "drawings hold numbers alone",
  );
  const policy = /<meta http-equiv="Content-Security-Policy" content="([^"]*)">/u.exec(html)?.[1] ?? "";
  t.match(
    policy,
    /^default-src 'none'; style-src 'sha256-[\w+/=]{44}'; script-src 'sha256-[\w+/=]{44}'; base-uri 'none'; form-action 'none'$/u,
  );
  t.notOk(
    /https?:|<script|<link|url\(|@import|\bsrc=/u.test(
      html.replace(`<script>${SCRIPT}</script>`, "").replaceAll(/&lt;[^<>]*&gt;/gu, ""),
    ),
    "nothing is loaded",
  );
});

test("libvirt's XML and messages of damage are text, too", async (t) => {
  const stream = Buffer.from(await hostile());
  // A page record that names a block which does not exist: its name is in the message.
  const at = stream.indexOf(Buffer.from(`\x2b${NAMES[0]}`, "latin1"), 2000);
  const broken =
    at < 0
      ? stream.subarray(0, 3000)
      : Buffer.concat([stream.subarray(0, at + 3), Buffer.from("<<\"'"), stream.subarray(at + 7)]);
  const { html, damage } = await reportStream(broken);
  t.ok(damage.length > 0, damage[0]?.message);
  t.deepEqual(readReport(html).complaints, []);
});

/** A name as long as one may be, of characters that grow when they are escaped. */
function long(prefix: string, k: number): string {
  return `${prefix}"&<'${k}${"&".repeat(240 - prefix.length)}`.slice(0, 250);
}

test("a page has its bound, whatever the stream", { timeout: 120_000 }, async (t) => {
  const streams: [string, Uint8Array][] = [
    [
      "many blocks",
      await written(async (writer) => {
        const blocks = writer.ram.blocks(
          Array.from({ length: 20_000 }, (_, k) => ({ idstr: long("b", k), usedLength: PAGE * (1 + (k % 700)) })),
        );
        for (const block of blocks.slice(0, 200))
          for (let p = 0; p < block.usedLength / PAGE; p += 2) await writer.ram.zero(block, p * PAGE);
        writer.ram.end();
      }),
    ],
    [
      "many devices",
      await written(async (writer) => {
        writer.ram.blocks([{ idstr: "ram", usedLength: PAGE }]);
        writer.ram.end();
        for (let k = 0; k < 6000; k++)
          await device(
            writer,
            { name: long("d", k), instanceId: k, ...struct("v", [field(long("f", k), "uint8", 1)]) },
            { [long("f", k)]: 1 },
          );
      }),
    ],
    [
      "one device with everything",
      await written(async (writer) => {
        writer.ram.blocks([{ idstr: "ram", usedLength: PAGE }]);
        writer.ram.end();
        const names = Array.from({ length: 5000 }, (_, k) => long("field", k));
        const fields = [
          field("array", "uint32", 4, { arrayLength: 100_000 }),
          field("bytes", "buffer", 3_000_000),
          ...names.map((name) => field(name, "uint32", 4)),
        ];
        const values: Record<string, PlainValue> = {
          array: Array.from({ length: 100_000 }, (_, k) => k),
          bytes: "ab".repeat(3_000_000),
        };
        for (const name of names) values[name] = 0xffffffff;
        await device(writer, { name: "big", instanceId: 0, ...struct("big", fields) }, values);
      }),
    ],
  ];
  for (const [name, stream] of streams) {
    const { html } = await reportStream(stream, { verify: false });
    const page = readReport(html);
    t.deepEqual(page.complaints, [], name);
    t.ok(html.length < MOST_PAGE / 2, `${name}: ${stream.length} bytes, ${html.length} characters`);
    t.match(page.text, /left out/u, "and says what it left out");
    if (name.startsWith("one"))
      for (const more of ["99,968 more elements", "2,999,936 more bytes"])
        t.ok(page.text.includes(`... and ${more}`), more);
  }
  const q35 = readReport((await reportStream(corpusEntry("q35-virtio").open())).html);
  t.match(q35.text, /qevm devices FILE NAME --json prints all of it/u);
  t.match(q35.text, /\.\.\. and 3,968 more bytes/u, "where it was left out");
});

interface Seen {
  title: string;
  scripts: number;
  handlers: number;
  background: string;
  wide: number;
  bars: number;
  headings: number;
  opened: string;
}

/** What a browser makes of a page. */
const LOOK = `(() => {
  const all = [...document.querySelectorAll("*")];
  const device = document.querySelector("details.device");
  if (device !== null) device.open = true;
  return {
    title: document.title,
    scripts: document.scripts.length,
    handlers: all.filter((one) => [...one.attributes].some(({ name }) => name.startsWith("on") || name === "src" || name === "style")).length,
    background: getComputedStyle(document.body).backgroundColor,
    wide: document.documentElement.scrollWidth - innerWidth,
    bars: [...document.querySelectorAll(".strip path")].filter((one) => one.getBoundingClientRect().width > 0).length,
    headings: document.querySelectorAll("section h2").length,
    opened: device === null ? "" : device.innerText,
  };
})()`;

async function look(
  browser: Browser,
  file: string,
  width: number,
  colorScheme: "light" | "dark",
): Promise<{ seen: Seen; problems: string[] }> {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
  const problems: string[] = [];
  const page = await context.newPage();
  page.on("console", (message) => problems.push(message.text()));
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("dialog", (dialog) => {
    problems.push(`a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("request", (request) => {
    if (request.url() !== pathToFileURL(file).href) problems.push(`a request of ${request.url()}`);
  });
  await page.goto(pathToFileURL(file).href);
  const seen = await page.evaluate<Seen>(LOOK);
  // Whatever might listen is touched.
  await page.mouse.move(width / 2, 300);
  await page.mouse.click(width / 2, 300);
  await context.close();
  return { seen, problems };
}

/** What is shown of devices and rows after words were typed. */
async function searched(t: Test, browser: Browser, file: string): Promise<void> {
  for (const javaScriptEnabled of [true, false]) {
    const context = await browser.newContext({ javaScriptEnabled });
    const page = await context.newPage();
    await page.goto(pathToFileURL(file).href);
    const all = await page.locator("details.device:visible").count();
    t.ok(all > 40, `${all} devices in ${await page.locator("details.group").count()} groups`);
    const search = page.locator(".search input");
    t.equal(await search.count(), javaScriptEnabled ? 1 : 0, "a field only where the script runs");
    if (javaScriptEnabled) {
      await search.fill("cpu EFER");
      t.ok((await page.locator("details.device:visible").count()) < 5, "what does not hold both words is hidden");
      const shown = await page.locator("details.device:visible li:visible").allInnerTexts();
      t.ok(shown.length > 0 && shown.every((text) => /efer/iu.test(text)), `opened at it: ${shown.join("; ")}`);
      await search.fill("");
      t.equal(await page.locator("details.device:visible").count(), all, "and shown again");
      t.equal(await page.locator("details.device[open]").count(), 0, "closed as before");
    }
    await context.close();
  }
}

test("a browser shows it: light and dark, wide and narrow, and runs nothing", { timeout: 120_000 }, async (t) => {
  const executablePath = findChromium();
  if (executablePath === undefined) return t.skip(NO_CHROMIUM);
  const wicked = join(work, "wicked.html");
  writeFileSync(wicked, (await reportStream(await hostile(), { title: NAMES[0]! })).html);
  const good = join(work, "good.html");
  writeFileSync(good, (await reportStream(corpusEntry("q35-virtio").open())).html);
  const browser = await launchChromium(executablePath);
  try {
    for (const [file, devices] of [
      [wicked, NAMES.length],
      [good, 55],
    ] as const) {
      for (const [width, scheme] of [
        [1280, "light"],
        [1280, "dark"],
        [400, "light"],
      ] as const) {
        const { seen, problems } = await look(browser, file, width, scheme);
        const what = `${file === wicked ? "hostile" : "good"}, ${width}, ${scheme}`;
        t.deepEqual(problems, [], `${what}: nothing complains, nothing is asked for`);
        t.deepEqual([seen.scripts, seen.handlers], [1, 0], "no script but the page's, no handler, no style of its own");
        t.equal(seen.headings, 10, "all parts are there");
        t.equal(
          seen.background,
          scheme === "dark" ? "rgb(20, 23, 27)" : "rgb(255, 255, 255)",
          "the page's style applies",
        );
        t.ok(seen.wide <= 0, "no wider than the window");
        t.ok(seen.bars > 5, `${seen.bars} pieces of maps`);
        t.ok(seen.opened.length > 50, "a device opens");
        t.equal(seen.title, file === wicked ? NAMES[0] : "stream", `${devices} devices`);
      }
    }
    await searched(t, browser, good);
    t.comment(`chromium ${browser.version()}`);
  } finally {
    await browser.close();
  }
});
