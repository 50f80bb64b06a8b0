import { type Positioned, type RandomSource } from "../src/bytes/source.js";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import tape from "tape";
import { convertStream } from "../src/rewrite/convert/convert.js";
import { convertToFile } from "../src/rewrite/convert/convert-file.js";
import { namedFill, type Fill } from "../src/rewrite/generate/fill.js";
import { generateNone } from "../src/rewrite/generate/none.js";
import { inspectStream } from "../src/analyse/inspect/inspect.js";
import { verifyStream } from "../src/analyse/inspect/verify.js";
import { hasPage, indexMappedRam, readMappedPage, setPage, unsetRun } from "../src/codec/ram/index.js";
import { MemorySink, MemorySource, QemuFileWriter } from "../src/bytes/index.js";
import { AtomicFile, openSource } from "../src/io/transport/file.js";
import { projectRoot } from "../tools/corpus.js";
import { qevm } from "./support/program.js";
import { mostlyHole, stopped } from "./support/signalled.js";

const VERSIONS = ["10.0", "11.1"] as const;

function file(version: string): Buffer {
  return gunzipSync(readFileSync(join(projectRoot(), "spec", "support", `mapped-ram-${version}.gz`)));
}

async function convert(bytes: Uint8Array, to: "stream" | "mapped-ram"): Promise<Uint8Array> {
  const folder = mkdtempSync(join(tmpdir(), "qevm-mapped-"));
  const sink = new MemorySink();
  try {
    await convertStream(new MemorySource(bytes), sink, { to }, folder);
    return sink.bytes();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function bits(byte: number): number {
  return byte.toString(2).replaceAll("0", "").length;
}

/** Where the block list starts: right after the START header of "ram". */
function listOffset(bytes: Buffer): number {
  return bytes.indexOf(Buffer.from("\x03ram\0\0\0\0\0\0\0\x04", "latin1")) + 12;
}

tape("without a configuration section a mapped-ram file shows itself", async (t) => {
  const plain = gunzipSync(readFileSync(join(projectRoot(), "corpus", "framing-off", "stream.gz")));
  const mapped = await convert(plain, "mapped-ram");
  const verification = await verifyStream(new MemorySource(mapped));
  t.ok(verification.identical && verification.complete && verification.opaqueBytes === 0);
  t.deepEqual(verification.inspection.capabilities, ["mapped-ram"]);
  const [was, back] = [plain, await convert(mapped, "stream")].map(async (bytes) => {
    const { ram, devices } = await inspectStream(new MemorySource(bytes));
    return {
      blocks: ram.blocks.map(({ block: name, blockLength: length }) => ({ name, length })),
      devices,
      normal: ram.pages.normal,
    };
  });
  t.deepEqual(await back, await was, "and back");
  t.end();
});

for (const version of VERSIONS) {
  tape(`QEMU ${version}: a mapped-ram file comes back byte for byte`, async (t) => {
    const bytes = file(version);
    const result = await verifyStream(new MemorySource(bytes, 10_007));
    t.ok(result.identical, "identical");
    t.equal(result.opaqueBytes, 0, "nothing opaque");
    t.ok(result.complete, "complete");
    const inspection = await inspectStream(new MemorySource(bytes));
    t.deepEqual(inspection.capabilities, ["mapped-ram"]);
    t.ok(inspection.ram.pages.mapped > 100, `${inspection.ram.pages.mapped} pages`);
    t.equal(inspection.ram.pages.normal + inspection.ram.pages.zero, 0, "no record carries a page");
  });

  tape(`QEMU ${version}: to a stream and back, page by page`, async (t) => {
    const bytes = file(version);
    const plain = await convert(bytes, "stream");
    const inspection = await inspectStream(new MemorySource(plain));
    t.deepEqual(inspection.capabilities, [], "the capability is gone");
    t.equal(inspection.ram.pages.mapped, 0);
    const back = Buffer.from(await convert(plain, "mapped-ram"));
    const start = { offset: listOffset(bytes), pageSize: 4096, ignoreShared: false, maxBlocks: 100 };
    const { blocks } = await indexMappedRam(new MemorySource(bytes), start);
    t.ok(blocks.length >= 6, `${blocks.length} blocks`);
    for (const { idstr, usedLength, mapped } of blocks) {
      const [from, to] = [Number(mapped!.bitmapOffset), Number(mapped!.pagesOffset) + usedLength];
      const pages = Number(mapped!.pagesOffset);
      t.ok(bytes.subarray(pages, to).equals(back.subarray(pages, to)), `${idstr}: pages as QEMU placed them`);
      const [bitmap, ours] = [bytes.subarray(from, pages), back.subarray(from, pages)];
      if (usedLength >= 8 << 20) t.ok(bitmap.equals(ours), `${idstr}: the bitmap as QEMU wrote it`);
      else
        t.equal(
          ours.reduce((sum, byte) => sum + bits(byte), 0),
          usedLength / 4096,
          `${idstr}: a bit for every page`,
        );
    }
    t.ok((await verifyStream(new MemorySource(back))).identical, "what was made verifies");
  });

  tape(`QEMU ${version}: a flipped bit and a cut file are noticed`, async (t) => {
    const bytes = file(version);
    const start = listOffset(bytes);
    const shifted = Buffer.from(bytes);
    // The low byte of the first block's bitmap offset: list, name, length, version, page size.
    const at = start + 8 + 1 + bytes[start + 8]! + 8 + 12 + 7;
    shifted[at] = shifted[at]! ^ 1;
    await refused(t, verifyStream(new MemorySource(shifted)), "bad-offset");
    await refused(t, verifyStream(new MemorySource(bytes.subarray(0, 3_000_000))), "truncated");
  });
}

/** Reads of a source in memory, which can seek. */
class Counted extends MemorySource {
  count = 0;

  override read(into: Uint8Array): number {
    const n = super.read(into);
    this.count += n;
    return n;
  }
}

tape("inspect reads no long run without pages; verify reads all of it, and finds what is left over", async (t) => {
  const bytes = file("10.0");
  const start = { offset: listOffset(bytes), pageSize: 4096, ignoreShared: false, maxBlocks: 100 };
  const { blocks } = await indexMappedRam(new MemorySource(bytes), start);
  const { usedLength, mapped } = blocks.find(({ idstr }) => idstr === "pc.ram")!;
  const bitmap = bytes.subarray(Number(mapped!.bitmapOffset));
  const run = unsetRun(bitmap, 0, usedLength / 4096, 1024);
  const skipped = (run.end - run.start) * 4096;
  t.ok(skipped > 6 << 20, `${skipped} bytes without a page`);
  bytes[Number(mapped!.pagesOffset) + run.start * 4096 + 5_000_000] = 1;
  const short = unsetRun(bitmap, 0, run.start, 1);
  t.ok(short.start < run.start, "and a short run before them");
  bytes[Number(mapped!.pagesOffset) + short.start * 4096] = 1;

  const source = new Counted(bytes);
  const inspection = await inspectStream(source);
  t.ok(source.count < bytes.length - skipped + (2 << 20), `${source.count} of ${bytes.length} bytes read`);
  t.equal(inspection.skippedBytes, skipped, "it says what was not read");
  t.equal(inspection.staleBytes, 4096, "and what is left over in the rest");
  t.ok(inspection.complete && inspection.opaqueBytes === 0, "all else is read");
  const chunks = await inspectStream(
    (async function* () {
      yield await Promise.resolve(new Uint8Array(bytes));
    })(),
  );
  t.deepEqual(chunks, inspection, "the same of a source that cannot seek");
  const whole = await inspectStream(new MemorySource(bytes), { skipUnsetPages: false });
  t.deepEqual(whole, { ...inspection, skippedBytes: 0, staleBytes: 8192 }, "when asked, it reads everything");
  const verified = await verifyStream(new MemorySource(bytes));
  t.ok(verified.identical, "what is left over comes back");
  t.equal(verified.staleBytes, 8192, "verify finds both");
  t.equal(verified.inspection.skippedBytes, 0, "and leaves nothing out");
});

tape("runs without pages, bit by bit", (t) => {
  for (let seed = 1; seed <= 300; seed++) {
    const bitmap = Uint8Array.from(
      { length: 12 },
      (_, k) => [0, 0xff, (seed * 37 + k * 101) & 0xff][(seed + k * k) % 3]!,
    );
    const pages = 80 + (seed % 16);
    const first = seed % 11;
    const least = 1 + (seed % 20);
    let start = pages;
    let end = pages;
    for (let at = first; at + least <= pages && start === pages; at++) {
      let n = 0;
      while (at + n < pages && !hasPage(bitmap, at + n)) n++;
      if (n >= least) [start, end] = [at, at + n];
    }
    const found = unsetRun(bitmap, first, pages, least);
    if (found.start !== start || found.end !== end)
      t.fail(`seed ${seed}: ${JSON.stringify(found)}, not ${start} ${end}`);
  }
  t.pass("as one by one");
  t.end();
});

tape("one page of 5 GiB costs less than 1 MB of reading", async (t) => {
  const GIB = 2 ** 30;
  const bytes = file("10.0");
  const start = listOffset(bytes);
  // The list that QEMU wrote for 8 MiB, told as 5 GiB: only what is read of it exists.
  const sink = new MemorySink();
  const writer = new QemuFileWriter(sink);
  writer.length64(5 * GIB + 4);
  writer.string8("pc.ram");
  writer.length64(5 * GIB);
  writer.u32(1);
  writer.u64(4096n);
  writer.u64(0x1000n);
  writer.u64(0x100000n);
  await writer.finish();
  const list = sink.bytes();
  let read = 0;
  const source: RandomSource = {
    length: 6 * GIB,
    read: () => 0,
    readAt: (position, into) => {
      read += into.length;
      for (let i = 0; i < into.length; i++) {
        const place = position + i;
        if (place >= start && place < start + list.length) into[i] = list[place - start]!;
        else if (place >= 0x1000 && place < 0x100000) into[i] = 0x55;
        else into[i] = Math.floor(place / 4096) & 0xff;
      }
      return into.length;
    },
  };
  const index = await indexMappedRam(source, { offset: start, pageSize: 4096, ignoreShared: false, maxBlocks: 100 });
  const page = new Uint8Array(4096);
  const offset = 5 * GIB - 2 * 4096;
  t.ok(await readMappedPage(source, index.blocks[0]!, offset, page), "present");
  t.ok(
    page.every((byte) => byte === (((0x100000 + offset) / 4096) & 0xff)),
    "from its place",
  );
  t.notOk(await readMappedPage(source, index.blocks[0]!, offset + 4096, page), "absent");
  t.ok(read < 1_000_000, `${read} bytes read`);
});

tape("zeros become holes, and the file is the same", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-holes-"));
  try {
    // Data at both ends, runs of zeros that begin and end between blocks, one zero block alone, zeros at the end.
    const bytes = Buffer.alloc(3_000_000);
    for (const [from, to] of [
      [0, 5000],
      [900_001, 1_300_000],
      [1_310_000, 1_318_000],
      [2_000_000, 2_000_001],
    ]) {
      bytes.fill("not zero ", from, to);
    }
    for (const [k, length] of [bytes.length, 1, 7, 4096, 65_536, 100_003].entries()) {
      const path = join(folder, `${k}`);
      const sink = new AtomicFile(path);
      const part = length === 1 || length === 7 ? bytes.subarray(0, 20_000) : bytes;
      for (let at = 0; at < part.length; at += length) void sink.write(part.subarray(at, at + length));
      sink.commit();
      t.ok(readFileSync(path).equals(part), `in chunks of ${length}`);
    }
    const { blocks, size } = statSync(join(folder, "0"));
    t.ok(blocks * 512 < 600_000, `${blocks * 512} of ${size} bytes on the disk`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  t.end();
});

tape("1 GiB with 32 pages of words as a mapped-ram file takes little of the disk", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-holes-"));
  try {
    const [stream, out, back] = ["stream", "mapped", "back"].map((name) => join(folder, name));
    const text = namedFill("text", 1);
    const sink = new MemorySink();
    const fill: Fill = (page, offset) => offset % (32 << 20) === 4096 && text(page, offset);
    await generateNone(sink, { memory: 1 << 30, fill, pages: "normal", level: 1, qemu: [10, 0] });
    writeFileSync(stream!, sink.bytes());
    await convertToFile(openSource(stream!), out!, { to: "mapped-ram" });
    const { blocks, size } = statSync(out!);
    t.ok(size > 1 << 30, `${size} bytes long`);
    t.ok(blocks * 512 < 4e6, `${blocks * 512} bytes on the disk`);
    await convertToFile(openSource(out!), back!, { to: "stream" });
    t.ok(readFileSync(back!).equals(sink.bytes()), "and back: the very stream");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

tape("pages after 8 and 12 TiB", async (t) => {
  const TIB = 2 ** 40;
  const bitmapOffset = 1000;
  const bitmap = new Uint8Array((12.5 * TIB) / 4096 / 8);
  const pages = [0, 8 * TIB - 4096, 8 * TIB, 8 * TIB + 13 * 4096, 12 * TIB, 12 * TIB + 4096].map((at) => at / 4096);
  for (const page of pages) setPage(bitmap, page);
  const asked: number[] = [];
  const source: Positioned = {
    readAt: (position, into) => {
      asked.push(position);
      const at = position - bitmapOffset;
      if (at < bitmap.length) into.set(bitmap.subarray(at, at + into.length));
      else into.fill(7);
      return into.length;
    },
  };
  const mapped = { version: 1, pageSize: 4096n, bitmapOffset: 1000n, pagesOffset: BigInt(TIB) };
  const block = { index: 0, idstr: "ram", usedLength: 12.5 * TIB, mapped };
  const into = new Uint8Array(4096);
  for (const page of pages) {
    t.ok(hasPage(bitmap, page) && !hasPage(bitmap, page + 8), `bit ${page}`);
    asked.length = 0;
    t.ok(await readMappedPage(source, block, page * 4096, into), "is read");
    t.deepEqual(asked, [bitmapOffset + Math.floor(page / 8), TIB + page * 4096], "its bit and its place");
    t.notOk(await readMappedPage(source, block, (page + 8) * 4096, into), "another is not");
  }
});

tape("a block that is mostly hole: its holes are not read, and signals are heard", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-holes-"));
  try {
    const stream = join(folder, "stream");
    const bytes = await mostlyHole(256 * 2 ** 30);
    writeFileSync(stream, bytes);
    const whole = await qevm(["convert", stream, "--to", "mapped-ram", "--out", join(folder, "mapped")]);
    t.equal(whole.code, 0, whole.stderr);
    const waiting = ["convert", "-", "--to", "mapped-ram", "--out", "stopped"];
    const ended = await stopped(waiting, folder, bytes.subarray(0, bytes.length - 1));
    t.deepEqual(ended, { code: null, signal: "SIGTERM", left: [] });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

async function refused(t: tape.Test, work: Promise<unknown>, code: string): Promise<void> {
  try {
    await work;
    t.fail(`not refused: ${code}`);
  } catch (error) {
    t.equal((error as { code?: string }).code, code);
  }
}
