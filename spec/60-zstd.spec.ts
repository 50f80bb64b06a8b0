/** The zstd decoder against the program and the library: every level, kind of content, cut and flipped bit. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import test from "tape";
import { QemuFileReader } from "../src/bytes/reader.js";
import { IterableSource } from "../src/bytes/source.js";
import { load } from "../src/engine/page-module.js";
import { ZstdDecoder } from "../src/engine/zstd-decoder.js";
import { unzstd } from "../src/io/container/compressed/zstd.js";
import { refusal } from "./support/bytes.js";
import { zstdLibrary } from "./support/zstd-library.js";

const there = spawnSync("zstd", ["--version"]).error === undefined ? {} : { skip: "no zstd here" };

let seed = 1;
function random(below: number): number {
  seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
  return (seed >>> 8) % below;
}

const code = readFileSync(process.execPath).subarray(20 << 20, (20 << 20) + 300_000);
const text = Buffer.from(readFileSync(import.meta.filename, "utf8").repeat(30));
const pages = Buffer.concat(
  Array.from({ length: 60 }, (_, k) => [Buffer.alloc(4096), code.subarray(k << 12, (k + 1) << 12)]).flat(),
);
/** Few values, so that literals have short codes. */
const skewed = Buffer.from(Uint8Array.from({ length: 60_000 }, () => Math.min(random(64), random(64), random(9))));
const noise = Buffer.from(Uint8Array.from({ length: 200_000 }, () => random(256)));
/** What repeats after 1 to 20 bytes. */
const runs = Buffer.concat(
  Array.from({ length: 400 }, (_, k) => {
    const distance = 1 + (k % 20);
    return Buffer.alloc(7 + random(150), code.subarray(k * 64, k * 64 + distance));
  }),
);
const all = Buffer.concat([text, Buffer.alloc(400_000), pages, skewed, noise, runs, noise.subarray(500, 90_000), code]);

function packed(input: Uint8Array, ...args: string[]): Buffer {
  return spawnSync("zstd", ["-q", "-c", ...args], { input, maxBuffer: 1 << 26 }).stdout;
}

async function unpacked(bytes: Uint8Array, decoder: ZstdDecoder, window?: number): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of unzstd(QemuFileReader.over(bytes), { decoder, window })) pieces.push(piece.slice());
  return Buffer.concat(pieces);
}

const LEVELS = ["--fast=9", "-1", "-3", "-5", "-6"];
/** Where the length is known, their tables are smaller. */
const HIGH = ["-8", "-13", "-16", "-19", "--ultra -22"].map((level) => `${level} --stream-size=${all.length}`);
const FORMS = ["-3 --no-check", "-2 -T2 -B256K", "-1 --zstd=wlog=17", "-7 --zstd=wlog=10"];

test("all levels and forms of the program", there, async (t) => {
  // Both builds of the engine, in turns.
  const modules = [await load(true), await load(false)];
  for (const [k, form] of [...LEVELS, ...HIGH, ...FORMS].entries()) {
    const bytes = packed(all, ...form.split(" "));
    t.ok(all.equals(await unpacked(bytes, await ZstdDecoder.create(modules[k % 2]))), form);
  }
  const decoder = await ZstdDecoder.create();
  const long = packed(all, "-3");
  long[5] = (31 - 10) << 3;
  t.equal((await refusal(() => unpacked(long, decoder)))?.code, "limit", "--long=31 by default");
  t.ok(all.equals(await unpacked(long, decoder, 2 ** 31)), "--long=31");
  const parts = [packed(Buffer.alloc(0)), packed(Buffer.alloc(1 << 20)), packed(noise.subarray(0, 300)), packed(text)];
  const skippable = Buffer.concat([Buffer.from("5e2a4d1803000000", "hex"), Buffer.from("abc")]);
  const joined = Buffer.concat(parts.flatMap((part) => [part, skippable]));
  const plain = Buffer.concat([Buffer.alloc(1 << 20), noise.subarray(0, 300), text]);
  t.ok(plain.equals(await unpacked(joined, decoder)), "frames of zeros, of nothing, skippable ones");
});

test("a byte at a time, and cut at every byte", there, async (t) => {
  const plain = all.subarray(30_000, 32_500);
  const bytes = packed(plain, "-19");
  const decoder = await ZstdDecoder.create();
  const single = new QemuFileReader(new IterableSource([...bytes].map((byte) => Uint8Array.of(byte))));
  const pieces: Uint8Array[] = [];
  for await (const piece of unzstd(single, { decoder })) pieces.push(piece.slice());
  t.ok(plain.equals(Buffer.concat(pieces)));
  let wrong = 0;
  for (let length = 4; length < bytes.length; length++) {
    const error = await refusal(() => unpacked(bytes.subarray(0, length), decoder));
    if (error?.code !== "truncated" || error.offset === undefined || error.offset > length) wrong++;
  }
  t.equal(wrong, 0, `${bytes.length} cuts`);
});

test("flipped bits: nothing is read that the library refuses, and nothing else", there, async (t) => {
  const most = 1 << 17;
  const library = await zstdLibrary(most);
  const decoder = await ZstdDecoder.create();
  const inputs = [
    text.subarray(0, 9000),
    pages.subarray(4096, 40_000),
    skewed.subarray(0, 9000),
    runs.subarray(0, 9000),
  ];
  const count = { same: 0, refused: 0, strict: 0, wrong: 0, unseen: 0 };
  for (const input of inputs) {
    for (const check of ["--check", "--no-check"]) {
      const frame = packed(input, check, "-6");
      for (let k = 0; k < 150; k++) {
        const damaged = Uint8Array.from(frame);
        // The headers and tables are at the start. Whether there is a checksum is left alone: it would be what follows.
        const at = 5 + random(Math.min(frame.length - 5, k % 2 === 0 ? 150 : frame.length));
        damaged[at]! ^= 1 << random(8);
        let ours: Buffer | undefined;
        const error = await refusal(async () => {
          ours = await unpacked(damaged, decoder);
        });
        const theirs = library(damaged);
        if (error !== undefined && error.offset === undefined) count.wrong++;
        if (check === "--check" && ours !== undefined && !input.equals(ours)) count.unseen++;
        if (ours === undefined) count[theirs === undefined ? "refused" : "strict"]++;
        else if (theirs !== undefined && ours.equals(theirs)) count.same++;
        else count.wrong++;
      }
    }
  }
  t.equal(count.wrong, 0, JSON.stringify(count));
  t.equal(count.unseen, 0, "no damage passes a checksum");
  // Streams of codes that do not end at their last bit: the RFC has them refused, the library takes some.
  t.ok(count.strict * 20 < count.same + count.refused, `${count.strict} are refused by us only`);
  t.ok(all.equals(await unpacked(packed(all), decoder)), "and then a file that is whole");
});
