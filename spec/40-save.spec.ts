import { inflateSync } from "node:zlib";
import test from "tape";
import { QevmError } from "../src/errors.js";
import { FlatMemory, loadStream } from "../src/load/index.js";
import { MemorySink, MemorySource, QemuFileReader } from "../src/qemu-file/index.js";
import {
  CompressThreads,
  markDirty,
  SharedBlock,
  saveStream,
  type MigrationStatistics,
  type SaveOptions,
  type SavePageHook,
} from "../src/save/index.js";
import { corpusEntry } from "../tools/corpus.js";
import { startDestination, readRamBlock } from "../tools/destination/index.js";
import { fillMemory } from "../tools/guest/fill-memory.js";
import { findQemu } from "../tools/qemu/find.js";
import { commonArguments } from "../tools/qemu/process.js";
import { WritingGuest } from "./support/guest.js";

const template = corpusEntry("machine-none");

/** The template's block list by hand: be64 total | 4, then str8 name, be64 length, behind the START header of "ram". */
function templateBlocks(stream: Buffer): { idstr: string; length: number }[] {
  const at = stream.indexOf("\u0003ram", 0, "latin1") + 12;
  const reader = QemuFileReader.over(stream.subarray(at));
  const total = Number(reader.u64() & ~0xfffn);
  const blocks = [];
  for (let sum = 0; sum < total;) {
    const idstr = reader.string8();
    const length = Number(reader.u64());
    blocks.push({ idstr, length });
    sum += length;
  }
  return blocks;
}

interface Run {
  stream: Uint8Array;
  statistics: MigrationStatistics;
  memory: Uint8Array;
  name: string;
}

const machine = template.open();
const [ram] = templateBlocks(machine);

/**
 * Takes no page, but changes the first 256 again whenever they go, three times: however little a busy machine lets the
 * writers run, there is a third round, and XBZRLE has something to find.
 */
function touchAgain(): SavePageHook {
  let left = 3 * 256;
  return (block, offset, page) => {
    if (offset >= 256 * 4096 || left === 0) return false;
    left--;
    page[left % 4096]! ^= 0x5a;
    markDirty(block.log, offset / 4096);
    return false;
  };
}

async function live(options: SaveOptions, writers = 8, rate = 150): Promise<Run> {
  const buffer = new SharedArrayBuffer(ram!.length);
  const block = new SharedBlock(0, ram!.idstr, buffer);
  fillMemory(block.bytes, 7);
  const guest = await WritingGuest.start(block, writers, rate);
  const sink = new MemorySink();
  try {
    const statistics = await saveStream(new MemorySource(machine), sink, [block], {
      maxBandwidth: 8e6,
      downtimeLimit: 30,
      hook: touchAgain(),
      ...options,
      stop: () => guest.stop(),
    });
    return { stream: sink.bytes(), statistics, memory: block.bytes, name: block.idstr };
  } finally {
    await guest.stop();
  }
}

const VARIANTS: readonly [string, SaveOptions][] = [
  ["1 thread, level 1, waits, fast", { compressThreads: 1, engine: "fast" }],
  [
    "2 threads, level 9, does not wait, exact",
    { compressThreads: 2, engine: "exact", compressLevel: 9, compressWaitThread: false },
  ],
  ["8 threads, level 1, waits, exact", { compressThreads: 8, engine: "exact" }],
  [
    "8 threads, level 9, waits, fast, xbzrle",
    { compressThreads: 8, engine: "fast", compressLevel: 9, xbzrle: true, xbzrleCacheSize: 1 << 22 },
  ],
  ["2 threads, does not wait, page, xbzrle", { compressThreads: 2, compressWaitThread: false, xbzrle: true }],
  ["no compression, xbzrle", { xbzrle: true }],
  ["no compression", {}],
];

for (const [name, options] of VARIANTS) {
  test(`a memory that 8 threads write arrives whole: ${name}`, async (t) => {
    const { stream, statistics, memory, name: block } = await live(options);
    const sink = new FlatMemory();
    const loaded = await loadStream(new MemorySource(stream), sink);
    t.ok(Buffer.from(memory).equals(sink.blocks.get(block)!), "our own load path holds what the guest held");
    const { ram: figures, compression } = statistics;
    t.equal(loaded.pages.compressed, compression.pages, `compression.pages ${compression.pages}`);
    t.equal(loaded.pages.normal, figures.normal, `normal ${figures.normal}`);
    t.equal(loaded.pages.zero, figures.duplicate, `duplicate ${figures.duplicate}`);
    t.equal(loaded.pages.xbzrle, statistics["xbzrle-cache"].pages, `xbzrle pages ${loaded.pages.xbzrle}`);
    if (options.xbzrle === true) t.ok(loaded.pages.xbzrle > 0, "some pages went as differences");
    t.equal(figures.transferred, stream.length, "transferred");
    t.ok(figures["dirty-sync-count"] > 2, `${figures["dirty-sync-count"]} syncs`);
    if (options.compressThreads === undefined) t.equal(compression.pages, 0);
    else t.ok(compression.pages > 0 && compression["compressed-size"] > compression.pages * 4, "pages were compressed");
    if (options.compressWaitThread === false) t.ok(compression.busy >= 0, `${compression.busy} busy`);
    else t.equal(compression.busy, 0, "nobody was found busy");
    const qemu = findQemu("7.2");
    if (qemu === undefined) {
      t.comment("SKIP real destination: no QEMU 7.2 here");
      return;
    }
    const { vm, result } = await startDestination({
      qemu,
      args: template.capture.command.slice(1 + commonArguments.length),
      capabilities: ["compress"],
      stream,
    });
    try {
      t.ok(result.loaded, `QEMU 7.2 loads it ${result.error}`);
      if (result.loaded) t.ok(Buffer.from(memory).equals((await readRamBlock(vm, block))!), "and holds the same");
    } finally {
      await vm.close();
    }
  });
}

test("a page that changes under the compressor never makes a record that does not inflate", async (t) => {
  const block = new SharedBlock(0, "ram", new SharedArrayBuffer(64 * 4096));
  fillMemory(block.bytes, 3);
  const guest = await WritingGuest.start(block, 2, 0);
  for (const engine of ["fast", "page", "exact"] as const) {
    let good = 0;
    const options = { threads: 2, engine, memories: [block.shared] };
    const threads = await CompressThreads.start<number>(options, ({ count, records, starts, lengths, zero }) => {
      for (let i = 0; i < count; i++) {
        if (zero[i] === 1) good++;
        else if (inflateSync(records.slice(starts[i]! + 12, starts[i]! + lengths[i]!)).length === 4096) good++;
      }
    });
    for (let i = 0; i < 3000; i++) threads.addShared(0, 0, (i % 64) * 4096);
    threads.flush();
    await threads.close();
    t.equal(good, 3000, `${engine}: zlib takes all of them`);
  }
  await guest.stop();
});

test("pages that threads still have when the guest stops belong to END", async (t) => {
  // Everything fits the downtime limit after the first part: END begins with batches under way.
  const options = { compressThreads: 2, maxBandwidth: 4e6, downtimeLimit: 1e6 };
  const { stream, statistics, memory, name } = await live(options, 1, 1);
  const sink = new FlatMemory();
  const loaded = await loadStream(new MemorySource(stream), sink);
  t.equal(loaded.pages.compressed, statistics.compression.pages);
  t.equal(loaded.bytes, stream.length);
  t.ok(Buffer.from(memory).equals(sink.blocks.get(name)!), "the memory is whole");
});

test("a cancelled save ends its threads and says so", async (t) => {
  const abort = new AbortController();
  setTimeout(() => abort.abort(), 150);
  const { statistics, stream } = await live({ compressThreads: 2, maxBandwidth: 1e6, signal: abort.signal });
  t.equal(statistics.status, "cancelled");
  const error: unknown = await loadStream(new MemorySource(stream), new FlatMemory()).catch(
    (reason: unknown) => reason,
  );
  t.ok(error instanceof QevmError && error.code === "truncated", String(error));
});

test("a hook may take a page", async (t) => {
  let asked = 0;
  const { statistics } = await live(
    {
      compressThreads: 1,
      hook: (_block, offset) => {
        asked++;
        return offset === 0x3000;
      },
    },
    1,
    1,
  );
  const { ram: figures, compression } = statistics;
  t.ok(asked >= ram!.length / 4096, "every page is asked for");
  t.ok(asked > figures.normal + figures.duplicate + compression.pages, "and one did not go");
});

test("a failing sink fails the save", async (t) => {
  const block = new SharedBlock(0, ram!.idstr, new SharedArrayBuffer(ram!.length));
  fillMemory(block.bytes, 9);
  const sink = {
    write: () => {
      throw new QevmError("io", "the link is gone");
    },
  };
  const error: unknown = await saveStream(new MemorySource(machine), sink, [block], { compressThreads: 2 }).catch(
    (reason: unknown) => reason,
  );
  t.ok(error instanceof QevmError && error.what === "the link is gone");
});
