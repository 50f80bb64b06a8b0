/** Guest memory in sparse files, a block a file: the same as in memory, whoever writes it. */
import { spawnSync } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import test from "tape";
import { convertToFile } from "../src/rewrite/convert/convert-file.js";
import { RecordApplier } from "../src/guest/pages/apply.js";
import { BlockFiles } from "../src/guest/files/block-files.js";
import { extractBlocks } from "../src/guest/files/extract-blocks.js";
import { MemoryPages } from "../src/guest/pages/page-store.js";
import { ScratchMemory } from "../src/guest/files/scratch.js";
import { MemorySink, MemorySource } from "../src/bytes/index.js";
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

/** Writes pages until another thread takes over, where there is more than one processor. */
async function threadOf(files: BlockFiles, block: RamBlock, also?: (offset: number, page: Uint8Array) => void) {
  const until = performance.now() + 20_000;
  while (!files.isThreaded && availableParallelism() > 1) {
    if (performance.now() > until) throw new Error("no thread in 20 s");
    for (let offset = 0; offset < 1 << 18; offset += PAGE) {
      files.write(block, offset, pageOf(1));
      also?.(offset, pageOf(1));
    }
    await setTimeout(1);
  }
}

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
      if (threadAfter === 0) await threadOf(files, two, (offset, page) => memory.write(two, offset, page));
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
      files.close();
      rmSync(work, { recursive: true, force: true });
    }
    t.end();
  });
}

test("a thread that does not come to run, or may not, is done without", { timeout: 60_000 }, async (t) => {
  const work = mkdtempSync(join(tmpdir(), "qevm-without-"));
  const sink = new MemorySink();
  const writer = createStreamWriter(sink, { machine: "none" });
  const [ram] = writer.ram.blocks([{ idstr: "ram", usedLength: 1 << 20 }]);
  for (let offset = 0; offset < 1 << 20; offset += PAGE) await writer.ram.page(ram!, offset, pageOf(1 + offset / PAGE));
  writer.ram.end();
  await writer.finish();
  const truth = Buffer.concat(Array.from({ length: 256 }, (_, k) => pageOf(1 + k)));
  // A bundle of the library, as programs are shipped: the module of the thread is not beside it, or its place is not known.
  const library = fileURLToPath(new URL("../src/guest/files/extract-blocks.js", import.meta.url));
  for (const format of ["esm", "cjs"] as const) {
    const outfile = join(work, format === "esm" ? "bundle.mjs" : "bundle.cjs");
    const bundle = {
      bundle: true,
      platform: "node",
      logLevel: "error",
      format,
      outfile,
    } as const;
    await build({ ...bundle, entryPoints: [library] });
    const { extractBlocks: bundled } = (await import(outfile)) as { extractBlocks: typeof extractBlocks };
    const folder = join(work, format);
    await bundled(new MemorySource(sink.bytes()), folder, { threadAfter: 0 });
    t.equal(Buffer.compare(readFileSync(join(folder, "ram")), truth), 0, `bundled as ${format}: every page is there`);
  }
  const error = await refusal(() => {
    ThreadPool.begin({ threads: 2, shape: RING, script: new URL("none.js", import.meta.url), data: () => undefined });
  });
  t.equal(`${error?.code}: ${error?.what}`, "io: a worker thread did not start", "a thread that is refused at once");
  rmSync(work, { recursive: true });
  t.end();
});

test("where address space is limited no thread is started: its heap may end the process", (t) => {
  const work = mkdtempSync(join(tmpdir(), "qevm-limited-"));
  const script = `
    import { BlockFiles } from ${JSON.stringify(new URL("../src/guest/files/block-files.js", import.meta.url).href)};
    const files = new BlockFiles(process.argv[2], 4096, 0);
    const block = { idstr: "ram", usedLength: 1 << 26, index: 0 };
    files.add(block);
    const until = performance.now() + Number(process.argv[3]);
    for (let offset = 0; !files.isThreaded && performance.now() < until; offset = (offset + 4096) % (1 << 26)) {
      files.write(block, offset, new Uint8Array(4096));
      if (offset % (1 << 20) === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    console.log(files.isThreaded);
    files.close();`;
  const program = join(work, "program.mjs");
  writeFileSync(program, script);
  const run = (limit: string, wait: number): string => {
    mkdirSync(join(work, limit));
    const line = `ulimit -v ${limit}; exec "$0" "$1" "$2" ${wait}`;
    const { stdout, stderr } = spawnSync("bash", ["-c", line, process.execPath, program, join(work, limit)], {
      encoding: "utf8",
    });
    return `${stdout}${stderr}`.trim();
  };
  t.equal(run("unlimited", 20_000), String(availableParallelism() > 1), "a thread where there is no limit");
  t.equal(run(String(1 << 25), 500), "false", "none with a limit");
  rmSync(work, { recursive: true });
  t.end();
});

test("what another thread cannot write is an error with the file's path, and the end of it", async (t) => {
  const work = mkdtempSync(join(tmpdir(), "qevm-thread-"));
  const files = new BlockFiles(work, PAGE, 0);
  const block: RamBlock = { idstr: "ram", usedLength: 1 << 26, index: 0 };
  files.add(block);
  await threadOf(files, block);
  // The descriptor, found by its path, is closed under the thread.
  const path = join(work, "ram");
  const fd = readdirSync("/proc/self/fd").find((name) => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`) === path;
    } catch {
      return false;
    }
  });
  closeSync(Number(fd));
  const error = await refusal(() => {
    for (let offset = 1 << 20; offset < 1 << 26; offset += PAGE) files.write(block, offset, pageOf(2));
    files.settle();
  });
  t.match(`${error?.code}: ${error?.what}`, /^io: \S*\/ram: EBADF/u);
  openSync("/dev/null", "r");
  files.close();
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
