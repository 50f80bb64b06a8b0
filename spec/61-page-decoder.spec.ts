/** One page of any record: each encoding, what it was before, and what takes the place of a damaged one. */
import { deflateSync } from "node:zlib";
import test from "tape";
import { Diagnostics, QevmError } from "../src/bytes/errors.js";
import { encodeXbzrle } from "../src/codec/ram/xbzrle.js";
import { RamBatch, RamFlag, type RamBlock } from "../src/codec/ram/index.js";
import { PageDecoder } from "../src/guest/pages/page-decoder.js";
import { MemoryPages } from "../src/guest/pages/page-store.js";

const PAGE = 4096;
const BLOCK: RamBlock = { idstr: "ram", usedLength: 1 << 20, index: 0 };
const OLD = new Uint8Array(PAGE).map((_, at) => at % 251);
const NOW = OLD.map((byte, at) => (at % 100 === 0 ? 1 : byte));

/** A batch of one record. */
function record(flag: number, body: Uint8Array, fill = 0): RamBatch {
  const batch = new RamBatch(1);
  batch.reset(body);
  batch.count = 1;
  batch.block[0] = BLOCK;
  batch.offset[0] = 2 * PAGE;
  batch.position[0] = 1000;
  batch.flag[0] = flag;
  batch.fill[0] = fill;
  batch.bodyLength[0] = body.length;
  return batch;
}

function delta(): Uint8Array {
  const into = new Uint8Array(PAGE);
  return into.subarray(0, encodeXbzrle(OLD, NOW, into));
}

function memory(): MemoryPages {
  const pages = new MemoryPages();
  pages.write(BLOCK, 2 * PAGE, OLD);
  return pages;
}

test("a page decoder gives the page of every encoding, with and without the fast engine", async (t) => {
  const records: [name: string, batch: RamBatch, page: Uint8Array][] = [
    ["zero", record(RamFlag.ZERO, new Uint8Array(0)), new Uint8Array(PAGE)],
    ["another fill", record(RamFlag.ZERO, new Uint8Array(0), 7), new Uint8Array(PAGE).fill(7)],
    ["normal", record(RamFlag.PAGE, NOW), NOW],
    ["compressed", record(RamFlag.COMPRESS_PAGE, deflateSync(NOW)), NOW],
    ["xbzrle", record(RamFlag.XBZRLE, delta()), NOW],
  ];
  for (const [name, batch, page] of records) {
    const decoder = new PageDecoder(PAGE);
    t.deepEqual(decoder.pageOf(batch, 0, memory()), page, `${name}: exact engine`);
    const fast = new PageDecoder(PAGE);
    await fast.prepare(batch);
    t.deepEqual(fast.pageOf(batch, 0, memory()), page, `${name}: loaded engine`);
    const store = memory();
    fast.applyTo(store, batch, 0);
    const read = new Uint8Array(PAGE);
    store.read(BLOCK, 2 * PAGE, read);
    t.deepEqual(read, page, `${name}: applied`);
  }
  t.end();
});

test("a normal page is a view of its batch", (t) => {
  const batch = record(RamFlag.PAGE, NOW);
  t.equal(new PageDecoder(PAGE).pageOf(batch, 0, undefined).buffer, batch.buffer.buffer);
  t.end();
});

test("a damaged page is refused with its address, or replaced and told", (t) => {
  const cut = deflateSync(NOW, { level: 0 }).subarray(0, 500);
  const damaged: [flag: number, body: Uint8Array, code: string, by: RegExp][] = [
    [RamFlag.COMPRESS_PAGE, cut, "bad-compressed-data", /^(zeros|the \d+ bytes before the damage, and zeros)$/u],
    [RamFlag.XBZRLE, Uint8Array.of(0, 0), "bad-xbzrle", /^the page as it was before$/u],
  ];
  for (const [flag, body, code, by] of damaged) {
    const batch = record(flag, body);
    const path = ['section 2 "ram"'];
    try {
      new PageDecoder(PAGE, { path }).pageOf(batch, 0, memory());
      t.fail("it must be refused");
    } catch (error) {
      if (!(error instanceof QevmError)) throw error;
      t.deepEqual([error.code, error.offset], [code, 1000]);
      t.deepEqual(error.path, [...path, "record 0", 'page of "ram" at 0x2000']);
    }
    const diagnostics = new Diagnostics({ lenient: true });
    const page = new PageDecoder(PAGE, { path, diagnostics }).pageOf(batch, 0, memory());
    t.equal(diagnostics.passedOver, 1);
    const { replaced } = diagnostics.warnings[0]!;
    t.deepEqual([replaced?.block, replaced?.blockOffset], ["ram", 2 * PAGE]);
    t.match(replaced?.by ?? "", by);
    if (flag === RamFlag.XBZRLE) t.deepEqual(page, OLD, "as it was before");
    else
      t.ok(
        page.subarray(500).every((byte) => byte === 0),
        "zeros after the damage",
      );
  }
  t.throws(() => new PageDecoder(PAGE).pageOf(record(RamFlag.XBZRLE, delta()), 0, undefined), /memory was not kept/u);
  t.end();
});
