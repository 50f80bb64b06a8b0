/** Two streams compared by what a destination would get of each. */
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import test from "tape";
import { convertStream } from "../src/rewrite/convert/convert.js";
import { convertToFile } from "../src/rewrite/convert/convert-file.js";
import { diffStreams, sideOf } from "../src/analyse/diff/index.js";
import { extractBlocks } from "../src/guest/files/extract-blocks.js";
import { packFolder } from "../src/rewrite/pack/pack.js";
import { unpackStream } from "../src/rewrite/pack/unpack.js";
import { IterableSource, MemorySink, MemorySource } from "../src/bytes/index.js";
import type { RamBlock } from "../src/codec/ram/index.js";
import { createStreamWriter } from "../src/codec/stream/index.js";
import { corpusEntry, projectRoot } from "../tools/corpus.js";
import { refusal } from "./support/bytes.js";
import { named, PAGE } from "./support/diff.js";

const work = mkdtempSync(join(tmpdir(), "qevm-diff-spec-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));
const live = corpusEntry("live").open();

async function converted(bytes: Uint8Array, options: Parameters<typeof convertStream>[2]): Promise<Uint8Array> {
  const sink = new MemorySink();
  await convertStream(new MemorySource(bytes), sink, options, work);
  return sink.bytes();
}

test("a stream against itself: the same bytes", async (t) => {
  for (const name of ["live", "xbzrle", "postcopy-10.0-preempt", "suppress-vmdesc", "s390x", "pc-2.3"]) {
    const folder = join(projectRoot(), "corpus", name);
    const path = existsSync(join(folder, "stream.gz")) ? join(folder, "stream.gz") : folder;
    const diff = await diffStreams(path, path);
    t.equal(diff.verdict, "identical", name);
    t.equal(diff.firstByte, null);
    t.deepEqual([diff.differences, diff.devices, diff.ram.ranges], [[], [], []], "nothing differs");
    t.ok(diff.ram.compared.same > 0 && diff.ram.differentBytes === 0, `${diff.ram.compared.same} pages`);
  }
  t.end();
});

for (const name of ["live", "xbzrle", "compress-live", "xbzrle-compress", "v10.0-xbzrle", "v5.2-compress-live"]) {
  test(`${name} in every other encoding: the same memory`, async (t) => {
    const bytes = corpusEntry(name).open();
    const file = join(work, "mapped");
    await convertToFile(new MemorySource(bytes), file, { to: "mapped-ram" });
    const others: [string, Uint8Array | string][] = [
      ["normal", await converted(bytes, { ram: "normal" })],
      ["zlib", await converted(bytes, { ram: "zlib" })],
      ["flatten", await converted(bytes, { flatten: true })],
      ["mapped-ram", file],
      ["no description", await converted(bytes, { dropVmdescription: true })],
    ];
    for (const [how, other] of others) {
      for (const [a, b] of [
        [bytes, other],
        [other, bytes],
      ] as const) {
        const diff = await diffStreams(a, b);
        const { same, different, onlyA, onlyB, otherEncoding } = diff.ram.compared;
        t.deepEqual([named(diff, "meaning"), diff.devices, different + onlyA + onlyB], [[], [], 0], `${how}: the same`);
        t.equal(diff.ram.notCompared, null);
        t.ok(same > 1000, `${same} pages`);
        if (how === "flatten")
          t.ok(named(diff, "encoding").includes("section ram/0 parts"), "in another number of rounds");
        if (how === "mapped-ram") t.ok(otherEncoding > 0, `${otherEncoding} pages in another encoding`);
        const alike = diff.verdict === "identical";
        t.equal(alike, how === "normal" && name === "live", "the verdict says whether the bytes are the same");
        t.equal(diff.firstByte === null, alike);
      }
    }
    rmSync(file);
    t.end();
  });
}

test("what differs in memory is what differs in extracted files", async (t) => {
  for (const [a, b] of [
    ["live", "compress-live"],
    ["xbzrle", "live"],
    ["v10.0-xbzrle", "v10.0-live"],
    ["compress-live-9", "xbzrle-compress"],
  ] as const) {
    const [inA, inB] = [corpusEntry(a).open(), corpusEntry(b).open()];
    const diff = await diffStreams(inA, inB);
    const folders = [join(work, "a"), join(work, "b")] as const;
    const [ofA, ofB] = [
      await extractBlocks(new MemorySource(inA), folders[0]),
      await extractBlocks(new MemorySource(inB), folders[1]),
    ];
    const pages: string[] = [];
    let bytes = 0;
    for (const { block: name, file } of ofA.blocks) {
      const other = ofB.blocks.find((block) => block.block === name)!;
      const [ca, cb] = [readFileSync(join(folders[0], file)), readFileSync(join(folders[1], other.file))];
      for (let at = 0; at < ca.length; at += PAGE) {
        const [pa, pb] = [ca.subarray(at, at + PAGE), cb.subarray(at, at + PAGE)];
        if (pa.equals(pb)) continue;
        pages.push(`${name} ${at}`);
        for (let i = 0; i < PAGE; i++) if (pa[i] !== pb[i]) bytes++;
      }
    }
    const found = diff.ram.ranges.flatMap(({ block, blockOffset: offset, length }) =>
      Array.from({ length: length / PAGE }, (_, i) => `${block} ${offset + i * PAGE}`),
    );
    t.deepEqual(found, pages, `${a} and ${b}: ${pages.length} pages`);
    t.deepEqual([diff.ram.compared.different, diff.ram.differentBytes], [pages.length, bytes], `${bytes} bytes`);
    t.equal(diff.verdict, "different");
    for (const { block, blockOffset: offset, first } of diff.ram.ranges
      .filter((range) => range.first !== undefined)
      .slice(0, 4)) {
      const { file } = ofA.blocks.find((one) => one.block === block)!;
      const at = first!.blockOffset;
      const ca = readFileSync(join(folders[0], file));
      t.equal(ca.toString("hex", at, at + first!.a.length / 2), first!.a, `${block} ${at}: the bytes of A`);
      t.ok(at >= offset && first!.a.slice(0, 2) !== first!.b.slice(0, 2), "which are not those of B");
    }
    for (const folder of folders) rmSync(folder, { recursive: true });
  }
  t.end();
});

test("a pipe is kept in a temporary file, and gone afterwards", async (t) => {
  const temporary = join(work, "tmp");
  mkdirSync(temporary);
  const { TMPDIR } = process.env;
  process.env["TMPDIR"] = temporary;
  const chunks = async function* chunks(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < live.length; at += 50_000) yield await Promise.resolve(live.subarray(at, at + 50_000));
  };
  const diff = await diffStreams(new IterableSource(chunks()), await converted(live, { ram: "zlib" }));
  t.equal(diff.verdict, "same");
  t.ok(diff.ram.compared.otherEncoding > 200, `${diff.ram.compared.otherEncoding} pages`);
  t.deepEqual(readdirSync(temporary), [], "nothing is left");
  if (TMPDIR === undefined) delete process.env["TMPDIR"];
  else process.env["TMPDIR"] = TMPDIR;
  t.end();
});

test("guest-physical addresses, and runs that end where the guest's do", async (t) => {
  const numa = corpusEntry("q35-firmware").open();
  const { ram } = await diffStreams(numa, corpusEntry("q35-firmware").open());
  t.ok(ram.layout !== null && ram.layout.length > 0, "a layout is known");
  const diff = await diffStreams(live, corpusEntry("compress-live").open());
  for (const { block, blockOffset: offset, physical } of diff.ram.ranges)
    if (block === "pc.ram") t.equal(physical, offset);
  t.end();
});

const page = (fill: number): Uint8Array => new Uint8Array(PAGE).fill(fill);

test("rounds: the last content counts, and what XBZRLE is applied to", async (t) => {
  const sink = new MemorySink();
  const writer = createStreamWriter(sink, { machine: "none" });
  const [ram] = writer.ram.blocks([{ idstr: "ram", usedLength: 4 * PAGE }]) as [RamBlock];
  // Leave 16 bytes, change 2.
  const delta = Uint8Array.of(16, 2, 0xaa, 0xbb);
  for (let i = 0; i < 4; i++) await writer.ram.page(ram, i * PAGE, page(1));
  writer.ram.endRound();
  for (let i = 0; i < 3; i++) await writer.ram.xbzrle(ram, i * PAGE, delta);
  writer.ram.endRound();
  await writer.ram.page(ram, PAGE, page(2));
  await writer.ram.zero(ram, 2 * PAGE);
  writer.ram.end();
  await writer.finish();
  const changed = page(1);
  changed.set([0xaa, 0xbb], 16);
  const flat = new MemorySink();
  const once = createStreamWriter(flat, { machine: "none" });
  const [block] = once.ram.blocks([{ idstr: "ram", usedLength: 4 * PAGE }]) as [RamBlock];
  for (const [i, content] of [changed, page(2), page(0), page(1)].entries()) {
    await once.ram.page(block, i * PAGE, content);
  }
  once.ram.end();
  await once.finish();
  const { verdict, ram: found } = await diffStreams(sink.bytes(), flat.bytes());
  t.equal(verdict, "same");
  t.deepEqual(found.compared, { same: 4, otherEncoding: 2, different: 0, onlyA: 0, onlyB: 0 }, "XBZRLE and ZERO");
  t.end();
});

test("pages that are scattered too far are refused before memory is taken", async (t) => {
  const sink = new MemorySink();
  const writer = createStreamWriter(sink, { machine: "none" });
  const count = 100_000;
  const step = 1024 * PAGE;
  const [ram] = writer.ram.blocks([{ idstr: "ram", usedLength: count * step }]) as [RamBlock];
  for (let i = 0; i < count; i++) await writer.ram.zero(ram, i * step);
  writer.ram.end();
  await writer.finish();
  const error = await refusal(() => diffStreams(live, sink.bytes()));
  t.deepEqual([error?.code, error && sideOf(error)], ["limit", "b"], error?.message);
  t.ok(error!.offset! > 100_000, "at the record that would take more");
  t.end();
});

test("runs of pages end where the guest's memory does", async (t) => {
  const bytes = corpusEntry("q35-displays").open();
  const { ram } = await diffStreams(bytes, await touched(bytes, [0x9f000, 0xa0000, 0x100000, 0x101000]));
  t.deepEqual(
    ram.ranges.map(({ blockOffset: offset, length, physical }) => [offset, length, physical]),
    [
      [0x9f000, PAGE, 0x9f000],
      [0xa0000, PAGE, null],
      [0x100000, 2 * PAGE, 0x100000],
    ],
    "behind 0xa0000 is the VGA adapter",
  );
  t.end();
});

/** The stream with one more round of pages of its first block, all 0x5a. */
async function touched(bytes: Uint8Array, offsets: readonly number[]): Promise<Uint8Array> {
  const folder = join(work, "unpacked");
  await unpackStream(bytes, folder);
  const fd = openSync(
    join(
      folder,
      "ram",
      readdirSync(join(folder, "ram")).find((name) => /pc\.ram/u.test(name))!,
    ),
    "r+",
  );
  for (const offset of offsets) writeSync(fd, Buffer.alloc(PAGE, 0x5a), 0, PAGE, offset);
  closeSync(fd);
  const file = join(work, "touched");
  await packFolder(folder, file);
  rmSync(folder, { recursive: true });
  return readFileSync(file);
}

test("errors say which stream, and where", async (t) => {
  const cut = live.subarray(0, 200_000);
  for (const [a, b, side] of [
    [live, cut, "b"],
    [cut, live, "a"],
  ] as const) {
    const error = await refusal(() => diffStreams(a, b));
    t.deepEqual([error?.code, error?.offset, error && sideOf(error)], ["truncated", 200_000, side]);
    t.equal(error?.path[1], 'section 2 "ram"', "the path goes on after the side");
  }
  const bytes = corpusEntry("compress-1-threads-1").open();
  const broken = Buffer.from(bytes);
  // The payload of the first compressed page: be64 with flag 0x100, the name or not, be32 length, zlib.
  const zlib = broken.indexOf("7801", 0, "hex");
  broken[zlib + 9]! ^= 0xff;
  const inflating = await refusal(() => diffStreams(bytes, broken));
  t.deepEqual(
    [inflating?.code, inflating && sideOf(inflating)],
    ["bad-compressed-data", "b"],
    "a payload that is damaged",
  );
  t.ok(inflating!.offset! < zlib && inflating!.offset! > zlib - 300, "at its record");
  const missing = await refusal(() => diffStreams(join(work, "nothing"), live));
  t.deepEqual([missing?.code, missing && sideOf(missing)], ["io", "a"]);
  t.end();
});

test("containers, a domain XML among them", async (t) => {
  const packed = join(projectRoot(), "corpus", "libvirt", "save.raw.gz");
  const image = gunzipSync(readFileSync(packed));
  const plain = join(work, "save.raw");
  writeFileSync(plain, image);
  const diff = await diffStreams(packed, plain);
  t.equal(diff.verdict, "identical", "the streams inside");
  t.deepEqual(named(diff, "encoding"), ["container kind"]);
  t.deepEqual([diff.differences[0]?.a, diff.differences[0]?.b], ["gzip > libvirt", "libvirt"]);
  image[image.indexOf("<name>") + 6]! ^= 1;
  const file = join(work, "edited.raw");
  writeFileSync(file, image);
  const xml = await diffStreams(plain, file);
  t.equal(xml.verdict, "different");
  t.match(named(xml, "meaning")[0]!, /^container domain XML, line \d+$/u);
  t.notEqual(xml.differences[0]?.a, xml.differences[0]?.b);
  t.end();
});
