/** Guest memory in sparse files, a block a file: the same as in memory, whoever writes it. */
import { closeSync, mkdtempSync, openSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { convertToFile } from "../src/rewrite/convert/convert-file.js";
import { RecordApplier } from "../src/guest/pages/apply.js";
import { BlockFiles } from "../src/guest/files/block-files.js";
import { extractBlocks } from "../src/guest/files/extract-blocks.js";
import { MemoryPages } from "../src/guest/pages/page-store.js";
import { ScratchMemory } from "../src/guest/files/scratch.js";
import { WriteQueue } from "../src/guest/files/write-queue.js";
import { FileSource } from "../src/io/transport/file.js";
import { MemorySink, MemorySource, type ByteSource } from "../src/bytes/index.js";
import { RamBatch, RamFlag, type RamBlock } from "../src/codec/ram/index.js";
import { createStreamWriter } from "../src/codec/stream/index.js";
import { ThreadPool } from "../src/io/threads/index.js";
import { refusal } from "./support/bytes.js";

const PAGE = 4096;
const RING = { slots: 2, capacity: 1, input: 64, output: 64 };

/** A page that no other block has. */
function pageOf(k: number): Uint8Array {
  return new Uint8Array(PAGE).map((_, at) => (at * 7 + k + 1) & 0xff);
}

const BLOCK: RamBlock = { idstr: "ram", usedLength: 1 << 20, index: 0 };
const OTHER: RamBlock = { idstr: "other", usedLength: PAGE, index: 1 };

test("a block that no list names gets a file as long as its pages reach", async (t) => {
  const work = mkdtempSync(join(tmpdir(), "qevm-unlisted-"));
  try {
    const sink = new MemorySink();
    const writer = createStreamWriter(sink, { machine: "none" });
    const [ram] = writer.ram.blocks([{ idstr: "list", usedLength: 64 * PAGE }]);
    await writer.ram.page(ram!, 2 * PAGE, pageOf(1));
    await writer.ram.zero(ram!, 9 * PAGE);
    writer.ram.end();
    await writer.finish();
    const bytes = sink.bytes();
    bytes.set(Buffer.from("gone"), Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).lastIndexOf("list"));
    const extracted = await extractBlocks(new MemorySource(bytes), join(work, "out"), { lenient: true });
    const length = 10 * PAGE;
    const [, entry] = extracted.blocks;
    t.deepEqual([entry?.block, entry?.blockLength, entry?.inStream], ["gone", length, true], "up to its last page");
    const file = readFileSync(join(work, "out", entry!.file));
    t.equal(file.length, length, "its file");
    t.ok(file.subarray(2 * PAGE, 3 * PAGE).equals(pageOf(1)), "its page");
    for (const target of [{ flatten: true }, { to: "mapped-ram" }] as const) {
      const out = join(work, Object.keys(target)[0]!);
      const done = await convertToFile(new MemorySource(bytes), out, { ...target, lenient: true });
      t.ok(done.complete, `convert, ${JSON.stringify(target)}`);
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
});

test("files and memory take the same writes", async (t) => {
  const work = mkdtempSync(join(tmpdir(), "qevm-stores-"));
  const scratch = new ScratchMemory(work, PAGE);
  const { files } = scratch;
  const memory = new MemoryPages();
  try {
    files.add(BLOCK);
    files.add(BLOCK);
    t.equal(files.size, 1, "added once");
    for (const store of [files, memory]) {
      store.write(BLOCK, 0, pageOf(1));
      store.write(BLOCK, PAGE, pageOf(2));
      store.zero(BLOCK, PAGE, PAGE);
      store.zero(BLOCK, 5 * PAGE, PAGE);
      store.write(BLOCK, 17 * PAGE, pageOf(3));
      store.write(BLOCK, 17 * PAGE, pageOf(4));
    }
    const ours = new Uint8Array(PAGE);
    const theirs = new Uint8Array(PAGE);
    for (let offset = 0; offset < 20 * PAGE; offset += PAGE) {
      files.read(BLOCK, offset, ours);
      memory.read(BLOCK, offset, theirs);
      t.deepEqual(ours, theirs, `page at ${offset}`);
    }
    const unknown = await refusal(() => files.write(OTHER, 0, ours));
    t.equal(unknown?.code, "usage");
    const past = new Uint8Array(2 * PAGE).fill(9);
    files.read(BLOCK, BLOCK.usedLength - PAGE, past);
    t.ok(
      past.every((byte) => byte === 0),
      "zeros after the end",
    );
  } finally {
    scratch.close();
    t.deepEqual(readdirSync(work), [], "gone when the work is done");
    rmSync(work, { recursive: true, force: true });
  }
  t.end();
});

for (const [how, threadAfter] of [
  ["written here", Number.POSITIVE_INFINITY],
  ["written by another thread", 0],
] as const) {
  test(`runs of pages in a batch, ${how}: files hold what memory holds`, async (t) => {
    const work = mkdtempSync(join(tmpdir(), "qevm-runs-"));
    const files = new BlockFiles(work, PAGE, threadAfter);
    const memory = new MemoryPages();
    const two: RamBlock = { idstr: "two", usedLength: 1 << 20, index: 1 };
    try {
      files.add(BLOCK);
      files.add(two);
      // Runs that cross a multiple of 128 KiB, that another block, a gap, a page again or a zero page ends.
      const runs: [RamBlock, number, number, number][] = [
        [BLOCK, 3, 70, RamFlag.PAGE],
        [two, 73, 5, RamFlag.PAGE],
        [BLOCK, 73, 40, RamFlag.PAGE],
        [BLOCK, 120, 1, RamFlag.PAGE],
        [BLOCK, 120, 12, RamFlag.PAGE],
        [BLOCK, 130, 4, RamFlag.ZERO],
        [BLOCK, 134, 1, RamFlag.PAGE],
        [two, 0, 32, RamFlag.PAGE],
        [two, 31, 2, RamFlag.PAGE],
        [BLOCK, 10, 3, RamFlag.ZERO],
      ];
      const records = runs.flatMap(([block, first, count, flag]) =>
        Array.from({ length: count }, (_, k) => ({ block, offset: (first + k) * PAGE, flag })),
      );
      const batch = new RamBatch(records.length);
      batch.reset(new Uint8Array((records.length + 1) * (PAGE + 8)).map((_, at) => (at * 7 + (at >> 12)) % 251));
      records.forEach(({ block, offset, flag }, i) => {
        batch.block[i] = block;
        batch.offset[i] = offset;
        batch.flag[i] = flag;
        batch.bodyStart[i] = 8 + i * (PAGE + 8);
        batch.bodyLength[i] = flag === RamFlag.PAGE ? PAGE : 1;
      });
      batch.count = records.length;
      await new RecordApplier(files, PAGE).apply(batch);
      await new RecordApplier(memory, PAGE).apply(batch);
      const byOthers = threadAfter === 0 && availableParallelism() > 1;
      t.equal(files.busy(batch.buffer) !== undefined, byOthers, "the batch's buffer is in use");
      await files.settle();
      t.equal(files.busy(batch.buffer), undefined, "and is not when everything is written");
      const ours = new Uint8Array(PAGE);
      const theirs = new Uint8Array(PAGE);
      const different: string[] = [];
      for (const block of [BLOCK, two]) {
        for (let offset = 0; offset < block.usedLength; offset += PAGE) {
          files.read(block, offset, ours);
          memory.read(block, offset, theirs);
          if (Buffer.compare(ours, theirs) !== 0) different.push(`${block.idstr} ${offset / PAGE}`);
        }
      }
      t.deepEqual(different, [], "no page is different");
      memory.read(BLOCK, 72 * PAGE, theirs);
      t.ok(
        theirs.some((byte) => byte !== 0),
        "and they are not all zeros",
      );
    } finally {
      await files.end();
      rmSync(work, { recursive: true, force: true });
    }
    t.end();
  });
}

test("a thread that is refused at once is an error", async (t) => {
  const error = await refusal(() => {
    ThreadPool.begin({ threads: 2, shape: RING, script: new URL("none.js", import.meta.url), data: () => undefined });
  });
  t.equal(`${error?.code}: ${error?.what}`, "io: a worker thread did not start");
  t.end();
});

test("what other threads cannot write is an error with the file's path, and the end of it", async (t) => {
  const work = mkdtempSync(join(tmpdir(), "qevm-thread-"));
  const path = join(work, "ram");
  const queue = new WriteQueue();
  const pieces = [pageOf(1), pageOf(2)];
  const [first] = pieces;
  writeFileSync(path, "");
  const fd = openSync(path, "r+");
  queue.add({ fd, path }, pieces, PAGE, first!);
  t.notOk(queue.overlaps({ fd, path }, 0, PAGE + 1), "another file object is another file");
  await queue.settle();
  t.deepEqual(readFileSync(path), Buffer.concat([Buffer.alloc(PAGE), ...pieces]), "written");
  closeSync(fd);
  const to = { fd: openSync(path, "r"), path };
  queue.add(to, pieces, 0, first!);
  queue.add(to, pieces, 0, first!);
  t.deepEqual([queue.overlaps(to, PAGE, 1), queue.overlaps(to, 2 * PAGE, 1)], [true, false], "what overlaps");
  await queue.busy(first!);
  for (const call of [() => queue.add(to, pieces, 0, first!), async () => await queue.settle()]) {
    const error = await refusal(call);
    t.match(`${error?.code}: ${error?.what}`, /^io: \S*\/ram: EBADF/u);
  }
  await queue.end();
  closeSync(to.fd);
  rmSync(work, { recursive: true });
  t.end();
});

test("extract waits for pages that other threads write before their buffer is filled again", async (t) => {
  const work = mkdtempSync(join(tmpdir(), "qevm-in-use-"));
  const sink = new MemorySink();
  const writer = createStreamWriter(sink, { machine: "none" });
  const length = 12 << 20;
  const [ram] = writer.ram.blocks([{ idstr: "ram", usedLength: length }]);
  for (let k = 0; k < length / PAGE; k++) await writer.ram.page(ram!, k * PAGE, pageOf(k % 256));
  writer.ram.end();
  await writer.finish();
  const truth = Buffer.concat(Array.from({ length: length / PAGE }, (_, k) => pageOf(k % 256)));
  const path = join(work, "stream");
  writeFileSync(path, sink.bytes());
  const file = FileSource.open(path);
  const bytes = sink.bytes();
  const sources: [string, ByteSource, number][] = [
    ["a file", file, 0],
    ["bytes in memory", new MemorySource(bytes), 0],
    ["small buffers", new MemorySource(bytes), 1 << 17],
  ];
  for (const [how, source, bufferSize] of sources) {
    const out = join(work, "out");
    await extractBlocks(source, out, { threadAfter: 0, ...(bufferSize > 0 && { bufferSize }) });
    t.equal(Buffer.compare(readFileSync(join(out, "ram")), truth), 0, how);
    rmSync(out, { recursive: true });
  }
  file.close();
  rmSync(work, { recursive: true });
  t.end();
});

test("block files are never written over others", async (t) => {
  const work = mkdtempSync(join(tmpdir(), "qevm-over-"));
  try {
    writeFileSync(join(work, "ram"), "mine");
    const files = new BlockFiles(work, PAGE);
    const error = await refusal(() => files.add(BLOCK));
    t.equal(error?.code, "io");
    files.close();
    t.equal(readFileSync(join(work, "ram"), "utf8"), "mine");
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  t.end();
});
