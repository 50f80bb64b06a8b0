import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "tape";
import { inspectRecording, verifyRecording } from "../src/analyse/inspect/recording.js";
import { reportStream } from "../src/analyse/report/index.js";
import { MemorySource } from "../src/bytes/index.js";
import { QevmError } from "../src/bytes/errors.js";
import { PAGE_FLAGS } from "../src/codec/ram/index.js";
import { StreamReader } from "../src/codec/stream/index.js";
import { extractBlocks } from "../src/guest/files/extract-blocks.js";
import { openInput } from "../src/io/container/input.js";
import { openRecording, openTimeline } from "../src/io/container/recording.js";
import { pacedRecording, readTimeline, TimelineWriter, type Arrival } from "../src/io/recording/index.js";
import { textOf } from "../src/io/transport/attempt.js";
import { openDestination } from "../src/io/transport/destination-uri.js";
import { sendStream } from "../src/io/transport/send.js";
import { receiveInto } from "../src/live/receive/index.js";
import { relay } from "../src/live/relay/index.js";
import { corpusEntry } from "../tools/corpus.js";
import { recordingNamed, unpackRecording } from "../tools/recording/corpus.js";
import { held, inFolder, leavingAfter, numbers, sendUntil, stillHeld } from "./support/cut.js";
import { qevm } from "./support/program.js";
import { readReport } from "./support/report-page.js";

interface List {
  complete: boolean;
  reason?: string;
  channels: { file: string; channelLength: number; complete: boolean; reason?: string }[];
}

function listOf(folder: string): List {
  return JSON.parse(readFileSync(join(folder, "recording.json"), "utf8")) as List;
}

/** Receives in this process what `send` sends, into a new folder. Returns the error, if any. */
async function received(folder: string, send: (uri: string) => Promise<void>): Promise<unknown> {
  mkdirSync(folder);
  let sending = Promise.resolve();
  const onListening = (uri: string): void => void (sending = send(uri));
  try {
    await receiveInto(folder, "tcp:127.0.0.1:0", { onListening });
    return undefined;
  } catch (error) {
    return error;
  } finally {
    await sending;
  }
}

/** The same for a relay to `to`. */
async function relayed(to: string, record: string, send: (uri: string) => Promise<void>): Promise<unknown> {
  const onListening = (uri: string): void => void send(uri);
  try {
    await relay("tcp:127.0.0.1:0", to, { record, onListening });
    return undefined;
  } catch (error) {
    return error;
  }
}

async function arrivals(folder: string): Promise<Arrival[]> {
  const all: Arrival[] = [];
  for await (const arrival of readTimeline(openTimeline(folder)!())) all.push(arrival);
  return all;
}

/** The end of each page record of a stream. */
async function pageEnds(stream: Uint8Array): Promise<number[]> {
  const ends: number[] = [];
  for await (const item of new StreamReader(new MemorySource(stream))) {
    if (item.kind !== "section" || item.content.kind !== "ram") continue;
    for await (const batch of item.records()) {
      for (let i = 0; i < batch.count; i++) {
        if ((batch.flag[i]! & PAGE_FLAGS) === 0) continue;
        const named = batch.continues[i] === 1 ? 0 : 1 + batch.block[i]!.idstr.length;
        ends.push(batch.position[i]! + 8 + named + Math.max(1, batch.bodyLength[i]!));
      }
    }
  }
  return ends;
}

/** Holds a partial recording against the stream that it is the beginning of. */
async function readable(folder: string, out: string, stream: Uint8Array, ends: readonly number[]): Promise<string[]> {
  const wrong: string[] = [];
  const main = readFileSync(join(folder, "main.bin"));
  if (!main.equals(stream.subarray(0, main.length))) wrong.push("other bytes");
  const list = listOf(folder);
  if (list.complete || (list.reason ?? "") === "") wrong.push("not marked");
  for (const { file, channelLength: bytes, complete, reason } of list.channels) {
    if (statSync(join(folder, file)).size !== bytes) wrong.push(`${file}: ${bytes} bytes`);
    if (file === "main.bin" && (complete || (reason ?? "") === "")) wrong.push(`${file} is not marked`);
  }
  const times = await arrivals(folder);
  const timed = times.filter(({ channel }) => channel === "main.bin").reduce((sum, { length }) => sum + length, 0);
  if (timed !== main.length) wrong.push(`times of ${timed} bytes`);
  if (main.length < 8) return wrong;
  const lenient = { lenient: true } as const;
  const pages = ends.filter((end) => end <= main.length).length;
  try {
    const recording = openRecording(folder, lenient);
    const { ram } = await inspectRecording(recording, lenient);
    const found = ram.pages.normal + ram.pages.zero;
    if (found !== pages) wrong.push(`${found} pages for ${pages}`);
    const { firstDifference } = await verifyRecording(recording, lenient);
    // Of the record that was cut off nothing is encoded again.
    const last = ends.findLast((end) => end <= main.length) ?? 0;
    if (firstDifference !== null && firstDifference < last) wrong.push(`another byte at ${firstDifference}`);
    const input = await openInput(folder, { stream: lenient });
    const { blocks } = await extractBlocks(input, out, lenient).finally(() => input.close?.());
    if (pages > 0 && !blocks.some(({ inStream }) => inStream)) wrong.push("nothing extracted");
  } catch (error) {
    wrong.push(String(error));
  }
  return wrong;
}

const CUTS = 100;
/** So many at a time: each waits a moment for other channels. */
const TOGETHER = 50;

/** Runs a case for each cut, some at a time. */
async function everyCut(length: number, seed: number, run: (cut: number, k: number) => Promise<void>): Promise<void> {
  const next = numbers(seed);
  const cuts = Array.from({ length: CUTS }, () => next(length - 1));
  for (let k = 0; k < CUTS; k += TOGETHER) {
    await Promise.all(cuts.slice(k, k + TOGETHER).map((cut, i) => run(cut, k + i)));
  }
}

test(`a source that breaks off at ${CUTS} moments: what came is kept and read up to the cut`, async (t) => {
  const stream = corpusEntry("machine-none").open();
  const ends = await pageEnds(stream);
  const before = held();
  await inFolder(async (folder) => {
    const wrong: string[] = [];
    let kept = 0;
    await everyCut(stream.length, 1, async (cut, k) => {
      const into = join(folder, `r${k}`);
      const over = new AbortController();
      // A cut before the RAM is that of a stranger: the listener goes on, and the whole stream comes after it.
      const error = await received(into, async (uri) => {
        await sendUntil(uri, [stream], cut, k % 2 === 0);
        if (cut < ends[0]!) await sendUntil(uri, [stream], stream.length);
        over.abort();
      });
      if (cut < ends[0]!) {
        if (error !== undefined) wrong.push(`${cut}: ${textOf(error)}`);
        return;
      }
      if (!(error instanceof QevmError)) wrong.push(`${cut}: ${String(error)}`);
      kept++;
      for (const what of await readable(into, join(folder, `x${k}`), stream, ends)) wrong.push(`${cut}: ${what}`);
    });
    t.deepEqual(wrong, []);
    t.ok(kept > CUTS / 2, `${kept} partial recordings`);
    t.deepEqual(await stillHeld(before), [], "no descriptor, file or child process is left");
  });
});

test("channels that break off: each is marked, and what came is read", async (t) => {
  const { files, open } = recordingNamed("recording-7.2-zlib");
  const names = ["main.bin", ...files.filter((file) => file !== "main.bin")];
  const channels = names.map(open);
  const total = channels.reduce((sum, { length }) => sum + length, 0);
  const before = held();
  await inFolder(async (folder) => {
    const wrong: string[] = [];
    let marked = 0;
    const next = numbers(7);
    const cuts = Array.from({ length: TOGETHER }, () => 5000 + next(total - 5001));
    await Promise.all(
      cuts.map(async (cut, k) => {
        const into = join(folder, `r${k}`);
        const error = await received(into, async (uri) => await sendUntil(uri, channels, cut, k % 2 === 0));
        const list = listOf(into);
        if (error === undefined || list.complete) wrong.push(`${cut}: ${String(error)}`);
        if (list.channels.some(({ complete, reason }) => complete === (reason !== undefined))) wrong.push("marks");
        marked += list.channels.filter(({ complete }) => !complete).length;
        for (const { file, channelLength: bytes } of list.channels) {
          const whole = channels[names.indexOf(file)];
          if (whole !== undefined && !readFileSync(join(into, file)).equals(whole.subarray(0, bytes)))
            wrong.push(`${cut}: ${file}`);
        }
        const recording = openRecording(into, { lenient: true });
        await inspectRecording(recording, { lenient: true }).catch((failed: unknown) =>
          wrong.push(`${cut}: ${textOf(failed)}`),
        );
        await verifyRecording(recording, { lenient: true });
      }),
    );
    t.deepEqual(wrong, []);
    t.ok(marked > TOGETHER, `${marked} channels are not complete`);
    t.deepEqual(await stillHeld(before), [], "no descriptor is left");
  });
});

test(`relay: a source or a destination that breaks off at ${CUTS} moments each`, async (t) => {
  const stream = corpusEntry("machine-none").open();
  const ends = await pageEnds(stream);
  const before = held();
  await inFolder(async (folder) => {
    const wrong: string[] = [];
    for (const side of ["source", "destination"] as const) {
      await everyCut(stream.length - ends[0]!, 3, async (part, k) => {
        const cut = ends[0]! + part;
        const into = join(folder, `${side}${k}`);
        mkdirSync(into);
        const [sent, taken] = side === "source" ? [cut, stream.length + 1] : [stream.length, cut];
        await leavingAfter(taken, async (to) => {
          const error = await relayed(to, into, async (uri) => await sendUntil(uri, [stream], sent, k % 2 === 0));
          if (!(error instanceof QevmError)) wrong.push(`${side} ${cut}: ${textOf(error)}`);
        });
        const { channels, ...list } = listOf(into);
        const [main] = channels;
        if (list.complete || list.reason === undefined) wrong.push(`${side} ${cut}: not marked`);
        if (side === "source" && (main!.channelLength > cut || main!.complete))
          wrong.push(`${cut}: ${main!.channelLength} bytes`);
        const bytes = readFileSync(join(into, "main.bin"));
        if (!bytes.equals(stream.subarray(0, bytes.length))) wrong.push(`${side} ${cut}: other bytes`);
        await verifyRecording(openRecording(into, { lenient: true }), { lenient: true });
      });
    }
    t.deepEqual(wrong, []);
    t.deepEqual(await stillHeld(before), [], "no descriptor, file or child process is left");
  });
});

test(`send: a destination that leaves at ${CUTS} moments`, async (t) => {
  const stream = corpusEntry("machine-none").open();
  const before = held();
  const wrong: string[] = [];
  await everyCut(stream.length, 5, async (cut) => {
    await leavingAfter(cut, async (uri) => {
      // A destination that has read everything has not left early.
      const sent = await sendStream(new MemorySource(stream, 1 << 12), await openDestination(uri)).catch(String);
      if (typeof sent === "string" && !/closed after/u.test(sent)) wrong.push(`${cut}: ${sent}`);
    });
  });
  t.deepEqual(wrong, []);
  t.deepEqual(await stillHeld(before), [], "no descriptor is left");
});

test("times: of every byte of every channel, in order", async (t) => {
  const { files, open } = recordingNamed("recording-7.2-zlib");
  await inFolder(async (folder) => {
    const into = join(folder, "rec");
    const total = files.reduce((sum, file) => sum + open(file).length, 0);
    t.equal(await received(into, async (uri) => await sendUntil(uri, files.map(open), total)), undefined);
    const all = await arrivals(into);
    const lengths = new Map<string, number>();
    let before = 0;
    for (const { t: at, channel, offset, length } of all) {
      if (at < before) t.fail(`${at} after ${before}`);
      before = at;
      if ((lengths.get(channel) ?? 0) !== offset) t.fail(`${channel}: a hole at ${offset}`);
      lengths.set(channel, offset + length);
    }
    for (const file of files) t.equal(lengths.get(file), open(file).length, file);
    t.deepEqual(
      listOf(into).channels.map(({ complete }) => complete),
      listOf(into).channels.map(() => true),
    );
  });
});

async function read(bytes: string, chunk?: number): Promise<unknown[]> {
  const found: unknown[] = [];
  for await (const { t: at, channel, offset, length } of readTimeline(new MemorySource(Buffer.from(bytes), chunk)))
    found.push([at, channel, offset, length]);
  return found;
}

function line(at: number, channel: string, offset: number, length: number): string {
  return `${JSON.stringify({ t: at, channel, offset, length })}\n`;
}

test("a timeline is written in lines that are joined within a millisecond, and read back or refused", async (t) => {
  const writer = new TimelineWriter(new Date(0));
  writer.add("main.bin", 0, 10, 500);
  writer.add("multifd-0.bin", 0, 5, 500.4);
  writer.add("main.bin", 10, 20, 500.9);
  writer.add("main.bin", 30, 1, 502);
  const text = writer.take();
  const expected = [
    [0, "main.bin", 0, 30],
    [0.0004, "multifd-0.bin", 0, 5],
    [0.002, "main.bin", 30, 1],
  ];
  for (const chunk of [undefined, 1, 7]) t.deepEqual(await read(text, chunk), expected);
  t.deepEqual(await read(text.slice(0, -5)), expected.slice(0, 2), "a line that was cut off is left out");
  const [first = ""] = text.split("\n");
  for (const [wrong, what] of [
    ["no JSON", /a line that is not JSON.*|bad-value/u],
    ['{"t":-1,"channel":"main.bin","offset":0,"length":1}', /without time/u],
    ['{"t":0,"channel":"main.bin","offset":0,"length":0}', /without offset and length/u],
    ['{"t":0,"channel":"main.bin","offset":0.5,"length":1}', /without offset and length/u],
    ["null", /without time/u],
  ] as const) {
    const error = await read(`${first}\n${wrong}\n`).catch((one: unknown) => one);
    t.ok(error instanceof QevmError && what.test(error.message), String(error));
    t.equal((error as QevmError).offset, first.length + 1);
  }
  const late = await read(text + text.slice(first.length + 1)).catch(String);
  t.match(String(late), /a time before/u);
  const endless = await read(`${first}\n${"x".repeat(100_000)}`).catch(String);
  t.match(String(endless), /more than 4096 bytes/u);
});

test("--pace recorded: each byte at its time, channel by channel or as one stream", async (t) => {
  const recording = recordingNamed("recording-7.2-zlib");
  await inFolder(async (folder) => {
    const rec = join(folder, "rec");
    unpackRecording(recording, rec);
    const main = recording.open("main.bin");
    const plain = await qevm(["send", rec, "exec:cat >/dev/null", "--pace", "recorded"]);
    t.equal(plain.code, 2, "without times");
    t.match(plain.stderr, /timeline\.jsonl/u);
    const half = main.length >> 1;
    const others = recording.files.filter((file) => file.startsWith("multifd"));
    const lines = [
      line(0, "main.bin", 0, half),
      ...others.map((file) => line(5, file, 0, recording.open(file).length)),
      line(3600, "main.bin", half, main.length - half),
    ];
    writeFileSync(join(rec, "timeline.jsonl"), lines.join(""));
    let now = 1000;
    const slept: number[] = [];
    const clock = {
      now: () => now,
      sleep: async (milliseconds: number) => {
        slept.push(milliseconds);
        now += milliseconds;
        await Promise.resolve();
      },
    };
    const paced = pacedRecording(openRecording(rec), openTimeline(rec)!, clock);
    const source = paced.main.open();
    const buffer = new Uint8Array(1 << 20);
    const pieces: [number, number][] = [];
    for (let n = await source.read(buffer); n > 0; n = await source.read(buffer)) pieces.push([n, now]);
    await source.close?.();
    t.deepEqual(
      pieces,
      [
        [half, 1000],
        [main.length - half, 3_601_000],
      ],
      "an hour later",
    );
    t.deepEqual(slept, [3_600_000]);
    // For real, with times that are short.
    writeFileSync(
      join(rec, "timeline.jsonl"),
      lines.join("").replaceAll('"t":3600', '"t":0.3').replaceAll('"t":5', '"t":0.2'),
    );
    const start = performance.now();
    const out = join(folder, "out.mig");
    const sent = await qevm(["send", rec, `exec:cat >'${out}'`, "--pace", "recorded"]);
    t.equal(sent.code, 0, sent.stderr);
    t.ok(performance.now() - start >= 300, "not before the last bytes had come");
    const input = await openInput(out);
    const { complete } = await extractBlocks(input, join(folder, "x"), {}).finally(() => input.close?.());
    t.equal(complete, true, "the same stream as without times");
    for (const args of [
      ["--pace", "fast"],
      ["--pace", "recorded", "--max-bandwidth", "1M"],
    ]) {
      t.equal((await qevm(["send", rec, "exec:true", ...args])).code, 2, args.join(" "));
    }
  });
});

test("the report shows bandwidth, rounds, dirty rate and how long the guest stood still", async (t) => {
  const recording = recordingNamed("recording-7.2-live");
  await inFolder(async (folder) => {
    const rec = join(folder, "rec");
    unpackRecording(recording, rec);
    // Ten seconds, in pieces of the main channel.
    const main = recording.open("main.bin").length;
    const lines = recording.files
      .filter((file) => file.startsWith("multifd"))
      .map((channel) => JSON.stringify({ t: 0, channel, offset: 0, length: recording.open(channel).length }));
    const size = Math.ceil(main / 100);
    for (let k = 0; k * size < main; k++) {
      const offset = k * size;
      lines.push(JSON.stringify({ t: k / 10, channel: "main.bin", offset, length: Math.min(size, main - offset) }));
    }
    writeFileSync(join(rec, "timeline.jsonl"), `${lines.join("\n")}\n`);
    const page = readReport((await reportStream(rec)).html);
    t.deepEqual(page.complaints, []);
    const rounds = Number(page.facts.get("Rounds"));
    t.ok(rounds > 1, `${rounds} rounds`);
    t.match(page.facts.get("Bandwidth, mean") ?? "", /B\/s$/u);
    t.match(page.facts.get("Sent after the guest was stopped") ?? "", /^for [\d.]+ m?s/u);
    const table = page.tables.find(({ caption }) => caption.startsWith("Rounds"));
    t.equal(table?.rows.length, rounds);
    t.match(table?.rows[1]?.[5] ?? "", /B\/s$/u, "what the guest wrote meanwhile");
    // Without times there is no such part; a damaged timeline is said and costs nothing else.
    const timeline = readFileSync(join(rec, "timeline.jsonl"), "utf8").split("\n");
    writeFileSync(join(rec, "timeline.jsonl"), [...timeline.slice(0, 3), "{", ...timeline.slice(3)].join("\n"));
    t.match((await reportStream(rec)).html, /The timeline is damaged/u);
    const bare = join(folder, "bare");
    mkdirSync(bare);
    for (const file of recording.files) copyFileSync(join(rec, file), join(bare, file));
    t.notOk((await reportStream(bare)).html.includes("The migration in time"));
    t.ok(existsSync(join(rec, "timeline.jsonl")) && readdirSync(rec).includes("recording.json"));
  });
});
