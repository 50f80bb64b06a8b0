/** A multifd channel that is one too many for the destination: a stranger's, or of a source that is set otherwise. */
import { readdirSync, readFileSync } from "node:fs";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { mock } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import test, { type Test } from "tape";
import { MultifdFlag, type RamPacket } from "../src/codec/multifd/index.js";
import { MemorySource } from "../src/bytes/index.js";
import { Diagnostics, QevmError } from "../src/bytes/errors.js";
import { FedSource } from "../src/bytes/fed-source.js";
import { RamState } from "../src/codec/ram/index.js";

import { idle, MultifdEpochs, PacketNumbers } from "../src/io/recording/index.js";
import { recordingNamed } from "../tools/recording/corpus.js";
import { channelOf } from "./support/look-alikes.js";
import { qevm } from "./support/program.js";
import { dial, listening } from "./support/receiving.js";

const { files, open } = recordingNamed("recording-7.2-zlib");
const NAMES = ["main.bin", ...files.filter((name) => name.startsWith("multifd"))];
const LENGTHS = NAMES.map((name) => open(name).length);

type After = "refuses" | "closes" | "keeps";

/**
 * Takes so many connections; with the last one it closes its listener (QEMU 7.2), or closes what comes after (10.0).
 */
async function destinationFor(
  count: number,
  after: After,
  use: (to: string, lengths: () => number[]) => Promise<void>,
): Promise<void> {
  const heard: { socket: Socket; bytes: number }[] = [];
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => undefined);
    if (heard.length === count) {
      if (after === "closes") socket.destroy();
      else socket.resume().on("end", () => socket.end());
      return;
    }
    const one = { socket, bytes: 0 };
    heard.push(one);
    socket.on("data", ({ length }) => (one.bytes += length));
    socket.on("end", () => socket.end());
    if (heard.length === count && after === "refuses") server.close();
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  try {
    const { port } = server.address() as AddressInfo;
    await use(`tcp:127.0.0.1:${port}`, () => heard.map(({ bytes }) => bytes));
  } finally {
    for (const { socket } of heard) socket.destroy();
    server.close();
  }
}

interface Case {
  what: string;
  after: After;
  /** It goes on after its first packets. */
  writes?: boolean;
  /** The relay puts the pages of all channels into the main one. */
  changes?: boolean;
  /** Milliseconds before the source sends its last bytes. */
  lasts?: number;
}

const CASES: readonly Case[] = [
  { what: "refused", after: "refuses" },
  { what: "refused, and goes on", after: "refuses", writes: true },
  { what: "closed", after: "closes" },
  // Longer than the relay waits for a migration that is over.
  { what: "closed, and goes on", after: "closes", writes: true, lasts: 11_000 },
  { what: "kept", after: "keeps" },
  { what: "kept, and goes on", after: "keeps", writes: true },
  { what: "with pages that are changed", after: "refuses", changes: true },
];

async function relayed(t: Test, { what, after, writes = false, changes = false, lasts = 1000 }: Case): Promise<void> {
  const count = changes ? 1 : NAMES.length;
  await destinationFor(count, after, async (to, lengths) => {
    const options = ["--out", "$DIR/rec", ...(changes ? ["--ram", "normal"] : [])];
    await listening(["relay", "tcp:127.0.0.1:0", to, ...options], async ({ uri, folder, ended }) => {
      const sockets: Socket[] = [];
      for (const name of NAMES) {
        const socket = await dial(uri);
        sockets.push(socket);
        socket.write(open(name).subarray(0, -100));
      }
      if (!changes) while (lengths().length < count) await sleep(20);
      // It never closes by itself.
      const stranger = connect({ port: Number(uri.split(":").at(-1)), allowHalfOpen: true });
      stranger.on("error", () => undefined).write(await channelOf(9, open(NAMES[1]!).subarray(8, 24), 1));
      const writing = setInterval(() => {
        if (writes && stranger.writable) stranger.write(Buffer.alloc(5000));
      }, 20);
      await sleep(lasts);
      for (const [k, name] of NAMES.entries()) sockets[k]!.end(open(name).subarray(-100));
      const { code, stderr } = await ended();
      clearInterval(writing);
      stranger.destroy();
      t.equal(code, 0, `${what}: ${stderr}`);
      if (!changes) t.deepEqual(lengths(), LENGTHS, "the destination has all of the migration");
      const list = JSON.parse(readFileSync(join(folder, "rec", "recording.json"), "utf8")) as { complete: boolean };
      t.equal(list.complete, true);
      t.equal((await qevm(["verify", join(folder, "rec")])).code, 0, "the recording verifies");
      const channels = readdirSync(join(folder, "rec")).filter((file) => file.startsWith("multifd"));
      t.deepEqual(channels, NAMES.slice(1), "without the channel");
    });
  });
}

/** The source ends in the middle, and the destination hangs, as one does that has the wrong channels. */
async function deserted(t: Test): Promise<void> {
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => sockets.push(socket.resume()));
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const to = `tcp:127.0.0.1:${(server.address() as AddressInfo).port}`;
  await listening(["relay", "tcp:127.0.0.1:0", to], async ({ uri, ended }) => {
    const source = await dial(uri);
    const stream = open("main.bin");
    source.end(stream.subarray(0, stream.length >> 1));
    const { code, stderr } = await ended();
    t.equal(code, 2, stderr);
    t.match(stderr, /the source ended before its stream did, and the destination still waits/u);
  });
  for (const socket of sockets) socket.destroy();
  server.close();
}

test("a multifd channel that is one too many is no end of the migration", { timeout: 120_000 }, async (t) => {
  await Promise.all([deserted(t), ...CASES.map(async (one) => await relayed(t, one))]);
});

/** A channel with packets of these numbers: s is an empty one with SYNC, p has pages, b has both. */
function numbered(...packets: string[]): PacketNumbers {
  const numbers = new PacketNumbers();
  for (const [kind, ...digits] of packets) {
    const [flags, normalPages] = [kind === "p" ? 0 : MultifdFlag.SYNC, kind === "s" ? 0 : 1];
    numbers.note({ flags, normalPages, zeroPages: 0, packetNum: BigInt(digits.join("")) } as RamPacket);
  }
  return numbers;
}

test("a channel of the source that is late is not taken for a stranger's", (t) => {
  const rows: [what: string, channel: PacketNumbers, others: PacketNumbers[], isOfNobody: boolean][] = [
    ["its first SYNC has the highest number", numbered(), [numbered("s0"), numbered("s1")], false],
    ["its second one is late", numbered("s1"), [numbered("s0", "p3", "s4"), numbered("s2", "s5")], false],
    ["a SYNC of 5.2 has overtaken pages", numbered("s0"), [numbered("s1", "b4"), numbered("s2", "b5")], false],
    ["its number is another's, too", numbered("s0"), [numbered("s0", "p2", "s3"), numbered("s1", "s4")], true],
    ["it has missed two", numbered(), [numbered("s0", "p2", "s3"), numbered("s1", "s4")], true],
    ["with any number", numbered("s99"), [numbered("s0", "s2", "s4"), numbered("s1", "s3", "s5")], true],
  ];
  for (const [what, channel, others, isOfNobody] of rows) {
    t.deepEqual([...idle([...others, channel])], isOfNobody ? [channel] : [], what);
  }
  t.end();
});

test("a channel that the source does not close with all others is waited for one minute", async (t) => {
  const whole = new MemorySource(await channelOf(0, new Uint8Array(16), 1));
  const others = [whole, new FedSource(), new FedSource()].map((source, k) => {
    return {
      name: `multifd-${k}.bin`,
      length: 0,
      open: () => source,
      ready: () => false,
      isClosed: () => k === 0,
      leave: () => t.fail("nothing proves it a stranger's"),
    };
  });
  mock.timers.enable({ apis: ["setInterval"] });
  const epochs = new MultifdEpochs(others, new RamState(4096), new Diagnostics(), () => undefined, true);
  let error: unknown;
  const synced = epochs.sync().catch((reason: unknown) => (error = reason));
  // Until the first channel is read.
  await sleep(100);
  mock.timers.tick(59_000);
  await sleep(10);
  t.equal(error, undefined);
  mock.timers.tick(2000);
  await synced;
  mock.timers.reset();
  t.ok(error instanceof QevmError && error.code === "truncated", String(error));
  await epochs.close();
});
