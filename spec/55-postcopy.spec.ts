/** Recordings of postcopy, read: commands, answers, pages, connections that broke, damaged packages. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "tape";
import { QevmError } from "../src/bytes/errors.js";
import { verifyRecording } from "../src/analyse/inspect/recording.js";
import { verifyStream } from "../src/analyse/inspect/verify.js";
import { MemorySink, MemorySource, QemuFileReader, type ByteSource } from "../src/bytes/index.js";
import { RamState } from "../src/codec/ram/index.js";
import { mergeRecording, preemptRecords, type RecordedChannel } from "../src/io/recording/index.js";
import {
  decodeReturnMessage,
  ReturnPathReader,
  StreamReader,
  type Command,
  type ReturnMessage,
} from "../src/codec/stream/index.js";
import { Schema } from "../src/codec/vmstate/index.js";
import { projectRoot } from "../tools/corpus.js";
import { recordingNamed } from "../tools/recording/corpus.js";
import { fromHex, refusal } from "./support/bytes.js";
import { LENDERS, memoryIs, opened, schemaOf, understood } from "./support/postcopy.js";

for (const name of Object.keys(LENDERS)) {
  test(`${name}: with a lent schema every byte is understood`, async (t) => {
    await opened(name, async (channels) => {
      const schema = await schemaOf(name);
      understood(t, await verifyRecording(channels, { schema, keepMemory: false }));
    });
  });

  test(`${name}: memory is complete, and the destination's`, async (t) => {
    await opened(name, (channels, beside) => memoryIs(t, channels, beside, recordingNamed(name).truth.blocks));
  });
}

/** What is in the channels of a recording. */
interface Heard {
  /** `position`: on the main channel; infinite on the preempt channel, which carries nothing before the switch. */
  pages: { block: string; offset: number; position: number }[];
  messages: ReturnMessage[];
  commands: { command: Command; position: number }[];
}

async function listen(name: string): Promise<Heard> {
  const recording = recordingNamed(name);
  const heard: Heard = { pages: [], messages: [], commands: [] };
  const reader = new StreamReader(new MemorySource(recording.open("main.bin")));
  for await (const item of reader) {
    if (item.kind === "command") heard.commands.push({ command: item.command, position: item.offset });
    if (item.kind !== "section") continue;
    for await (const batch of item.records()) {
      for (const { block, offset, position } of batch) {
        if (block !== undefined) heard.pages.push({ block: block.idstr, offset, position });
      }
    }
  }
  if (recording.files.includes("preempt.bin")) {
    const ram = new RamState(4096);
    for (const block of reader.ram.blocks) ram.add(block);
    const source = new MemorySource(recording.open("preempt.bin"));
    for await (const batch of preemptRecords(source, ram, reader.diagnostics)) {
      for (const { block, offset } of batch) {
        if (block !== undefined) heard.pages.push({ block: block.idstr, offset, position: Infinity });
      }
    }
  }
  const back = QemuFileReader.over(recording.open("return-path.bin"));
  for (;;) {
    const message = await decodeReturnMessage(back);
    if (message === undefined) return heard;
    heard.messages.push(message);
  }
}

test("a preempt channel that is refused is closed", async (t) => {
  await opened("postcopy-7.2-preempt", async (channels) => {
    let closed = 0;
    const bytes = Buffer.alloc(4096, 0xff);
    const open = (): ByteSource => Object.assign(new MemorySource(bytes), { close: () => void closed++ });
    const broken = { ...channels, preempt: channels.preempt.map((channel) => ({ ...channel, open })) };
    t.ok((await refusal(() => mergeRecording(broken, new MemorySink()))) !== undefined, "refused");
    t.equal(closed, 1);
  });
});

test("a recording's sequence accounts for every byte, in order", (t) => {
  for (const name of Object.keys(LENDERS)) {
    const recording = recordingNamed(name);
    const list = readFileSync(join(projectRoot(), "corpus", name, "recording.json"), "utf8");
    const { channels, sequence } = JSON.parse(list) as {
      channels: { file: string }[];
      sequence: [channel: number, offset: number, length: number][];
    };
    const heard = channels.map(() => 0);
    const gaps = sequence.filter(([channel, offset, length]) => {
      const expected = heard[channel]!;
      heard[channel] = expected + length;
      return offset !== expected;
    });
    t.deepEqual(gaps, [], `${name}: no gaps`);
    const lengths = channels.map(({ file }) => recording.open(file).length);
    t.deepEqual(heard, lengths, `${name}: ${channels.map(({ file }) => file).join(", ")}`);
  }
  t.end();
});

const names = (commands: Heard["commands"]): string =>
  commands
    .map(({ command }) => (command.name === "PING" ? `PING ${command.value}` : command.name))
    .filter((name, i, all) => name !== all[i - 1])
    .join(" ");

test("the order of the commands, by version", async (t) => {
  const switched = "POSTCOPY_RAM_DISCARD PING 2 PACKAGED POSTCOPY_LISTEN PING 3";
  const head = "OPEN_RETURN_PATH PING 1 POSTCOPY_ADVISE";
  t.equal(names((await listen("postcopy-7.2")).commands), `${head} ${switched} POSTCOPY_RUN PING 4`, "7.2");
  const { commands } = await listen("postcopy-11.1");
  t.equal(names(commands), `${head} SWITCHOVER_START ${switched} PING 66 POSTCOPY_RUN PING 4`, "11.1");
});

for (const name of Object.keys(LENDERS).filter((one) => !one.endsWith("-recovered"))) {
  test(`${name}: what is asked is answered`, async (t) => {
    const { commands, messages, pages } = await listen(name);
    const pings = commands.flatMap(({ command }) => (command.name === "PING" ? [command.value] : []));
    const pongs = messages.flatMap((message) => (message.name === "PONG" ? [message.value] : []));
    t.deepEqual(new Set(pongs), new Set(pings), "every PING has its PONG");
    t.deepEqual(messages.at(-1), { name: "SHUT", value: 0 }, "SHUT comes last, without an error");
    const sent = new Set(pages.map(({ block, offset }) => `${block} ${offset}`));
    let block = "";
    let asked = 0;
    for (const message of messages) {
      if (message.name !== "REQ_PAGES") continue;
      block = message.block ?? block;
      asked++;
      if (!sent.has(`${block} ${message.start}`)) t.fail(`${block} ${message.start} was asked for and never came`);
    }
    t.ok(name.endsWith("-dirty") ? asked === 0 : asked > 0, `${asked} pages were asked for, and came`);
    let discarded = 0;
    for (const { command, position } of commands) {
      if (command.name !== "POSTCOPY_RAM_DISCARD") continue;
      const behind = pages.filter((page) => page.position > position && page.block === command.block);
      const again = new Set(behind.map((page) => page.offset));
      for (const { start, length } of command.ranges) {
        discarded += length / 4096;
        for (let offset = start; offset < start + length; offset += 4096) {
          if (!again.has(offset)) t.fail(`${command.block} ${offset} was discarded and did not come again`);
        }
      }
    }
    t.ok(discarded > 0, `${discarded} pages were discarded, and came after the switch`);
  });
}

test("a connection that broke and one that went on: the bitmaps say what came before, and the rest comes", async (t) => {
  const name = "postcopy-7.2-recovered";
  const recording = recordingNamed(name);
  const strict = new StreamReader(new MemorySource(recording.open("main.bin")));
  t.equal((await refusal(() => pagesOf(strict)))?.code, "truncated", "by itself the first connection is cut off");
  const broken = new StreamReader(new MemorySource(recording.open("main.bin")), { broken: true });
  const before = await pagesOf(broken);
  t.notOk(broken.complete, "it is known not to be whole");
  const resumed = new StreamReader(new MemorySource(recording.open("resumed-1.bin")), { after: broken.known });
  const behind = await pagesOf(resumed);
  t.ok(resumed.complete, "the second one is");
  let bitmaps = 0;
  for await (const { message } of new ReturnPathReader(new MemorySource(recording.open("return-path-1.bin")), {
    block: (idstr) => broken.ram.find(idstr),
  })) {
    if (message.name !== "RECV_BITMAP") continue;
    bitmaps++;
    const pages = broken.ram.find(message.block)!.usedLength / 4096;
    const received: string[] = [];
    const missing: string[] = [];
    for (let i = 0; i < pages; i++) {
      const has = ((message.bitmap[i >> 3]! >> (i & 7)) & 1) === 1;
      (has ? received : missing).push(`${message.block} ${i * 4096}`);
    }
    t.deepEqual(
      received.filter((page) => !before.has(page)),
      [],
      `${message.block}: ${received.length} pages had come`,
    );
    const rest = [...behind].filter((page) => page.startsWith(`${message.block} `));
    t.deepEqual(new Set(rest), new Set(missing), `${message.block}: the ${missing.length} others come`);
  }
  t.equal(bitmaps, broken.ram.blocks.length, "a bitmap for every block");
});

test("a connection that broke inside a record", async (t) => {
  const recording = recordingNamed("postcopy-7.2-recovered");
  const channel = (file: string, cut = 0): RecordedChannel => {
    const bytes = recording.open(file);
    const kept = bytes.subarray(0, bytes.length - cut);
    return { name: file, length: kept.length, open: () => new MemorySource(kept) };
  };
  const schema = await schemaOf("postcopy-7.2-recovered");
  for (const cut of [1, 3, 9, 1000]) {
    const whole = { multifd: [], preempt: [], returnPath: [], resumed: [channel("resumed-1.bin")] };
    const result = await verifyRecording({ ...whole, main: channel("main.bin", cut) }, { schema, keepMemory: false });
    t.ok(result.identical && result.complete, `${cut} bytes less: the rest of the record is kept`);
    const sink = new MemorySink();
    await mergeRecording({ ...whole, main: channel("main.bin", cut) }, sink, { schema });
    const merged = new StreamReader(new MemorySource(sink.bytes()), { schema });
    t.ok((await pagesOf(merged)).size > 0 && merged.complete, `${cut} bytes less: one stream of both`);
  }
  // At every byte of a PART header, of a footer and of a command.
  const bytes = recordingNamed("postcopy-7.2").open("main.bin");
  const places = [bytes.indexOf(fromHex("0800060019")), bytes.indexOf(fromHex("7e000000020200000002"))];
  for (const place of places) {
    for (let end = place; end < place + 12; end++) {
      const found = await verifyStream(new MemorySource(bytes.subarray(0, end)), { broken: true, keepMemory: false });
      if (!found.identical || found.complete) t.fail(`cut at ${end}: differs from byte ${found.firstDifference}`);
    }
  }
  t.ok(
    places.every((place) => place > 0),
    "wherever it breaks",
  );
  const last = { multifd: [], preempt: [], returnPath: [], resumed: [channel("resumed-1.bin", 1000)] };
  const error = await refusal(() => verifyRecording({ ...last, main: channel("main.bin") }, { schema }));
  t.equal(error?.code, "truncated", "the last connection must be whole");
});

/** Every page of a stream, as block and offset. */
async function pagesOf(reader: StreamReader): Promise<Set<string>> {
  const pages = new Set<string>();
  for await (const item of reader) {
    if (item.kind !== "section") continue;
    for await (const batch of item.records()) {
      for (const { block, offset } of batch) if (block !== undefined) pages.add(`${block.idstr} ${offset}`);
    }
  }
  return pages;
}

test("packages damaged by seed are refused with an address, or come back byte for byte", async (t) => {
  const main = recordingNamed("postcopy-7.2").open("main.bin");
  const schema = new Schema(await schemaOf("postcopy-7.2"));
  const start = main.indexOf(fromHex("0800070004"));
  const length = 9 + main.readUInt32BE(start + 5);
  let seed = 1;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % below;
  };
  let refused = 0;
  let taken = 0;
  for (let run = 0; run < 100; run++) {
    let bytes = Buffer.from(main.subarray(0, start + length + 2000));
    for (let n = 1 + random(3); n > 0; n--)
      bytes[start + random(length)] = [0, 5, 7, 8, 0x7e, 0xff, random(256)][random(7)]!;
    const cut = start + random(length);
    if (run % 3 === 0) bytes = Buffer.concat([bytes.subarray(0, cut), bytes.subarray(cut + 1 + random(4))]);
    for (const options of [{}, { schema }, { lenient: true }, { schema, lenient: true }]) {
      // Cut off after the package, so that a damaged one is soon told from a whole one.
      const source = new MemorySource(bytes);
      let place: number | undefined;
      try {
        const result = await verifyStream(source, { ...options, broken: true, keepMemory: false });
        taken++;
        if (!result.identical) t.fail(`run ${run}: differs from byte ${result.firstDifference}`);
      } catch (error) {
        if (!(error instanceof QevmError)) throw error;
        refused++;
        place = error.offset;
        if (place === undefined || place > bytes.length) t.fail(`run ${run}: ${error.message}`);
      }
    }
  }
  t.ok(refused > 50 && taken > 100, `${refused} refused, ${taken} taken`);
});
