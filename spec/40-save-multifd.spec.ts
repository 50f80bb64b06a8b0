/** Saves over multifd channels: real destinations take them from sockets, and our own load from a recording. */
import type { Socket } from "node:net";
import test from "tape";
import { MemorySink, MemorySource, QemuFileWriter, type ByteSink } from "../src/bytes/index.js";
import { WritableSink } from "../src/io/transport/writable.js";
import { mergedSource, type RecordedChannel } from "../src/io/recording/index.js";
import { FlatMemory, loadStream } from "../src/rewrite/load/index.js";
import { markDirty, RamSave, saveStream, SharedBlock, type SaveOptions } from "../src/rewrite/save/index.js";
import { corpusEntry } from "../tools/corpus.js";
import { destinationLike, readRamBlock, startDestination } from "../tools/destination/index.js";
import { fillMemory } from "../tools/guest/fill-memory.js";
import { qemuOf } from "./support/loads.js";
import { dial } from "./support/receiving.js";

/** The blocks of a capture, with a memory of ours. */
async function blocksOf(stream: Buffer): Promise<SharedBlock[]> {
  const theirs = new FlatMemory();
  const { blocks } = await loadStream(new MemorySource(stream), theirs);
  return blocks.map(({ index, idstr, usedLength }) => {
    const block = new SharedBlock(index, idstr, new SharedArrayBuffer(usedLength));
    if (idstr === "pc.ram") fillMemory(block.bytes, 11);
    else block.bytes.set(theirs.blocks.get(idstr)!);
    return block;
  });
}

/** The guest's last writes: pages that were sent before, one of them zero now. */
function write({ bytes, log }: SharedBlock): void {
  for (let page = 0; page < bytes.length / 4096; page += 7) {
    bytes.fill(page % 2 === 0 ? page : 0, page * 4096, page * 4096 + 4096);
    markDirty(log, page);
  }
}

const SAVES: readonly [name: string, method: "none" | "zlib" | "zstd", release: number][] = [
  ["live", "zlib", 702],
  ["v10.0-live", "none", 1000],
  ["v10.0-live", "zlib", 1000],
  ["v10.0-live", "zstd", 1000],
  ["v11.1-live", "zstd", 1101],
];

for (const [name, method, release] of SAVES) {
  test(`${name}: a save with ${method} over three sockets, which a real QEMU loads`, async (t) => {
    const entry = corpusEntry(name);
    const qemu = qemuOf(t, entry.capture.version);
    if (qemu === undefined) return;
    const stream = entry.open();
    const blocks = await blocksOf(stream);
    const ram = blocks.find(({ idstr }) => idstr === "pc.ram")!;
    const { vm, result } = await startDestination({
      ...destinationLike(entry, { qemu, capabilities: ["multifd"], stream: "unix:$DIR/in.sock" }),
      parameters: { "multifd-channels": 2, "multifd-compression": method },
      onListening: async ({ folder }) => {
        const sockets: Socket[] = [];
        for (let k = 0; k < 3; k++) sockets.push((await dial(`unix:${folder}/in.sock`)).resume());
        const [main, ...channels] = sockets.map((socket) => new WritableSink(socket, "the destination"));
        const statistics = await saveStream(new MemorySource(stream), main!, blocks, {
          multifd: { channels, method, release, threads: 2 },
          maxBandwidth: 0,
          stop: () => Promise.resolve(write(ram)),
        });
        t.ok(statistics.ram.normal > 1000 && statistics.ram.transferred > 0, `${statistics.ram.transferred} bytes`);
        for (const socket of sockets) socket.end();
      },
    });
    try {
      t.equal(result.status, "completed", result.error);
      if (result.loaded) t.ok(Buffer.from(ram.bytes).equals((await readRamBlock(vm, "pc.ram"))!), "pc.ram is ours");
    } finally {
      await vm.close();
    }
  });
}

/** Takes pieces, some time later, as a socket does. */
class Gathering extends MemorySink {
  async gather(pieces: readonly Uint8Array[]): Promise<void> {
    await new Promise(setImmediate);
    for (const piece of pieces) this.write(piece);
  }
}

/** A save into memory, and what our own load makes of its channels. */
async function roundTrip(
  multifd: Omit<NonNullable<SaveOptions["multifd"]>, "channels">,
  count: number,
  gathers = false,
): Promise<string> {
  const block = new SharedBlock(0, "ram", new SharedArrayBuffer(600 * 4096));
  fillMemory(block.bytes, 5);
  const sinks = Array.from({ length: count + 1 }, () => (gathers ? new Gathering() : new MemorySink()));
  const [main, ...channels] = sinks;
  const template = new MemorySource(corpusEntry("machine-none").open());
  // The guest is stopped within the first round: what it wrote was sent before, between the same marks.
  const statistics = await saveStream(template, main!, [block], {
    multifd: { ...multifd, channels },
    maxBandwidth: 8 << 20,
    stop: () => Promise.resolve(write(block)),
  });
  const sizes = sinks.map((sink) => sink.bytes().length);
  if (statistics.ram.transferred !== sizes.reduce((sum, size) => sum + size)) return "not all bytes are counted";
  const recorded = sinks.map((sink, k): RecordedChannel => {
    const bytes = sink.bytes();
    return { name: `channel ${k}`, length: bytes.length, open: () => new MemorySource(bytes) };
  });
  const memory = new FlatMemory();
  const recording = { main: recorded[0]!, multifd: recorded.slice(1), preempt: [], returnPath: [] };
  await loadStream(mergedSource(recording), memory);
  return Buffer.from(memory.blocks.get("ram")!).equals(block.bytes) ? "equal" : "different";
}

test("every method, with and without marks, with any number of channels", async (t) => {
  for (const [multifd, channels] of [
    [{}, 1],
    [{ method: "zlib", release: 702 }, 3],
    [{ method: "zlib", exact: true, threads: 1 }, 2],
    [{ method: "zlib", level: 9, threads: 1 }, 2],
    [{ method: "zstd", release: 802 }, 2],
    [{ method: "zstd", level: 5, marks: false }, 5],
  ] as const) {
    t.equal(await roundTrip(multifd, channels), "equal", JSON.stringify(multifd));
    t.equal(await roundTrip(multifd, channels, true), "equal", `${JSON.stringify(multifd)} in pieces`);
  }
});

test("a sink that fails ends the save and its threads; compress threads do not go with it", async (t) => {
  const block = new SharedBlock(0, "ram", new SharedArrayBuffer(600 * 4096));
  fillMemory(block.bytes, 5);
  const save = async (channels: readonly ByteSink[], options: SaveOptions): Promise<string> => {
    const multifd = { channels, method: "zstd" as const, threads: 2 };
    const file = new QemuFileWriter(new MemorySink());
    return await RamSave.run(file, [block], { multifd, maxBandwidth: 0, ...options }).then(() => "saved", String);
  };
  let left = 100_000;
  const full: ByteSink = {
    write: ({ length }) => {
      left -= length;
      if (left < 0) throw new Error("the disk is full");
    },
  };
  t.match(await save([new MemorySink(), full], {}), /the disk is full/u);
  t.match(await save([new MemorySink()], { xbzrle: true }), /neither with compress threads nor with XBZRLE/u);
  t.match(await save([new MemorySink()], { compressThreads: 2 }), /neither with/u);
});
