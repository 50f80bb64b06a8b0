/** Whole files by the programs that people pack with, whole and cut. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as zlib from "node:zlib";
import test from "tape";
import { decodeLibvirtHeader, openContainers } from "../src/io/container/index.js";
import type { QevmError } from "../src/bytes/errors.js";
import { inspectStream } from "../src/analyse/inspect/inspect.js";
import { IterableSource, MemorySource } from "../src/bytes/source.js";
import { corpusEntry } from "../tools/corpus.js";
import { bytesOf, image } from "./support/container-bytes.js";
import { refusal } from "./support/bytes.js";
import { qevm } from "./support/program.js";

const PROGRAMS: readonly (readonly [string, readonly string[]])[] = [
  ["gzip", ["-c"]],
  ["xz", ["-c"]],
  ["bzip2", ["-c"]],
  ["zstd", ["-c", "-q"]],
  ["lz4", ["-c", "-q"]],
  ["lzop", ["-c"]],
  ["lzop", ["-c", "--crc32"]],
];

for (const [program, args] of PROGRAMS) {
  const there = spawnSync(program, ["--version"]).error === undefined;
  test(
    `whole files by the program ${program} ${args.join(" ")}`,
    there ? {} : { skip: `no ${program} here` },
    async (t) => {
      const plain = corpusEntry("pc-fill").open();
      const packed = spawnSync(program, args, { input: plain, maxBuffer: 1 << 26 }).stdout;
      const input = await openContainers(new IterableSource([packed.subarray(0, 7), packed.subarray(7)]));
      t.equal(input.containers[0]?.kind, program);
      t.ok(plain.equals(await bytesOf(input)), "the same bytes");
      const twice = await openContainers(new MemorySource(Buffer.concat([packed, packed, Buffer.alloc(512)])));
      t.equal((await bytesOf(twice)).length, 2 * plain.length, "two in a row, and padding");
      const cut = await refusal(
        async () => await bytesOf(await openContainers(new MemorySource(packed.subarray(0, packed.length >> 1)))),
      );
      t.equal(cut?.code, "truncated", `cut: ${cut?.message}`);
      t.ok((cut?.offset ?? -1) > 0 && (cut?.offset ?? 0) <= packed.length, "its place");
      let silent = 0;
      for (let k = 1; k < 12; k++) {
        const broken = Buffer.from(packed);
        const at = Math.floor((packed.length * k) / 12);
        broken[at] = broken[at]! ^ 0x10;
        const error = await refusal(async () => {
          if (plain.equals(await bytesOf(await openContainers(new MemorySource(broken))))) return;
          silent++;
        });
        if (error !== undefined && error.offset === undefined) t.fail(`no place: ${error.message}`);
      }
      t.equal(silent, 0, "no flipped bit passes unseen");
      t.end();
    },
  );
}

test("two files of one kind at once: each has a decompressor of its own", async (t) => {
  const [one, two] = ["pc-fill", "pc-never-run"].map((name) => corpusEntry(name).open()) as [Buffer, Buffer];
  for (const [program, args] of PROGRAMS) {
    if (spawnSync(program, ["--version"]).error !== undefined) {
      t.comment(`SKIP no ${program} here`);
      continue;
    }
    const packed = [one, two, one].map((input) => spawnSync(program, args, { input, maxBuffer: 1 << 26 }).stdout);
    const inputs = await Promise.all(packed.map(async (bytes) => await openContainers(new MemorySource(bytes))));
    // Piece by piece in turns, so that none is finished before the others.
    const parts: Buffer[][] = inputs.map(() => []);
    const piece = new Uint8Array(30_000);
    for (let more = true; more;) {
      more = false;
      for (const [k, input] of inputs.entries()) {
        const n = await input.read(piece);
        parts[k]!.push(Buffer.from(piece.subarray(0, n)));
        more ||= n > 0;
      }
    }
    const same = parts.map((all, k) => Buffer.concat(all).equals([one, two, one][k]!));
    t.deepEqual(same, [true, true, true], program);
  }
  t.end();
});

test("diff reads two xz files, one and a zstd file, and a file against itself", async (t) => {
  const programs = ["xz", "zstd"].filter((program) => spawnSync(program, ["--version"]).error === undefined);
  if (programs.length < 2) return t.skip("no xz and zstd here");
  const folder = mkdtempSync(join(tmpdir(), "qevm-two-"));
  const file = (name: string, program: string, input: Buffer): string => {
    writeFileSync(join(folder, name), spawnSync(program, ["-c"], { input, maxBuffer: 1 << 26 }).stdout);
    return join(folder, name);
  };
  const stream = corpusEntry("pc-never-run").open();
  const a = file("a.xz", "xz", stream);
  for (const b of [file("b.xz", "xz", stream), file("b.zst", "zstd", stream), a]) {
    const run = await qevm(["diff", a, b]);
    t.equal(run.code, 0, run.stderr);
    t.equal((await qevm(["diff", b, a])).code, 0);
  }
  t.equal((await qevm(["diff", a, file("other.xz", "xz", corpusEntry("pc-fill").open())])).code, 1);
  rmSync(folder, { recursive: true });
  t.end();
});

/** What came before the end or an error, and the error. */
async function salvaged(bytes: Uint8Array): Promise<{ plain: Buffer; error: QevmError | undefined }> {
  const parts: Buffer[] = [];
  const error = await refusal(async () => {
    const input = await openContainers(new MemorySource(bytes));
    const piece = new Uint8Array(100_000);
    for (let n = await input.read(piece); n > 0; n = await input.read(piece))
      parts.push(Buffer.from(piece.subarray(0, n)));
  });
  return { plain: Buffer.concat(parts), error };
}

/** A file in one of the formats, where its packed part begins, and what it holds. */
function* packedFiles(): Generator<{ what: string; program: string; packed: Buffer; start: number; plain: Buffer }> {
  const live = corpusEntry("live").open();
  for (const [program, args] of PROGRAMS) {
    if (spawnSync(program, ["--version"]).error !== undefined) continue;
    const packed = spawnSync(program, args, { input: live, maxBuffer: 1 << 26 }).stdout;
    yield { what: program, program, packed, start: 0, plain: live };
    if (program === "lz4") continue;
    const saved = image(program);
    const start = 92 + decodeLibvirtHeader(saved.subarray(0, 92)).dataLength;
    const plain = spawnSync(program, ["-dc"], { input: saved.subarray(start), maxBuffer: 1 << 26 }).stdout;
    yield { what: `libvirt, ${program}`, program, packed: saved, start, plain };
  }
}

test("a cut file gives what the program that packed it gives, and says that it is cut", async (t) => {
  for (const { what, program, packed, start, plain } of packedFiles()) {
    const wrong: string[] = [];
    let longest = 0;
    for (const part of [0.02, 0.3, 0.5, 0.9, 0.99, -30, -3]) {
      const at = part < 0 ? packed.length + part : start + Math.floor((packed.length - start) * part);
      const fed = packed.subarray(start, at);
      const { length } = spawnSync(program, ["-dc"], { input: fed, maxBuffer: 1 << 26 }).stdout;
      const found = await salvaged(packed.subarray(0, at));
      const { code, offset = -1, path } = found.error ?? {};
      if (code !== "truncated" || offset < start || offset > at || path?.join().includes(program) !== true)
        wrong.push(`cut at ${at}: ${found.error?.message}`);
      if (!found.plain.equals(plain.subarray(0, found.plain.length))) wrong.push(`cut at ${at}: other bytes`);
      if (found.plain.length < length) wrong.push(`cut at ${at}: ${found.plain.length} of ${length} bytes`);
      longest = Math.max(longest, found.plain.length);
      if (found.plain.length === 0) continue;
      const input = await openContainers(new MemorySource(packed.subarray(0, at)));
      const { streamLength, warnings, complete } = await inspectStream(input, { lenient: true });
      if (streamLength !== found.plain.length || complete || !warnings.some((one) => one.code === "truncated"))
        wrong.push(`cut at ${at}: inspect counts ${streamLength} of ${found.plain.length}, complete: ${complete}`);
    }
    t.deepEqual(wrong, [], what);
    t.ok(longest > plain.length / 2, `${what}: ${longest} of ${plain.length} bytes`);
  }
});

/** Other forms that the same programs, and those which use many threads, write. */
const FORMS: readonly (readonly [string, string])[] = [
  ["zstd", "pzstd -q -c -p 2"],
  ["lz4", "lz4 -q -c -l"],
  ["lz4", "lz4 -q -c -B4D --content-size"],
  ["xz", "xz -c -T2 --block-size=64KiB"],
  ["bzip2", "pbzip2 -q -c -b1"],
];

for (const [kind, line] of FORMS) {
  const [program = "", ...args] = line.split(" ");
  const there = spawnSync(program, ["--version"]).error === undefined;
  test(`whole files by ${line}`, there ? {} : { skip: `no ${program} here` }, async (t) => {
    const plain = corpusEntry("pc-4.2").open();
    const packed = spawnSync(program, args, { input: plain, maxBuffer: 1 << 26 }).stdout;
    const input = await openContainers(new IterableSource([packed.subarray(0, 7), packed.subarray(7)]));
    t.equal(input.containers[0]?.kind, kind);
    t.ok(plain.equals(await bytesOf(input)), "the same bytes");
    const cut = await refusal(
      async () => await bytesOf(await openContainers(new MemorySource(packed.subarray(0, 9000)))),
    );
    t.ok((cut?.offset ?? Infinity) <= 9000, `cut: ${cut?.message}`);
    t.end();
  });
}

test("frames to be passed over before the first, and lz4's legacy frames", async (t) => {
  const text = Buffer.from("QEVM\0\0\0\x03 and no more");
  const raw = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x20, text.length, (text.length << 3) | 1, 0, 0]);
  const skipped = Buffer.from("502a4d180400000001020304", "hex");
  const frames = await openContainers(new MemorySource(Buffer.concat([skipped, skipped, raw, text])));
  t.deepEqual(frames.containers, [{ kind: "zstd" }]);
  t.ok(text.equals(await bytesOf(frames)));
  const lz4 = Buffer.from("02214c18", "hex");
  const block = Buffer.concat([Buffer.from([0xf0, text.length - 15]), text]);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(block.length);
  const legacy = Buffer.concat([lz4, length, block, lz4, length, block]);
  const input = await openContainers(new MemorySource(legacy));
  t.deepEqual(input.containers, [{ kind: "lz4" }]);
  t.ok(Buffer.concat([text, text]).equals(await bytesOf(input)));
  const long = Buffer.concat([lz4, Buffer.from("ffffff7f", "hex")]);
  const error = await refusal(async () => await openContainers(new MemorySource(long)));
  t.deepEqual([error?.code, error?.offset], ["bad-compressed-data", 4]);
  t.end();
});

test("damage in a gzip file costs nothing that is before it", async (t) => {
  const plain = corpusEntry("machine-none-tiny").open();
  // Noise, so that the end of the stream is in the file's second half; far less than node:zlib gives at a time.
  const noise = Buffer.from(Uint8Array.from({ length: 60_000 }, (_, k) => (k * k * 2_654_435_761) >>> 13));
  const bytes = Buffer.concat([plain, noise]);
  const packed = zlib.gzipSync(bytes);
  const at = packed.length - 2000;
  packed.fill(0xff, at, at + 64);
  const input = await openContainers(new MemorySource(packed));
  let given = 0;
  const error = await refusal(async () => {
    const into = new Uint8Array(1 << 12);
    for (let n = 1; n > 0; given += n) n = await input.read(into);
  });
  t.equal(error?.code, "bad-compressed-data", error?.message);
  t.ok(given > bytes.length / 2, `${given} of ${bytes.length} bytes came`);
  t.ok(Math.abs((error?.offset ?? 0) - at) < 2000, `the error is at ${error?.offset}, the damage at ${at}`);
});
