import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { constants, inflateSync } from "node:zlib";
import test, { type Test } from "tape";
import { splitStream } from "../src/rewrite/convert/to-recording.js";
import { QevmError } from "../src/bytes/errors.js";
import {
  ChannelEncoder,
  payloadDecoder,
  payloadEncoder,
  ZlibStreamEncoder,
  ZstdStreamEncoder,
} from "../src/codec/multifd/index.js";
import { MemorySink, MemorySource } from "../src/bytes/index.js";
import { corpusEntry, type CorpusEntry } from "../tools/corpus.js";
import { compare, destinationLike, startDestination } from "../tools/destination/index.js";
import { qemuOf } from "./support/loads.js";
import { qevm, type Ended } from "./support/program.js";
import { flatDocument } from "./support/document.js";
import { sha256Of } from "../tools/sha256.js";

/** Calls `use` with a folder that holds the capture as `stream`. */
async function withStream(entry: CorpusEntry, use: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "qevm-split-"));
  try {
    writeFileSync(join(folder, "stream"), entry.open());
    await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Converts the capture in `folder`, and proves that what was written is understood and holds the source's memory. */
async function converted(t: Test, folder: string, { truth }: CorpusEntry, options: readonly string[]): Promise<void> {
  const rec = join(folder, "rec");
  const run = await qevm(["convert", join(folder, "stream"), "--to", "recording", "--out", rec, ...options]);
  t.equal(run.code, 0, run.stderr);
  const verified = await qevm(["verify", rec, "--json"]);
  const { identical, opaqueBytes } = flatDocument(verified.stdout) as { identical: boolean; opaqueBytes: number };
  t.deepEqual([identical, opaqueBytes], [true, 0], options.join(" "));
  const out = join(folder, "blocks");
  const extracted = await qevm(["extract", rec, "--out", out, "--format", "blocks", "--json"]);
  t.equal(extracted.code, 0, extracted.stderr);
  const { blocks } = flatDocument(extracted.stdout) as { blocks: { block: string; file: string }[] };
  for (const { block: name, file } of blocks) {
    const sha256 = sha256Of(readFileSync(join(out, file)));
    const expected = truth.blocks.find((block) => block.name === name)?.sha256;
    if (expected !== null) t.equal(sha256, expected, name);
  }
}

const CASES: readonly [entry: string, options: readonly string[]][] = [
  ["live", ["--multifd", "zlib", "--channels", "3"]],
  ["live", ["--multifd", "zstd", "--channels", "2"]],
  ["machine-none", ["--channels", "8"]],
  ["xbzrle", ["--multifd", "zlib", "--level", "9", "--flatten"]],
  ["compress-1-threads-8", []],
  ["v10.0-live", ["--multifd", "zlib"]],
  ["v10.0-live", ["--multifd", "zstd", "--level", "20", "--channels", "4"]],
  ["v10.0-pc-7.2", ["--qemu", "10.0"]],
  ["v11.1-live", ["--multifd", "zstd"]],
];

for (const [name, options] of CASES) {
  const entry = corpusEntry(name);
  test(`${name} ${options.join(" ")}: channels with the source's memory, which a real QEMU takes`, async (t) => {
    await withStream(entry, async (folder) => {
      await converted(t, folder, entry, options);
      const qemu = qemuOf(t, entry.capture.version);
      if (qemu === undefined) return;
      const channels = readdirSync(join(folder, "rec")).filter((file) => file.startsWith("multifd-")).length;
      const method = options[options.indexOf("--multifd") + 1] ?? "none";
      const how = {
        "multifd-channels": channels,
        "multifd-compression": options.includes("--multifd") ? method : "none",
      };
      let sent: Ended | undefined;
      const { vm, result } = await startDestination({
        ...destinationLike(entry, { qemu, capabilities: ["multifd"], stream: "unix:$DIR/in.sock" }),
        parameters: how,
        onListening: async (destination) => {
          sent = await qevm(["send", join(folder, "rec"), `unix:${destination.folder}/in.sock`, "--channels"]);
        },
      });
      try {
        t.equal(sent?.code, 0, sent?.stderr);
        t.equal(result.status, "completed", result.error);
        const found = await compare(vm, entry.truth);
        t.deepEqual([found.differentBlocks, found.registersEqual === false], [[], false], "memory and registers equal");
        t.ok(found.equalBlocks.length > 0, `${found.equalBlocks.length} blocks`);
      } finally {
        await vm.close();
      }
    });
  });
}

/** What becomes of splitting a capture, changed or not. */
async function splitting(name: string, change?: (bytes: Buffer) => Uint8Array): Promise<string> {
  const bytes = corpusEntry(name).open();
  try {
    await splitStream(new MemorySource(change?.(bytes) ?? bytes), new MemorySink(), [new MemorySink()]);
    return "written";
  } catch (error) {
    return error instanceof QevmError ? `${error.code}: ${error.what}` : String(error);
  }
}

/** The second page record of the PART of machine-none, ZERO with CONTINUE, once more at the place of the third. */
function twice(bytes: Buffer): Uint8Array {
  const at = bytes.indexOf(Buffer.from("000000000000102200", "hex"));
  return Buffer.concat([bytes.subarray(0, at + 9), bytes.subarray(at, at + 9), bytes.subarray(at + 18)]);
}

test("what cannot be written", async (t) => {
  t.match(await splitting("compress-6"), /unsupported: no plain page/u);
  t.match(await splitting("xbzrle"), /unsupported: no plain page/u);
  t.equal(await splitting("machine-none"), "written");
  t.match(await splitting("machine-none", twice), /is twice in one part/u);
  await withStream(corpusEntry("machine-none"), async (folder) => {
    const convert = async (...options: string[]): Promise<number | null> =>
      (await qevm(["convert", join(folder, "stream"), "--out", join(folder, "rec"), ...options])).code;
    for (const wrong of [
      ["--to", "recording", "--multifd", "song"],
      ["--to", "recording", "--channels", "0"],
      ["--to", "recording", "--level", "1"],
      ["--to", "recording", "--multifd", "zstd", "--level", "0"],
      ["--to", "recording", "--multifd", "zlib", "--level", "10"],
      ["--to", "recording", "--ram", "zlib"],
      ["--to", "recording", "--exact"],
      ["--to", "recording", "--multifd", "zstd", "--exact"],
      ["--to", "recording", "--qemu", "3.1"],
      ["--channels", "2"],
      ["--to", "song"],
    ]) {
      t.equal(await convert(...wrong), 2, wrong.join(" "));
    }
    writeFileSync(join(folder, "stream"), corpusEntry("machine-none").open().subarray(0, 5000));
    t.equal(await convert("--to", "recording"), 1, "a stream that is cut off");
    t.deepEqual(readdirSync(folder), ["stream"], "nothing is left");
  });
});

test("packets must fit", async (t) => {
  const encoder = await ChannelEncoder.create({ channel: 0 });
  const page = new Uint8Array(4096);
  t.throws(
    () => encoder.pages({ idstr: "ram", packetNum: 0, normal: [0, 4096], data: page, zero: [] }),
    /does not fit|pages of a multifd/u,
  );
  const many = Array.from({ length: 129 }, (_, k) => k * 4096);
  t.throws(
    () => encoder.pages({ idstr: "ram", packetNum: 0, normal: [], data: page.subarray(0, 0), zero: many }),
    QevmError,
  );
});

/** Pages of texts, of noise and of one byte, in packets. */
function packets(): Buffer[] {
  let x = 1;
  const noise = (): number => (x = Math.imul(x, 1_103_515_245) + 12_345) >>> 24;
  const texts = Buffer.from(Array.from({ length: 20_000 }, (_, k) => `row ${k}: ${k * k}\n`).join("")).subarray(
    0,
    64 * 4096,
  );
  return [
    texts,
    Buffer.from(Array.from({ length: 128 * 4096 }, noise)),
    Buffer.concat([Buffer.alloc(4096, 7), texts.subarray(0, 4096), Buffer.alloc(8192, 7)]),
    texts.subarray(0, 4096),
  ];
}

test("zstd: one frame, flushed at each packet, at every level, as QEMU's zstd reads it", async (t) => {
  const sent = packets();
  const sizes: number[] = [];
  for (const level of [1, 3, 9, 20]) {
    const encoder = await ZstdStreamEncoder.create(level);
    const decoder = (await payloadDecoder("zstd", 4096))!;
    const payloads = sent.map((pages) => Buffer.from(encoder.encode(pages)));
    for (const [k, pages] of sent.entries()) {
      t.ok(pages.equals(decoder.decode(payloads[k]!, new Uint8Array(pages.length))), `level ${level}, packet ${k}`);
    }
    t.ok(payloads[3]!.length < 200, "the last packet refers to the first");
    sizes.push(payloads.reduce((sum, { length }) => sum + length, 0));
    // The frame as a file that is cut off: the program gives everything that was flushed.
    const read = spawnSync("zstd", ["-dcq", "--memory=128MB"], { input: Buffer.concat(payloads), maxBuffer: 1 << 24 });
    if (read.error === undefined) t.ok(Buffer.concat(sent).equals(read.stdout), "zstd -d gives the same");
  }
  t.ok(sizes[2]! < sizes[0]!, `a higher level is smaller: ${sizes.join(", ")}`);
  for (const level of [0, 21, 1.5]) {
    const made = await ZstdStreamEncoder.create(level).then(() => "made", String);
    t.match(made, /level of zstd/u, `level ${level}`);
  }
});

test("zlib: the page engine's stream, as C zlib reads it; QEMU's bytes when asked for", async (t) => {
  const sent = [...packets(), Buffer.alloc(8192)];
  const plain = (await payloadEncoder({ method: "zlib" }))!;
  const payloads = sent.map((pages) => Buffer.from(plain.encode(pages)));
  for (const [k, payload] of payloads.entries()) {
    t.deepEqual([...payload.subarray(-4)], [0, 0, 0xff, 0xff], `packet ${k} is flushed`);
    t.ok(payload.length < sent[k]!.length + 8 * 129, `${payload.length} bytes`);
  }
  const finishFlush = constants.Z_SYNC_FLUSH;
  t.ok(Buffer.concat(sent).equals(inflateSync(Buffer.concat(payloads), { finishFlush })), "C zlib gives the pages");
  const exact = (await payloadEncoder({ method: "zlib", exact: true }))!;
  const qemus = new ZlibStreamEncoder(1, 4096);
  for (const pages of sent) t.ok(Buffer.from(exact.encode(pages)).equals(qemus.encode(pages)), "exact");
});

test("threads: the same channels, however many", async (t) => {
  const bytes = corpusEntry("v10.0-live").open();
  for (const method of ["zlib", "zstd"] as const) {
    const written: string[] = [];
    for (const threads of [1, 2, 3]) {
      const channels = Array.from({ length: 3 }, () => new MemorySink());
      const report = await splitStream(new MemorySource(bytes), new MemorySink(), channels, { method, threads });
      const hash = createHash("sha256").update(JSON.stringify(report));
      for (const channel of channels) hash.update(channel.bytes());
      written.push(hash.digest("hex"));
    }
    t.equal(new Set(written).size, 1, `${method}: 1, 2 and 3 threads`);
  }
});
