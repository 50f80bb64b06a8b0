/** The page engine's zstd: frames of every kind of content are read by our decoder and by the program zstd. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import test from "tape";
import { ZstdStreamDecoder } from "../src/codec/multifd/zstd-stream.js";
import { PageStreamZstd } from "../src/engine/page-zstd.js";
import { ZstdCompressor } from "../src/engine/zstd-compressor.js";

/** A last block, which is empty: QEMU's streams never end. */
const LAST = Buffer.from([1, 0, 0]);

let seed = 1;
function random(below: number): number {
  seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
  return (seed >>> 8) % below;
}

function noise(length: number, values = 256): Buffer {
  return Buffer.from(Uint8Array.from({ length }, () => random(values)));
}

/** Literals and copies of every length and distance. */
function copies(length: number): Buffer {
  const bytes = noise(length);
  const sizes = [3, 4, 5, 16, 40, 64, 70, 200, 4096, 20_000];
  for (let at = 1; at < length;) {
    const size = Math.min(length - at, 1 + random(sizes[random(sizes.length)]!));
    const distance = random(3) === 0 ? 1 + random(Math.min(at, 8)) : 1 + random(at);
    for (let k = 0; k < size; k++) bytes[at + k] = bytes[at + k - distance]!;
    at += size + random(sizes[random(7)]!);
  }
  return bytes;
}

function parts(): Buffer[] {
  const kinds = [
    (length: number) => Buffer.alloc(length),
    (length: number) => Buffer.alloc(length, "the quick brown fox jumps over the lazy dog; "),
    (length: number) => noise(length),
    (length: number) => noise(length, 3),
    (length: number) => Buffer.from(Uint32Array.from({ length: Math.ceil(length / 4) }, (_, k) => k).buffer, 0, length),
    copies,
  ];
  const sizes = [1, 2, 7, 8, 9, 13, 255, 4095, 4096, 8192, 131_071, 131_072, 131_073, 131_081, 300_000, 524_288];
  return sizes.flatMap((size) => kinds.map((make) => make(size)));
}

test("frames of many parts, of every kind and size, are read by the decoder and by the program", async (t) => {
  const encoder = await PageStreamZstd.create();
  const decoder = await ZstdStreamDecoder.create();
  const given = parts();
  const made: Buffer[] = [];
  let wrong = 0;
  for (const part of given) {
    const payload = Buffer.from(encoder.encode(part));
    const blocks = Math.ceil(part.length / 131_072);
    if (payload.length > part.length + 3 * blocks + (made.length === 0 ? 6 : 0)) wrong++;
    made.push(payload);
    // A part is whole at its flush.
    if (!part.equals(decoder.decode(payload, new Uint8Array(part.length)))) wrong++;
  }
  t.equal(wrong, 0, `${given.length} parts`);
  const all = Buffer.concat([...made, LAST]);
  const { status, stdout, error } = spawnSync("zstd", ["-dc"], { input: all, maxBuffer: 1 << 28 });
  if (error !== undefined) t.comment(`no zstd: ${error.message}`);
  else t.ok(status === 0 && stdout.equals(Buffer.concat(given)), "the program gives the same");
});

test("a part in the engine's own space; size against the library's", async (t) => {
  const encoder = await PageStreamZstd.create();
  const library = await ZstdCompressor.create(1);
  const pages = readFileSync(process.execPath).subarray(1 << 22, (1 << 22) + 524_288);
  encoder.room(pages.length).set(pages);
  const own = encoder.encode(encoder.room(pages.length)).length;
  const theirs = library.flush(pages).length;
  t.ok(own < pages.length && own < theirs * 1.6, `${own} bytes, the library ${theirs}`);
  t.throws(() => encoder.room((1 << 22) + 1), /4194305 bytes at a time/u);
});
