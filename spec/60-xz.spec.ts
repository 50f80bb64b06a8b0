/** xz files of every form that the program `xz` writes, damaged and cut ones: what it gives and its verdict. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import type { QevmError } from "../src/bytes/errors.js";
import { QemuFileReader } from "../src/bytes/reader.js";
import { IterableSource } from "../src/bytes/source.js";
import { Lzma2Decoder } from "../src/engine/lzma2.js";
import { load } from "../src/engine/page-module.js";
import { crc32 } from "../src/io/container/compressed/checksums.js";
import { unlzma2 } from "../src/io/container/compressed/lzma2.js";
import { unxz } from "../src/io/container/compressed/xz.js";
import { refusal } from "./support/bytes.js";

const there = spawnSync("xz", ["--version"]).error === undefined;
const options = there ? {} : { skip: "no xz here" };
const folder = mkdtempSync(join(tmpdir(), "qevm-xz-"));
test.onFinish(() => rmSync(folder, { recursive: true }));

let seed = 1;
/** A number from 0 to `below` - 1, the same in every run. */
function some(below: number): number {
  seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
  return Math.floor((seed / 2 ** 32) * below);
}

/** Text, periods of 1 to 40 bytes, noise, x86 jumps, zeros. */
const plain = mixture();

function mixture(): Buffer {
  const words = Array.from({ length: 300 }, () => some(2 ** 31).toString(36));
  const text = Array.from({ length: 12_000 }, () => words[Math.min(some(300), some(300))]).join(" ");
  const parts: Uint8Array[] = [Buffer.from(text)];
  for (let period = 1; period <= 40; period++) {
    const one = Uint8Array.from({ length: period }, () => some(256));
    parts.push(Uint8Array.from({ length: 20 + some(700) }, (_, k) => one[k % period]!));
  }
  parts.push(Uint8Array.from({ length: 140_000 }, () => some(256)));
  const jumps = [0xe8, 0xe9, 0x00, 0xff, 0x00, 0xff, 0x7f, 0x01];
  parts.push(Uint8Array.from({ length: 30_000 }, () => (some(3) === 0 ? some(256) : jumps[some(8)]!)));
  parts.push(new Uint8Array(300_000), Buffer.from(text.slice(0, 30_000)));
  return Buffer.concat(parts);
}

function xz(input: Uint8Array, ...args: string[]): Buffer {
  const { stdout, stderr, status } = spawnSync("xz", ["-c", "-T1", ...args], { input, maxBuffer: 1 << 26 });
  if (status !== 0) throw new Error(`xz ${args.join(" ")}: ${stderr.toString()}`);
  return stdout;
}

/** What a file gives up to its end or an error. */
async function read(pieces: AsyncGenerator<Uint8Array>): Promise<{ found: Buffer; error: QevmError | undefined }> {
  const parts: Buffer[] = [];
  const error = await refusal(async () => {
    for await (const piece of pieces) parts.push(Buffer.from(piece));
  });
  return { found: Buffer.concat(parts), error };
}

const readFile = (bytes: Uint8Array): ReturnType<typeof read> => read(unxz(QemuFileReader.over(bytes)));

/** The files that `xz -t` refuses, by their index. */
function refusedByXz(files: readonly Uint8Array[], ...args: string[]): Set<number> {
  const names = files.map((_, k) => join(folder, `${k}.xz`));
  for (const [k, bytes] of files.entries()) writeFileSync(names[k]!, bytes);
  const { stderr } = spawnSync("xz", ["-t", ...args, ...names], { maxBuffer: 1 << 26 });
  const refused = stderr.toString().matchAll(/^xz: \S*?(\d+)\.xz: /gmu);
  return new Set(Array.from(refused, ([, k]) => Number(k)));
}

/** What xz gives of LZMA2 data up to its end or an error. */
function rawByXz(input: Uint8Array, dictionary: string): Buffer {
  return spawnSync("xz", ["-dc", "--format=raw", `--lzma2=dict=${dictionary}`], { input }).stdout;
}

/** The LZMA2 data of a file of one block: from its first chunk to the end mark, and which chunks there are. */
function chunksOf(file: Buffer): { data: Buffer; kinds: Set<string> } {
  const start = 12 + (file[12]! + 1) * 4;
  const kinds = new Set<string>();
  let at = start;
  for (let control = file[at]!; control !== 0; control = file[at]!) {
    if (control < 0x80) {
      kinds.add(`stored ${control}`);
      at += 3 + file.readUInt16BE(at + 1) + 1;
    } else {
      kinds.add(`compressed ${control >> 5}`);
      at += (control >= 0xc0 ? 6 : 5) + file.readUInt16BE(at + 3) + 1;
    }
  }
  return { data: file.subarray(start, at + 1), kinds };
}

/** Each with its arguments; the dictionaries of the higher levels take xz itself long to set up. */
const LEVELS = "0 1 2 3 4 5 6 6e".split(" ");
const MORE_LEVELS = ["7,dict=1MiB", "8,dict=4KiB", "9,dict=96KiB", "9e,dict=1MiB"];
const FORMS = [
  ...LEVELS.map((level) => `-${level}`),
  ...MORE_LEVELS.map((level) => `--lzma2=preset=${level}`),
  ...["lc=0,lp=4,pb=0", "lc=4,lp=0,pb=4", "lc=1,lp=2,pb=1", "lc=0,lp=0,pb=3"].map((bits) => `--lzma2=preset=1,${bits}`),
  ...["none", "crc32", "crc64", "sha256"].map((check) => `-0 -C ${check} --block-size=150KiB`),
  ...["--delta", "--delta=dist=256", "--x86", "--x86=start=4096 --delta=dist=3 --x86"].map(
    (filters) => `${filters} --lzma2=preset=1`,
  ),
];

test("the same bytes as xz, of every form", options, async (t) => {
  const wrong: string[] = [];
  const kinds = new Set<string>();
  const slow = await Lzma2Decoder.create(await load(false));
  for (const form of FORMS) {
    const file = xz(plain, ...form.split(" "));
    const { found, error } = await readFile(file);
    if (error !== undefined || !found.equals(plain)) wrong.push(`${form}: ${error?.message ?? "other bytes"}`);
    if (form.includes("size") || form.includes("--delta") || form.includes("--x86")) continue;
    const chunks = chunksOf(file);
    for (const kind of chunks.kinds) kinds.add(kind);
    slow.begin(2 ** 20 * 64);
    const again = await read(unlzma2(QemuFileReader.over(chunks.data), slow));
    if (again.error !== undefined || !again.found.equals(plain)) wrong.push(`${form} without SIMD`);
  }
  t.deepEqual(wrong, []);
  t.deepEqual([...kinds].toSorted(), ["compressed 4", "compressed 5", "compressed 7", "stored 2"], "chunks");
  t.end();
});

test("streams in a row with padding, nothing, and byte by byte", options, async (t) => {
  const [one, two, none] = [xz(plain.subarray(0, 9000), "-0"), xz(plain, "-1"), xz(new Uint8Array())] as const;
  const whole = Buffer.concat([none, one, Buffer.alloc(8), none, two, Buffer.alloc(400_000), one, Buffer.alloc(4)]);
  const want = Buffer.concat([plain.subarray(0, 9000), plain, plain.subarray(0, 9000)]);
  const { found, error } = await readFile(whole);
  t.ok(error === undefined && found.equals(want), error?.message ?? `${found.length} bytes`);
  const bytes = Array.from(Buffer.concat([one, Buffer.alloc(4), one]), (byte) => Uint8Array.of(byte));
  const slow = await read(unxz(new QemuFileReader(new IterableSource(bytes))));
  t.equal(slow.error, undefined);
  t.ok(slow.found.equals(Buffer.concat([want.subarray(0, 9000), want.subarray(0, 9000)])), "byte by byte");
  const after = await readFile(Buffer.concat([one, Buffer.alloc(6), Buffer.from("what else is there")]));
  t.ok(after.error === undefined && after.found.length === 9000, "what follows is ignored");
  const uneven = await readFile(Buffer.concat([one, Buffer.alloc(6), one]));
  t.deepEqual([uneven.error?.code, uneven.error?.offset], ["bad-compressed-data", one.length]);
  const half = await readFile(Buffer.concat([one, one.subarray(0, 3)]));
  t.deepEqual([half.error?.code, half.error?.offset], ["truncated", one.length]);
  t.end();
});

function chunksBy(input: Buffer, ...args: string[]): Buffer {
  return chunksOf(xz(input, ...args)).data.subarray(0, -1);
}

function stored(control: number, input: Buffer): Buffer {
  return Buffer.concat([Uint8Array.of(control, (input.length - 1) >> 8, (input.length - 1) & 255), input]);
}

test("a dictionary that is reset between chunks, with and without new properties", options, async (t) => {
  const [a, b] = [plain.subarray(0, 5000), plain.subarray(60_000, 64_000)];
  // With lc=0 nothing depends on the byte before, so the reset of the dictionary can be taken away.
  const again = chunksBy(b, "--lzma2=preset=1,lc=0,lp=1,pb=1");
  t.equal(again[0]! & 0xe0, 0xe0);
  again[0] = again[0]! & 0xdf;
  const data = Buffer.concat([stored(1, a), again, stored(1, b), stored(2, a), chunksBy(a, "-0"), Uint8Array.of(0)]);
  const want = Buffer.concat([a, b, b, a, a]);
  t.ok(rawByXz(data, "1MiB").equals(want), "xz reads it");
  const decoder = await Lzma2Decoder.create();
  decoder.begin(2 ** 20);
  const { found, error } = await read(unlzma2(QemuFileReader.over(data), decoder));
  t.equal(error, undefined);
  t.ok(found.equals(want), "the same bytes");
  t.end();
});

test("cut at every byte", options, async (t) => {
  const input = Buffer.concat([plain.subarray(0, 300), Buffer.alloc(3000), plain.subarray(0, 120)]);
  const file = xz(input, "-0", "--block-size=2500");
  const wrong: string[] = [];
  let before = 0;
  for (let at = 0; at < file.length; at++) {
    const { found, error } = await readFile(file.subarray(0, at));
    const { code, offset = -1 } = error ?? {};
    if (code !== "truncated" || offset < 0 || offset > at) wrong.push(`${at}: ${error?.message}`);
    if (found.length < before || !found.equals(input.subarray(0, found.length))) wrong.push(`${at}: other bytes`);
    before = found.length;
    if (at % 47 !== 0) continue;
    const { stdout } = spawnSync("xz", ["-dc"], { input: file.subarray(0, at) });
    if (stdout.length !== found.length) wrong.push(`${at}: ${found.length} bytes, xz gives ${stdout.length}`);
  }
  t.equal(before, input.length);
  const jumps = plain.subarray(-360_000, -358_000);
  const packed = xz(jumps, "--x86", "--lzma2=preset=0");
  for (const at of [200, 700, 1100].map((place) => Math.min(place, packed.length - 40))) {
    const { stdout } = spawnSync("xz", ["-dc"], { input: packed.subarray(0, at) });
    const { found } = await readFile(packed.subarray(0, at));
    if (!found.equals(stdout)) wrong.push(`x86, ${at}: ${found.length} bytes, xz gives ${stdout.length}`);
  }
  t.deepEqual(wrong, [], `${file.length} bytes`);
  t.end();
});

/** Files with one bit changed, or with one byte of a header of LZMA2 chunks. */
function* damaged(file: Buffer, count: number): Generator<Buffer> {
  for (let k = 0; k < count; k++) {
    const copy = Buffer.from(file);
    const at = some(file.length);
    copy[at] = copy[at]! ^ (1 << some(8));
    yield copy;
  }
}

test("damaged files: the verdict of xz", options, async (t) => {
  const input = Buffer.concat([plain.subarray(0, 1500), plain.subarray(150_000, 150_300), Buffer.alloc(700)]);
  for (const [form, count] of [
    ["-0 -C crc32 --block-size=1200", 300],
    ["--x86 --lzma2=preset=0 -C sha256", 60],
    ["-0 -C none", 300],
  ] as const) {
    const files = [...damaged(xz(input, ...form.split(" ")), count)];
    const wrong: string[] = [];
    const refused = refusedByXz(files);
    for (const [k, file] of files.entries()) {
      const { error } = await readFile(file);
      if (error !== undefined && (error.offset === undefined || error.offset > file.length)) wrong.push(error.message);
      if ((error !== undefined) !== refused.has(k)) wrong.push(`${k}: ${error?.message}, xz: ${refused.has(k)}`);
    }
    t.deepEqual(wrong, [], `${form}: ${refused.size} of ${count} refused`);
    t.ok(refused.size > count / 2 && refused.size <= count, "most are");
  }
  t.end();
});

test("hostile LZMA2 data: the verdict of xz, within the memory of the dictionary", options, async (t) => {
  const files: Buffer[] = [];
  const { data } = chunksOf(xz(plain.subarray(0, 600), "-0"));
  for (let control = 0; control < 256; control += control < 4 || control > 250 ? 1 : 9) {
    for (const tail of [data.subarray(1), Buffer.concat([Uint8Array.of(0, 0, 65, 0)]), Buffer.alloc(9)]) {
      files.push(Buffer.concat([Uint8Array.of(control), tail]));
    }
  }
  for (let properties = 0; properties < 256; properties += 5) {
    const copy = Buffer.from(data);
    copy[5] = properties;
    files.push(copy);
  }
  // Noise as one chunk, long enough for matches of every kind: any distance, to before the first byte too.
  for (let k = 0; k < 200; k++) {
    const noise = Uint8Array.from({ length: 300 }, () => some(256));
    noise[0] = k % 20 === 0 ? 1 : 0;
    const first = Uint8Array.of(1, 0, 99, ...plain.subarray(0, 100));
    const head = Uint8Array.of(0xc0 + some(32), some(256), some(256), 1, 43, some(225));
    files.push(Buffer.concat([first, head, noise, Uint8Array.of(0)]));
  }
  const decoder = await Lzma2Decoder.create();
  const refused = refusedByXz(files, "--format=raw", "--lzma2=dict=4KiB", "--suffix=.xz");
  const wrong: string[] = [];
  let given = 0;
  for (const [k, file] of files.entries()) {
    decoder.begin(4096);
    const reader = QemuFileReader.over(file);
    const { found, error } = await read(unlzma2(reader, decoder));
    given += found.length;
    if (error !== undefined && (error.offset === undefined || error.offset > file.length)) wrong.push(error.message);
    // xz takes nothing after the end mark.
    if ((error !== undefined || reader.available > 0) !== refused.has(k)) {
      wrong.push(`${k} ${file.subarray(0, 8).toString("hex")}: ${error?.message}, xz: ${refused.has(k)}`);
    }
    // xz reads on beyond the end of a chunk before it looks.
    const wanted = k % 16 === 0 ? rawByXz(file, "4KiB").subarray(0, found.length) : found;
    if (!found.equals(wanted)) wrong.push(`${k}: other bytes before the error`);
  }
  t.deepEqual(wrong, [], `${refused.size} of ${files.length} refused, ${given} bytes before`);
  t.ok(decoder.memory.bytes.length < 2 ** 20, `${decoder.memory.bytes.length} bytes of memory`);
  t.end();
});

test("a dictionary above the limit, a filter that is not there, a check that is not there", options, async (t) => {
  const file = xz(plain.subarray(0, 100), "-6", "-C", "none");
  const small = await read(unxz(QemuFileReader.over(file), { window: 2 ** 20 }));
  t.match(small.error?.message ?? "", /windowBytes.*at most 1048576, found 8388608/u);
  t.deepEqual([small.error?.code, small.error?.offset], ["limit", 12]);
  const arm = await readFile(xz(plain.subarray(0, 100), "--arm", "--lzma2"));
  t.deepEqual([arm.error?.code, arm.error?.offset, arm.error?.found], ["unsupported", 12, "ARM"]);
  const other = Buffer.from(file);
  other[7] = 2;
  other.writeUInt32LE(crc32(other.subarray(6, 8)), 8);
  const unknown = await readFile(other);
  t.deepEqual([unknown.error?.code, unknown.error?.offset], ["unsupported", 6]);
  t.end();
});
