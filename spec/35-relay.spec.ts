import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import test from "tape";
import { convertStream } from "../src/rewrite/convert/convert.js";
import { MemorySink, MemorySource, QemuFileWriter } from "../src/bytes/index.js";
import { encodeReturnMessage, type ReturnMessage } from "../src/codec/stream/index.js";
import { corpusEntry } from "../tools/corpus.js";
import { recordingNamed } from "../tools/recording/corpus.js";
import { qevm } from "./support/program.js";
import { dial, freePort, listening } from "./support/receiving.js";
import { flatDocument } from "./support/document.js";

/** A destination that keeps what comes, connection by connection. */
class Heard {
  readonly connections: { socket: Socket; bytes: Buffer; ended: Promise<void> }[] = [];
  private readonly server = createServer({ allowHalfOpen: true }, (socket) => {
    const ended = new Promise<void>((resolve) => {
      socket.on("end", resolve);
      socket.on("close", () => resolve());
    });
    const connection = { socket, bytes: Buffer.alloc(0), ended };
    socket.on("error", () => {});
    socket.on("data", (chunk) => (connection.bytes = Buffer.concat([connection.bytes, chunk])));
    this.connections.push(connection);
  });

  async listen(port = 0): Promise<string> {
    await new Promise<void>((resolve) => {
      this.server.listen(port, "127.0.0.1", resolve);
    });
    return `tcp:127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Until so many bytes have come over a connection, or ten seconds are over. */
  async until(connection: number, bytes: number): Promise<number> {
    for (let i = 0; i < 1000; i++) {
      if ((this.connections[connection]?.bytes.length ?? 0) >= bytes) break;
      await sleep(10);
    }
    return this.connections[connection]?.bytes.length ?? 0;
  }

  close(): void {
    for (const { socket } of this.connections) socket.destroy();
    this.server.close();
  }
}

async function withHeard(use: (heard: Heard, uri: string) => Promise<void>): Promise<void> {
  const heard = new Heard();
  try {
    await use(heard, await heard.listen());
  } finally {
    heard.close();
  }
}

function message(one: ReturnMessage): Uint8Array {
  const sink = new MemorySink();
  const writer = new QemuFileWriter(sink);
  encodeReturnMessage(writer, one);
  void writer.flush();
  return sink.bytes();
}

/** What the list of the recording in `folder` says of it. */
function listOf(folder: string): { complete: boolean; reason?: string } {
  return JSON.parse(readFileSync(join(folder, "rec", "recording.json"), "utf8")) as {
    complete: boolean;
    reason?: string;
  };
}

const SHUT = message({ name: "SHUT", value: 0 });

test("every channel passes as it is, in its order, and the answers go back", async (t) => {
  const recording = recordingNamed("recording-7.2-zlib");
  const names = recording.files.filter((file) => file.endsWith(".bin") && file !== "return-path.bin");
  await withHeard(async (heard, to) => {
    await listening(["relay", "unix:$DIR/sock", to, "--out", "$DIR/rec", "--json"], async ({ uri, folder, ended }) => {
      const sockets: Socket[] = [];
      for (const [i, name] of names.entries()) {
        const socket = await dial(uri);
        sockets.push(socket);
        socket.write(recording.open(name));
        t.equal(await heard.until(i, recording.open(name).length), recording.open(name).length, `${name} came through`);
      }
      const answered = new Promise<Buffer>((resolve) => {
        sockets[0]!.once("data", resolve);
      });
      heard.connections[0]!.socket.write(SHUT);
      t.deepEqual(new Uint8Array(await answered), SHUT, "the source hears the destination");
      for (const socket of sockets) socket.end();
      await Promise.all(heard.connections.map((one) => one.ended));
      for (const { socket } of heard.connections) socket.end();
      const { code, stdout, stderr } = await ended();
      t.equal(code, 0, stderr);
      const report = flatDocument(stdout) as { loaded: boolean; converted: unknown; channels: { file: string }[] };
      t.deepEqual([report.loaded, report.converted], [true, null]);
      for (const [i, name] of names.entries()) {
        t.ok(heard.connections[i]!.bytes.equals(recording.open(name)), `${name} as it was sent`);
        t.ok(readFileSync(join(folder, "rec", name)).equals(recording.open(name)), `${name} as it was written down`);
      }
      t.equal((await qevm(["verify", join(folder, "rec")])).code, 0);
    });
  });
});

test("a migration that goes on after a break in postcopy passes as it is, and waits for its destination", async (t) => {
  const { open } = recordingNamed("postcopy-7.2-recovered");
  const [sent, replies] = [open("resumed-1.bin"), open("return-path-1.bin")];
  const port = await freePort();
  const args = ["relay", "tcp:127.0.0.1:0", `tcp:127.0.0.1:${port}`, "--ram", "normal", "--out", "$DIR/rec", "--json"];
  await listening(args, async ({ uri, folder, child, ended }) => {
    const said = new Promise<string>((resolve) => {
      child.stderr?.on("data", (text: string) => text.includes("migrate-recover") && resolve(text));
    });
    const socket = await dial(uri);
    let heardBack = Buffer.alloc(0);
    let lost = false;
    socket.on("data", (bytes: Buffer) => (heardBack = Buffer.concat([heardBack, bytes])));
    socket.once("close", () => (lost = true));
    socket.write(sent);
    t.match(
      await said,
      /ECONNREFUSED.*: say migrate-recover tcp:127\.0\.0\.1:\d+ at the destination; the source waits/u,
    );
    t.equal(lost, false, "7.2 that loses this connection cannot go on any more");
    const heard = new Heard();
    try {
      await heard.listen(port);
      t.equal(await heard.until(0, sent.length), sent.length);
      heard.connections[0]!.socket.end(replies);
      const second = await dial(uri).then(async (other) => {
        other.write(sent);
        return await new Promise((resolve) => {
          other.once("close", () => resolve("refused"));
        });
      });
      t.equal(second, "refused", "another one that goes on");
      socket.end();
      const { code, stdout, stderr } = await ended();
      t.equal(code, 0, stderr);
      t.ok(heard.connections[0]!.bytes.equals(sent) && heardBack.equals(replies), "both directions");
      const report = flatDocument(stdout) as { loaded: boolean; converted: unknown; channels: { role: string }[] };
      t.deepEqual([report.loaded, report.converted], [true, null]);
      t.deepEqual(report.channels.map(({ role }) => role).toSorted(), ["resumed", "return-path"]);
      t.ok(readFileSync(join(folder, "rec", "resumed.bin")).equals(sent));
      // Beside what came before the break it is one migration.
      writeFileSync(join(folder, "rec", "main.bin"), open("main.bin"));
      t.equal((await qevm(["verify", join(folder, "rec")])).code, 0);
    } finally {
      heard.close();
    }
  });
});

test("what is changed on its way goes out whenever the source pauses, and ends where the stream does", async (t) => {
  const bytes = corpusEntry("compress-1-threads-1").open();
  const sink = new MemorySink();
  await convertStream(new MemorySource(bytes), sink, { ram: "normal" }, join(tmpdir(), "qevm-none"));
  const expected = sink.bytes();
  await withHeard(async (heard, to) => {
    await listening(["relay", "tcp:127.0.0.1:0", to, "--ram", "normal"], async ({ uri, ended }) => {
      const source = await dial(uri);
      // The head of the stream, up to somewhere in the RAM part, then a source that waits.
      source.write(bytes.subarray(0, 3));
      const half = bytes.length >> 1;
      source.write(bytes.subarray(3, half));
      const first = await heard.until(0, expected.length >> 2);
      t.ok(first >= expected.length >> 2, `${first} bytes came out of the first ${half}`);
      source.write(bytes.subarray(half));
      t.equal(await heard.until(0, expected.length), expected.length, "all of it, though the source stays");
      t.deepEqual(new Uint8Array(heard.connections[0]!.bytes), expected, "as convert writes it");
      heard.connections[0]!.socket.end(SHUT);
      await new Promise((resolve) => {
        source.resume().once("end", resolve);
      });
      source.end();
      const { code, stdout, stderr } = await ended();
      t.equal(code, 0, stderr);
      t.match(stdout, /loaded everything/u);
    });
  });
});

test("what goes wrong on either side is an error, and what came is kept", async (t) => {
  const bytes = corpusEntry("compress-1-threads-1").open();
  for (const [what, options, cut, error] of [
    ["the source hangs up", [], bytes.length >> 1, /ended before the stream did/u],
    ["the source hangs up, changed on its way", ["--ram", "normal"], bytes.length >> 1, /ends inside|ends before/u],
    ["the destination refuses", [], bytes.length, /failed.*SHUT 1/u],
  ] as const) {
    await withHeard(async (heard, to) => {
      await listening(
        ["relay", "tcp:127.0.0.1:0", to, "--out", "$DIR/rec", ...options],
        async ({ uri, folder, ended }) => {
          const source = await dial(uri);
          source.write(bytes.subarray(0, cut));
          await heard.until(0, 1);
          if (cut === bytes.length) {
            await heard.until(0, bytes.length);
            heard.connections[0]!.socket.write(message({ name: "SHUT", value: 1 }));
            await sleep(100);
          }
          source.end();
          await heard.connections[0]!.ended;
          heard.connections[0]!.socket.end();
          const { code, stderr } = await ended();
          t.equal(code, cut === bytes.length ? 1 : 2, what);
          t.match(stderr, error);
          t.equal(listOf(folder).complete, false, "what came is kept");
          t.match(stderr, /received data is kept in .*--lenient/u);
        },
      );
    });
  }
  await listening(["relay", "tcp:127.0.0.1:0", "unix:$DIR/nobody"], async ({ uri, ended }) => {
    const source = await dial(uri);
    source.write(bytes);
    const { code, stderr } = await ended();
    t.equal(code, 2, "nobody listens there");
    t.match(stderr, /nobody/u);
  });
});

test("broken off it ends by the signal, and what came is kept", async (t) => {
  for (const options of [[], ["--out", "$DIR/rec"], ["--out", "$DIR/rec", "--ram", "normal"]]) {
    await withHeard(async (heard, to) => {
      await listening(["relay", "tcp:127.0.0.1:0", to, ...options], async ({ uri, folder, child, ended }) => {
        (await dial(uri)).write(corpusEntry("compress-1-threads-1").open().subarray(0, 100_000));
        await heard.until(0, 1);
        child.kill("SIGINT");
        await ended();
        t.equal(child.signalCode, "SIGINT", options.join(" "));
        t.deepEqual(readdirSync(folder), options.length === 0 ? [] : ["rec"]);
        if (options.length > 0) t.equal(listOf(folder).reason, "ended by SIGINT");
      });
    });
  }
});

test("wrong usage", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-relay-"));
  for (const args of [
    ["tcp:127.0.0.1:0"],
    ["tcp:127.0.0.1:0", "nowhere"],
    ["somewhere", "tcp:127.0.0.1:1"],
    ["tcp:127.0.0.1:0", "tcp:127.0.0.1:1", "--ram", "song"],
    ["tcp:127.0.0.1:0", "tcp:127.0.0.1:1", "--level", "3"],
    ["tcp:127.0.0.1:0", "tcp:127.0.0.1:1", "--snapshot", "s"],
  ]) {
    const { code, stdout, stderr } = await qevm(["relay", ...args]);
    t.equal(code, 2, args.join(" "));
    t.equal(stdout, "");
    t.ok(stderr.length > 0);
  }
  rmSync(folder, { recursive: true });
});
