/** Long files, decompressed by other threads: the same bytes, errors and places as in this thread. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { QemuFileReader } from "../src/bytes/reader.js";
import { decompressed } from "../src/io/container/compressed/decompressed.js";
import type { Compression } from "../src/io/container/detect.js";
import { findBlock } from "../src/io/container/threads/bzip2-units.js";
import { FileSource } from "../src/io/transport/file.js";
import { refusal } from "./support/bytes.js";

const folder = mkdtempSync(join(tmpdir(), "qevm-threads-"));
test.onFinish(() => rmSync(folder, { recursive: true }));

/** Noise, text and zeros: 2.4 MB, of which half is noise. */
const plain = Buffer.alloc(2_400_000);
for (let at = 0, seed = 1; at < 1_800_000; at++) {
  seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
  plain[at] = at % 100_000 < 70_000 ? seed >>> 24 : at >> 9;
}

/** A kind, the command, into how many parts the input is cut (one file after the other), and threads. */
const FORMS: readonly (readonly [Compression, string, number, number?])[] = [
  ["zstd", "zstd -q -c -1 --no-check", 1],
  ["zstd", "zstd -q -c -1", 3],
  ["zstd", "zstd -q -c -1", 3, 4],
  ["xz", "xz -c -0 -T1 --block-size=600KiB", 2],
  ["bzip2", "bzip2 -c -9", 3],
  ["lz4", "lz4 -q -c -B5", 1],
  ["lzop", "lzop -c", 1],
];

/** What a file gives up to its end or an error: by other threads where `lanes` is given. */
async function read(kind: Compression, bytes: Uint8Array, lanes: number | undefined): Promise<[Buffer, unknown]> {
  const path = join(folder, "file");
  writeFileSync(path, bytes);
  const reader = new QemuFileReader(FileSource.open(path));
  const threads = lanes === undefined ? { from: Infinity } : { from: 0, lanes, ready: true };
  const source = await decompressed(kind, reader, { threads });
  const parts: Buffer[] = [];
  const piece = new Uint8Array(300_000);
  const error = await refusal(async () => {
    for (let n = await source.read(piece); n > 0; n = await source.read(piece))
      parts.push(Buffer.from(piece.subarray(0, n)));
  });
  await source.close?.();
  return [Buffer.concat(parts), error?.toJSON()];
}

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = copy[at]! ^ 0x10;
  return copy;
}

for (const [kind, line, parts, lanes = 2] of FORMS) {
  const [program = "", ...args] = line.split(" ");
  const there = spawnSync(program, ["--version"]).error === undefined;
  test(`${lanes} threads for ${parts} x ${line}`, there ? {} : { skip: `no ${program} here` }, async (t) => {
    const length = Math.ceil(plain.length / parts);
    const files = Array.from({ length: parts }, (_, k) => {
      const input = plain.subarray(k * length, (k + 1) * length);
      return spawnSync(program, args, { input, maxBuffer: 1 << 26 }).stdout;
    });
    const packed = Buffer.concat(files);
    const [all, trouble] = await read(kind, packed, lanes);
    t.equal(trouble, undefined);
    t.ok(all.equals(plain), "the same bytes");
    const magic = Buffer.concat([
      packed,
      Buffer.alloc(1_200_000),
      Buffer.from("314159265359", "hex"),
      Buffer.alloc(40),
    ]);
    const cut = packed.subarray(0, Math.floor(packed.length * 0.8));
    const kinds = parts === 1 ? { cut } : { cut, middle: flipped(packed, packed.length >> 1), magic };
    for (const [what, bytes] of Object.entries(kinds)) {
      const [[want, error], [found, other]] = [await read(kind, bytes, undefined), await read(kind, bytes, lanes)];
      t.deepEqual(other, error, `${what}: ${JSON.stringify(error)?.slice(0, 90)}`);
      t.ok(found.equals(want), `${what}: ${want.length} bytes`);
    }
    if (kind === "bzip2") {
      const [given, error] = await read(kind, flipped(packed, files[0]!.length - 2), lanes);
      t.equal(given.length, length);
      t.equal((error as { message: string }).message, "bzip2: checksum of the stream");
    }
    t.end();
  });
}

for (const kind of ["bzip2", "zstd"] as const) {
  test(`a reader that stops early ends its threads: ${kind}`, async (t) => {
    const input = plain.subarray(0, 900_000);
    const packed = spawnSync(kind, ["-c", "-1"], { input, maxBuffer: 1 << 26 }).stdout;
    const path = join(folder, "file");
    writeFileSync(path, packed);
    const reader = new QemuFileReader(FileSource.open(path));
    const source = await decompressed(kind, reader, { threads: { from: 0, lanes: 2, ready: true } });
    const piece = new Uint8Array(1000);
    t.equal(await source.read(piece), 1000);
    await source.close?.();
    t.ok(input.subarray(0, 1000).equals(piece));
    t.end();
  });
}

test("a slow reader of zstd: the thread writes what it has decoded, and waits", async (t) => {
  const path = join(folder, "file");
  writeFileSync(path, spawnSync("zstd", ["-q", "-c", "-1"], { input: plain, maxBuffer: 1 << 26 }).stdout);
  const reader = new QemuFileReader(FileSource.open(path));
  const source = await decompressed("zstd", reader, { threads: { from: 0, lanes: 2, ready: true } });
  const piece = new Uint8Array(plain.length);
  let length = await source.read(piece.subarray(0, 1000));
  await new Promise((resolve) => {
    setTimeout(resolve, 40);
  });
  for (let n = 1; n > 0 && length < piece.length; length += n) n = await source.read(piece.subarray(length));
  await source.close?.();
  t.ok(plain.equals(piece), `${length} bytes`);
  t.end();
});

test("a block's magic at every bit", (t) => {
  const magic = 0x314159265359n;
  for (let bit = 0; bit < 8; bit++) {
    const bytes = Buffer.alloc(40, 0x31);
    const value = magic << BigInt(16 - bit);
    bytes.set(Buffer.from(value.toString(16).padStart(16, "0"), "hex"), 20);
    const at = 160 + bit;
    t.equal(findBlock(bytes, 320), at, `bit ${bit}`);
    t.equal(findBlock(bytes, at), -1, "not beyond the end");
  }
  t.end();
});
