import { readFileSync } from "node:fs";
import { deflateRawSync, deflateSync } from "node:zlib";
import test from "tape";
import { createDeflater, createInflater, ExactDeflater, payloadBound, type PageInflater } from "../src/engine/index.js";
import { QevmError } from "../src/bytes/errors.js";
import { makePage, PAGE_MAKERS, Random } from "../tools/engine/pages.js";
import { pythonDecompress, pythonZlibVersion } from "../tools/engine/python-zlib.js";
import { sha256Of } from "../tools/sha256.js";

interface Vectors {
  madeBy: string;
  zeroPageLevel1: string;
  pages: { kind: string; seed: number; page: string; levels: string[] }[];
}
const vectors = JSON.parse(
  readFileSync(new URL("../../spec/06-engine.vectors.json", import.meta.url), "utf8"),
) as Vectors;
const sha = (bytes: Uint8Array): string => sha256Of(bytes).slice(0, 32);
const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
const KINDS = Object.keys(PAGE_MAKERS);

/** The refusal of a payload, in words. */
function refusal(inflater: PageInflater, payload: Uint8Array, into = new Uint8Array(inflater.pageSize)): string {
  try {
    inflater.inflate(payload, into);
  } catch (error) {
    if (!(error instanceof QevmError)) throw error;
    return `${error.code}: ${error.what}`;
  }
  return "inflated";
}

test(`the exact engine gives the bytes of C zlib at every level`, async (t) => {
  t.comment(`expected bytes: ${vectors.madeBy}`);
  t.ok(vectors.pages.length >= 40, `${vectors.pages.length} pages`);
  const inflaters = [await createInflater("exact"), await createInflater("fast")];
  const into = new Uint8Array(4096);
  for (let level = 0; level <= 9; level++) {
    const exact = new ExactDeflater({ level });
    let bad = 0;
    for (const { kind, seed, page: hash, levels } of vectors.pages) {
      const page = makePage(kind, seed);
      const payload = exact.deflate(page);
      if (sha(page) !== hash || `${payload.length} ${sha(payload)}` !== levels[level]) bad++;
      for (const inflater of inflaters) {
        inflater.inflate(payload, into);
        if (!same(into, page)) bad++;
      }
    }
    t.equal(bad, 0, `level ${level}: all payloads equal, and inflated again by each engine`);
  }
  const zero = new ExactDeflater().deflate(new Uint8Array(4096));
  t.equal(Buffer.from(zero).toString("hex"), vectors.zeroPageLevel1, "the zero page at level 1, in full");
});

test("the fast engine's payloads are zlib streams of the page", async (t) => {
  const inflater = await createInflater("exact");
  const into = new Uint8Array(4096);
  const payloads: Uint8Array[] = [];
  const pages: Uint8Array[] = [];
  for (const level of [0, 1, 6, 9]) {
    const fast = await createDeflater("fast", { level });
    let bad = 0;
    for (const kind of KINDS) {
      const page = makePage(kind, 77);
      const payload = fast.deflate(page);
      if (payload.length > payloadBound(4096)) bad++;
      if (!same(payload, deflateSync(page, { level }))) bad++;
      inflater.inflate(payload, into);
      if (!same(into, page)) bad++;
      payloads.push(payload.slice());
      pages.push(page);
    }
    t.equal(bad, 0, `level ${level}: what deflateSync gives, and read by pako`);
  }
  if (pythonZlibVersion() === undefined) return t.skip("no python3 here: C zlib is not asked");
  t.ok(
    pythonDecompress(payloads).every((page, i) => page !== undefined && same(page, pages[i]!)),
    "read by C zlib",
  );
});

test("both engines give the same error messages", async (t) => {
  const page = makePage("words of text", 5);
  const good = Uint8Array.from(deflateSync(page, { level: 1 }));
  const changed = (at: number, xor: number): Uint8Array => {
    const copy = good.slice();
    copy[at < 0 ? copy.length + at : at]! ^= xor;
    return copy;
  };
  const raw = deflateRawSync(page);
  const rows: [string, Uint8Array, RegExp][] = [
    ["nothing", good.subarray(0, 0), /ends early: inflated 0 of 4,096 bytes$/],
    ["cut in the middle", good.subarray(0, 500), /ends early: inflated \d+(,\d+)? of 4,096 bytes$/],
    ["checksum cut off", good.subarray(0, -4), /all 4,096 bytes inflated, but the end of the zlib stream is missing$/],
    ["checksum cut", good.subarray(0, -1), /but the end of the zlib stream is missing$/],
    ["checksum wrong", changed(-1, 1), /damaged \(incorrect data check\) after [\d,]+ bytes: inflated 4,096 of/],
    ["first byte wrong", changed(0, 1), /damaged \(incorrect header check\) after 2 bytes: inflated 0 of/],
    ["code table damaged", changed(5, 0xff), /damaged \(/],
    ["one trailing byte", Buffer.concat([good, Buffer.of(0)]), /^bad-compressed-data: 1 trailing byte after the zlib/],
    ["two streams", Buffer.concat([good, good]), /[\d,]+ trailing bytes after the zlib stream of [\d,]+ bytes$/],
    ["a byte too long", deflateSync(Buffer.alloc(4097)), /longer than a page of 4,096 bytes$/],
    ["far too long", deflateSync(Buffer.alloc(1 << 20)), /longer than a page of 4,096 bytes$/],
    ["a byte too short", deflateSync(Buffer.alloc(4095)), /whole but holds less than a page: inflated 4,095 of 4,096/],
    ["empty", deflateSync(Buffer.alloc(0)), /whole but holds less than a page: inflated 0 of 4,096 bytes$/],
    ["dictionary", deflateSync(page, { dictionary: Buffer.from("abc") }), /asks for a preset dictionary$/],
    ["no zlib header", raw, /damaged \(/],
  ];
  const exact = await createInflater("exact");
  const fast = await createInflater("fast");
  const into = new Uint8Array(4096);
  for (const [what, payload, words] of rows) {
    const said = refusal(exact, payload);
    t.match(said, words, what);
    t.match(said, /^bad-compressed-data: /, `${what}: typed`);
    t.equal(refusal(fast, payload), said, `${what}: the fast engine says the same`);
    t.equal(fast.produced, exact.produced, `${what}: ${exact.produced} bytes produced`);
    for (const engine of [exact, fast]) {
      into.fill(0);
      engine.inflate(good, into);
      t.ok(same(into, page) && engine.produced === 4096, `${what}: ${engine.kind} then inflates a good payload`);
    }
  }
});

test("random damage: both engines agree, and damage that changes the page is detected", async (t) => {
  const exact = await createInflater("exact");
  const fast = await createInflater("fast");
  const random = new Random(11);
  const a = new Uint8Array(4096);
  const b = new Uint8Array(4096);
  let seen = 0;
  let harmless = 0;
  let unseen = 0;
  let disagreed = 0;
  for (let i = 0; i < 1500; i++) {
    const page = makePage(KINDS[i % KINDS.length]!, i);
    const payload = Uint8Array.from(deflateSync(page, { level: 1 }));
    const damaged = payload.slice(0, random.below(4) === 0 ? random.below(payload.length) : payload.length);
    if (damaged.length === payload.length) damaged[random.below(damaged.length)]! ^= 1 << random.below(8);
    const said = refusal(exact, damaged, a);
    if (refusal(fast, damaged, b) !== said) disagreed++;
    if (said !== "inflated") seen++;
    else if (same(a, page)) harmless++;
    else unseen++;
  }
  t.equal(disagreed, 0, "no disagreement");
  t.equal(unseen, 0, `${seen} refused, ${harmless} gave the very page (bits that mean nothing)`);
});

test("batches give what single calls give", async (t) => {
  for (const kind of ["exact", "fast"] as const) {
    const deflater = await createDeflater(kind);
    const inflater = await createInflater(kind);
    const capacity = KINDS.length + 1;
    const batch = deflater.batch(capacity);
    const back = inflater.batch(capacity);
    const pages = [...KINDS.map((k) => makePage(k, 3)), new Uint8Array(4096)];
    const single = pages.map((page) => deflater.deflate(page).slice());
    pages.forEach((page, i) => {
      batch.pages.set(page, i * 4096);
      batch.words[i] = BigInt(i * 4096) | 0x20n;
    });
    const total = batch.run(capacity);
    let bad = 0;
    let sum = 0;
    single.forEach((payload, i) => {
      const zero = i === capacity - 1;
      const got = batch.output.subarray(batch.starts[i], batch.starts[i]! + batch.lengths[i]!);
      if (batch.zero[i] !== (zero ? 1 : 0) || !same(got, zero ? new Uint8Array(0) : payload)) bad++;
      sum += got.length;
    });
    t.equal(bad, 0, `${kind}: payloads`);
    t.equal(total, sum, `${kind}: total`);

    const length = batch.runRecords(capacity);
    const expected = single.map((payload, i) => {
      const record = Buffer.alloc(i === capacity - 1 ? 9 : 12);
      record.writeBigUInt64BE(BigInt(i * 4096) + 0x20n + (i === capacity - 1 ? 0x02n : 0x100n));
      if (i === capacity - 1) return record;
      record.writeUInt32BE(payload.length, 8);
      return Buffer.concat([record, payload]);
    });
    t.ok(same(batch.output.subarray(0, length), Buffer.concat(expected)), `${kind}: records`);

    let at = 0;
    single.forEach((payload, i) => {
      back.input.set(payload, at);
      back.starts[i] = at;
      back.lengths[i] = payload.length;
      at += payload.length;
    });
    t.equal(back.run(capacity), 0, `${kind}: all inflate`);
    t.ok(same(back.pages, Buffer.concat(pages)), `${kind}: pages`);
    back.lengths[2] = 40;
    back.input[back.starts[3]!]! ^= 1;
    t.equal(back.run(capacity), 2, `${kind}: two refused`);
    t.match(back.failure(2)?.what ?? "", /ends early/);
    t.match(back.failure(3)?.what ?? "", /incorrect header check/);
    t.equal(back.failure(1), undefined);
    t.equal(back.produced[1], 4096);
    t.ok(back.produced[2]! < 4096, `${kind}: ${back.produced[2]} bytes of the cut page`);
  }
});

test("other page sizes, wrong pages and wrong options", async (t) => {
  for (const pageSize of [1024, 8192, 65536]) {
    for (const kind of ["exact", "fast"] as const) {
      const page = makePage("words of text", 9, new Uint8Array(pageSize));
      const into = new Uint8Array(pageSize);
      (await createInflater(kind, { pageSize })).inflate(
        (await createDeflater(kind, { pageSize })).deflate(page),
        into,
      );
      t.ok(same(into, page), `${kind}, ${pageSize} bytes`);
    }
  }
  const deflater = new ExactDeflater();
  t.throws(() => deflater.deflate(new Uint8Array(4095)), /not one page .expected 4096 bytes, found 4095 bytes/);
  t.throws(() => new ExactDeflater({ level: 10 }), /invalid compression level/);
  t.throws(() => new ExactDeflater({ pageSize: 0 }), /invalid page size/);
  t.throws(() => deflater.batch(0), /invalid batch size/);
  t.throws(() => deflater.batch(2).run(3), /invalid number of pages/);
});
