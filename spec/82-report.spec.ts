/** A stream as one HTML page. */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import test, { type Test } from "tape";
import { openRecording } from "../src/io/container/recording.js";
import { inspectRecording } from "../src/analyse/inspect/recording.js";
import { inspectStream, MemorySource, verifyStream, type Inspection } from "../src/index.js";
import { IterableSource } from "../src/bytes/index.js";
import { reportStream } from "../src/analyse/report/index.js";
import { corpusEntry, listCorpus, projectRoot } from "../tools/corpus.js";
import { refusal } from "./support/bytes.js";
import { mappedRamFile } from "./support/mapped-ram-file.js";
import { readReport, type ReportPage } from "./support/report-page.js";
import { sha256Of } from "../tools/sha256.js";

const work = mkdtempSync(join(tmpdir(), "qevm-report-spec-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));

const grouped = (n: number): string => n.toLocaleString("en-US");
const number = (text: string | undefined): number => Number((text ?? "").replaceAll(",", ""));

function tableOf(page: ReportPage, caption: RegExp): { head: string[]; rows: string[][] } {
  return page.tables.find((one) => caption.test(one.caption)) ?? { head: [], rows: [] };
}

/** Holds a page against what `inspect` says of the same bytes. */
function holdAgainst(t: Test, page: ReportPage, inspection: Inspection, name: string): void {
  t.deepEqual(page.complaints, [], `${name}: well-formed, and nothing in it that may not be there`);
  const wrong: string[] = [];
  if (page.facts.get("Machine") !== (inspection.machine ?? "not in the stream (no configuration section)"))
    wrong.push(`machine ${page.facts.get("Machine")}`);
  const { head, rows } = tableOf(page, /^RAM blocks/u);
  for (const [i, block] of inspection.ram.blocks.entries()) {
    const row = rows[i] ?? [];
    if (row[0] !== block.block) wrong.push(`block ${row[0]} for ${block.block}`);
    if (Number(row[2]) !== block.blockLength) wrong.push(`${block.block}: length ${row[2]}`);
    for (const [k, kind] of head.slice(3).entries()) {
      if (number(row[k + 3]) !== block[kind as "normal"]) wrong.push(`${block.block}: ${kind} ${row[k + 3]}`);
    }
    for (const kind of ["normal", "zero", "compressed", "xbzrle", "multifd", "mapped"] as const) {
      if (block[kind] > 0 && !head.includes(kind)) wrong.push(`${block.block}: no ${kind}`);
    }
  }
  if (inspection.ram.blocks.length > 0 && rows.length !== inspection.ram.blocks.length + 1) wrong.push("blocks");
  const listed = new Set(page.summaries.map((text) => text.split(" version")[0]));
  for (const { section, instance } of inspection.devices) {
    const device = `${section}/${instance}`;
    if (!listed.has(device)) wrong.push(`no device ${device}`);
  }
  const sections = tableOf(page, /^Sections/u).rows;
  const bytes = sections.reduce((sum, row) => sum + number(row[1]), 0);
  const expected = inspection.sections.reduce((sum, { sectionLength: length }) => sum + length, 0);
  if (bytes !== expected) wrong.push(`sections of ${bytes} bytes, not ${expected}`);
  for (const { streamOffset: offset, type, section: idstr, instance } of inspection.sections) {
    const row = sections.find(([at]) => Number(at) === offset);
    if (row === undefined && type !== "part") wrong.push(`no section at ${offset}`);
    if (row !== undefined && !row[2]!.endsWith("left out") && row[4] !== `${idstr}/${instance}`)
      wrong.push(`section at ${offset}: ${row[4]}`);
  }
  const commands = tableOf(page, /^Commands/u).rows;
  if (commands.length !== Math.min(200, inspection.commands.length)) wrong.push(`${commands.length} commands`);
  const complete = page.facts.get("Complete")?.startsWith("yes") ?? false;
  if (complete !== inspection.complete) wrong.push("complete");
  if (number(page.facts.get("Bytes not understood")) !== inspection.opaqueBytes) wrong.push("opaque bytes");
  t.deepEqual(wrong, [], `${name}: the same as inspect says`);
}

function spent(page: ReportPage): Map<string, number> {
  const { rows } = tableOf(page, /^Every byte/u);
  return new Map(rows.map(([name = "", bytes]) => [name, number(bytes)]));
}

/** Uses of bytes add up to the stream's length. */
function addUp(t: Test, page: ReportPage, total: number, name: string): void {
  const uses = spent(page);
  const all = uses.get("all");
  const sum = [...uses.values()].reduce((a, b) => a + b, 0);
  t.deepEqual([all, sum], [total, 2 * total], `${name}: every byte is spent once`);
}

test("the whole corpus: what inspect, devices and verify say", { timeout: 400_000 }, async (t) => {
  for (const { name, open } of listCorpus()) {
    const bytes = open();
    const { html, damage, identical } = await reportStream(bytes, { name });
    const page = readReport(html);
    const inspection = await inspectStream(new MemorySource(bytes));
    holdAgainst(t, page, inspection, name);
    addUp(t, page, bytes.length, name);
    t.deepEqual([damage, identical], [[], true], `${name}: no damage, identical`);
    t.equal(page.facts.get("SHA-256 of the file"), sha256Of(bytes));
    t.match(page.facts.get("Verified") ?? "", /^identical/u);
  }
});

test("recordings, and every file of them", async (t) => {
  for (const name of ["recording-7.2-zlib", "recording-11.1-zstd", "postcopy-10.0-preempt", "postcopy-7.2-recovered"]) {
    const folder = join(projectRoot(), "corpus", name);
    const { html, damage, identical } = await reportStream(folder);
    const page = readReport(html);
    t.deepEqual(page.complaints, [], name);
    t.deepEqual([damage, identical], [[], true], "no damage, identical");
    const recording = openRecording(folder);
    const inspection = await inspectRecording(recording);
    const { rows } = tableOf(page, /^RAM blocks/u);
    const shown = rows.map(([block]) => block);
    t.deepEqual(shown, [...inspection.ram.blocks.map((one) => one.block), "all"]);
    t.equal(number(rows.at(-1)?.[3]), inspection.ram.pages.normal, "pages of all channels");
    const files = tableOf(page, /^Channels of the recording/u).rows;
    t.equal(files.length, inspection.channels.length + 1, `${files.length} channels`);
    for (const [file = "", , bytes, , , hash] of files) {
      const raw = readFileSync(join(folder, file));
      t.deepEqual([number(bytes), hash], [raw.length, sha256Of(raw)], file);
    }
    t.equal(tableOf(page, /^Channels$/u).rows.length, files.length, "each was verified");
  }
});

test("containers are seen through; the SHA-256 is that of the file", async (t) => {
  const folder = join(projectRoot(), "corpus", "libvirt");
  const inner = await reportStream(join(folder, "save.raw.gz"), { title: "one" });
  for (const name of ["save.raw.gz", "save.gzip", "save.xz", "save.zstd"]) {
    const path = join(folder, name);
    const { html, identical } = await reportStream(path);
    const page = readReport(html);
    t.deepEqual(page.complaints, [], name);
    t.equal(identical, true, "identical");
    t.match(page.facts.get("Wrapped in") ?? "", /libvirt/u);
    t.equal(page.facts.get("SHA-256 of the file"), sha256Of(readFileSync(path)), "of the file as it lies there");
    t.ok(
      page.pres.some((text) => text.startsWith("<domain")),
      "the domain XML",
    );
    t.equal(page.facts.get("Machine"), readReport(inner.html).facts.get("Machine"));
  }
  const stream = corpusEntry("pc-4.2").open();
  const behind = readReport((await reportStream(Buffer.concat([Buffer.alloc(5000, 7), stream]))).html);
  t.match(behind.text, /The stream begins after 5,000 other bytes/u);
  addUp(t, behind, stream.length, "after other bytes");
});

test("mapped-ram: pages that are there, and the room of those that are not", async (t) => {
  const bytes = mappedRamFile();
  const { html, identical } = await reportStream(bytes);
  const page = readReport(html);
  const inspection = await inspectStream(new MemorySource(bytes));
  holdAgainst(t, page, inspection, "mapped-ram");
  addUp(t, page, bytes.length, "mapped-ram");
  t.equal(identical, true);
  t.equal(spent(page).get("Page contents, as they are"), inspection.ram.pages.mapped * inspection.pageSize);
});

test("verification is verify's", async (t) => {
  for (const name of ["compress-live", "xbzrle", "xbzrle-compress"]) {
    const bytes = corpusEntry(name).open();
    const page = readReport((await reportStream(bytes)).html);
    const { recompressed, deltas: xbzrle, namedBytes } = await verifyStream(new MemorySource(bytes));
    if (recompressed.pageCount > 0)
      t.equal(
        page.facts.get("Compressed pages"),
        `${grouped(recompressed.identicalCount)} of ${grouped(recompressed.pageCount)} identical when compressed again (level ${recompressed.levels.join(", ")})`,
        name,
      );
    if (xbzrle.pageCount > 0)
      t.equal(
        page.facts.get("XBZRLE pages"),
        `${grouped(xbzrle.identicalCount)} of ${grouped(xbzrle.pageCount)} identical when encoded again`,
        name,
      );
    t.equal(number(page.facts.get("Bytes kept by name only")?.split(" ")[0]), namedBytes);
  }
  const bytes = corpusEntry("live").open();
  const quick = await reportStream(bytes, { verify: false });
  t.equal(quick.identical, undefined, "left out where it is not wanted");
  t.equal(readReport(quick.html).facts.get("Verified"), "not tried");
});

test("the same input gives the same bytes, wherever it lies and however it comes", async (t) => {
  const bytes = corpusEntry("q35-displays").open();
  const [one, two] = ["one", "two"].map((folder) => join(work, folder, "vm.mig")) as [string, string];
  mkdirSync(join(work, "one"));
  mkdirSync(join(work, "two"));
  writeFileSync(one, bytes);
  copyFileSync(one, two);
  const first = await reportStream(one);
  t.equal((await reportStream(two)).html, first.html, "in another folder");
  t.notOk(first.html.includes(work), "no path in it");
  t.equal((await reportStream(bytes, { name: "vm.mig" })).html, first.html, "as bytes");
  const chunks = async function* chunks(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += 70_000) yield await Promise.resolve(bytes.subarray(at, at + 70_000));
  };
  const piped = await reportStream(new IterableSource(chunks()), { name: "vm.mig" });
  t.equal(piped.html.replace(", from a pipe through a temporary file", ""), first.html, "as a pipe gives it");
});

test("a guess is called a guess, and what cannot be told is said", async (t) => {
  const s390 = readReport((await reportStream(corpusEntry("arm-integratorcp").open())).html);
  t.match(s390.text, /This layout is a guess, at least in part/u);
  const pc = readReport((await reportStream(corpusEntry("live").open())).html);
  t.notOk(pc.text.includes("is a guess"), "where nothing is guessed");
  t.ok(tableOf(pc, /^Guest-physical/u).rows.length > 2, "a layout");
  const numa = readReport((await reportStream(corpusEntry("numa").open())).html);
  t.match(numa.text, /NUMA|node/iu);
  const none = readReport((await reportStream(corpusEntry("machine-none-tiny").open())).html);
  t.ok(none.text.includes("No CPU was reached"), "no CPU");
});

test("damage: a report of everything before and after it, whatever the bytes", { timeout: 200_000 }, async (t) => {
  const bytes = corpusEntry("machine-none-tiny").open();
  const bad: string[] = [];
  let seen = 0;
  const judge = async (stream: Uint8Array, name: string): Promise<void> => {
    const error = await refusal(async () => {
      const { html, damage, identical } = await reportStream(stream);
      const page = readReport(html);
      if (page.complaints.length > 0) bad.push(`${name}: ${page.complaints.join(", ")}`);
      if (damage.length > 0) {
        seen++;
        if (!page.text.includes("Damaged")) bad.push(`${name}: not said on top`);
        const offset = damage[0]?.offset;
        if (offset !== undefined && !page.text.includes(`at byte 0x${offset.toString(16)}`))
          bad.push(`${name}: address`);
      } else if (identical === false && !page.text.includes("Not the same bytes")) bad.push(`${name}: not said`);
      const sum = [...spent(page).values()].reduce((a, b) => a + b, 0);
      if (sum !== 2 * stream.length) bad.push(`${name}: ${sum / 2} of ${stream.length} bytes`);
    });
    // What is not a stream, or is wrapped in something that is broken, has no report.
    if (error !== undefined && (error.offset ?? 0) > 8 && error.code !== "bad-magic")
      bad.push(`${name}: ${error.message}`);
  };
  for (let length = 8; length < bytes.length; length += 1 + Math.floor(length / 9)) {
    await judge(bytes.subarray(0, length), `cut at ${length}`);
  }
  let seed = 7;
  for (let k = 0; k < 150; k++) {
    const broken = Buffer.from(bytes);
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    broken[8 + (seed % (bytes.length - 8))]! ^= 1 + (seed % 255);
    await judge(broken, `byte ${8 + (seed % (bytes.length - 8))}`);
  }
  t.deepEqual(bad, []);
  t.ok(seen > 50, `${seen} damaged streams`);
});

test("damage of a page is found by verification, and what comes after it is there", async (t) => {
  const bytes = corpusEntry("compress-1-threads-1").open();
  const broken = Buffer.from(bytes);
  broken[broken.indexOf("7801", 0, "hex") + 9]! ^= 0xff;
  const { html, damage, identical } = await reportStream(broken);
  const page = readReport(html);
  t.equal(identical, false);
  t.equal(damage[0]?.code, "bad-compressed-data");
  t.ok(page.text.includes(`Damaged at byte 0x${damage[0]!.offset!.toString(16)}`), "on top");
  const { devices } = await inspectStream(new MemorySource(bytes));
  t.ok(
    devices.every(({ section, instance }) => page.summaries.some((text) => text.startsWith(`${section}/${instance} `))),
    "all devices after it",
  );
  const cut = corpusEntry("live").open().subarray(0, 1_000_000);
  const half = readReport((await reportStream(cut)).html);
  t.match(half.text, /Damaged at byte 0xf4240/u);
  t.match(half.facts.get("Verified") ?? "", /^not to the end: the same bytes up to 0x/u);
  t.match(half.text, /No device was reached/u);
  t.match(half.text, /bytes at the end of the file could not be decoded/u);
});

test("devices after damage that ends the reading are looked for, and found", async (t) => {
  for (const name of ["live", "q35-virtio", "pc-2.3", "v11.1-q35-devices"]) {
    const bytes = corpusEntry(name).open();
    const whole = readReport((await reportStream(bytes)).html);
    const { devices, sections } = await inspectStream(new MemorySource(bytes));
    const broken = Buffer.from(bytes);
    // Flags that no record has, in the middle of the RAM.
    const ram = sections.find(
      ({ type, section: idstr, sectionLength: length }) => idstr === "ram" && type !== "start" && length > 5000,
    )!;
    broken[ram.streamOffset + 5 + 6]! ^= 0x0e;
    broken[ram.streamOffset + 5 + 7]! ^= 0xff;
    const { html, damage } = await reportStream(broken);
    const page = readReport(html);
    t.deepEqual(page.complaints, [], name);
    t.ok(damage.length > 0 && damage[0]!.offset! < ram.streamOffset + 20, damage[0]?.message);
    const found = tableOf(page, /found after the damage/u).rows.map(([, section]) => section);
    t.deepEqual(
      found,
      devices.map(({ section, instance }) => `${section}/${instance}`).filter((device) => !/-early/u.test(device)),
      `${found.length} sections`,
    );
    t.deepEqual(
      page.pres.filter((text) => text.startsWith("rax")),
      whole.pres.filter((text) => text.startsWith("rax")),
      "registers",
    );
    t.deepEqual(tableOf(page, /^Guest-physical/u).rows, tableOf(whole, /^Guest-physical/u).rows, "layout");
  }
  const bytes = corpusEntry("live").open();
  const { sections } = await inspectStream(new MemorySource(bytes));
  const [, , third] = sections.filter(({ type }) => type === "full");
  const broken = Buffer.from(bytes);
  broken[third!.streamOffset] = 0x55;
  const page = readReport((await reportStream(broken)).html);
  t.deepEqual(page.complaints, []);
  const all = page.summaries.filter((text) => text.includes(" version "));
  t.equal(
    all.length,
    sections.filter(({ type }) => type === "full").length - 1,
    "all but the one whose header is gone",
  );
});

test("what is not a stream has no report", async (t) => {
  for (const [bytes, code] of [
    [Buffer.from("this is some text, and no stream at all"), "bad-magic"],
    [Buffer.from("5145564d00000002", "hex"), "unsupported-version"],
    [new Uint8Array(0), "truncated"],
  ] as const) {
    t.equal((await refusal(() => reportStream(bytes)))?.code, code);
  }
  t.equal((await refusal(() => reportStream(join(work, "nothing"))))?.code, "io");
  const packed = gunzipSync(readFileSync(join(projectRoot(), "corpus", "live", "stream.gz")));
  t.equal((await refusal(() => reportStream(packed, { snapshot: "x" })))?.code, "usage", "--snapshot");
});
