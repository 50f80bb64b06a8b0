import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { inflateSync } from "node:zlib";
import test from "tape";
import { QevmError } from "../src/bytes/errors.js";
import { convertStream } from "../src/rewrite/convert/convert.js";
import { ThreadPool } from "../src/io/threads/index.js";
import { mayHoldXbzrle } from "../src/rewrite/convert/scan.js";
import type { ConvertOptions, ConvertReport } from "../src/rewrite/convert/types.js";
import { MemorySink, MemorySource } from "../src/bytes/source.js";
import { RamFlag } from "../src/codec/ram/index.js";
import { StreamReader } from "../src/codec/stream/index.js";
import { corpusEntry, listCorpus } from "../tools/corpus.js";
import { refusal } from "./support/bytes.js";
import { loads, qemuOf } from "./support/loads.js";
import { PLAIN_PROGRAM, plainEnvironment, qevm } from "./support/program.js";
import { flatDocument } from "./support/document.js";

const scratch = mkdtempSync(join(tmpdir(), "qevm-spec-30-"));

async function convert(
  stream: Uint8Array,
  options: ConvertOptions & { lenient?: boolean },
): Promise<{ bytes: Uint8Array; report: ConvertReport }> {
  const sink = new MemorySink();
  const report = await convertStream(new MemorySource(stream), sink, options, scratch);
  return { bytes: sink.bytes(), report };
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** The page records of a stream, as "flag block offset continue", and everything else by kind. */
async function outline(stream: Uint8Array): Promise<{ pages: string[]; others: string[] }> {
  const pages: string[] = [];
  const others: string[] = [];
  for await (const item of new StreamReader(new MemorySource(stream))) {
    others.push(item.kind === "section" ? `${item.type} ${item.idstr}` : item.kind);
    if (item.kind !== "section") continue;
    for await (const batch of item.records()) {
      for (const { flag, block, offset, continues } of batch) {
        if (block === undefined) others.push(`record ${flag}`);
        else pages.push(`${flag} ${block.idstr} ${offset} ${continues}`);
      }
    }
  }
  return { pages, others };
}

test("asked for nothing, it changes nothing", async (t) => {
  for (const { name, open } of listCorpus()) {
    const stream = open();
    const { bytes, report } = await convert(stream, {});
    t.ok(same(bytes, stream), name);
    t.equal(report.streamLength.written, stream.length);
  }
});

// The judge is QEMU's own zlib: what it compressed comes back to the byte after a way through plain pages.
for (const [name, level] of [
  ["compress-0", 0],
  ["compress-1-threads-1", 1],
  ["compress-1-threads-8", 1],
  ["compress-6", 6],
  ["compress-9-threads-8", 9],
  ["compress-live", 1],
  ["v5.2-compress-live", 1],
] as const) {
  test(`${name} to plain pages and back, by 1 and by 3 threads`, async (t) => {
    const stream = corpusEntry(name).open();
    const plain = await convert(stream, { ram: "normal" });
    t.equal(plain.report.pages.written.compressed, 0);
    t.equal(plain.report.pages.written.normal, plain.report.pages.read.normal + plain.report.pages.read.compressed);
    t.ok(same((await convert(stream, { ram: "normal", threads: 3 })).bytes, plain.bytes), "threads: the same bytes");
    const back = await convert(plain.bytes, { ram: "zlib", level, engine: "exact" });
    t.ok(same(back.bytes, stream), "exact at the capture's level: the very bytes of QEMU");
    const threaded = await convert(plain.bytes, { ram: "zlib", level, engine: "exact", threads: 3 });
    t.ok(same(threaded.bytes, back.bytes), "threads: the same bytes");
    const fast = await convert(plain.bytes, { ram: "zlib", level });
    t.ok(same((await convert(fast.bytes, { ram: "normal" })).bytes, plain.bytes), "fast and back: the same pages");
    t.ok(
      same((await convert(stream, { ram: "zlib", level, engine: "exact" })).bytes, stream),
      "straight from compressed",
    );
  });
}

test("the order of records and all that is not a page stays", async (t) => {
  const stream = corpusEntry("compress-live").open();
  const before = await outline(stream);
  const after = await outline((await convert(stream, { ram: "normal" })).bytes);
  t.deepEqual(after.others, before.others);
  t.deepEqual(
    after.pages,
    before.pages.map((page) => page.replace(/^256 /u, "8 ")),
  );
  t.ok(
    before.pages.some((page) => page.startsWith("256 ")),
    "there were compressed pages",
  );
});

test("zlib by QEMU's rule: a page that names its block is raw, zeros are ZERO, the rest is compressed", async (t) => {
  const { bytes } = await convert(corpusEntry("live").open(), { ram: "zlib", level: 9 });
  for await (const item of new StreamReader(new MemorySource(bytes))) {
    if (item.kind !== "section") continue;
    for await (const batch of item.records()) {
      for (const { flag, continues, block, body } of batch) {
        if (block === undefined || flag === RamFlag.ZERO) continue;
        if (continues !== (flag === RamFlag.COMPRESS_PAGE)) t.fail(`flag ${flag}, continues ${continues}`);
        if (flag === RamFlag.COMPRESS_PAGE && inflateSync(body).length !== 4096) t.fail("not one page");
      }
    }
  }
  t.pass("every record");
});

test("XBZRLE to plain pages: from a file and from a pipe", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-"));
  try {
    const stream = corpusEntry("xbzrle").open();
    const file = join(folder, "in");
    writeFileSync(file, stream);
    const { code, stdout } = await qevm(["convert", file, "--out", join(folder, "out"), "--ram", "normal", "--json"]);
    t.equal(code, 0);
    const report = flatDocument(stdout) as ConvertReport;
    t.ok(report.pages.read.xbzrle > 0, `${report.pages.read.xbzrle} XBZRLE pages`);
    t.equal(report.pages.written.xbzrle, 0);
    const piped = await qevm(["convert", "-", "--out", join(folder, "piped"), "--ram", "normal"], { stdin: stream });
    t.equal(piped.code, 0);
    t.ok(same(readFileSync(join(folder, "piped")), readFileSync(join(folder, "out"))), "the same bytes");
    t.deepEqual(readdirSync(folder).toSorted(), ["in", "out", "piped"], "nothing temporary is left");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** Block and offset of page records. */
function keys(pages: string[]): string[] {
  return pages.map((page) => page.split(" ").slice(1, 3).join(" "));
}

test("flattened: every page once, in the order of the blocks", async (t) => {
  for (const name of ["live", "xbzrle", "compress-live", "framing-off", "v10.0-live", "pc-2.3"]) {
    const stream = corpusEntry(name).open();
    const flat = await outline((await convert(stream, { flatten: true })).bytes);
    const before = await outline(stream);
    t.equal(new Set(keys(flat.pages)).size, flat.pages.length, `${name}: no page twice`);
    t.equal(flat.pages.length, new Set(keys(before.pages)).size, `${name}: none is missing`);
    t.equal(flat.others.filter((other) => other === "part ram").length, 1, `${name}: one round`);
    t.deepEqual(
      flat.others.filter((other) => !/ ram$|footer|record/u.test(other)),
      before.others.filter((other) => !/ ram$|footer|record/u.test(other)),
      `${name}: all else is there`,
    );
  }
});

test("--machine and --drop-vmdescription change nothing else", async (t) => {
  const stream = corpusEntry("live").open();
  const { bytes, report } = await convert(stream, { machine: "pc-i440fx-7.1" });
  t.equal(report.machine, "pc-i440fx-7.1");
  const at = Buffer.from(bytes).indexOf("pc-i440fx-7.1", 0, "latin1");
  const back = bytes.slice();
  back.set(Buffer.from("pc-i440fx-7.2", "latin1"), at);
  t.ok(same(back, stream));
  const longer = await convert(stream, { machine: "pc-i440fx-7.2+something" });
  t.equal(longer.bytes.length, stream.length + "+something".length);
  const dropped = await convert(stream, { dropVmdescription: true });
  t.ok(same(dropped.bytes, stream.subarray(0, dropped.bytes.length)), "the front of it");
  t.equal(dropped.bytes.at(-1), 0, "and the last byte is EOF");
  const error = await refusal(() => convert(corpusEntry("configuration-off").open(), { machine: "x" }));
  t.equal(error?.code, "usage", error?.message);
});

test("a pages fill byte that is not zero becomes a page (8.2 and later refuse it)", async (t) => {
  const stream = Buffer.from(corpusEntry("machine-none").open());
  const record = Buffer.from("0000000000001022", "hex");
  const at = stream.indexOf(record);
  t.ok(at > 0);
  stream[at + 8] = 0x5a;
  const { bytes, report } = await convert(stream, { ram: "normal" });
  t.equal(report.pages.written.normal, report.pages.read.normal + 1);
  t.ok(Buffer.from(bytes).includes(Buffer.alloc(4096, 0x5a)));
});

test("damage: an address, and nothing is written", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-"));
  try {
    const stream = corpusEntry("compress-1-threads-1").open();
    const header = Buffer.from([0x78, 0x01]);
    const payload = stream.indexOf(header, 40_000);
    stream.fill(0xff, payload + 2, payload + 40);
    for (const threads of [1, 2]) {
      const error = await refusal(() => convert(stream, { ram: "normal", threads }));
      t.equal(error?.code, "bad-compressed-data", error?.message);
      t.ok(error?.offset !== undefined && payload - error.offset <= 12, "the record's offset");
      const { bytes } = await convert(stream, { ram: "normal", threads, lenient: true });
      t.ok(bytes.length > stream.length, "lenient: goes on");
    }
    const file = join(folder, "in");
    writeFileSync(file, stream);
    const { code, stderr } = await qevm(["convert", file, "--out", join(folder, "out"), "--ram", "normal"]);
    t.equal(code, 1);
    t.match(stderr, /refused at byte 0x[0-9a-f]+, section 2 "ram" > record \d+ > page of "pc.ram"/u);
    writeFileSync(file, stream.subarray(0, 300_000));
    t.equal((await qevm(["convert", file, "--out", join(folder, "out"), "--flatten"])).code, 1);
    t.deepEqual(readdirSync(folder), ["in"], "nothing was written");
    for (const args of [
      ["--ram", "xbzrle"],
      ["--level", "3"],
      ["--ram", "zlib", "--level", "10"],
      ["--to", "tape"],
    ]) {
      t.equal((await qevm(["convert", file, "--out", join(folder, "out"), ...args])).code, 2, args.join(" "));
    }
    t.equal((await qevm(["convert", file])).code, 2, "no --out");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("what is not a refusal of the stream is not hushed up while it is read ahead", async (t) => {
  const source = {
    length: 1000,
    read: () => 0,
    readAt: () => {
      throw new TypeError("a mistake of ours");
    },
  };
  try {
    await mayHoldXbzrle(source, {});
    t.fail("no error");
  } catch (error) {
    t.ok(error instanceof TypeError);
  }
  t.notOk(
    await mayHoldXbzrle(new MemorySource(Buffer.from("no stream")), {}),
    "refusals are left to the reading proper",
  );
});

test("engines: other bytes, the same pages", async (t) => {
  const stream = corpusEntry("compress-1-threads-1").open();
  const plain = await convert(stream, { ram: "normal" });
  for (const engine of ["page", "fast", "exact"] as const) {
    t.ok(same((await convert(stream, { ram: "normal", engine })).bytes, plain.bytes), `${engine} decompresses`);
    const made = await convert(plain.bytes, { ram: "zlib", engine, threads: 2 });
    t.equal(same(made.bytes, stream), engine === "exact", `${engine}: ${made.bytes.length} bytes`);
    t.ok(same((await convert(made.bytes, { ram: "normal" })).bytes, plain.bytes), `${engine} compresses`);
  }
  const error: unknown = await convert(plain.bytes, { ram: "zlib", engine: "page", level: 9 }).catch(
    (reason: unknown) => reason,
  );
  t.equal(error instanceof QevmError ? error.code : error, "usage", "page knows one level");
});

test("a thread that the system refuses is an error", async (t) => {
  // A function cannot be handed to a thread, so that none starts.
  const data = { not: () => undefined };
  const script = new URL("../src/rewrite/threads/compress-worker.js", import.meta.url);
  const shape = { slots: 2, capacity: 1, input: 4096, output: 4096 };
  const error = await refusal(() => ThreadPool.start({ threads: 2, shape, script, data }));
  t.equal(`${error?.code}: ${error?.what}`, "io: a worker thread did not start");
});

test("a real 7.2 loads what was converted", async (t) => {
  if (qemuOf(t, "7.2") === undefined) return;
  const live = corpusEntry("live");
  for (const [level, exact, threads] of [
    [1, true, 1],
    [1, false, 4],
    [9, true, 4],
    [9, false, 1],
  ] as const) {
    const { bytes } = await convert(live.open(), { ram: "zlib", level, engine: exact ? "exact" : undefined, threads });
    const what = `live to zlib level ${level}${exact ? ", exact" : ""}, ${threads} threads`;
    await loads(t, live, bytes, what, { capabilities: ["compress"] });
  }
  for (const name of ["compress-live", "xbzrle", "xbzrle-compress"]) {
    const { bytes } = await convert(corpusEntry(name).open(), { ram: "normal" });
    await loads(t, corpusEntry(name), bytes, `${name} to plain pages`, { capabilities: [] });
  }
  for (const name of ["live", "live-q35", "compress-live", "xbzrle", "pc-2.3", "footers-off"]) {
    const { bytes } = await convert(corpusEntry(name).open(), { flatten: true });
    await loads(t, corpusEntry(name), bytes, `${name} flattened`, { capabilities: [] });
  }
  const { bytes } = await convert(live.open(), { flatten: true, ram: "zlib", dropVmdescription: true });
  await loads(t, live, bytes, "live flattened and compressed, without VMDESCRIPTION", { capabilities: ["compress"] });
});

for (const version of ["10.0", "11.1"]) {
  test(`QEMU ${version} loads compressed and XBZRLE captures of 7.2 once they are plain`, async (t) => {
    const qemu = qemuOf(t, version);
    if (qemu === undefined) return;
    for (const name of ["compress-1-threads-8", "compress-live", "compress-9-threads-1", "xbzrle"]) {
      const { bytes } = await convert(corpusEntry(name).open(), { ram: "normal" });
      await loads(t, corpusEntry(name), bytes, `${name} to plain pages`, { qemu, capabilities: [] });
    }
  });
}

test("QEMU 5.2 loads its own capture compressed by us", async (t) => {
  const qemu = qemuOf(t, "5.2");
  if (qemu === undefined) return;
  const entry = corpusEntry("v5.2-live");
  for (const [level, exact] of [
    [1, true],
    [9, false],
  ] as const) {
    const { bytes } = await convert(entry.open(), {
      ram: "zlib",
      level,
      engine: exact ? "exact" : undefined,
      threads: 4,
    });
    await loads(t, entry, bytes, `v5.2-live to zlib level ${level}`, { qemu, capabilities: ["compress"] });
  }
});

const MAKER = fileURLToPath(new URL("../tools/make-stream.js", import.meta.url));

/** `make-stream | qevm convert - ...`, with the memory that it took. */
async function convertMade(ram: string, args: string[]): Promise<number> {
  const maker = spawn(process.execPath, [MAKER, "--ram", ram, "--zero", "0.6"], {
    stdio: ["ignore", "pipe", "ignore"],
    env: plainEnvironment(),
  });
  const { code, stderr, maxRss } = await qevm(["convert", "-", ...args], { plain: true, stdin: maker.stdout });
  if (code !== 0) throw new Error(stderr);
  return maxRss;
}

test("memory stays bounded: 1 GiB of RAM to zlib and back is the same stream, under 155 MB of its own", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-"));
  try {
    const plain = join(folder, "plain");
    const compressed = join(folder, "compressed");
    const back = join(folder, "back");
    t.ok(existsSync(PLAIN_PROGRAM));
    t.ok((await convertMade("1G", ["--out", plain])) < 155e6, "copied from a pipe");
    const rss: number[] = [];
    for (const args of [
      [plain, "--out", compressed, "--ram", "zlib", "--threads", "2"],
      [compressed, "--out", back, "--ram", "normal"],
    ]) {
      const { code, stderr, maxRss } = await qevm(["convert", ...args], { plain: true });
      t.equal(code, 0, stderr);
      rss.push(maxRss);
    }
    for (const [i, bytes] of rss.entries()) t.ok(bytes < 155e6, `conversion ${i}: ${(bytes / 1e6).toFixed(0)} MB`);
    t.ok(readFileSync(plain).equals(readFileSync(back)), "plain, compressed and plain again: the same bytes");
  } finally {
    rmSync(folder, { recursive: true });
  }
});
