/** The pieces of a report, each against a judge of its own. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "tape";
import { registerLines } from "../src/guest/cores/register-lines.js";
import { cpuRegisters } from "../src/guest/cores/cpu.js";
import { deviceToPlain } from "../src/codec/vmstate/index.js";
import { MemorySource } from "../src/bytes/index.js";
import { random } from "../src/bytes/source.js";
import { RamFlag, type RamBlock } from "../src/codec/ram/index.js";
import { KINDS, PageKind, PageMap } from "../src/analyse/report/page-map.js";
import { HashThread } from "../src/analyse/report/hash-thread.js";
import { HashedSource, hashing } from "../src/analyse/report/raw-input.js";
import { reportStream } from "../src/analyse/report/index.js";
import { StreamReader } from "../src/codec/stream/index.js";
import { FileSource } from "../src/io/transport/file.js";
import { corpusEntry, projectRoot } from "../tools/corpus.js";
import { makePlainStream } from "../tools/streams/plain.js";
import { readReport } from "./support/report-page.js";
import { sha256Of } from "../tools/sha256.js";

const KIND = new Map<number, number>([
  [RamFlag.ZERO, PageKind.ZERO],
  [RamFlag.PAGE, PageKind.DATA],
  [RamFlag.COMPRESS_PAGE, PageKind.COMPRESSED],
  [RamFlag.XBZRLE, PageKind.XBZRLE],
]);

/** A map of a stream, and the kind of every page by the records one after the other. */
async function mapped(stream: Uint8Array, most?: number): Promise<{ map: PageMap; truth: Map<RamBlock, number[]> }> {
  const reader = new StreamReader(new MemorySource(stream));
  const map = new PageMap(reader.ram, most);
  const truth = new Map<RamBlock, number[]>();
  for await (const item of reader) {
    if (item.kind !== "section" || item.content.kind !== "ram") continue;
    for await (const batch of item.records()) {
      map.note(batch);
      for (const { block, flag, offset } of batch) {
        if (block === undefined) continue;
        const pages = truth.get(block) ?? Array.from({ length: block.usedLength / reader.ram.pageSize }, () => 0);
        truth.set(block, pages);
        pages[offset / reader.ram.pageSize] = KIND.get(flag)!;
      }
    }
  }
  return { map, truth };
}

test("the map of pages: the last record of each, at every scale", async (t) => {
  for (const name of ["xbzrle", "compress-live", "live", "xbzrle-compress"]) {
    const { map, truth } = await mapped(corpusEntry(name).open());
    const kinds = new Set<number>();
    for (const [block, pages] of truth) {
      const { cells, pages: count } = map.strip(block, pages.length);
      t.equal(count, pages.length);
      const shown = cells.map((cell) => cell.indexOf(1));
      t.deepEqual(shown, pages, `${name}, ${block.idstr}: page by page`);
      for (const wanted of [1, 7, 256]) {
        const { cells: few, totals, partial } = map.strip(block, wanted);
        const sums = Array.from({ length: KINDS }, (_, kind) => few.reduce((sum, cell) => sum + cell[kind]!, 0));
        const right = Array.from({ length: KINDS }, (_, kind) => pages.filter((one) => one === kind).length);
        t.deepEqual([[...totals], sums, partial], [right, right, false], `in ${few.length} cells`);
        const sizes = few.map((cell) => cell.reduce((sum, n) => sum + n, 0));
        t.ok(Math.max(...sizes) - Math.min(...sizes) <= 1, "of one size");
      }
      for (const kind of pages) kinds.add(kind);
    }
    t.ok(kinds.size >= 2, `${kinds.size} kinds`);
  }
});

test("a map takes no more than its table, and says so", async (t) => {
  const chunks: Uint8Array[] = [];
  makePlainStream({ ram: 1 << 30, zero: 0.999, run: 4000 }, (chunk) => chunks.push(chunk.slice()));
  const stream = Buffer.concat(chunks);
  for (const [most, missing] of [
    [1 << 18, 0],
    [65_536, (1 << 18) - 65_536],
  ] as const) {
    const { map, truth } = await mapped(stream, most);
    const [block] = [...truth.keys()] as [RamBlock];
    const { totals, partial } = map.strip(block, 256);
    t.deepEqual([totals[PageKind.NEVER], partial], [missing, missing > 0], `${most} pages`);
  }
});

test("where the bytes go: records of a stream that others made", async (t) => {
  const chunks: Uint8Array[] = [];
  const { normal, zero } = makePlainStream({ ram: 32 << 20, zero: 0.4, run: 9 }, (chunk) => chunks.push(chunk.slice()));
  const stream = Buffer.concat(chunks);
  const page = readReport((await reportStream(stream)).html);
  const { rows } = page.tables.find(({ caption }) => caption.startsWith("Every byte"))!;
  const bytes = new Map(rows.map(([name = "", n = ""]) => [name, Number(n.replaceAll(",", ""))]));
  t.equal(bytes.get("Page contents, as they are"), normal * 4096, "pages");
  const records = [...bytes].find(([name]) => name.startsWith("RAM records"))?.[1] ?? 0;
  // 8 bytes a record and one more for a zero page; names and sections beside.
  const least = 8 * normal + 9 * zero;
  t.ok(records > least && records < least + 4000, `${records} bytes of records, at least ${least}`);
  t.equal(bytes.get("all"), stream.length);
});

test("every device value of a capture, and the registers as `devices` prints them", async (t) => {
  for (const name of ["pc-never-run", "live-q35"]) {
    const stream = corpusEntry(name).open();
    const page = readReport((await reportStream(stream)).html);
    const lacking: string[] = [];
    let values = 0;
    for await (const item of new StreamReader(new MemorySource(stream))) {
      if (item.kind !== "section" || item.content.kind !== "device") continue;
      const { fields } = deviceToPlain(item.content.state);
      for (const [field, value] of Object.entries(fields)) {
        if (typeof value === "object") continue;
        values++;
        const text = String(value);
        const shown = text.length > 128 ? `${text.slice(0, 128)} ... and` : text;
        if (!page.items.some((one) => one.startsWith(`${field} ${shown}`)))
          lacking.push(`${item.idstr}: ${field} ${text}`);
      }
      if (item.idstr !== "cpu") continue;
      const lines = registerLines(cpuRegisters(item.content.state)!);
      t.ok(page.pres.includes(`${lines.map((line) => line.slice(2)).join("\n")}\n`), `${name}: registers`);
    }
    t.deepEqual(lacking, [], `${name}: ${values} values`);
    t.ok(values > 100);
  }
});

test("damage is marked where it is on the map of its block", async (t) => {
  const stream = corpusEntry("compress-live").open();
  const bytes = Uint8Array.from(stream);
  // In the payload of a compressed page: only verification finds it.
  bytes.set([0xff, 0x5a], 200_000);
  const { html } = await reportStream(bytes);
  const marks = [...html.matchAll(/<rect class="mark" x="([\d.]+)"/gu)].map(([, x]) => Number(x));
  t.equal(marks.length, 1, "one damaged page");
  const [, where = ""] = /Damage at <code>0x([0-9a-f]+)<\/code>: /u.exec(html) ?? [];
  const columns = 256 * (Number.parseInt(where, 16) / (8 << 20));
  t.ok(Math.abs(marks[0]! - columns) < 0.01, `0x${where} of 8 MiB is at column ${columns.toFixed(1)}`);
  t.match(html, /damaged pages: 1"/u, "in words, too");
  const cut = await reportStream(stream.subarray(0, 150_000));
  t.match(
    cut.html,
    /Damage at <code>0x[0-9a-f]+<\/code>: reading ended after this page: /u,
    "a cut is at the last page",
  );
  t.notOk((await reportStream(stream)).html.includes('class="mark"'), "none without damage");
  const { html: q35 } = await reportStream(corpusEntry("live-q35").open());
  t.match(q35, /<b>env\.eip<\/b> <code>0x[0-9a-f]+<\/code> <i>rip<\/i>/u, "registers by name");
  const groups = [...q35.matchAll(/<h3>([^<]+) \((\d+)\)<\/h3>/gu)].map(([, name]) => name);
  t.deepEqual(
    groups,
    ["Processors", "PCI devices", "Machine"].filter((name) => groups.includes(name)),
    "devices in groups",
  );
  t.ok(groups.length > 1);
});

test("a source is hashed once, in whatever order it is read", async (t) => {
  const bytes = Uint8Array.from({ length: 3_000_000 }, (_, k) => (k * 7 + (k >> 9)) & 0xff);
  const right = sha256Of(bytes);
  for (const [name, read] of [
    ["not at all", () => undefined],
    [
      "from the beginning",
      (source: HashedSource) => {
        for (let k = 0; k < 9; k++) void source.read(new Uint8Array(100_000));
      },
    ],
    [
      "here and there",
      (source: HashedSource) => {
        void source.readAt(500, new Uint8Array(1000));
        void source.read(new Uint8Array(700));
        void source.readAt(300, new Uint8Array(2000));
        source.seek(1_000_000);
        void source.read(new Uint8Array(5000));
        source.seek(0);
        void source.read(new Uint8Array(400_000));
      },
    ],
  ] as [string, (source: HashedSource) => void][]) {
    const source = new HashedSource(new MemorySource(bytes));
    read(source);
    t.equal(await source.sha256(), right, name);
  }
});

test("SHA-256 of a long file, by another thread", async (t) => {
  const file = FileSource.open(join(projectRoot(), "spec", "87-json.md"));
  const right = sha256Of(readFileSync(file.path));
  t.equal(HashThread.over(file.openFile!, 1 << 20, 2), undefined, "a short one has none");
  t.equal(HashThread.over(file.openFile!, 1 << 30, 1), undefined, "nor has one processor");
  t.equal(await HashThread.over(file.openFile!, 1 << 30, 2)!.digest, right, "the digest");
  const stopped = HashThread.over(file.openFile!, 1 << 30, 2)!;
  await stopped.stop();
  t.ok([undefined, right].includes(await stopped.digest), "ends");
  file.close();
  // Nothing can be read any more.
  t.equal(await HashThread.over({ fd: 1 << 20 }, 1 << 30, 2)!.digest, undefined, "a thread that fails");
  const short = FileSource.open(file.path);
  const hashed = await hashing(random(short));
  t.equal(hashed.source.length, short.length);
  t.equal(await hashed.sha256(), right, "a short one, here");
  await hashed.close();
});
