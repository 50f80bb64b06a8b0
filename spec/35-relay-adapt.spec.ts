/** Guests adapted on their way, without QEMU: as files are; sources that end anywhere; what is refused. */
import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import test, { type Test } from "tape";
import { MemorySink, MemorySource } from "../src/bytes/index.js";
import { StreamReader } from "../src/codec/stream/index.js";
import { convertStream } from "../src/rewrite/convert/convert.js";
import { adaptStream, type AdaptReport } from "../src/rewrite/adapt/index.js";
import { receiveInto } from "../src/live/receive/index.js";
import { relay, type RelayOptions } from "../src/live/relay/index.js";
import { corpusEntry } from "../tools/corpus.js";
import { recordingNamed } from "../tools/recording/corpus.js";
import { held, inFolder, numbers, sendUntil, stillHeld, withDestination } from "./support/cut.js";
import { mainMemory } from "./support/main-memory.js";
import { patternOf } from "./support/pattern.js";
import { qevm } from "./support/program.js";

const PATTERN = patternOf("pc");
const OLD = corpusEntry("pc-2.4").open();

/** OPEN_RETURN_PATH and PING 1. */
const ASKS = "0800010000080002000400000001";

/** Sends so much of the channels; the relay says what is wrong with it. */
function dialled(uri: string, channels: readonly Uint8Array[], cut = Infinity): void {
  const total = channels.reduce((sum, { length }) => sum + length, 0);
  void sendUntil(uri, channels, Math.min(cut, total)).catch(() => undefined);
}

function openAgain(bytes: Uint8Array): { open: () => MemorySource } {
  return { open: () => new MemorySource(bytes) };
}

/** A destination that keeps what comes. */
async function heard(use: (uri: string, bytes: () => Buffer, count: () => number) => Promise<void>): Promise<void> {
  const chunks: Buffer[] = [];
  let connections = 0;
  const serve = (socket: Socket): void => {
    connections++;
    socket.on("data", (chunk) => chunks.push(chunk));
    socket.on("end", () => socket.end());
  };
  await withDestination(serve, async (uri) => {
    await use(
      uri,
      () => Buffer.concat(chunks),
      () => connections,
    );
  });
}

/** Sends so much of the channels through a relay: what the destination got, and the error. */
async function passed(
  channels: readonly Uint8Array[],
  options: Omit<RelayOptions, "onListening">,
  cut = Infinity,
): Promise<{ bytes: Buffer; connections: number; error: string; report: AdaptReport | undefined }> {
  let bytes: Buffer = Buffer.alloc(0);
  let connections = 0;
  let error = "";
  let report: AdaptReport | undefined;
  const adapt = { pattern: PATTERN, ...options.adapt, onPlan: (one: AdaptReport) => void (report = one) };
  await heard(async (uri, got, count) => {
    await relay("tcp::0", uri, { ...options, adapt, onListening: (to) => dialled(to, channels, cut) }).catch(
      (thrown: unknown) => (error = String(thrown)),
    );
    [bytes, connections] = [got(), count()];
  });
  return { bytes, connections, error, report };
}

async function adaptedFile(stream: Uint8Array): Promise<Buffer> {
  const sink = new MemorySink();
  await adaptStream(openAgain(stream), openAgain(PATTERN), sink);
  return Buffer.from(sink.bytes());
}

/** A stream with commands before its first section. */
function commanded(stream: Buffer, commands: string): Buffer {
  const start = stream.indexOf(Buffer.from("\x03ram\0\0\0\0\0\0\0\x04", "latin1")) - 5;
  return Buffer.concat([stream.subarray(0, start), Buffer.from(commands, "hex"), stream.subarray(start)]);
}

/** Main memory; its pages become plain first. */
async function memory(stream: Uint8Array): Promise<Buffer> {
  const sink = new MemorySink();
  await convertStream(new MemorySource(stream), sink, { ram: "normal" }, "/tmp");
  return await mainMemory(sink.bytes());
}

test("a stream that passes is adapted as a file is: byte for byte, but for its commands", async (t) => {
  const whole = await adaptedFile(OLD);
  const { bytes, error, report } = await passed([OLD], {});
  t.equal(error, "");
  t.ok(bytes.equals(whole), `${bytes.length} bytes`);
  t.ok(report?.enough === true && report.changes.length > 5, "what was changed is said");
  // OPEN_RETURN_PATH and PING 1; SWITCHOVER_START, which 9.2 and earlier do not know.
  const asked = commanded(OLD, `${ASKS}08000b0000`);
  const again = await passed([asked], {});
  t.match(again.error, /expected SHUT 0/u, "this destination does not answer");
  t.ok(again.bytes.equals(commanded(whole, ASKS)), "those for the connection pass");
});

test("pages in other encodings, on the way in and out", async (t) => {
  const truth = await memory(OLD);
  const packed = new MemorySink();
  await convertStream(new MemorySource(OLD), packed, { ram: "zlib" }, "/tmp");
  const inflated = await passed([packed.bytes()], {});
  t.ok(inflated.bytes.equals(await adaptedFile(OLD)), "compressed pages become plain ones");
  const deflated = await passed([OLD], { convert: { ram: "zlib" } });
  t.ok(deflated.bytes.length < inflated.bytes.length, "and compressed ones where --ram says so");
  t.ok((await memory(deflated.bytes)).equals(truth), "the same memory");
  const deltas = corpusEntry("xbzrle").open();
  const applied = await passed([deltas], {});
  t.equal(applied.error, "");
  t.ok((await memory(applied.bytes)).equals(await memory(deltas)), "XBZRLE pages, which every QEMU loads, stay");
  const { bytes } = await passed([OLD], { convert: { values: [["cpu:env.dr[1]", "0x5a"]] } });
  const plain = inflated.bytes;
  const differs = [...plain.keys()].filter((at) => bytes[at] !== plain[at]);
  t.deepEqual([bytes.length, differs.length, bytes[differs[0]!]], [plain.length, 1, 0x5a], "with a value of --set");
});

test("pages of multifd channels into the main one, and into others", async (t) => {
  const recording = recordingNamed("recording-7.2-live");
  const channels = ["main.bin", ...recording.files.filter((file) => file.startsWith("multifd"))].map(recording.open);
  const { bytes, error } = await passed(channels, {});
  t.equal(error, "");
  const one = await memory(bytes);
  t.ok(
    one.some((byte) => byte !== 0),
    "the pages came",
  );
  await inFolder(async (folder) => {
    let ended: Promise<unknown> | undefined;
    const onListening = (to: string): void => {
      const multifd = { method: "zstd", channels: 2, release: 1101 } as const;
      const from = { onListening: (uri: string): void => dialled(uri, channels) };
      ended = relay("tcp::0", to, { multifd, adapt: { pattern: PATTERN }, ...from });
      ended.catch(() => undefined);
    };
    await receiveInto(folder, "tcp::0", { onListening });
    await ended;
    const out = join(folder, "one.mig");
    t.equal((await qevm(["convert", folder, "--out", out, "--ram", "normal"])).code, 0);
    const stream = readFileSync(out);
    t.ok((await memory(stream)).equals(one), "the same memory through two channels of zstd");
    t.ok(stream.includes("pc-i440fx-11.1"));
  });
});

async function checkRefused(t: Test, result: Awaited<ReturnType<typeof passed>>, words: RegExp): Promise<void> {
  t.match(result.error, words);
  t.deepEqual([result.connections, result.bytes.length], [0, 0], "the destination goes on waiting");
}

test("what is known with the block list is refused before the destination is connected", async (t) => {
  const q35 = { adapt: { pattern: patternOf("q35") } };
  const first = await passed([OLD], q35);
  await checkRefused(
    t,
    first,
    /does not fit the destination, nothing of the stream was sent: the stream: another board/u,
  );
  t.deepEqual(
    first.report?.refused.map(({ rule }) => rule),
    ["machine-family"],
  );
  const size = OLD.indexOf("\x06pc.ram", 0, "latin1");
  const larger = Buffer.from(OLD);
  larger.writeUInt32BE(larger.readUInt32BE(size + 11) + (1 << 20), size + 11);
  const total = size - 8;
  larger.writeUInt32BE(larger.readUInt32BE(total + 4) + (1 << 20), total + 4);
  await checkRefused(t, await passed([larger], {}), /RAM block "pc\.ram": the guest's memory has another size/u);
  const advise = `0800030010${"00".repeat(6)}1000${"00".repeat(6)}1000`;
  await checkRefused(t, await passed([commanded(OLD, advise)], {}), /where postcopy may follow: a package's length/u);
  await checkRefused(t, await passed([commanded(OLD, "0800080000")], {}), /command ENABLE_COLO/u);
  const slow = await passed([commanded(OLD, "080002000400000001".repeat(40_000))], q35);
  t.match(slow.error, /nothing of the stream was sent/u);
  t.equal(slow.bytes.length, 0, "where the block list comes late, nothing is sent");
  const shared = corpusEntry("ignore-shared").open();
  await checkRefused(t, await passed([shared], {}), /is not in the stream/u);
});

test("what the devices show is refused before the end of the stream is sent; --accept takes what can be", async (t) => {
  const other = corpusEntry("pc-isa").open();
  const { bytes, error, report } = await passed([other], {});
  t.match(
    error,
    /the end of the stream was not sent: "[^"]+"\/0: the destination has no such device \(and \d+ more\)/u,
  );
  t.equal(report?.enough, false);
  t.ok(bytes.length > 1 << 16 && !bytes.includes('"devices"'), "pages passed, and no device");
  t.ok(report!.refused.every(({ rule, weight }) => rule.startsWith("section:") && weight === "guest"));
  const taken = await passed([other], { adapt: { pattern: PATTERN, accept: ["all"] } });
  t.deepEqual([taken.error, taken.report?.enough, taken.bytes.includes('"devices"')], ["", true, true]);
});

test("sources that end anywhere: the destination never gets an end, and nothing is left open", async (t) => {
  const whole = await adaptedFile(OLD);
  const before = held();
  const next = numbers(35);
  const device = whole.length - 60_000;
  const cuts = [
    ...Array.from({ length: 6 }, () => next(OLD.length)),
    ...Array.from({ length: 8 }, () => device + next(50_000)),
    OLD.length - 1,
  ];
  for (const cut of cuts) {
    const { bytes, error } = await passed([OLD], {}, cut);
    t.notEqual(error, "", `after ${cut} bytes: ${error.slice(0, 100)}`);
    t.notOk(bytes.includes('"devices"'), "no end");
    t.ok(whole.subarray(0, bytes.length).equals(bytes), "what was sent is the beginning");
  }
  t.deepEqual(await stillHeld(before), [], "nothing is left open");
});

test("device parts without bounds or sense end in words", async (t) => {
  let devices = -1;
  for await (const item of new StreamReader(new MemorySource(OLD))) {
    if (item.kind === "section" && item.type === "full" && devices < 0) devices = item.offset;
  }
  const head = OLD.subarray(0, devices);
  const tails: [string, Uint8Array, RegExp][] = [
    ["zeros", Buffer.alloc(4 << 20), /bytes after the end of the stream/u],
    ["the end at once", Buffer.alloc(1), /the end of the stream was not sent: .*the old stream has no CPU/u],
    [
      "a section without end",
      Buffer.concat([OLD.subarray(devices, devices + 200), Buffer.alloc(4 << 20, 0x55)]),
      /describe|fit/u,
    ],
    ["many sections", Buffer.concat(Array.from({ length: 20 }, () => OLD.subarray(devices, devices + 20_000))), /./u],
    ["no description", OLD.subarray(devices, OLD.indexOf('{"configuration', devices) - 5), /./u],
  ];
  for (const [name, tail, words] of tails) {
    const adapt = { pattern: PATTERN, stream: { limits: { deviceBytes: 1 << 20 } } };
    const { bytes, error } = await passed([Buffer.concat([head, tail])], { adapt });
    t.match(error, words, `${name}: ${error.slice(0, 160)}`);
    t.notOk(bytes.includes('"devices"'), "no end is sent");
  }
});

test("a pattern that is none is refused before a source can connect", async (t) => {
  const wrong: [Uint8Array, RegExp][] = [
    [Buffer.from("no stream"), /stream|magic/iu],
    [PATTERN.subarray(0, PATTERN.length >> 1), /truncated|ends|describes/iu],
  ];
  for (const [pattern, words] of wrong) {
    let listened = false;
    const onListening = (): void => void (listened = true);
    const error = await relay("tcp::0", "tcp:127.0.0.1:1", { adapt: { pattern }, onListening }).then(() => "", String);
    t.match(error, words);
    t.notOk(listened);
  }
});

test("qevm relay: options that do not go together", async (t) => {
  const rows: [string[], RegExp][] = [
    [["--accept", "all"], /--accept goes with --like/u],
    [["--like", "p", "--machine", "pc"], /--machine does not go with --like/u],
    [["--like", "p", "--drop-vmdescription"], /--drop-vmdescription does not go with --like/u],
    [["--qemu", "7.2"], /--qemu goes with --multifd or --like/u],
    [["--like", "/nonexistent"], /ENOENT|no such file/iu],
  ];
  for (const [args, words] of rows) {
    const { code, stderr } = await qevm(["relay", "tcp:127.0.0.1:0", "tcp:127.0.0.1:1", ...args]);
    t.equal(code, 2, args.join(" "));
    t.match(stderr, words);
  }
});
