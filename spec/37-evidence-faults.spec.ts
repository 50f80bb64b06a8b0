/** Faults that a migration must outlive, and what is kept where it does not. In one process, but for the last test. */
import { spawn } from "node:child_process";
import fs, { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import test from "tape";
import { inspectRecording, verifyRecording } from "../src/analyse/inspect/recording.js";
import { IterableSource, MemorySource } from "../src/bytes/source.js";
import { QevmError } from "../src/bytes/errors.js";
import { RamState } from "../src/codec/ram/index.js";
import { extractBlocks } from "../src/guest/files/extract-blocks.js";
import { openInput } from "../src/io/container/input.js";
import { openRecording } from "../src/io/container/recording.js";
import { AllowedPeers } from "../src/io/transport/allowed-peers.js";
import { textOf } from "../src/io/transport/attempt.js";
import { openDestination } from "../src/io/transport/destination-uri.js";
import { openListener } from "../src/io/transport/listen-uri.js";
import { sendStream } from "../src/io/transport/send.js";
import { ChannelHold, type Candidate } from "../src/live/receive/channel-hold.js";
import { receiveInto } from "../src/live/receive/index.js";
import { TimelineFile } from "../src/live/receive/timeline-file.js";
import { relay } from "../src/live/relay/index.js";
import { RelayRecord } from "../src/live/relay/record.js";
import { convertStream } from "../src/rewrite/convert/convert.js";
import { corpusEntry } from "../tools/corpus.js";
import { recordingNamed, unpackRecording } from "../tools/recording/corpus.js";
import { inFolder, sendUntil, withDestination } from "./support/cut.js";
import { hello } from "./support/look-alikes.js";
import { PROGRAM, qevm } from "./support/program.js";
import { asking, dial } from "./support/receiving.js";

const SHUT = (value: number): Buffer => Buffer.from(`000100040000000${value}`, "hex");

/** A destination that says SHUT when it has read so many bytes on its first connection. */
async function destination(shut: Buffer, after: number, use: (uri: string) => Promise<void>): Promise<void> {
  let connections = 0;
  const serve = (socket: Socket): void => {
    const isMain = ++connections === 1;
    let heard = 0;
    socket.on("data", (piece) => {
      const before = heard;
      heard += piece.length;
      if (isMain && before < after && heard >= after) socket.write(shut);
    });
    socket.on("end", () => socket.end());
  };
  await withDestination(serve, use);
}

/** Connects, sends a byte of a hello now and then, leaves, and does it again, as long as `on`. */
async function drip(uri: string, on: () => boolean): Promise<void> {
  const bytes = hello(9, 0xcc);
  while (on()) {
    const socket = await dial(uri);
    for (let k = 0; k < 20 && on() && !socket.destroyed; k++) {
      socket.resume().write(bytes.subarray(k, k + 1));
      await sleep(50);
    }
    socket.destroy();
  }
}

test("strangers that never end and send a byte now and then hold up no migration", async (t) => {
  const { files, open } = recordingNamed("recording-7.2-zlib");
  const names = ["main.bin", ...files.filter((name) => name !== "main.bin")];
  const channels = names.map((name) => (name === "main.bin" ? asking(open(name), 0) : open(name)));
  /** A source that waits for SHUT 0 before it closes. */
  const source = async (uri: string): Promise<void> => {
    const sockets: Socket[] = [];
    const told = new Promise<void>((resolve) => {
      void (async () => {
        for (const [k, bytes] of channels.entries()) {
          const socket = await dial(uri);
          if (k === 0) socket.on("data", (piece: Buffer) => void (piece.includes(SHUT(0)) && resolve()));
          socket.on("close", () => resolve());
          socket.write(bytes);
          sockets.push(socket);
        }
      })();
    });
    await told;
    for (const socket of sockets) socket.end();
  };
  await inFolder(async (folder) => {
    let on = true;
    const timer = setTimeout(() => (on = false), 12_000);
    const begin = (uri: string): void => {
      void drip(uri, () => on);
      void sleep(100).then(async () => await source(uri));
    };
    const received = receiveInto(folder, "tcp:127.0.0.1:0", { onListening: begin });
    await destination(SHUT(0), 400_000, async (to) => {
      // Its pages become plain ones in the main channel.
      const relayed = relay("tcp:127.0.0.1:0", to, { onListening: begin, convert: { ram: "normal" } });
      t.equal((await received).complete, true, "received");
      t.equal((await relayed).loaded, true, "relayed with other pages");
    });
    t.equal(on, true, "they had not ended");
    on = false;
    clearTimeout(timer);
  });
});

test("multifd channels of a migration that was cancelled are not those of the next one", async (t) => {
  const hold = new ChannelHold();
  const rest = { next: async (): Promise<IteratorResult<Uint8Array>> => await sleep(50, { done: true, value: 0 }) };
  const ask = async (order: number, id: number): Promise<string | undefined> => {
    const one: Candidate = { uuid: "00", id, order, late: false, head: hello(id), rest, closed: () => false };
    return await hold.decide(one, () => undefined);
  };
  const old = [ask(1, 0), ask(2, 1)];
  hold.begin(new RamState(4096), 3);
  const next = [ask(4, 0), ask(5, 1)];
  t.deepEqual(await Promise.all(next), [undefined, undefined]);
  t.deepEqual(await Promise.all(old), [
    "a newer connection is multifd channel 0",
    "a newer connection is multifd channel 1",
  ]);
});

test("relay: a channel that cannot be recorded passes; what is confirmed stays whole", async (t) => {
  await inFolder(async (folder) => {
    const into = join(folder, "rec");
    mkdirSync(into);
    const told: string[] = [];
    const options = { record: into, onBroken: ({ what }: QevmError) => void told.push(what) };
    const record = new RelayRecord(options, () => ({}));
    record.note(record.open("main"), corpusEntry("machine-none-tiny").open());
    rmSync(into, { recursive: true });
    const lost = record.open("multifd", 1);
    record.note(lost, new Uint8Array(10));
    t.equal(told.length, 1, "said once");
    t.match(told[0] ?? "", /ENOENT/u);
    t.match(lost.reason ?? "", /could not be recorded/u);
    await record.confirm();
    const error = await record.settle().catch((thrown: unknown) => thrown);
    t.match(textOf(error), /the destination has the guest, but the recording is not whole/u);
    record.close();
    // A signal after SHUT 0 was passed on.
    mkdirSync(into);
    const second = new RelayRecord({ record: into }, () => ({}));
    second.note(second.open("main"), corpusEntry("machine-none-tiny").open());
    await second.confirm();
    second.fail("ended by SIGINT");
    second.close();
    const { complete } = JSON.parse(readFileSync(join(into, "recording.json"), "utf8")) as { complete: boolean };
    t.equal(complete, true);
  });
});

test("a timeline that the disk had no room for has every line once there is room", async (t) => {
  await inFolder(async (folder) => {
    const { writeSync } = fs;
    const timeline = new TimelineFile(folder);
    timeline.add("main.bin", 0, 10);
    try {
      fs.writeSync = () => {
        throw new Error("ENOSPC: of the test");
      };
      syncBuiltinESMExports();
      t.throws(() => timeline.sync(), /ENOSPC/u);
    } finally {
      fs.writeSync = writeSync;
      syncBuiltinESMExports();
    }
    timeline.add("main.bin", 10, 20);
    timeline.sync();
    timeline.close();
    const lines = readFileSync(join(folder, "timeline.jsonl"), "utf8").trim().split("\n").slice(1);
    const sum = lines.reduce((all, one) => all + (JSON.parse(one) as { length: number }).length, 0);
    t.equal(sum, 30);
    await Promise.resolve();
  });
});

test("a preempt channel that is cut inside a page is read up to there", async (t) => {
  const recording = recordingNamed("postcopy-7.2-preempt");
  await inFolder(async (folder) => {
    const rec = join(folder, "rec");
    unpackRecording(recording, rec);
    const length = 40_001;
    truncateSync(join(rec, "preempt.bin"), length);
    const lenient = { lenient: true } as const;
    const { ram, warnings } = await inspectRecording(openRecording(rec, lenient), lenient);
    t.ok(ram.pages.normal > 0);
    t.ok(
      warnings.some(({ message }) => /ends inside/u.test(message)),
      "it is said",
    );
    await verifyRecording(openRecording(rec, lenient), lenient);
    const input = await openInput(rec, { stream: lenient });
    const { blocks } = await extractBlocks(input, join(folder, "x"), lenient).finally(() => input.close?.());
    t.ok(blocks.length > 0, "extracted");
    const strict = await inspectRecording(openRecording(rec)).catch((thrown: unknown) => thrown);
    t.ok(strict instanceof QevmError && strict.code === "truncated", String(strict));
  });
});

test("after the switch to postcopy no page is kept on disk, which may be full", async (t) => {
  const main = recordingNamed("postcopy-7.2").open("main.bin");
  const pieces = Array.from({ length: Math.ceil(main.length / 4096) }, (_, k) => main.subarray(k << 12, (k + 1) << 12));
  await inFolder(async (folder) => {
    const kept: number[] = [];
    const sink = { write: () => void kept.push(readdirSync(folder).length) };
    const live = { inRam: false };
    await convertStream(new IterableSource(pieces), sink, { ram: "normal", live }, folder);
    t.ok(kept.includes(1), "for XBZRLE before it");
    t.equal(kept.at(-1), 0);
    t.equal(readdirSync(folder).length, 0);
  });
});

test("after its main channel has failed nobody connects any more", async (t) => {
  const { files, open } = recordingNamed("recording-7.2-live");
  await inFolder(async (folder) => {
    let where = "";
    const onListening = (uri: string): void => {
      where = uri;
      void (async () => {
        // The other channels stay open: what they send is waited for.
        const [main, ...others] = await Promise.all(files.map(async () => await dial(uri)));
        main!.write(open("main.bin").subarray(0, 60_000));
        others.forEach((socket, k) => socket.write(open(`multifd-${k}.bin`).subarray(0, 20_000)));
        await sleep(400);
        main!.end();
      })();
    };
    const receiving = receiveInto(folder, "tcp:127.0.0.1:0", { onListening }).catch((error: unknown) => error);
    await sleep(700);
    const late = await new Promise<string>((resolve) => {
      const socket = connect(Number(/\d+$/u.exec(where)?.[0]), "127.0.0.1", () => resolve("connected"));
      socket.once("error", (error) => resolve(error.message));
    });
    t.ok((await receiving) instanceof QevmError);
    t.match(late, /ECONNREFUSED/u);
  });
});

async function failed(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
    return "nothing";
  } catch (error) {
    return textOf(error);
  }
}

test("destinations and listeners that are none, in words", async (t) => {
  const stream = corpusEntry("machine-none-tiny").open();
  const long = `/tmp/${"x".repeat(110)}`;
  t.match(await failed(async () => await openDestination(`unix:${long}`)), /too long.*at most 107 bytes, found 115/u);
  const missing = await failed(async () => await openListener("unix:/tmp/qevm no such/s", () => undefined));
  t.match(missing, /there is no folder \/tmp\/qevm no such/u);
  t.equal(textOf(new AggregateError([new Error("one"), new Error("two")])), "one; two", "a host with two addresses");
  const exit = await failed(
    async () => await sendStream(new MemorySource(Buffer.alloc(1 << 20)), await openDestination("exec:exit 7")),
  );
  t.match(exit, /ended with exit code 7/u);
  for (const [allowed, peer, expected] of [
    ["fe80::1%eth0", "fe80::1%eth0", true],
    ["fe80::1%eth0", "fe80::1%eth1", false],
    ["fe80::1", "fe80::1%eth1", true],
    ["fe80::%eth0/10", "fe80::2%eth0", true],
    ["127.0.0.0/8", "::ffff:127.0.0.1", true],
  ] as const) {
    t.equal(new AllowedPeers([allowed], "tcp:").allows(peer), expected, `--allow ${allowed}: ${peer}`);
  }
  t.throws(() => new AllowedPeers(["10.0.0.1%eth0"], "tcp:"), /no such address/u);
  await destination(SHUT(1), stream.length, async (uri) => {
    await inFolder(async (folder) => {
      fs.writeFileSync(join(folder, "vm.mig"), stream);
      const { code, stderr } = await qevm(["send", join(folder, "vm.mig"), uri]);
      t.notEqual(code, 0);
      t.match(stderr, /the destination reports that the migration failed.*found SHUT 1/su);
    });
  });
});

test("a program of exec: ends with its connection, and so does what it has started", async (t) => {
  await inFolder(async (folder) => {
    const file = join(folder, "pid");
    const to = await openDestination(`exec:sleep 100 & echo $! > '${file}.new'; mv '${file}.new' '${file}'; wait`);
    while (!existsSync(file)) await sleep(10);
    const pid = Number(readFileSync(file, "utf8"));
    t.ok(existsSync(`/proc/${pid}`));
    to.abort();
    for (let k = 0; k < 200 && existsSync(`/proc/${pid}`); k++) await sleep(10);
    t.notOk(existsSync(`/proc/${pid}`));
  });
});

test("nobody reads the messages any more: the migration goes on", async (t) => {
  await inFolder(async (folder) => {
    const out = join(folder, "rec");
    const child = spawn(process.execPath, [PROGRAM, "receive", "tcp:127.0.0.1:0", "--out", out, "--as", "recording"], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    const ended = new Promise<number | null>((resolve) => {
      child.once("close", resolve);
    });
    const uri = await new Promise<string>((resolve) => {
      child.stderr.on("data", (text: Buffer) => resolve(/tcp:\S+/u.exec(text.toString())?.[0] ?? ""));
    });
    child.stderr.destroy();
    for (let k = 0; k < 2; k++) (await dial(uri)).end("GET / HTTP/1.1\r\n\r\n");
    await sleep(200);
    const stream = corpusEntry("machine-none").open();
    await sendUntil(uri, [stream], stream.length);
    t.equal(await ended, 0);
    t.equal((JSON.parse(readFileSync(join(out, "recording.json"), "utf8")) as { complete: boolean }).complete, true);
  });
});
