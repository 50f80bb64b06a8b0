import { deflateSync, inflateSync } from "node:zlib";
import test from "tape";
import { QevmError } from "../src/bytes/errors.js";
import { FlatMemory, loadStream, sinkOf } from "../src/rewrite/load/index.js";
import { MemorySource } from "../src/bytes/index.js";
import { StreamReader } from "../src/codec/stream/index.js";
import { corpusEntry } from "../tools/corpus.js";
import { sha256Of } from "../tools/sha256.js";

for (const name of ["compress-1-threads-8", "compress-live", "xbzrle-compress", "compress-live-nowait"]) {
  for (const [threads, engine] of [
    [1, "page"],
    [4, "fast"],
  ] as const) {
    test(`${name} loads to what its source held: ${threads} threads, ${engine}`, async (t) => {
      const entry = corpusEntry(name);
      const sink = new FlatMemory();
      const loaded = await loadStream(new MemorySource(entry.open()), sink, { decompressThreads: threads, engine });
      t.ok(loaded.pages.compressed > 0, `${loaded.pages.compressed} compressed pages`);
      let compared = 0;
      for (const { name: block, sha256 } of entry.truth.blocks) {
        const bytes = sink.blocks.get(block);
        if (sha256 === null || bytes === undefined) continue;
        compared++;
        t.equal(sha256Of(bytes), sha256, block);
      }
      t.ok(compared > 0, `${compared} blocks`);
    });
  }
}

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const u64 = (value: number): Buffer => Buffer.concat([u32(0), u32(value)]);
const EOS = u64(0x10);
const END = Buffer.concat([Buffer.from([3]), u32(2), EOS, Buffer.from([0])]);

/** A stream by hand: one block "r" of 256 pages and these records. */
function stream(...records: Buffer[]): Buffer {
  const start = Buffer.from("QEVM\0\0\0\u0003\u0001\0\0\0\u0002\u0003ram\0\0\0\0\0\0\0\u0004", "latin1");
  const list = Buffer.concat([u64(0x100000 | 4), Buffer.from("\u0001r"), u64(0x100000), EOS]);
  return Buffer.concat([start, list, Buffer.from([2]), u32(2), ...records, EOS, END]);
}
const named = (page: number, flag: number, ...body: Buffer[]): Buffer =>
  Buffer.concat([u64(page * 4096 + flag), Buffer.from("\u0001r"), ...body]);
const compressed = (page: number, payload: Uint8Array): Buffer =>
  named(page, 0x100, u32(payload.length), Buffer.from(payload));

const text = Buffer.alloc(4096, "the quick brown fox jumps over the lazy dog; ");

test("pages of one address are applied in stream order", async (t) => {
  const records: Buffer[] = [];
  const expected = new Map<number, number>();
  for (let i = 1; i < 1200; i++) {
    const page = (i * 7) % 5;
    // Runs of compressed copies, so that one page is wanted by several threads, between plain and zero ones.
    const kind = i % 40 < 30 ? 0 : i % 3;
    expected.set(page, kind === 2 ? 0 : i & 0xff);
    if (kind === 0) records.push(compressed(page, deflateSync(Buffer.alloc(4096, i & 0xff), { level: 1 })));
    else if (kind === 1) records.push(named(page, 0x08, Buffer.alloc(4096, i & 0xff)));
    else records.push(named(page, 0x02, Buffer.from([0])));
  }
  let calls = 0;
  for (const lent of [true, false]) {
    const store = new FlatMemory();
    const sink = lent ? store : sinkOf(store, () => calls++);
    await loadStream(new MemorySource(stream(...records)), sink, { decompressThreads: 2 });
    for (const [page, value] of expected) {
      const bytes = store.blocks.get("r")!.subarray(page * 4096, page * 4096 + 4096);
      t.ok(Buffer.alloc(4096, value).equals(bytes), `page ${page}, ${lent ? "written by the threads" : "given back"}`);
    }
  }
  t.equal(calls, 1199, "every page was seen by the caller's function");
});

test("damage is refused with its address, or passed over where that is asked for", async (t) => {
  const good = deflateSync(text, { level: 1 });
  const bad = Buffer.from(good);
  bad[bad.length - 1]! ^= 1;
  const bytes = stream(compressed(0, good), compressed(1, bad), compressed(2, good));
  const error: unknown = await loadStream(new MemorySource(bytes), new FlatMemory()).catch((reason: unknown) => reason);
  t.ok(error instanceof QevmError && error.code === "bad-compressed-data", String(error));
  if (error instanceof QevmError) {
    t.equal(error.offset, bytes.indexOf(compressed(1, bad)), "the record's byte");
    t.match(error.path.join(" > "), /section 2 "ram" > record 1 > page of "r" at 0x1000/u);
  }
  const sink = new FlatMemory();
  const loaded = await loadStream(new MemorySource(bytes), sink, { decompressErrorCheck: false });
  t.equal(loaded.damaged, 1);
  t.equal(loaded.warnings.length, 1, "and listed");
  const [listed] = loaded.warnings;
  t.equal(listed?.offset, bytes.indexOf(compressed(1, bad)), "with its record's byte");
  t.equal(listed?.replaced?.block, "r");
  t.equal(listed?.replaced?.blockOffset, 0x1000);
  t.match(String(listed?.replaced?.by), /^the 4096 bytes inflated before the damage/u);
  t.ok(text.equals(sink.blocks.get("r")!.subarray(0x2000, 0x3000)), "what follows is there");
});

/** Pages of a capture by QEMU whose payloads are short, inflated by zlib. */
async function capturedPages(name: string, count: number): Promise<Buffer[]> {
  const pages = new Map<string, Buffer>();
  for await (const item of new StreamReader(new MemorySource(corpusEntry(name).open()))) {
    if (item.kind !== "section") continue;
    for await (const batch of item.records()) {
      for (const { encoding, body } of batch) {
        if (encoding !== "compressed" || body.length > 250 || pages.size >= count) continue;
        const page = inflateSync(Buffer.from(body));
        pages.set(page.toString("latin1"), page);
      }
    }
  }
  return [...pages.values()];
}

test("every flipped, cut or lengthened byte of payloads is detected, or changes nothing", async (t) => {
  const pages = [text, ...(await capturedPages("compress-1-threads-1", 100))];
  let tried = 0;
  let harmless = 0;
  let undetected = 0;
  for (const page of pages) {
    const payload = deflateSync(page, { level: 1 });
    const damaged: Buffer[] = [];
    for (let at = 0; at < payload.length; at++) {
      const flipped = Buffer.from(payload);
      flipped[at]! ^= 1 << (at % 8);
      damaged.push(flipped);
      if (at % 4 === 0) damaged.push(payload.subarray(0, at));
    }
    for (let more = 1; more < 8; more++) damaged.push(Buffer.concat([payload, Buffer.alloc(more, more)]));
    const kept = damaged.filter(({ length }) => length <= 4110);
    for (let from = 0; from < kept.length; from += 200) {
      const some = kept.slice(from, from + 200);
      const sink = new FlatMemory();
      const records = some.map((bytes, i) => compressed(i, bytes));
      const loaded = await loadStream(new MemorySource(stream(...records)), sink, { decompressErrorCheck: false });
      let equal = 0;
      for (let i = 0; i < some.length; i++) {
        if (page.equals(sink.blocks.get("r")!.subarray(i * 4096, i * 4096 + 4096))) equal++;
      }
      tried += some.length;
      const passed = some.length - loaded.damaged;
      harmless += passed;
      // What was accepted must be the page: otherwise damage went through. (A refused page may be whole too: a bad checksum.)
      undetected += Math.max(0, passed - equal);
    }
  }
  t.ok(tried > 5000, `${tried} damaged payloads`);
  t.equal(undetected, 0, "none changes a page unseen");
  t.comment(`${pages.length} payloads; ${harmless} of ${tried} were accepted with the page unchanged`);
});

test("a sink refuses blocks that are longer than it wants", async (t) => {
  const bytes = stream(named(0, 0x02, Buffer.from([0])));
  const error: unknown = await loadStream(new MemorySource(bytes), new FlatMemory(4096)).catch(
    (reason: unknown) => reason,
  );
  t.ok(error instanceof QevmError && error.code === "limit", String(error));
});

test("a cut stream is refused", async (t) => {
  const bytes = stream(compressed(0, deflateSync(text)));
  const error: unknown = await loadStream(new MemorySource(bytes.subarray(0, -5)), new FlatMemory()).catch(
    (reason: unknown) => reason,
  );
  t.ok(error instanceof QevmError && error.code === "truncated", String(error));
});
