/** Loads of multifd channels side by side: recordings of real QEMUs, and connections of a live one. */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type Test } from "tape";
import type { BlockTruth } from "../tools/corpus.js";
import { takeTruth } from "../tools/capture/truth.js";
import { listRecordings, recordingNamed, unpackRecording } from "../tools/recording/corpus.js";
import { still } from "../tools/recording/machines.js";
import { migrateTo, startSource } from "../tools/recording/record.js";
import { QevmError } from "../src/bytes/errors.js";
import { ChannelReader } from "../src/codec/multifd/index.js";
import { MemorySource, type ByteSource } from "../src/bytes/index.js";
import { FlatMemory, loadStream, sinkOf } from "../src/rewrite/load/index.js";
import { qemuOf } from "./support/loads.js";
import { sha256Of } from "../tools/sha256.js";

/** The channels of a recording as connections, which do not know their ends before they come. */
function connections(name: string, change: (bytes: Buffer, file: string) => Buffer = (bytes) => bytes): ByteSource[] {
  const { files, open } = recordingNamed(name);
  return files.toReversed().map((file) => {
    const source = new MemorySource(change(Buffer.from(open(file)), file));
    return { read: async (into) => await Promise.resolve(source.read(into.subarray(0, 50_000))) };
  });
}

function checkMemory(t: Test, memory: FlatMemory, truth: readonly BlockTruth[]): void {
  let compared = 0;
  for (const { name, sha256 } of truth) {
    const bytes = memory.blocks.get(name);
    if (sha256 === null || bytes === undefined) continue;
    compared++;
    if (sha256Of(bytes) !== sha256) t.fail(`${name} differs`);
  }
  t.ok(compared > 0, `${compared} blocks as in the source`);
}

const recordings = listRecordings().filter(({ name }) => name.startsWith("recording-"));

for (const recording of recordings) {
  test(`${recording.name}: side by side from connections and from its folder, and by one thread`, async (t) => {
    const truth = recording.truth.blocks;
    const memory = new FlatMemory();
    const loaded = await loadStream(connections(recording.name), memory);
    checkMemory(t, memory, truth);
    // Pages are given back where the threads cannot write to the sink's memory.
    const given = new FlatMemory();
    let pages = 0;
    const counted = sinkOf(given, () => pages++);
    const folder = mkdtempSync(join(tmpdir(), "qevm-load-"));
    try {
      unpackRecording(recording, join(folder, "rec"));
      const again = await loadStream(join(folder, "rec"), counted, { decompressThreads: 1 });
      t.deepEqual(again.pages, loaded.pages, JSON.stringify(loaded.pages));
      t.equal(pages, loaded.pages.normal + loaded.pages.zero, "each of them was given to the sink");
      const merged = await loadStream(join(folder, "rec"), new FlatMemory(), { lenient: true });
      t.deepEqual(merged.pages, loaded.pages, "the merged stream has the same pages");
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    checkMemory(t, given, truth);
  });
}

async function refusal(sources: readonly ByteSource[]): Promise<string> {
  try {
    await loadStream(sources, new FlatMemory());
    return "loaded";
  } catch (error) {
    if (!(error instanceof QevmError)) throw error;
    return `${error.code} at ${error.offset} of ${error.path[0]}`;
  }
}

test("damage of a channel has its place, though the main channel waits; wrong connections are refused", async (t) => {
  const name = "recording-10.0-zlib";
  const first = 64 + 2 * (320 + 8 * 128);
  const damaged = (bytes: Buffer, file: string): Buffer => {
    if (file === "multifd-0.bin") bytes.fill(0xff, first + 2, first + 12);
    return bytes;
  };
  const sources = connections(name, damaged);
  const at = recordingNamed(name).files.toReversed();
  const [zeroth, main] = [at.indexOf("multifd-0.bin"), at.indexOf("main.bin")];
  t.equal(await refusal(sources), `bad-compressed-data at ${first} of connection ${zeroth}`);
  // The rest of the main channel does not come.
  const waiting = connections(name, damaged);
  const whole = waiting[main]!;
  let left = 300;
  waiting[main] = {
    read: async (into) => {
      if (left === 0) return await new Promise<number>(() => undefined);
      const n = await whole.read(into.subarray(0, left));
      left -= n;
      return n;
    },
  };
  t.equal(await refusal(waiting), `bad-compressed-data at ${first} of connection ${zeroth}`);
  const cut = connections(name, (bytes, file) => (file === "multifd-0.bin" ? bytes.subarray(0, first + 50) : bytes));
  t.equal(await refusal(cut), `truncated at ${first} of connection ${zeroth}`);
  // Plain pages, which are read to where they belong.
  const whole72 = recordingNamed("recording-7.2-none");
  let payload = 0;
  for await (const item of new ChannelReader(new MemorySource(whole72.open("multifd-0.bin")))) {
    if (item.kind === "pages" && item.payload.length > 5000) payload ||= item.payloadOffset;
  }
  const plain = connections("recording-7.2-none", (bytes, file) =>
    file === "multifd-0.bin" ? bytes.subarray(0, payload + 5000) : bytes,
  );
  const of = whole72.files.toReversed().indexOf("multifd-0.bin");
  t.equal(await refusal(plain), `truncated at ${payload} of connection ${of}`, "inside plain pages");
  t.match(await refusal(connections(name).filter((_, k) => k !== main)), /^bad-value/u);
  t.match(await refusal([...connections(name), ...connections(name)]), /^bad-value/u);
});

/** A listener, and its next connections. */
async function listen(count: number): Promise<{ server: Server; uri: string; all: Promise<Socket[]> }> {
  const server = createServer();
  const sockets: Socket[] = [];
  const all = new Promise<Socket[]>((resolve) => {
    server.on("connection", (socket) => {
      if (sockets.push(socket.on("error", () => undefined)) === count) resolve(sockets);
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return { server, uri: `tcp:127.0.0.1:${(server.address() as AddressInfo).port}`, all };
}

for (const method of ["none", "zstd"]) {
  test(`a real 10.0 migrates to it over three sockets, ${method}, more pages than they hold`, async (t) => {
    const qemu = qemuOf(t, "10.0");
    if (qemu === undefined) return;
    const recipe = {
      ...still(10_000),
      capabilities: ["multifd"],
      parameters: { "multifd-channels": 2, "multifd-compression": method, "max-bandwidth": 1e10 },
    };
    const vm = await startSource(qemu, recipe);
    const { server, uri, all } = await listen(3);
    try {
      const memory = new FlatMemory();
      const loading = all.then(async (sockets) => {
        const sources = sockets as AsyncIterable<Uint8Array>[];
        return await loadStream(sources, memory);
      });
      loading.catch(() => undefined);
      await migrateTo(vm, uri, recipe);
      const { pages } = await loading;
      t.ok(pages.normal > 4000 && pages.zero > 1000, JSON.stringify(pages));
      checkMemory(t, memory, (await takeTruth(vm, null)).blocks);
    } finally {
      server.close();
      await vm.close();
    }
  });
}
