import test from "tape";
import { deflateSync } from "node:zlib";
import { FlatMemory, loadStream } from "../src/rewrite/load/index.js";
import { MemorySink, MemorySource, QemuFileWriter } from "../src/bytes/index.js";
import { RamSave, saveStream, SharedBlock, type GuestBlock } from "../src/rewrite/save/index.js";
import { StreamReader } from "../src/codec/stream/index.js";
import { corpusEntry } from "../tools/corpus.js";
import { destinationLike, readRamBlock, startDestination } from "../tools/destination/index.js";
import { fillMemory } from "../tools/guest/fill-memory.js";
import { findQemu } from "../tools/qemu/find.js";
import { processorClock } from "./support/processor-time.js";

/** A block as long as one likes that takes no memory: every 64th page is text, the others are zeros. */
function simulated(usedLength: number): GuestBlock {
  const text = Buffer.alloc(4096, "a page that is the same everywhere ");
  return {
    index: 0,
    idstr: "ram",
    usedLength,
    log: new Int32Array(new SharedArrayBuffer(usedLength / 4096 / 8)),
    isZero: (offset) => (offset / 4096) % 64 !== 0,
    page: () => text,
  };
}

/** CPU microseconds a page, and how far the resident memory went up. */
async function cost(usedLength: number): Promise<{ perPage: number; grown: number }> {
  const before = process.memoryUsage.rss();
  let most = before;
  const file = new QemuFileWriter({
    write: () => {
      most = Math.max(most, process.memoryUsage.rss());
    },
  });
  const spent = processorClock();
  const statistics = await RamSave.run(file, [simulated(usedLength)], { compressThreads: 2, maxBandwidth: 0 });
  const time = spent();
  if (statistics.compression.pages < usedLength / 4096 / 64 - 1) throw new Error("pages are missing");
  return { perPage: (1000 * time) / (usedLength / 4096), grown: most - before };
}

test("the cost of a page does not depend on the size of the guest", async (t) => {
  await cost(256 << 20);
  const small = await cost(4 * 1024 ** 3);
  const large = await cost(16 * 1024 ** 3);
  t.ok(
    large.perPage < small.perPage * 1.5,
    `4 GiB ${small.perPage.toFixed(2)} us, 16 GiB ${large.perPage.toFixed(2)} us a page`,
  );
  t.ok(large.grown < 100e6, `resident memory beyond the guest's own: ${(large.grown / 1e6).toFixed(1)} MB`);
});

test("a memory of ours with the devices and the other blocks of a PC loads in QEMU 7.2", async (t) => {
  const qemu = findQemu("7.2");
  if (qemu === undefined) {
    t.skip("no QEMU 7.2 here");
    return;
  }
  const entry = corpusEntry("compress-1-threads-8");
  const theirs = new FlatMemory();
  const { blocks: list } = await loadStream(new MemorySource(entry.open()), theirs);
  const blocks = list.map(({ index, idstr, usedLength }) => {
    const block = new SharedBlock(index, idstr, new SharedArrayBuffer(usedLength));
    if (idstr === "pc.ram") fillMemory(block.bytes, 11);
    else block.bytes.set(theirs.blocks.get(idstr)!);
    return block;
  });
  const sink = new MemorySink();
  await saveStream(new MemorySource(entry.open()), sink, blocks, { compressThreads: 2, maxBandwidth: 0 });
  const { vm, result } = await startDestination(destinationLike(entry, { stream: sink.bytes() }));
  try {
    t.ok(result.loaded, `loaded ${result.error}`);
    const ours = blocks.find(({ idstr }) => idstr === "pc.ram")!;
    if (result.loaded) t.ok(Buffer.from(ours.bytes).equals((await readRamBlock(vm, "pc.ram"))!), "pc.ram is ours");
  } finally {
    await vm.close();
  }
});

test("the level arrives at the threads (the bytes are chapter 06's business)", async (t) => {
  const block = new SharedBlock(0, "ram", new SharedArrayBuffer(64 * 4096));
  fillMemory(block.bytes, 5);
  const template = corpusEntry("machine-none").open();
  for (const compressLevel of [1, 6]) {
    const sink = new MemorySink();
    const options = { compressThreads: 2, compressLevel, engine: "exact" as const, maxBandwidth: 0 };
    await saveStream(new MemorySource(template), sink, [block], options);
    let lengths = 0;
    let header = 0;
    for await (const item of new StreamReader(new MemorySource(sink.bytes()))) {
      if (item.kind !== "section") continue;
      for await (const batch of item.records()) {
        for (const { encoding, body } of batch) {
          if (encoding !== "compressed") continue;
          lengths++;
          header = (body[0]! << 8) | body[1]!;
        }
      }
    }
    t.ok(lengths > 40, `${lengths} compressed pages`);
    t.equal(header, deflateSync("", { level: compressLevel }).readUInt16BE(0), `zlib header of level ${compressLevel}`);
  }
});
