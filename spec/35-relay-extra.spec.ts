/** A multifd channel that is one too many for the destination: a stranger's, or of a source that is set otherwise. */
import { readdirSync, readFileSync } from "node:fs";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import test, { type Test } from "tape";
import { recordingNamed } from "../tools/recording/corpus.js";
import { channelOf } from "./support/look-alikes.js";
import { qevm } from "./support/program.js";
import { dial, listening } from "./support/receiving.js";

const { files, open } = recordingNamed("recording-7.2-zlib");
const NAMES = ["main.bin", ...files.filter((name) => name.startsWith("multifd"))];

type After = "refuses" | "closes" | "keeps";

/** Takes so many connections; with the last one it closes its listener (QEMU 7.2), or closes what comes after (10.0). */
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

async function relayed(t: Test, after: After, writes: boolean): Promise<void> {
  await destinationFor(NAMES.length, after, async (to, lengths) => {
    await listening(["relay", "tcp:127.0.0.1:0", to, "--out", "$DIR/rec"], async ({ uri, folder, ended }) => {
      const sockets: Socket[] = [];
      for (const name of NAMES) {
        const socket = await dial(uri);
        sockets.push(socket);
        socket.write(open(name).subarray(0, -100));
      }
      while (lengths().length < NAMES.length) await sleep(20);
      // It never closes by itself.
      const stranger = connect({ port: Number(uri.split(":").at(-1)), allowHalfOpen: true });
      stranger.on("error", () => undefined).write(await channelOf(9, open(NAMES[1]!).subarray(8, 24), 1));
      const writing = setInterval(() => {
        if (writes && stranger.writable) stranger.write(Buffer.alloc(5000));
      }, 20);
      // Longer than the relay waits for a migration that is over.
      await sleep(after === "closes" && writes ? 11_000 : 1000);
      for (const [k, name] of NAMES.entries()) sockets[k]!.end(open(name).subarray(-100));
      const { code, stderr } = await ended();
      clearInterval(writing);
      t.equal(code, 0, stderr);
      t.deepEqual(
        lengths(),
        NAMES.map((name) => open(name).length),
        "the destination has all of the migration",
      );
      const list = JSON.parse(readFileSync(join(folder, "rec", "recording.json"), "utf8")) as { complete: boolean };
      t.equal(list.complete, true);
      t.equal((await qevm(["verify", join(folder, "rec")])).code, 0, "the recording verifies");
      t.deepEqual(
        readdirSync(join(folder, "rec")).filter((file) => file.startsWith("multifd")),
        NAMES.slice(1),
      );
    });
  });
}

for (const after of ["refuses", "closes", "keeps"] as const) {
  for (const writes of [false, true]) {
    const what = `a destination that ${after} a channel too many, which ${writes ? "goes on" : "is silent"}`;
    test(`${what}: the migration goes on`, { timeout: 60_000 }, async (t) => await relayed(t, after, writes));
  }
}
