/** Memory and time in proportion to the file: what one command after another took too much for. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { be, concat, str8 } from "../src/analyse/fuzz/raw-bytes.js";
import { MemorySource } from "../src/bytes/index.js";
import { FileNames } from "../src/guest/files/file-names.js";
import { PageBits } from "../src/guest/pages/page-bits.js";
import { streamSink } from "../src/io/container/libvirt/write.js";
import { openContainers } from "../src/io/container/open.js";
import { convertStream } from "../src/rewrite/convert/convert.js";
import { refusal } from "./support/bytes.js";
import { qevm } from "./support/program.js";
import { processorClock } from "./support/processor-time.js";

const folder = mkdtempSync(join(tmpdir(), "qevm-proportion-"));
test.onFinish(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => join(folder, name);

const HEADER = be(0x5145564d00000003n, 8);
const EOS = be(0x10n, 8);

/** A section of RAM; 1 is its START. */
function ramSection(type: number, body: Uint8Array): Uint8Array {
  const name = type === 1 ? concat(str8("ram"), be(0, 4), be(4, 4)) : [];
  return concat([type], be(2, 4), name, body, EOS, [0x7e], be(2, 4));
}

/** A stream of blocks and of page records. */
function ram(blocks: readonly (readonly [name: string, length: bigint])[], pages: Uint8Array): Uint8Array {
  const total = blocks.reduce((sum, [, length]) => sum + length, 0n);
  const list = blocks.map(([name, length]) => concat(str8(name), be(length, 8)));
  return concat(HEADER, ramSection(1, concat(be(total | 4n, 8), ...list)), ramSection(3, pages), [0]);
}

/** Pages of one block, all bytes `fill`, at these offsets. */
function filled(name: string, offsets: readonly bigint[], fill: number): Uint8Array {
  const [first = 0n, ...more] = offsets;
  return concat(be(first | 2n, 8), str8(name), [fill], ...more.map((offset) => concat(be(offset | 0x22n, 8), [fill])));
}

test("pages scattered over a block that is long", async (t) => {
  const scattered = Array.from({ length: 30_000 }, (_, k) => (BigInt(k * 2_654_435_761) % (1n << 28n)) << 12n);
  writeFileSync(at("scattered"), ram([["r", 1n << 40n]], filled("r", scattered, 0)));
  const unpack = await qevm(["unpack", at("scattered"), at("unpacked")], { plain: true });
  t.equal(unpack.code, 0, unpack.stderr);
  t.ok(unpack.maxRss < 150e6, `unpack: ${unpack.maxRss} bytes of memory`);
  // One page in each GiB of 10 TiB.
  const far = Array.from({ length: 10_000 }, (_, k) => BigInt(k) << 30n);
  writeFileSync(at("far"), ram([["r", 10_000n << 30n]], filled("r", far, 7)));
  const blocks = await qevm(["extract", at("far"), "--format", "blocks", "--out", at("blocks")], { plain: true });
  t.equal(blocks.code, 0, blocks.stderr);
  t.ok(blocks.maxRss < 200e6, `extract: ${blocks.maxRss} bytes of memory`);
});

test("one page in each of very many blocks", async (t) => {
  const blocks = Array.from({ length: 8000 }, (_, k) => [`b${k}`, 4096n] as const);
  const pages = concat(...blocks.map(([name]) => filled(name, [0n], 7)));
  writeFileSync(at("many"), ram(blocks, pages));
  for (const [what, args] of [
    ["unpack", ["unpack", at("many"), at("many.unpacked")]],
    ["convert", ["convert", at("many"), "--flatten", "--out", at("many.flat")]],
  ] as const) {
    const { code, stderr, maxRss } = await qevm([...args], { plain: true });
    t.equal(code, 0, stderr);
    t.ok(maxRss < 200e6, `${what}: ${maxRss} bytes of memory`);
  }
});

test("a set of pages, listed and by bits", (t) => {
  const PIECE = 1 << 18;
  const bits = new PageBits();
  const known = new Set<number>();
  let state = 1;
  const random = (below: number): number => (state = (state * 48_271) % 0x7fffffff) % below;
  for (let k = 0; k < 4000; k++) {
    // The first piece gets many pages, others few; runs cross from one to the next.
    const page = random(4) > 0 ? random(2000) : random(4) * PIECE + random(PIECE);
    const count = random(20) === 0 ? 1 + random(700) : 1;
    if (count > 1) bits.add(page, count);
    else if (bits.addNew(page) === known.has(page)) t.fail(`page ${page} is new, or is not`);
    for (let n = 0; n < count; n++) known.add(page + n);
  }
  const sorted = [...known].toSorted((a, b) => a - b);
  t.deepEqual([...bits.pages()], sorted, `${sorted.length} pages, ascending`);
  t.equal(bits.size, sorted.length);
  const wrong = Array.from({ length: 5 * PIECE }, (_, page) => page).filter(
    (page) => bits.has(page) !== known.has(page),
  );
  t.deepEqual(wrong, [], "and no others");
  t.equal(bits.next(sorted.at(-1)! + 1, 9 * PIECE), 9 * PIECE, "none after the last");
  t.equal(bits.next(sorted[5]! + 1, sorted[6]!), sorted[6], "none before the next");
  t.end();
});

test("what is not there of a mapped-ram file is a hole, not zeros that are written", async (t) => {
  let bytes = 0;
  let holes = 0;
  const length = 1n << 36n;
  const source = new MemorySource(ram([["r", length]], filled("r", [0n, length / 2n], 7)));
  const sink = streamSink("raw", {
    write: (chunk) => void (bytes += chunk.length),
    hole: (n) => void (holes += n),
  });
  await convertStream(source, sink, { to: "mapped-ram" }, folder);
  t.ok(holes > Number(length) - (8 << 20), `${holes} bytes of holes`);
  t.ok(bytes < 8 << 20, `${bytes} bytes written for 64 GiB`);
});

test("names that differ only where file names end", (t) => {
  const names = new FileNames();
  const spent = processorClock();
  const claimed = Array.from({ length: 60_000 }, (_, k) => names.claim(`${"x".repeat(250)}${k}`));
  t.equal(new Set(claimed).size, 60_000, "each has a file of its own");
  t.equal(claimed[1], `${claimed[0]}~2`, "numbered as ever");
  t.equal(names.claim("A"), "A");
  t.equal(names.claim("a"), "a~2", "also where only the case differs");
  t.ok(spent() < 5000, "soon");
  t.end();
});

/** So many equal frames. */
function many(frame: Uint8Array, count: number): Uint8Array {
  const bytes = new Uint8Array(frame.length * count);
  for (let k = 0; k < count; k++) bytes.set(frame, k * frame.length);
  return bytes;
}

test("compressed files of very many empty frames", async (t) => {
  const cases: [string, Uint8Array, string][] = [
    [
      "lz4, blocks of 4 MiB",
      many(Uint8Array.of(0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0x73, 0, 0, 0, 0), 20_000),
      "truncated",
    ],
    ["lz4, legacy", many(Uint8Array.of(0x02, 0x21, 0x4c, 0x18), 20_000), "truncated"],
    ["zstd, windows of 128 MiB", many(Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0, 17 << 3, 1, 0, 0), 20_000), "truncated"],
    ["zstd, small windows", many(Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0, 0, 1, 0, 0), 20_000), "truncated"],
  ];
  for (const [what, bytes, code] of cases) {
    const spent = processorClock();
    const error = await refusal(async () => {
      const input = await openContainers(new MemorySource(bytes));
      await input.read(new Uint8Array(1));
      await input.close?.();
      return await refuseEmpty();
    });
    t.equal(error?.code, code, `${what}: ${error?.message}`);
    t.ok(spent() < 15_000, "soon");
  }
});

/** What a stream of nothing is. */
async function refuseEmpty(): Promise<never> {
  const { inspectStream } = await import("../src/analyse/inspect/inspect.js");
  await inspectStream(new MemorySource(new Uint8Array(0)));
  throw new Error("an empty stream was read");
}
