/** Which pages were written, and the pieces of files that hold them. */
import { join } from "node:path";
import test from "tape";
import { BlockData } from "../src/guest/files/block-data.js";
import { PageBits } from "../src/guest/pages/page-bits.js";
import { PageSet } from "../src/guest/pages/page-set.js";
import type { RamBlock } from "../src/codec/ram/index.js";

const PAGE = 4096;
const BLOCK: RamBlock = { idstr: "ram", usedLength: 1 << 20, index: 0 };
const OTHER: RamBlock = { idstr: "other", usedLength: PAGE, index: 1 };

test("a set of pages", (t) => {
  const set = new PageSet(PAGE);
  const far = (1 << 18) * PAGE * 3;
  for (const offset of [far + PAGE, 9 * PAGE, 0, 10 * PAGE, 9 * PAGE]) set.add(BLOCK, offset);
  t.deepEqual([...set.offsets(BLOCK)], [0, 9 * PAGE, 10 * PAGE, far + PAGE]);
  t.ok(set.has(BLOCK, far + PAGE));
  t.notOk(set.has(BLOCK, far));
  t.notOk(set.has(OTHER, 0));
  t.notOk(set.add(BLOCK, 0), "not fresh");
  t.deepEqual([...set.offsets(OTHER)], []);
  t.end();
});

test("numbers of pages", (t) => {
  const piece = 1 << 18;
  const bits = new PageBits();
  for (const [page, count] of [
    [3, 1],
    [7, 3],
    [piece - 2, 4],
    [5 * piece, 1],
  ] as const)
    bits.add(page, count);
  const all = [3, 7, 8, 9, piece - 2, piece - 1, piece, piece + 1, 5 * piece];
  t.deepEqual([...bits.pages()], all);
  const end = 6 * piece;
  const found: number[] = [];
  for (let page = bits.next(0, end); page < end; page = bits.next(page + 1, end)) found.push(page);
  t.deepEqual(found, all, "one after the other");
  for (const [from, to, next, missing] of [
    [0, 3, 3, 0],
    [0, 2, 2, 0],
    [4, 7, 7, 4],
    [7, end, 7, 10],
    [8, 9, 8, 9],
    [piece - 2, piece + 1, piece - 2, piece + 1],
    [piece - 2, end, piece - 2, piece + 2],
    [piece + 2, 5 * piece, 5 * piece, piece + 2],
    [end, end, end, end],
  ] as const) {
    t.equal(bits.next(from, to), next, `next from ${from} below ${to}`);
    t.equal(bits.nextMissing(from, to), missing, `next missing from ${from} below ${to}`);
  }
  t.notOk(bits.addNew(8));
  t.ok(bits.addNew(10));
  t.ok(bits.has(10));
  t.end();
});

test("scattered pages take little memory each", (t) => {
  const before = process.memoryUsage().arrayBuffers;
  const bits = new PageBits();
  for (let k = 0; k < 10_000; k++) bits.add(k * 2 ** 20);
  t.equal(bits.size, 10_000);
  const taken = process.memoryUsage().arrayBuffers - before;
  t.ok(taken < 10_000 * 4096, `${taken} bytes`);
  t.end();
});

test("where extracted blocks have data, in pieces", (t) => {
  const pages = new PageBits();
  for (const [page, count] of [
    [1, 1],
    [30, 40],
  ] as const)
    pages.add(page, count);
  const blocks = [{ block: "ram", file: "ram-1", blockLength: 100 * PAGE, inStream: true }];
  const data = new BlockData("folder", blocks, PAGE, new Map([["ram", pages]]));
  t.equal(data.path("ram"), join("folder", "ram-1"));
  const pieces = (from: number, to: number): number[][] =>
    [...data.pieces("ram", from, to - from)].map(({ offset, length }) => [offset, offset + length]);
  const whole = [
    [1, 2],
    [30, 32],
    [32, 64],
    [64, 70],
  ].map((piece) => piece.map((page) => page * PAGE));
  t.deepEqual(pieces(0, 100 * PAGE), whole);
  t.deepEqual(pieces(PAGE + 5, PAGE + 9), [[PAGE + 5, PAGE + 9]], "inside a page");
  t.deepEqual(pieces(31 * PAGE + 7, 33 * PAGE - 1), [
    [31 * PAGE + 7, 32 * PAGE],
    [32 * PAGE, 33 * PAGE - 1],
  ]);
  t.deepEqual(pieces(70 * PAGE, 100 * PAGE), []);
  t.deepEqual(pieces(0, 0), []);
  t.end();
});
