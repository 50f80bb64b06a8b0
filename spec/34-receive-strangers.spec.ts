/** Listeners among strangers, in one process: nothing that they say before the source costs a migration. */
import { mkdirSync, readFileSync } from "node:fs";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { join } from "node:path";
import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import test, { type Test } from "tape";
import { MemorySource } from "../src/bytes/index.js";
import { RamState } from "../src/codec/ram/index.js";
import { StreamReader } from "../src/codec/stream/index.js";
import { AllowedPeers } from "../src/io/transport/allowed-peers.js";
import { openListener, type Connection } from "../src/io/transport/listen-uri.js";
import { ChannelHold } from "../src/live/receive/channel-hold.js";
import { Gate } from "../src/live/receive/gate.js";
import { receiveInto, type Refused } from "../src/live/receive/index.js";
import { relay } from "../src/live/relay/index.js";
import { corpusEntry } from "../tools/corpus.js";
import { recordingNamed } from "../tools/recording/corpus.js";
import { channelOf, hello } from "./support/look-alikes.js";
import { inFolder, sendUntil } from "./support/cut.js";
import { dial } from "./support/receiving.js";

/** Everything that a source sends up to the end of its RAM's setup. */
async function setupOf(stream: Buffer): Promise<Buffer> {
  let after = false;
  for await (const item of new StreamReader(new MemorySource(stream))) {
    if (after && item.kind !== "footer") return stream.subarray(0, item.offset);
    if (item.kind === "section" && item.content.kind === "ram") after = true;
  }
  throw new Error("nothing follows the setup");
}

/** A destination that reads everything. Resolves with what each connection sent, by its first bytes. */
async function reading(use: (uri: string, came: () => Buffer[]) => Promise<void>): Promise<void> {
  const sockets: Socket[] = [];
  const came: Buffer[][] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const chunks: Buffer[] = [];
    sockets.push(socket);
    came.push(chunks);
    socket.on("error", () => undefined).on("data", (chunk) => chunks.push(chunk));
    socket.on("end", () => socket.end());
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  try {
    await use(`tcp:127.0.0.1:${(server.address() as AddressInfo).port}`, () =>
      came.map((chunks) => Buffer.concat(chunks)),
    );
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

/**
 * Receives, or relays, while `act` connects. Returns who was refused, and the recording's channels.
 * @param strays connections that are relayed, and not in the recording
 */
async function among(
  how: "receive" | "relay",
  folder: string,
  act: (uri: string) => Promise<void>,
  allow?: readonly string[],
  strays = 0,
): Promise<{ refused: readonly Refused[]; files: string[] }> {
  mkdirSync(folder);
  const acting: Promise<void>[] = [];
  const onListening = (uri: string): void => void acting.push(act(uri));
  let outcome: { refused: readonly Refused[]; channels: { file: string }[] } | undefined;
  if (how === "receive") outcome = await receiveInto(folder, "tcp::0", { onListening, allow });
  else {
    await reading(async (to, came) => {
      outcome = await relay("tcp::0", to, { onListening, record: folder, allow });
      if (came().length !== outcome.channels.length + strays)
        throw new Error(`${came().length} connections were relayed`);
    });
  }
  await Promise.all(acting);
  return { refused: outcome!.refused, files: outcome!.channels.map(({ file }) => file) };
}

function same(t: Test, folder: string, files: readonly string[], open: (file: string) => Buffer): void {
  for (const file of files) t.ok(readFileSync(join(folder, file)).equals(open(file)), file);
}

const { files, open } = recordingNamed("recording-7.2-zlib");
const names = ["main.bin", ...files.filter((file) => file !== "main.bin")];
const total = names.reduce((sum, file) => sum + open(file).length, 0);

for (const how of ["receive", "relay"] as const) {
  test(`${how}: a whole setup that breaks off before any page is not the source`, async (t) => {
    await inFolder(async (folder) => {
      const setup = await setupOf(open("main.bin"));
      t.ok(setup.length > 60, `${setup.length} bytes`);
      const { refused, files: found } = await among(how, join(folder, "rec"), async (uri) => {
        (await dial(uri)).end(setup);
        const silent = await dial(uri);
        silent.write(setup);
        await sleep(100);
        await sendUntil(uri, names.map(open), total);
      });
      t.deepEqual(refused.map(({ why }) => why).toSorted(), [
        "it begins like a main channel, but ended before its RAM",
        "it is a second main channel",
      ]);
      t.deepEqual(found.toSorted(), files);
      same(t, join(folder, "rec"), files, open);
    });
  });

  test(`${how}: channels of another guest and with used ids, before the source and during its migration`, async (t) => {
    await inFolder(async (folder) => {
      const own = open(names[1]!).subarray(8, 24);
      const other = new Uint8Array(16).fill(0xaa);
      const forged = await Promise.all([0, 1, 2].map(async (channel) => await channelOf(channel, other, 2)));
      const doubles = await Promise.all([0, 1].map(async (channel) => await channelOf(channel, own, 1)));
      const { refused, files: found } = await among(how, join(folder, "rec"), async (uri) => {
        const strangers = [...forged, ...doubles];
        for (const bytes of strangers) (await dial(uri)).write(bytes);
        await sleep(50);
        await sendUntil(uri, names.map(open), total);
        for (const bytes of strangers) (await dial(uri)).write(bytes);
      });
      const reasons = refused.map(({ why }) => why);
      t.equal(reasons.filter((why) => why === "it is a multifd channel of another guest").length >= 3, true);
      t.equal(reasons.filter((why) => /^it is another multifd channel [01]$/u.test(why)).length >= 2, true);
      t.deepEqual(found.toSorted(), files);
      same(t, join(folder, "rec"), files, open);
    });
  });

  test(`${how}: one more channel of the same UUID, which says no more, is not in the recording`, async (t) => {
    await inFolder(async (folder) => {
      const stray = await channelOf(9, open(names[1]!).subarray(8, 24), 1);
      const act = async (uri: string): Promise<void> => {
        const sockets = [];
        for (const name of names) {
          const socket = await dial(uri);
          socket.write(open(name).subarray(0, -100));
          sockets.push(socket);
        }
        const stranger = await dial(uri);
        stranger.write(stray);
        await sleep(600);
        for (const [k, name] of names.entries()) sockets[k]!.end(open(name).subarray(-100));
      };
      const { files: found } = await among(how, join(folder, "rec"), act, undefined, 1);
      t.deepEqual(found.toSorted(), files);
      const { channels } = JSON.parse(readFileSync(join(folder, "rec", "recording.json"), "utf8")) as {
        channels: { file: string; refused?: string }[];
      };
      t.match(channels.find(({ file }) => file === "multifd-9.bin")?.refused ?? "", /^it has no pages, and no packet/u);
      same(t, join(folder, "rec"), files, open);
    });
  });
}

test("a channel with an id of its own that comes after those of the migration is none of them", async (t) => {
  const hold = new ChannelHold(10);
  hold.begin(new RamState(4096));
  const rest = { next: async (): Promise<IteratorResult<Uint8Array>> => await sleep(1000, { done: true, value: 0 }) };
  const ask = async (id: number): Promise<string | undefined> =>
    await hold.decide(
      { uuid: "00", id, order: 1, late: hold.late, head: hello(id), rest, closed: () => false },
      () => undefined,
    );
  // While this process is suspended, connections wait to be accepted: that makes none of them late.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 400);
  await sleep(0);
  const first = ask(0);
  await sleep(400);
  t.equal(await first, undefined);
  t.equal(await ask(1), "it came after the channels of the migration");
  t.end();
});

test("1,000 idle connections, slow ones and wrong first bytes while a migration runs", async (t) => {
  await inFolder(async (folder) => {
    const { refused, files: found } = await among("receive", join(folder, "rec"), async (uri) => {
      const idle: Socket[] = [];
      const slow: Socket[] = [];
      for (let k = 0; k < 1000; k++) {
        const socket = await dial(uri);
        if (k % 100 === 0) slow.push(socket);
        else if (k % 10 === 0) socket.write("GET / HTTP/1.1\r\n");
        idle.push(socket);
      }
      const main = open("main.bin");
      const dripping = (async () => {
        for (let k = 0; k < 30; k++) {
          for (const socket of slow) if (socket.writable) socket.write(main.subarray(k, k + 1));
          await sleep(10);
        }
      })();
      await sendUntil(uri, names.map(open), total);
      await dripping;
      for (const socket of idle) socket.destroy();
    });
    t.equal(refused.length, 100, "as many as are listed");
    t.deepEqual(found.toSorted(), files);
    same(t, join(folder, "rec"), files, open);
  });
});

test("a listener without an address is for this machine only, and --allow for those named", async (t) => {
  const taken: string[] = [];
  const listening = await openListener("tcp::0", (connection) => {
    taken.push(connection.address ?? "");
    connection.destroy();
  });
  const port = Number(/^tcp:127\.0\.0\.1:(\d+)$/u.exec(listening.uri)?.[1]);
  const reaches = async (host: string): Promise<string> =>
    await new Promise((resolve) => {
      const socket = connect(port, host);
      socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? ""));
      socket.on("connect", () => resolve("connected"));
      socket.on("close", () => undefined);
    });
  t.equal(await reaches("127.0.0.1"), "connected");
  t.equal(await reaches("127.0.0.2"), "ECONNREFUSED", "another address of this machine");
  listening.close();
  const peers = new AllowedPeers(["192.0.2.7", "10.0.0.0/8", "2001:db8::/32"], "tcp::1");
  for (const [address, expected] of [
    ["192.0.2.7", true],
    ["192.0.2.8", false],
    ["10.255.0.1", true],
    ["11.0.0.1", false],
    ["::ffff:10.1.2.3", true],
    ["::ffff:11.1.2.3", false],
    ["2001:db8:1::2", true],
    ["2001:db9::2", false],
    [undefined, false],
  ] as const) {
    t.equal(peers.allows(address), expected, address);
  }
  for (const wrong of ["", "host", "10.0.0.0/33", "10.0.0.0/x", "2001:db8::/129", "10.0.0.0/8/8"]) {
    t.throws(() => new AllowedPeers([wrong], "tcp::1"), /no such address of a peer/u, JSON.stringify(wrong));
  }
  t.throws(() => new AllowedPeers(["10.0.0.1"], "unix:/x"), /by address/u);
  const stream = corpusEntry("machine-none-tiny").open();
  await inFolder(async (folder) => {
    for (const how of ["receive", "relay"] as const) {
      const act = async (uri: string): Promise<void> => {
        await sendUntil(uri, [stream], stream.length);
        await sleep(50);
        connect({ port: Number(/\d+$/u.exec(uri)?.[0]), host: "127.0.0.1", localAddress: "127.0.0.2" }).end(stream);
      };
      const { refused } = await among(how, join(folder, how), act, ["127.0.0.2"]);
      t.deepEqual(
        refused.map(({ receivedBytes: bytes, why }) => [bytes, why]),
        [[0, "its address is not one of --allow"]],
        how,
      );
      t.ok(readFileSync(join(folder, how, "main.bin")).equals(stream));
    }
  });
});

/** A connection that says something and then nothing, and stays open. */
function silentAfter(bytes: Uint8Array): Connection {
  const input = Readable.from(
    (async function* () {
      yield bytes;
      await new Promise(() => undefined);
    })(),
  );
  return { input, output: undefined, peer: "test", address: undefined, ended: async () => {}, destroy: () => {} };
}

test("a source is known that sends no more before its channels are read", async (t) => {
  // 10.0 keeps the footer of its setup back, fills the channels' sockets with pages and waits.
  const whole = await setupOf(open("main.bin"));
  const configured = 13 + whole.readUInt32BE(9);
  // With a return path, so that half a second of silence is enough.
  const command = Buffer.from("0800010000", "hex");
  const setup = Buffer.concat([whole.subarray(0, configured), command, whole.subarray(configured, -5)]);
  const refused: Refused[] = [];
  let here = false;
  const gate = new Gate({ mainIsHere: () => here, mayBeSilent: () => false }, (one) => refused.push(one));
  const channel = gate.admit(silentAfter(open("multifd-0.bin").subarray(0, 2000)));
  const main = await Promise.race([gate.admit(silentAfter(setup)), sleep(4000)]);
  t.equal(main?.role, "main");
  here = true;
  gate.wake();
  t.equal((await Promise.race([channel, sleep(4000)]))?.role, "multifd");
  t.deepEqual(refused, []);
  gate.close();
  t.end();
});
