import test from "tape";
import { verifyRecording } from "../src/analyse/inspect/recording.js";
import { MemorySink, MemorySource, QemuFileReader, QemuFileWriter } from "../src/bytes/index.js";
import type { RecordedChannel } from "../src/io/recording/index.js";
import {
  decodeReturnMessage,
  encodeReturnMessage,
  returnMessageToPlain,
  ReturnPathReader,
  type ReturnMessage,
  type ReturnPathItem,
  type ReturnPathOptions,
} from "../src/codec/stream/index.js";
import { recordingNamed } from "../tools/recording/corpus.js";
import { arrivals } from "./support/arrivals.js";
import { fromHex, refusal, toHex } from "./support/bytes.js";

const ascii = (text: string): string => Buffer.from(text, "latin1").toString("hex");
const MARK = "0123456789abcdef";

/** Each message as `migration/migration.c` lays it out. */
const rows: [hex: string, value: ReturnMessage][] = [
  ["0001 0004 00000001", { name: "SHUT", value: 1 }],
  ["0002 0004 00000042", { name: "PONG", value: 0x42 }],
  [
    `0003 0013 0000000000012000 00001000 06 ${ascii("pc.ram")}`,
    { name: "REQ_PAGES", start: 0x12000, length: 0x1000, block: "pc.ram" },
  ],
  ["0004 000c 0000000100000000 00200000", { name: "REQ_PAGES", start: 0x100000000, length: 0x200000 }],
  [
    `0005 0004 03 ${ascii("ram")} 0000000000000008 0500000000000080 ${MARK}`,
    { name: "RECV_BITMAP", block: "ram", bitmap: fromHex("0500000000000080"), end: 0x0123456789abcdefn },
  ],
  ["0006 0004 00000001", { name: "RESUME_ACK", value: 1 }],
  ["0007 0000", { name: "SWITCHOVER_ACK" }],
];

for (const [hex, value] of rows) {
  test(`${value.name} of ${fromHex(hex).length} bytes: fields and the same bytes again`, async (t) => {
    const bytes = fromHex(hex);
    for (const [way, source] of Object.entries(arrivals(bytes))) {
      const reader = new QemuFileReader(source());
      t.deepEqual(await decodeReturnMessage(reader), value, `decode, ${way}`);
      t.equal(reader.offset, bytes.length, `every byte is taken, ${way}`);
    }
    const sink = new MemorySink();
    const writer = new QemuFileWriter(sink);
    encodeReturnMessage(writer, value);
    await writer.finish();
    t.equal(toHex(sink.bytes()), toHex(bytes), "encode");
    for (let cut = 1; cut < bytes.length; cut++) {
      const error = await refusal(() => decodeReturnMessage(QemuFileReader.over(bytes.subarray(0, cut))));
      if (error?.code !== "truncated") t.fail(`cut to ${cut} bytes: ${error?.code}`);
    }
  });
}

async function walk(hex: string, options: ReturnPathOptions = {}): Promise<[ReturnPathItem[], ReturnPathReader]> {
  const reader = new ReturnPathReader(new MemorySource(fromHex(hex)), { bufferSize: 64, ...options });
  const items: ReturnPathItem[] = [];
  for await (const item of reader) items.push(item);
  return [items, reader];
}

const block = (idstr: string): { usedLength: number } | undefined =>
  idstr === "ram" ? { usedLength: 0x40000 } : undefined;
const ask = (start: string): string => `0003 0010 ${start.padStart(16, "0")} 00001000 03 ${ascii("ram")}`;

test("pages without a block are those of the block before", async (t) => {
  const [items] = await walk(`${ask("1000")} ${rows[1]![0]} 0004 000c 0000000000002000 00001000`, { block });
  t.deepEqual(
    items.map((item) => [item.offset, item.message.name, item.block]),
    [
      [0, "REQ_PAGES", "ram"],
      [20, "PONG", undefined],
      [28, "REQ_PAGES", "ram"],
    ],
  );
});

test("what a source would refuse is refused with its address", async (t) => {
  const cases: [string, string, string, number][] = [
    ["type 0", "0000 0000", "unknown-type", 0],
    ["type 8", "0008 0000", "unknown-type", 0],
    ["PONG of two bytes", "0002 0002 0000", "bad-length", 2],
    [
      "a name that does not fill its message",
      `0003 0011 0000000000000000 00001000 03 ${ascii("rama")}`,
      "bad-length",
      16,
    ],
    ["pages beyond 2^53", `0004 000c 0020000000000000 00001000`, "limit", 4],
    ["a bitmap of 4 GiB", `0005 0004 03 ${ascii("ram")} 0000000100000000`, "limit", 8],
    ["no block yet", "0004 000c 0000000000002000 00001000", "unknown-reference", 0],
    ["half a page", ask("1800"), "bad-offset", 4],
    ["pages outside the block", ask("40000"), "bad-offset", 4],
    ["a block that is not there", `0003 000e 0000000000000000 00001000 01 ${ascii("x")}`, "unknown-reference", 0],
    ["a bitmap too short", `0005 0004 03 ${ascii("ram")} 0000000000000000 ${MARK}`, "bad-length", 8],
    ["a bitmap without its mark", `0005 0004 03 ${ascii("ram")} 0000000000000008 ${"00".repeat(16)}`, "bad-magic", 24],
    ["RESUME_ACK 0", "0006 0004 00000000", "bad-value", 4],
    ["something after SHUT", "0001 0004 00000000 0007 0000", "bad-value", 8],
    ["cut off", "0002 0004 00", "truncated", 4],
  ];
  for (const [name, hex, code, offset] of cases) {
    const error = await refusal(() => walk(hex, { block }));
    t.deepEqual([error?.code, error?.offset], [code, offset], `${name}: ${code} at byte ${offset}`);
    t.match(error?.path.join(" > ") ?? "", /^message [01]$/u, `${name}: path`);
    if (["unknown-type", "bad-length", "limit"].includes(code) && !name.startsWith("a bitmap too")) continue;
    const [, reader] = await walk(hex, { block, lenient: true });
    t.equal(reader.diagnostics.warnings[0]?.code, code, `${name}: lenient goes on`);
  }
});

test("a bitmap in plain words", (t) => {
  t.deepEqual(returnMessageToPlain(rows[4]![1]), { name: "RECV_BITMAP", block: "ram", bytes: 8, received: 3 });
  t.end();
});

function channel(name: string, bytes: Uint8Array): RecordedChannel {
  return { name, length: bytes.length, open: () => new MemorySource(bytes) };
}

test("in a recording the messages are told with their values", async (t) => {
  const recorded = recordingNamed("postcopy-7.2");
  const back = recorded.open("return-path.bin");
  const folder = { main: channel("main", recorded.open("main.bin")), multifd: [], preempt: [] };
  const whole = await verifyRecording({ ...folder, returnPath: [channel("back", back)] }, { keepMemory: false });
  const [{ messages, messageCounts }] = whole.inspection.channels as [(typeof whole.inspection.channels)[number]];
  t.deepEqual(messages[0], { channelOffset: 0, name: "PONG", value: 1 });
  t.equal(messages.find(({ name }) => name === "REQ_PAGES")?.["block"], "pc.ram");
  t.deepEqual([messageCounts["PONG"], messageCounts["SHUT"]], [4, 1]);
  const cut = channel("back", back.subarray(0, -1));
  const error = await refusal(() => verifyRecording({ ...folder, returnPath: [cut] }, { keepMemory: false }));
  t.equal(error?.code, "truncated", "cut off");
});
