import { readFileSync } from "node:fs";
import { deflateSync, inflateSync } from "node:zlib";
import test from "tape";
import {
  createDeflater,
  createInflater,
  ExactDeflater,
  payloadBound,
  type PageDeflater,
  type PageInflater,
} from "../src/engine/index.js";
import { load } from "../src/engine/page-module.js";
import { QevmError } from "../src/bytes/errors.js";
import { MemorySource } from "../src/bytes/source.js";
import { listCorpus } from "../tools/corpus.js";
import { capturedPages } from "../tools/engine/capture-payloads.js";
import { damage } from "../tools/engine/damage.js";
import { makePage, PAGE_MAKERS, Random } from "../tools/engine/pages.js";
import { pythonDecompress, pythonZlibVersion } from "../tools/engine/python-zlib.js";
import { sha256Of } from "../tools/sha256.js";

const PAGE_KINDS = ["page", "page-fixed", "page-exact"] as const;
const MAKERS = Object.keys(PAGE_MAKERS);
const PAGE = 4096;
const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
const sha = (bytes: Uint8Array): string => sha256Of(bytes).slice(0, 32);

/** The refusal of a payload, in words. */
function refusal(inflater: PageInflater, payload: Uint8Array, into: Uint8Array): string {
  try {
    inflater.inflate(payload, into);
  } catch (error) {
    if (!(error instanceof QevmError)) throw error;
    return `${error.code}: ${error.what}`;
  }
  return "inflated";
}

test("page-exact gives the bytes of C zlib 1.2.13 at level 1", async (t) => {
  const vectors = JSON.parse(readFileSync(new URL("../../spec/06-engine.vectors.json", import.meta.url), "utf8")) as {
    madeBy: string;
    zeroPageLevel1: string;
    pages: { kind: string; seed: number; levels: string[] }[];
  };
  t.comment(`expected bytes: ${vectors.madeBy}`);
  for (const simd of [true, false]) {
    const engine = await createDeflater("page-exact", { module: await load(simd) });
    t.equal(engine.kind, "page-exact");
    let bad = 0;
    for (const { kind, seed, levels } of vectors.pages) {
      const payload = engine.deflate(makePage(kind, seed));
      if (`${payload.length} ${sha(payload)}` !== levels[1]) bad++;
    }
    t.equal(bad, 0, `${vectors.pages.length} pages, ${simd ? "with" : "without"} SIMD`);
    const zero = engine.deflate(new Uint8Array(PAGE));
    t.equal(Buffer.from(zero).toString("hex"), vectors.zeroPageLevel1, "the zero page, in full");
    const exact = new ExactDeflater();
    for (let i = 0; i < 1400; i++) {
      const page = makePage(MAKERS[i % MAKERS.length]!, 1000 + i);
      if (!same(engine.deflate(page), exact.deflate(page))) bad++;
    }
    t.equal(bad, 0, "1,400 more pages against pako, which the vectors hold to C zlib");
  }
});

test("page-exact gives every payload of every level-1 capture", async (t) => {
  const exact = await createDeflater("page-exact");
  const inflater = await createInflater("page");
  const page = new Uint8Array(PAGE);
  let captures = 0;
  for (const entry of listCorpus()) {
    let pages = 0;
    let identical = 0;
    let fast = 0;
    for await (const { compressed, body } of capturedPages(new MemorySource(entry.open()))) {
      // Level 1 and level 0 share a header; level 0 is always a stored block of 4,107 bytes.
      if (!compressed || body[1] !== 0x01 || body.length === 4107) continue;
      inflater.inflate(body, page);
      pages++;
      if (same(exact.deflate(page), body)) identical++;
      if (same(inflateSync(body), page)) fast++;
    }
    if (pages === 0) continue;
    captures++;
    t.ok(identical === pages && fast === pages, `${entry.name}: ${identical} of ${pages} payloads`);
  }
  t.ok(captures > 0, `${captures} captures with level-1 payloads`);
});

test("pako, node:zlib, C zlib and the engine decode each mode's output", async (t) => {
  const pako = await createInflater("exact");
  const into = new Uint8Array(PAGE);
  const python = pythonZlibVersion();
  if (python === undefined) t.comment("no python3 here: C zlib is not asked");
  for (const kind of PAGE_KINDS) {
    const engines = await Promise.all(
      [true, false].map(async (simd) => {
        const module = await load(simd);
        return [await createDeflater(kind, { module }), await createInflater(kind, { module })] as const;
      }),
    );
    const payloads: Uint8Array[] = [];
    const pages: Uint8Array[] = [];
    const bad: Record<string, number> = { pako: 0, node: 0, own: 0, bound: 0, simd: 0, python: 0 };
    for (let i = 0; i < 980; i++) {
      const page = makePage(MAKERS[i % MAKERS.length]!, i);
      const payload = engines[0]![0].deflate(page).slice();
      if (!same(engines[1]![0].deflate(page), payload)) bad["simd"]!++;
      if (payload.length > payloadBound(PAGE)) bad["bound"]!++;
      pako.inflate(payload, into);
      if (!same(into, page)) bad["pako"]!++;
      if (!same(inflateSync(payload), page)) bad["node"]!++;
      for (const [, inflater] of engines) {
        into.fill(0x5a);
        inflater.inflate(payload, into);
        if (!same(into, page)) bad["own"]!++;
      }
      payloads.push(payload);
      pages.push(page);
    }
    if (python !== undefined) {
      pythonDecompress(payloads).forEach((page, i) => {
        if (page === undefined || !same(page, pages[i]!)) bad["python"]!++;
      });
    }
    t.deepEqual(bad, { pako: 0, node: 0, own: 0, bound: 0, simd: 0, python: 0 }, `${kind}: 980 pages, nothing bad`);
  }
});

test("a page that does not shrink is stored, in every mode", async (t) => {
  const page = makePage("random bytes", 4);
  for (const kind of PAGE_KINDS) {
    const payload = (await createDeflater(kind)).deflate(page);
    t.equal(payload.length, PAGE + 11, `${kind}: 4,107 bytes`);
    t.equal(payload[2], 1, `${kind}: one last block, stored`);
  }
  t.equal(new ExactDeflater().deflate(page).length, PAGE + 11, "as zlib does");
});

test("all zero but one byte: every position", async (t) => {
  const engines = await Promise.all(PAGE_KINDS.map((kind) => createDeflater(kind)));
  const exact = new ExactDeflater();
  const inflater = await createInflater("page");
  const page = new Uint8Array(PAGE);
  const into = new Uint8Array(PAGE);
  let bad = 0;
  for (let at = 0; at < PAGE; at++) {
    page[at] = 1 + (at % 255);
    for (const engine of engines) {
      inflater.inflate(engine.deflate(page), into);
      if (!same(into, page)) bad++;
    }
    if (!same(engines[2]!.deflate(page), exact.deflate(page))) bad++;
    page[at] = 0;
  }
  t.equal(bad, 0);
});

test("the inflater decodes other encoders' streams at every level without a fallback", async (t) => {
  const inflater = await createInflater("page");
  const into = new Uint8Array(PAGE);
  let bad = 0;
  for (let i = 0; i < MAKERS.length * 10; i++) {
    const page = makePage(MAKERS[i % MAKERS.length]!, 300 + i);
    for (const payload of [
      deflateSync(page, { level: i % 10 }),
      deflateSync(page, { level: 1, strategy: 4 }),
      deflateSync(page, { level: 6, strategy: 2 }),
      deflateSync(page, { level: 6, memLevel: 1 }),
      deflateSync(page, { level: 9, windowBits: 9 }),
    ]) {
      inflater.inflate(payload, into);
      if (!same(into, page)) bad++;
    }
  }
  t.equal(bad, 0, "levels 0 to 9, fixed codes, Huffman only, many blocks, small windows");
});

test("damage: the page engine and pako give the same messages and bytes", async (t) => {
  const pako = await createInflater("exact");
  const random = new Random(29);
  const a = new Uint8Array(PAGE);
  const b = new Uint8Array(PAGE);
  for (const simd of [true, false]) {
    const own = await createInflater("page", { module: await load(simd) });
    const counts = { rounds: 0, refused: 0, harmless: 0, unseen: 0, disagreed: 0 };
    for (let i = 0; i < 4000; i++) {
      const page = makePage(MAKERS[i % MAKERS.length]!, i);
      const payload = Uint8Array.from(deflateSync(page, { level: [1, 1, 6, 9][i % 4]! }));
      const damaged = damage(payload, random);
      counts.rounds++;
      const said = refusal(pako, damaged, a);
      b.fill(0);
      if (refusal(own, damaged, b) !== said || own.produced !== pako.produced) counts.disagreed++;
      if (!same(a.subarray(0, pako.produced), b.subarray(0, pako.produced))) counts.disagreed++;
      if (said !== "inflated") counts.refused++;
      else if (same(a, page)) counts.harmless++;
      else {
        // Adler-32 is weak on pages of few symbols: no zlib decoder detects such damage.
        counts.unseen++;
        if (!same(inflateSync(damaged), b)) counts.disagreed++;
      }
    }
    t.equal(counts.disagreed, 0, `${simd ? "with" : "without"} SIMD: ${JSON.stringify(counts)}`);
    t.ok(counts.unseen <= 4, `${counts.unseen} of 4,000 changed the page and still have the right Adler-32`);
  }
});

test("hostile payloads change nothing but their own page", async (t) => {
  const module = await load(true);
  const engine = await createInflater("page", { module });
  const capacity = 8;
  const before = engine.batch(capacity);
  const batch = engine.batch(capacity);
  const after = engine.batch(capacity);
  const marked = (): Uint8Array[] => [before, after].flatMap((b) => [b.pages, b.input]);
  for (const bytes of marked()) bytes.fill(0xc3);
  const good = deflateSync(makePage("words of text", 1), { level: 1 });
  const random = new Random(5);
  let refused = 0;
  for (let round = 0; round < 400; round++) {
    let at = 0;
    for (let i = 0; i < capacity; i++) {
      const payload = i === capacity - 1 ? good : hostile(random);
      batch.input.set(payload, at);
      batch.starts[i] = at;
      batch.lengths[i] = payload.length;
      at += payload.length;
    }
    refused += batch.run(capacity);
    if (batch.failure(capacity - 1) !== undefined) t.fail("the good payload was refused");
    if (!same(batch.pages.subarray((capacity - 1) * PAGE), makePage("words of text", 1)))
      t.fail("the good page changed");
  }
  t.ok(refused > 2000, `${refused} of 2,800 hostile payloads refused`);
  t.ok(
    marked().every((bytes) => bytes.every((byte) => byte === 0xc3)),
    "the batches before and behind are untouched",
  );
  batch.starts[0] = batch.input.length;
  t.throws(
    () => batch.run(1),
    /lies outside its input/,
    "addresses outside the input are refused before the engine sees them",
  );
});

/** Payloads that take long: valid codes and random symbols, matches of 258 at the page's end, endless empty blocks. */
function hostile(random: Random): Uint8Array {
  const noise = makePage("random bytes", random.next()).slice(0, 200 + random.below(3000));
  noise.set([0x78, 0x01]);
  switch (random.below(4)) {
    case 0:
      return noise;
    case 1:
      // Fixed codes, then noise.
      noise[2] = 3 | (noise[2]! & 0xf8);
      return noise;
    case 2: {
      const long = Uint8Array.from(deflateSync(Buffer.alloc(20000, 7), { level: 9 }));
      return long;
    }
    default:
      // Empty fixed blocks, none of them the last: 10 bits each, 0 1 0000000.
      return Uint8Array.from({ length: noise.length }, (_, i) =>
        i === 0 ? 0x78 : i === 1 ? 0x01 : [2, 8, 32, 128, 0][(i - 2) % 5]!,
      );
  }
}

test("batches, records and other page sizes", async (t) => {
  for (const kind of PAGE_KINDS) {
    const deflater = await createDeflater(kind);
    const inflater = await createInflater(kind);
    const capacity = MAKERS.length + 1;
    const batch = deflater.batch(capacity);
    const other = deflater.batch(64);
    const pages = [...MAKERS.map((maker) => makePage(maker, 3)), new Uint8Array(PAGE)];
    pages.forEach((page, i) => {
      batch.pages.set(page, i * PAGE);
      batch.words[i] = BigInt(i * PAGE) | 0x20n;
    });
    other.pages.fill(1);
    const length = batch.runRecords(capacity);
    const expected = pages.map((page, i) => {
      const zero = i === capacity - 1;
      const record = Buffer.alloc(zero ? 9 : 12);
      record.writeBigUInt64BE(BigInt(i * PAGE) + 0x20n + (zero ? 0x02n : 0x100n));
      if (zero) return record;
      const payload = deflater.deflate(page);
      record.writeUInt32BE(payload.length, 8);
      return Buffer.concat([record, payload]);
    });
    t.ok(same(batch.output.subarray(0, length), Buffer.concat(expected)), `${kind}: records`);
    t.deepEqual(
      [...batch.lengths],
      expected.map((record) => record.length),
      `${kind}: lengths`,
    );
    t.equal(
      batch.zero.reduce((sum, flag) => sum + flag, 0),
      1,
      `${kind}: one zero page`,
    );
    t.equal(batch.run(capacity), length - 12 * MAKERS.length - 9, `${kind}: payloads alone`);

    const back = inflater.batch(capacity);
    let at = 0;
    MAKERS.forEach((_, i) => {
      const payload = batch.output.subarray(batch.starts[i], batch.starts[i]! + batch.lengths[i]!);
      back.input.set(payload, at);
      back.starts[i] = at;
      back.lengths[i] = payload.length;
      at += payload.length;
    });
    t.equal(back.run(MAKERS.length), 0, `${kind}: all inflate`);
    t.ok(same(back.pages.subarray(0, MAKERS.length * PAGE), Buffer.concat(pages.slice(0, -1))), `${kind}: pages`);
  }
  for (const pageSize of [256, 1024, 2048]) {
    const exact = new ExactDeflater({ pageSize });
    let bad = 0;
    for (const kind of PAGE_KINDS) {
      const deflater: PageDeflater = await createDeflater(kind, { pageSize });
      const inflater = await createInflater(kind, { pageSize });
      const into = new Uint8Array(pageSize);
      for (const maker of MAKERS) {
        const page = makePage(maker, 8, new Uint8Array(pageSize));
        const payload = deflater.deflate(page);
        inflater.inflate(payload, into);
        if (!same(into, page) || deflater.kind !== kind) bad++;
        if (kind === "page-exact" && !same(payload, exact.deflate(page))) bad++;
      }
    }
    t.equal(bad, 0, `pages of ${pageSize} bytes`);
  }
  t.equal((await createDeflater("page", { pageSize: 8192 })).kind, "fast", "larger pages go to another engine");
  t.equal((await createDeflater("page-exact", { pageSize: 8192 })).kind, "exact");
  t.equal((await createDeflater("page-exact", { level: 6 })).kind, "exact", "other levels stay with pako");
  t.equal((await createInflater("page", { pageSize: 8192 })).kind, "fast");
});
