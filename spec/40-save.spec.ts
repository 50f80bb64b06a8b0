import { inflateSync } from "node:zlib";
import test from "tape";
import { QevmError } from "../src/bytes/errors.js";
import { FlatMemory, loadStream } from "../src/rewrite/load/index.js";
import { MemorySource } from "../src/bytes/index.js";
import { CompressThreads, SharedBlock, saveStream, type SaveOptions } from "../src/rewrite/save/index.js";
import { fillMemory } from "../tools/guest/fill-memory.js";
import { WritingGuest } from "./support/guest.js";
import { arrivesWhole, live, machine, ram } from "./support/live-save.js";

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
  test(`a memory that 8 threads write arrives whole: ${name}`, (t) => arrivesWhole(t, options));
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
