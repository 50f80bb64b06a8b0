/** Recordings of postcopy, written: each channel again for a real destination, as one stream, and made anew. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import test, { type Test } from "tape";
import { openRecording } from "../src/io/container/index.js";
import { convertToFile } from "../src/rewrite/convert/convert-file.js";
import { verifyRecording } from "../src/analyse/inspect/recording.js";
import { verifyStream } from "../src/analyse/inspect/verify.js";
import { MemorySink, MemorySource, QemuFileWriter } from "../src/bytes/index.js";
import { encodeRecords } from "../src/codec/ram/index.js";
import { mergedSource, mergeRecording, preemptRecords } from "../src/io/recording/index.js";
import { ExactWriter, StreamReader } from "../src/codec/stream/index.js";
import { compare, startDestination } from "../tools/destination/index.js";
import { recordPostcopy, type RecordedPostcopy } from "../tools/postcopy/record.js";
import { recipes } from "../tools/postcopy/recipes.js";
import type { QemuBinary } from "../tools/qemu/find.js";
import type { QemuProcess } from "../tools/qemu/process.js";
import { recordingNamed } from "../tools/recording/corpus.js";
import { qemuOf } from "./support/loads.js";
import { LENDERS, memoryIs, opened, schemaOf, understood } from "./support/postcopy.js";

/** The main channel, written again from its fields alone. */
async function rewritten(name: string): Promise<Uint8Array> {
  const sink = new MemorySink();
  const writer = new ExactWriter(sink);
  const schema = await schemaOf(name);
  const source = new MemorySource(recordingNamed(name).open("main.bin"));
  for await (const item of new StreamReader(source, { schema })) {
    if (item.kind === "section" && item.content.kind === "opaque") throw new Error(`${item.idstr} is opaque`);
    await writer.item(item);
  }
  await writer.finish();
  return sink.bytes();
}

/** The preempt channel, written again from its fields alone. */
async function rewrittenPreempt(name: string): Promise<Uint8Array> {
  const recording = recordingNamed(name);
  const reader = new StreamReader(new MemorySource(recording.open("main.bin")));
  for await (const item of reader) if (reader.ram.blocks.length > 0 && item.kind === "footer") break;
  const sink = new MemorySink();
  const writer = new QemuFileWriter(sink);
  const source = new MemorySource(recording.open("preempt.bin"));
  for await (const batch of preemptRecords(source, reader.ram, reader.diagnostics)) encodeRecords(writer, batch);
  await writer.finish();
  return sink.bytes();
}

/** Gives each channel a connection of its own, the main one first. */
async function play(vm: QemuProcess, channels: readonly Uint8Array[]): Promise<void> {
  for (const bytes of channels) {
    const socket = createConnection(vm.file("in.sock"));
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    // What the destination answers is heard and not acted upon: all pages come by themselves.
    socket.on("error", () => socket.destroy());
    socket.resume();
    socket.write(bytes);
    await sleep(100);
  }
}

for (const name of Object.keys(LENDERS).filter((one) => !one.endsWith("-recovered"))) {
  test(`${name}: written again, a real destination takes it, postcopy and all`, async (t) => {
    const { version } = recordingNamed(name);
    const qemu = qemuOf(t, version);
    const { args, files, capabilities } = recipes.find((one) => one.name === name)!;
    if (qemu === undefined) return;
    const channels = [await rewritten(name)];
    if (capabilities.includes("postcopy-preempt")) channels.push(await rewrittenPreempt(name));
    const { vm, result } = await startDestination({
      qemu,
      args,
      files,
      capabilities: ["postcopy-ram", ...capabilities],
      stream: "unix:$DIR/in.sock",
      onListening: (started) => play(started, channels),
    });
    try {
      t.equal(result.status, "completed", result.error);
      const found = await compare(vm, recordingNamed(name).truth);
      t.deepEqual(found.differentBlocks, [], "memory equal");
      t.ok(found.equalBlocks.length > 0, `${found.equalBlocks.length} blocks compared`);
    } finally {
      await vm.close();
    }
  });
}

test("in one round it loads from a file, as any other stream, and describes itself if it is to", async (t) => {
  const name = "postcopy-7.2-preempt";
  await opened(name, async (channels, beside) => {
    const qemu = qemuOf(t, "7.2");
    const schema = await schemaOf(name);
    for (const options of [{}, { schema, addVmdescription: true }]) {
      const described = "schema" in options;
      const out = join(beside, described ? "described" : "plain");
      await convertToFile(mergedSource(channels), out, { flatten: true, ...options });
      const result = await verifyStream(new MemorySource(readFileSync(out)));
      t.ok(result.identical && result.complete, "what was made verifies");
      t.equal(result.opaqueBytes === 0, described, `${result.opaqueBytes} bytes are opaque without a schema`);
      if (qemu !== undefined) await loads(t, qemu, name, out, described);
    }
  });
});

async function loads(t: Test, qemu: QemuBinary, name: string, stream: string, described: boolean): Promise<void> {
  const { args, files } = recipes.find((one) => one.name === name)!;
  const { vm, result } = await startDestination({ qemu, args, files, stream });
  try {
    t.equal(result.status, "completed", result.error);
    if (described) t.equal(result.error, "", "and QEMU misses nothing");
    else t.match(result.error, /vmdescription/iu, "QEMU misses the description, and loads all the same");
    const found = await compare(vm, recordingNamed(name).truth);
    t.deepEqual(found.differentBlocks, [], "memory equal");
  } finally {
    await vm.close();
  }
}

function filesOf({ channels }: RecordedPostcopy): Map<string, Uint8Array> {
  return new Map(channels.map(({ connection, direction, bytes }) => [`${connection}-${direction}`, bytes]));
}

test("recorded anew between two real QEMUs: understood whole, memory equal", async (t) => {
  const qemu = qemuOf(t, "7.2");
  if (qemu === undefined) return;
  const beside = mkdtempSync(join(tmpdir(), "qevm-postcopy-"));
  try {
    const recorded = await recordPostcopy(
      qemu,
      recipes.find((one) => one.name === "postcopy-7.2-preempt")!,
    );
    for (const [file, bytes] of filesOf(recorded)) writeFileSync(join(beside, file), bytes);
    const channels = openRecording(beside);
    t.deepEqual([channels.preempt.length, channels.returnPath.length], [1, 1], "three channels");
    const schema = await schemaOf("postcopy-7.2-preempt");
    understood(t, await verifyRecording(channels, { schema, keepMemory: false }));
    await memoryIs(t, channels, beside, recorded.truth.blocks);
    t.ok((await mergeRecording(channels, { write: () => undefined }, { schema })).complete, "and merged");
  } finally {
    rmSync(beside, { recursive: true, force: true });
  }
});
