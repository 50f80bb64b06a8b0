import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { openInput, openRecording } from "../src/io/container/index.js";
import { QevmError } from "../src/bytes/errors.js";
import { inspectRecording, verifyRecording } from "../src/analyse/inspect/recording.js";
import { inspectStream } from "../src/analyse/inspect/inspect.js";
import { ChannelReader } from "../src/codec/multifd/index.js";
import { MemorySource, QemuFileReader, QemuFileWriter, MemorySink } from "../src/bytes/index.js";
import { mergeRecording, preemptRecords, roleOf, type RecordedChannel } from "../src/io/recording/index.js";
import { Diagnostics } from "../src/bytes/errors.js";
import { RamState } from "../src/codec/ram/index.js";
import {
  decodeReturnMessage,
  encodeReturnMessage,
  StreamReader,
  type ReturnMessage,
} from "../src/codec/stream/index.js";
import { corpusEntry, projectRoot } from "../tools/corpus.js";
import { compare, startDestination } from "../tools/destination/index.js";
import { listRecordings, recordingNamed, unpackRecording, type Recording } from "../tools/recording/corpus.js";
import { recipes } from "../tools/recording/machines.js";
import { refusal } from "./support/bytes.js";
import { qemuOf } from "./support/loads.js";
import { qevm } from "./support/program.js";
import { flatDocument } from "./support/document.js";
import { sha256Of } from "../tools/sha256.js";

const multifd = listRecordings().filter(({ name }) => name.startsWith("recording-"));

/** Unpacks a recording and calls `use` with its folder, and a place beside it. */
async function unpacked(recording: Recording, use: (folder: string, beside: string) => Promise<void>): Promise<void> {
  const beside = mkdtempSync(join(tmpdir(), "qevm-recording-"));
  try {
    unpackRecording(recording, join(beside, "rec"));
    await use(join(beside, "rec"), beside);
  } finally {
    rmSync(beside, { recursive: true, force: true });
  }
}

async function codeOf(work: Promise<unknown>): Promise<string | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    return error instanceof QevmError ? error.code : String(error);
  }
}

for (const recording of multifd) {
  const { name, truth, version } = recording;
  test(`${name}: every channel is understood`, async (t) => {
    await unpacked(recording, async (folder) => {
      const result = await verifyRecording(openRecording(folder), { keepMemory: false });
      t.ok(result.identical, "identical");
      t.equal(result.opaqueBytes, 0, "nothing opaque");
      t.ok(result.complete, "complete");
      t.equal(result.recompressed.identicalCount, result.recompressed.pageCount, "every zlib page with QEMU's bytes");
      t.equal(result.files.length, recording.files.length);
      t.equal(
        result.streamLength,
        recording.files.reduce((sum, file) => sum + recording.open(file).length, 0),
        "all bytes",
      );
      const { channels, ram, evident } = result.inspection;
      const epochs = result.epochs ?? 0;
      const syncs = channels.map((channel) => channel.syncs);
      t.ok(new Set(syncs).size === 1 && syncs[0]! >= epochs && epochs >= 2, `${epochs} epochs of ${syncs.join()}`);
      t.ok(ram.pages.multifd > 0 && ram.pages.normal === 0, `${ram.pages.multifd} pages`);
      t.ok(evident.includes("multifd"));
    });
  });

  test(`${name}: memory is the source's`, async (t) => {
    await unpacked(recording, async (folder, beside) => {
      const out = join(beside, "blocks");
      const run = await qevm(["extract", folder, "--out", out, "--format", "blocks", "--json"]);
      t.equal(run.code, 0, run.stderr);
      const { blocks } = flatDocument(run.stdout) as { blocks: { block: string; file: string }[] };
      t.equal(blocks.length, truth.blocks.length);
      for (const { block, file } of blocks) {
        const sha256 = sha256Of(readFileSync(join(out, file)));
        t.equal(sha256, truth.blocks.find((one) => one.name === block)?.sha256, block);
      }
    });
  });

  test(`${name}: converted, the same QEMU loads it from a file`, async (t) => {
    await unpacked(recording, async (folder, beside) => {
      const out = join(beside, "plain");
      const run = await qevm(["convert", folder, "--out", out, "--to", "stream"]);
      t.equal(run.code, 0, run.stderr);
      const plain = await inspectStream(await openInput(out));
      t.ok(plain.complete);
      t.deepEqual([plain.ram.pages.multifd, plain.opaqueBytes], [0, 0]);
      t.equal((await qevm(["verify", out])).code, 0, "what was made verifies");
      const qemu = qemuOf(t, version);
      const recipe = recipes.find((one) => one.name === name);
      if (qemu === undefined || recipe === undefined) return;
      const { vm, result } = await startDestination({ qemu, args: recipe.args, files: recipe.files, stream: out });
      try {
        t.equal(result.status, "completed", result.error);
        const found = await compare(vm, truth);
        t.deepEqual(found.differentBlocks, [], "memory equal");
        t.ok(found.equalBlocks.length > 0, `${found.equalBlocks.length} blocks compared`);
      } finally {
        await vm.close();
      }
    });
  });
}

test("damage anywhere in a recording is refused with a typed error, or taken", async (t) => {
  const codes = new Map<string, number>();
  let x = 5;
  const random = (n: number): number => {
    x = (Math.imul(x, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((x / 2 ** 32) * n);
  };
  const { files, open } = recordingNamed("recording-10.0-zstd");
  for (let k = 0; k < 120; k++) {
    const damaged = files.map((file) => channelOf(file, open(file)));
    const at = random(files.length);
    const bytes = open(files[at]!);
    const place = random(k % 2 === 0 ? bytes.length : Math.min(bytes.length, 3000));
    bytes[place] = random(256);
    damaged[at] = channelOf(files[at]!, k % 5 === 0 ? bytes.subarray(0, place) : bytes);
    const [main, ...others] = damaged;
    const work = verifyRecording({ main: main!, multifd: others, preempt: [], returnPath: [] });
    const code = (await codeOf(work)) ?? "taken";
    codes.set(code, (codes.get(code) ?? 0) + 1);
  }
  const told = JSON.stringify([...codes]);
  t.ok(
    [...codes.keys()].every((code) => /^[a-z-]+$/u.test(code)),
    told,
  );
  t.ok(codes.size >= 4 && (codes.get("taken") ?? 0) > 10, "of several kinds");
});

test("names of files do not matter, and what is not a channel is left alone", async (t) => {
  await unpacked(recordingNamed("recording-7.2-zstd"), async (folder) => {
    readdirSync(folder).forEach((file, k) => renameSync(join(folder, file), join(folder, `${9 - k}.anything`)));
    writeFileSync(join(folder, "notes.txt"), "made on a Tuesday");
    const { main, multifd: channels, others } = openRecording(folder);
    t.ok(main.name.endsWith(".anything"));
    t.equal(channels.length, 2);
    t.ok(others.includes("notes.txt"));
    t.ok((await verifyRecording(openRecording(folder))).identical);
    const text = await qevm(["inspect", folder]);
    t.match(text.stdout, /zstd/u);
    t.match((await qevm(["verify", folder])).stdout, /identical/u);
    t.equal(
      (flatDocument((await qevm(["inspect", folder, "--json"])).stdout) as { container: string }).container,
      "recording",
    );
  });
});

test("packed by gzip, as the corpus has them", async (t) => {
  const { name, files, open } = recordingNamed("recording-10.0-zstd");
  const folder = join(projectRoot(), "corpus", name);
  const result = await verifyRecording(openRecording(folder));
  t.ok(result.identical);
  t.equal(
    result.streamLength,
    files.reduce((sum, file) => sum + open(file).length, 0),
    "bytes of the channels, not of the files",
  );
  t.deepEqual(openRecording(folder).others, ["capture.json", "recording.json", "truth.json"]);
  t.equal((await qevm(["verify", folder])).code, 0);
  const beside = mkdtempSync(join(tmpdir(), "qevm-recording-"));
  try {
    const out = join(beside, "blocks");
    t.equal((await qevm(["extract", folder, "--out", out, "--format", "blocks"])).code, 0);
    t.ok(readFileSync(join(out, "ram")).length > 0);
    const broken = Buffer.from(readFileSync(join(folder, "main.bin.gz")));
    writeFileSync(join(beside, "main.bin.gz"), broken.fill(0xff, 12, 40));
    t.throws(() => openRecording(beside), /is not a recording/u);
  } finally {
    rmSync(beside, { recursive: true, force: true });
  }
});

test("folders that are no recording, or not a whole one", async (t) => {
  await unpacked(recordingNamed("recording-10.0-zlib"), async (folder, beside) => {
    const empty = mkdtempSync(join(beside, "empty"));
    const none = await qevm(["inspect", empty]);
    t.equal(none.code, 1);
    t.match(none.stderr, /is not a recording/u);
    const [a, b] = ["multifd-0.bin", "multifd-1.bin"].map((file) => join(folder, file)) as [string, string];
    const saved = readFileSync(b);
    truncateSync(b, saved.length - 1344);
    t.equal(await codeOf(verifyRecording(openRecording(folder))), "truncated", "its last SYNC is gone");
    truncateSync(b, 64 + 1344 + 10);
    t.equal(await codeOf(verifyRecording(openRecording(folder))), "truncated", "cut in a packet");
    const counted = await inspectRecording(openRecording(folder), { lenient: true });
    t.deepEqual([counted.opaqueBytes, counted.undecoded[0]?.streamOffset], [10, 64 + 1344], "which is counted");
    truncateSync(b, 64 + 1344);
    t.equal(await codeOf(verifyRecording(openRecording(folder))), "truncated", "no second SYNC");
    const lenient = await inspectRecording(openRecording(folder), { lenient: true });
    t.ok(lenient.ram.pages.multifd > 0, "inspect tells of what there is");
    const merged = await qevm(["extract", folder, "--lenient", "--out", join(beside, "cut"), "--format", "blocks"]);
    t.equal(merged.code, 1, merged.stderr);
    t.equal((await qevm(["extract", folder, "--out", join(beside, "strict"), "--format", "blocks"])).code, 1);
    rmSync(b);
    t.equal(await codeOf(verifyRecording(openRecording(folder))), "unknown-reference", "a channel is missing");
    writeFileSync(b, readFileSync(a));
    t.throws(() => openRecording(folder), /both multifd channel 0/u);
    writeFileSync(b, readFileSync(join(folder, "main.bin")));
    t.throws(() => openRecording(folder), /both main/u);
    t.equal((await qevm(["inspect", folder, "--snapshot", "x"])).code, 1);
    t.equal((await qevm(["devices", folder, "--snapshot", "x"])).code, 2);
  });
});

test("one changed byte: verify names the file", async (t) => {
  await unpacked(recordingNamed("recording-7.2-none"), async (folder) => {
    const file = join(folder, "multifd-1.bin");
    const bytes = readFileSync(file);
    // In the page itself a change is another page; after the name of the block, a stale byte: both are fields.
    bytes[64 + 1344 + 100]! ^= 1;
    writeFileSync(file, bytes);
    t.ok((await verifyRecording(openRecording(folder))).identical);
    bytes[0] = 0;
    writeFileSync(file, bytes);
    t.deepEqual(openRecording(folder).others.includes("multifd-1.bin"), true, "no channel any more");
    const run = await qevm(["verify", folder]);
    t.equal(run.code, 1);
    t.match(run.stderr, /multifd-0\.bin|missing/u);
  });
});

const MESSAGES: readonly [string, ReturnMessage][] = [
  ["000200040000002a", { name: "PONG", value: 42 }],
  [
    "000300140000000000003000000010000770632e72616d31",
    { name: "REQ_PAGES", start: 0x3000, length: 0x1000, block: "pc.ram1" },
  ],
  ["0004000c000000000000500000001000", { name: "REQ_PAGES", start: 0x5000, length: 0x1000 }],
  [
    "000500040372616d0000000000000008ff000000000000000123456789abcdef",
    { name: "RECV_BITMAP", block: "ram", bitmap: Uint8Array.of(255, 0, 0, 0, 0, 0, 0, 0), end: 0x0123456789abcdefn },
  ],
  ["0006000400000001", { name: "RESUME_ACK", value: 1 }],
  ["00070000", { name: "SWITCHOVER_ACK" }],
  ["0001000400000000", { name: "SHUT", value: 0 }],
];

async function messageRefusal(hex: string): Promise<string | undefined> {
  return await codeOf(decodeReturnMessage(QemuFileReader.over(Buffer.from(hex, "hex"))));
}

function channelOf(name: string, content: Uint8Array): RecordedChannel {
  return { name, length: content.length, open: () => new MemorySource(content) };
}

test("messages of the return path, both ways", async (t) => {
  const all = Buffer.from(MESSAGES.map(([hex]) => hex).join(""), "hex");
  t.equal(roleOf(all), "return-path");
  const reader = new QemuFileReader(new MemorySource(all, 3), { bufferSize: 16 });
  const sink = new MemorySink();
  const writer = new QemuFileWriter(sink);
  for (const [, expected] of MESSAGES) {
    const message = await decodeReturnMessage(reader);
    t.deepEqual(message, expected, expected.name);
    encodeReturnMessage(writer, message!);
  }
  t.equal(await decodeReturnMessage(reader), undefined);
  await writer.finish();
  t.equal(Buffer.from(sink.bytes()).toString("hex"), all.toString("hex"));
  t.equal(await messageRefusal("000800040000"), "unknown-type");
  t.equal(await messageRefusal("00020005"), "bad-length");
  t.equal(await messageRefusal("0002000400"), "truncated");
  t.equal(await messageRefusal("000500040272616d"), "bad-length");
  t.equal(await messageRefusal("000500040372616dff00000000000000"), "limit");
});

test("a preempt channel: records without framing, ended by EOS or by closing", async (t) => {
  const bytes = corpusEntry("machine-none").open();
  // Its first PART: the records that a preempt channel would carry have the same form.
  let start = 0;
  let end = 0;
  const ram = new RamState(4096);
  for await (const item of new StreamReader(new MemorySource(bytes))) {
    if (item.kind === "section" && item.type === "part" && start === 0) start = item.offset + 5;
    if (item.kind === "section" && item.type === "end") end = item.offset - 5;
    if (item.kind === "section" && item.type === "start") ram.add({ index: 0, idstr: "ram", usedLength: 8 << 20 });
  }
  const records = bytes.subarray(start, end);
  t.equal(roleOf(records.subarray(0, 266)), "preempt");
  t.equal(roleOf(Buffer.from("0000000000000010", "hex")), "preempt", "EOS alone");
  t.equal(roleOf(Buffer.from("made on a Tuesday")), undefined);
  for (const cut of [0, 8]) {
    let pages = 0;
    const diagnostics = new Diagnostics();
    const source = new MemorySource(records.subarray(0, records.length - cut));
    for await (const batch of preemptRecords(source, ram, diagnostics)) {
      for (let i = 0; i < batch.count; i++) if (batch.block[i] !== undefined) pages++;
    }
    t.equal(pages, 1024, cut === 0 ? "with EOS" : "closed");
  }
  const whole = {
    main: channelOf("main", bytes),
    multifd: [],
    preempt: [channelOf("preempt", records)],
    returnPath: [],
  };
  const pong = { ...whole, returnPath: [channelOf("back", Buffer.from(MESSAGES[0]![0], "hex"))] };
  const sink = new MemorySink();
  t.ok((await mergeRecording(whole, sink)).complete);
  t.equal((await inspectStream(new MemorySource(sink.bytes()))).ram.pages.zero, 2048, "twice as many records");
  const result = await verifyRecording(pong);
  t.ok(result.identical);
  t.deepEqual(
    result.inspection.channels.map(({ role, messages }) => [role, messages.map(({ name }) => name)]),
    [
      ["preempt", []],
      ["return-path", ["PONG"]],
    ],
  );
});

test("7.2 does not always send a channel's last packet, which is empty: nothing is missing", async (t) => {
  await unpacked(recordingNamed("recording-7.2-live"), async (folder) => {
    const file = join(folder, "multifd-1.bin");
    const starts: number[] = [];
    for await (const item of new ChannelReader(new MemorySource(readFileSync(file)))) starts.push(item.offset);
    truncateSync(file, starts.at(-1));
    const { identical, complete } = await verifyRecording(openRecording(folder));
    t.ok(identical && complete, "without the packet whose number came before, with SYNC and pages");
    truncateSync(file, starts.at(-2));
    const error = await refusal(() => verifyRecording(openRecording(folder)));
    t.match(error?.message ?? "", /the channel ends before SYNC/u, "without that one too");
  });
});
