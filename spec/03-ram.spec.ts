import test from "tape";
import { Diagnostics } from "../src/bytes/errors.js";
import { IterableSource, MemorySink, MemorySource, QemuFileReader, QemuFileWriter } from "../src/bytes/index.js";
import { encodeRecords, RamBatch, RamFlag, RamState, RecordWriter, type RamBlock } from "../src/codec/ram/index.js";
import { DEFAULT_LIMITS } from "../src/codec/stream/index.js";
import { ramRecords } from "../src/codec/stream/ram-section.js";
import { arrivals } from "./support/arrivals.js";
import { fromHex, refusal, toHex } from "./support/bytes.js";

const ascii = (text: string): string => Buffer.from(text, "latin1").toString("hex");
const EOS = "0000000000000010";
/** Block list of one block "a" of 64 KiB, as QEMU's setup writes it. */
const LIST = `0000000000010004 01 ${ascii("a")} 0000000000010000`;
const PAGE = "5a".repeat(4096);

interface Event {
  encoding: string;
  block: string | undefined;
  offset: number;
  continues: boolean;
  fill: number;
  body: string;
  position: number;
}

async function events(
  source: QemuFileReader,
  state = new RamState(4096),
  options: { lenient?: boolean; capabilities?: string[] } = {},
): Promise<{ events: Event[]; again: string; state: RamState; diagnostics: Diagnostics }> {
  const diagnostics = new Diagnostics(options);
  const all: Event[] = [];
  const sink = new MemorySink();
  const writer = new QemuFileWriter(sink);
  for await (const batch of ramRecords(source, state, diagnostics, DEFAULT_LIMITS, options.capabilities ?? [])) {
    collect(batch, all);
    encodeRecords(writer, batch);
  }
  await writer.flush();
  return { events: all, again: toHex(sink.bytes()), state, diagnostics };
}

function collect(batch: RamBatch, all: Event[]): void {
  for (const record of batch) {
    const { encoding, block, offset, continues, fill, body, position } = record;
    all.push({
      encoding,
      block: block?.idstr,
      offset,
      continues,
      fill: encoding === "zero" ? fill : 0,
      body: toHex(body),
      position,
    });
  }
}

function withoutPosition({ encoding, block, offset, continues, fill, body }: Omit<Event, "position">): unknown[] {
  return [encoding, block, offset, continues, fill, body];
}

const stream = [
  LIST,
  `0000000000000008 01 ${ascii("a")} ${PAGE}`,
  "0000000000001022 00",
  `0000000000002120 00000003 aabbcc`,
  "0000000000003060 01 0004 03010207",
  "0000000000000200",
  "0000000000000080",
  EOS,
].join(" ");

const expected: Omit<Event, "position">[] = [
  { encoding: "blocks", block: undefined, offset: 0x10000, continues: false, fill: 0, body: "" },
  { encoding: "normal", block: "a", offset: 0, continues: false, fill: 0, body: PAGE },
  { encoding: "zero", block: "a", offset: 0x1000, continues: true, fill: 0, body: "" },
  { encoding: "compressed", block: "a", offset: 0x2000, continues: true, fill: 0, body: "aabbcc" },
  { encoding: "xbzrle", block: "a", offset: 0x3000, continues: true, fill: 0, body: "03010207" },
  { encoding: "flush", block: undefined, offset: 0, continues: false, fill: 0, body: "" },
  { encoding: "hook", block: undefined, offset: 0, continues: false, fill: 0, body: "" },
  { encoding: "eos", block: undefined, offset: 0, continues: false, fill: 0, body: "" },
];

test("every record kind, in both directions, with any chunking", async (t) => {
  const bytes = fromHex(stream);
  for (const [way, source] of Object.entries(arrivals(bytes))) {
    const result = await events(new QemuFileReader(source(), { bufferSize: 64 }));
    t.deepEqual(result.events.map(withoutPosition), expected.map(withoutPosition), `events, ${way}`);
    t.equal(result.again, toHex(bytes), `the same bytes again, ${way}`);
    t.deepEqual(
      result.events.map((event) => event.position),
      [0, 18, 4124, 4133, 4148, 4163, 4171, 4179],
      `positions, ${way}`,
    );
  }
});

test("the current block is kept across sections, and a name that repeats it is kept", async (t) => {
  const state = new RamState(4096);
  await events(QemuFileReader.over(fromHex(`${LIST} 0000000000000002 01 ${ascii("a")} 00 ${EOS}`)), state);
  const second = fromHex(`0000000000001022 00 0000000000002002 01 ${ascii("a")} 00 ${EOS}`);
  const result = await events(QemuFileReader.over(second), state);
  t.deepEqual(
    result.events.slice(0, 2).map(({ block, continues }) => [block, continues]),
    [
      ["a", true],
      ["a", false],
    ],
  );
  t.equal(result.again, toHex(second));
});

test("a record writer decides on CONTINUE", async (t) => {
  const sink = new MemorySink();
  const wire = new RecordWriter(new QemuFileWriter(sink));
  const [a, b] = ["a", "b"].map((idstr, index) => ({ index, idstr, usedLength: 1 << 16 })) as [RamBlock, RamBlock];
  wire.zero(a, 0x1000);
  wire.zero(a, 0x2000, 0xff);
  wire.mark(RamFlag.MULTIFD_FLUSH);
  wire.page(RamFlag.XBZRLE, b, 0x1000, Uint8Array.of(1, 2));
  wire.page(RamFlag.COMPRESS_PAGE, b, 0x3000, Uint8Array.of(3));
  wire.finished(b, fromHex("0000000000004022 00"));
  wire.finished(a, fromHex("0000000000004022 00 0000000000005022 00"));
  wire.plain(a, 0x6000, undefined);
  wire.plain(a, 0x7000, undefined, false);
  wire.current = undefined;
  wire.plain(a, 0x8000, fromHex(PAGE));
  wire.mark(RamFlag.EOS);
  await wire.file.flush();
  const [named, other] = ["a", "b"].map((name) => `01${ascii(name)}`);
  const records = [
    `0000000000001002${named}00 0000000000002022ff 0000000000000200`,
    `0000000000001040${other}0100020102 000000000000312000000001 03 000000000000402200`,
    `0000000000004002${named}00 000000000000502200 000000000000602200 0000000000007002${named}00`,
    `0000000000008008${named}${PAGE} ${EOS}`,
  ];
  t.equal(toHex(sink.bytes()), records.join("").replaceAll(" ", ""));
  t.end();
});

test("a batch has the flags of its own records, not those of the previous batch", (t) => {
  const batch = new RamBatch(4);
  batch.reset(new Uint8Array(0));
  batch.flag.set([RamFlag.ZERO, RamFlag.XBZRLE, RamFlag.PAGE]);
  batch.count = 3;
  t.ok(batch.has(RamFlag.XBZRLE));
  t.notOk(batch.has(RamFlag.COMPRESS_PAGE));
  batch.reset(new Uint8Array(0));
  batch.flag[0] = RamFlag.PAGE;
  batch.count = 1;
  t.deepEqual([batch.has(RamFlag.PAGE), batch.has(RamFlag.XBZRLE)], [true, false]);
  t.end();
});

test("optional parts of the block list", async (t) => {
  const huge = `0000000000600004 01 ${ascii("h")} 0000000000400000 0000000000200000 01 ${ascii("n")} 0000000000200000`;
  const withLast = `0000000000400004 01 ${ascii("h")} 0000000000400000 0000000000200000`;
  const shared = `0000000000010004 01 ${ascii("s")} 0000000000010000 00000000fffc0000`;
  for (const [name, list, capabilities, want] of [
    [
      "backing page size of one block",
      huge,
      [],
      [
        { pageSize: 0x200000n, address: undefined },
        { pageSize: undefined, address: undefined },
      ],
    ],
    ["backing page size of the last block", withLast, [], [{ pageSize: 0x200000n, address: undefined }]],
    ["address of every block", shared, ["x-ignore-shared"], [{ pageSize: undefined, address: 0xfffc0000n }]],
  ] as const) {
    const bytes = fromHex(`${list} ${EOS}`);
    const result = await events(QemuFileReader.over(bytes), new RamState(4096), { capabilities: [...capabilities] });
    t.deepEqual(
      result.state.blocks.map(({ pageSize, address }) => ({ pageSize, address })),
      want,
      name,
    );
    t.equal(result.again, toHex(bytes), `${name}: the same bytes again`);
  }
});

test("a page size in the list is read with any split of the input", async (t) => {
  const lengths = "0000000000008000 0000000000200000";
  const bytes = fromHex(`0000000000010004 01 ${ascii("a")} ${lengths} 01 ${ascii("b")} ${lengths} ${EOS}`);
  for (let cut = 1; cut < bytes.length; cut++) {
    const source = new IterableSource([bytes.slice(0, cut), bytes.slice(cut)]);
    const error = await refusal(() => events(new QemuFileReader(source)));
    if (error !== undefined) t.fail(`cut at ${cut}: ${error.message}`);
  }
  t.pass("the list is whole");
});

test("errors have a code and an offset", async (t) => {
  const cases: [string, string, string, number][] = [
    ["CONTINUE before any block", "0000000000000028", "unknown-reference", 0],
    ["two data flags", `${LIST} 000000000000000a`, "unknown-type", 18],
    ["no flag", `${LIST} 0000000000003000`, "unknown-type", 18],
    ["FULL, dead since 2009", `${LIST} 0000000000000001`, "unknown-type", 18],
    ["flag 0x400", `${LIST} 0000000000000400`, "unknown-type", 18],
    ["a block that was not listed", `${LIST} 0000000000000002 01 ${ascii("b")} 00`, "unknown-reference", 18],
    ["a page outside its block", `${LIST} 0000000000010002 01 ${ascii("a")} 00`, "bad-offset", 18],
    ["an offset of 2^63", `${LIST} 8000000000000002 01 ${ascii("a")} 00`, "limit", 18],
    ["blocks longer than the total", `0000000000010004 01 ${ascii("a")} 0000000000020000`, "bad-length", 8],
    ["a total of 2^63", "8000000000000004", "limit", 0],
    ["a block without a name", "0000000000010004 00 0000000000010000", "bad-value", 8],
    ["a payload above compressBound", `${LIST} 0000000000000100 01 ${ascii("a")} 0000100f`, "bad-length", 18],
    ["an XBZRLE mark of 2", `${LIST} 0000000000000040 01 ${ascii("a")} 02 0001 00`, "bad-value", 18],
    ["an XBZRLE delta above a page", `${LIST} 0000000000000040 01 ${ascii("a")} 01 1001 00`, "bad-length", 18],
    ["a cut record", `${LIST} 0000000000000008 01 ${ascii("a")} 5a5a`, "truncated", 30],
    ["a cut list", "0000000000010004 01", "truncated", 8],
    ["no EOS", LIST, "truncated", 18],
  ];
  for (const [name, hex, code, offset] of cases) {
    const error = await refusal(() => events(new QemuFileReader(new MemorySource(fromHex(hex)))));
    t.equal(error?.code, code, `${name}: ${code}`);
    t.equal(error?.offset, offset, `${name}: at byte ${offset}`);
  }
});

test("lenient mode skips pages outside their block", async (t) => {
  const bytes = fromHex(`${LIST} 0000000000010002 01 ${ascii("a")} 00 0000000000000002 01 ${ascii("b")} 00 ${EOS}`);
  const result = await events(QemuFileReader.over(bytes), new RamState(4096), { lenient: true });
  t.deepEqual(
    result.diagnostics.warnings.map(({ code, offset }) => [code, offset]),
    [
      ["bad-offset", 18],
      ["unknown-reference", 29],
    ],
  );
  t.equal(result.again, toHex(bytes));
});

test("a skipped page gives one warning, with any chunking", async (t) => {
  const bytes = fromHex(`${LIST} 0000000000010008 01 ${ascii("a")} ${PAGE} ${EOS}`);
  for (const [way, source] of Object.entries(arrivals(bytes))) {
    const { diagnostics } = await events(new QemuFileReader(source(), { bufferSize: 64 }), undefined, {
      lenient: true,
    });
    t.deepEqual(
      diagnostics.warnings.map(({ code, offset }) => [code, offset]),
      [["bad-offset", 18]],
      way,
    );
  }
});

test("an unlisted block is as long as its pages, with any chunking", async (t) => {
  const zero = (offset: string, name: string): string => `${offset} 01 ${ascii(name)} 00`;
  const records = [
    zero("0000000000002002", "b"),
    zero("0000000000000002", "b"),
    `0000000000010008 01 ${ascii("a")} ${PAGE}`,
    zero("000fffffffff0002", "b"),
  ];
  const bytes = fromHex(`${LIST} ${records.join(" ")} ${EOS}`);
  for (const [way, source] of Object.entries(arrivals(bytes))) {
    const state = new RamState(4096);
    const result = await events(new QemuFileReader(source(), { bufferSize: 64 }), state, { lenient: true });
    t.deepEqual(
      state.blocks.map(({ idstr, usedLength }) => [idstr, usedLength]),
      [
        ["a", 0x10000],
        ["b", 0x3000],
      ],
      `${way}: up to the last page that may be`,
    );
    t.deepEqual(
      result.diagnostics.warnings.map(({ code, offset }) => [code, offset]),
      [
        ["unknown-reference", 18],
        ["bad-offset", 40],
        ["bad-offset", 4146],
      ],
      `${way}: each warning once`,
    );
    t.equal(result.again, toHex(bytes), `${way}: the same bytes again`);
  }
  const many = fromHex(`${LIST} ${zero("0000000000000002", "b")} ${zero("0000000000000002", "c")} ${EOS}`);
  const error = await refusal(() => events(QemuFileReader.over(many), new RamState(4096, 2), { lenient: true }));
  t.deepEqual([error?.code, error?.offset], ["limit", 29], "more of them than blocks are allowed");
});

test("other page sizes move the line between flags and offset", async (t) => {
  const page = "a5".repeat(8192);
  const bytes = fromHex(
    `0000000000010004 01 ${ascii("a")} 0000000000010000 0000000000002008 01 ${ascii("a")} ${page} ${EOS}`,
  );
  const result = await events(QemuFileReader.over(bytes), new RamState(8192));
  t.equal(result.events[1]?.offset, 8192);
  t.equal(result.events[1]?.body, page);
  t.equal(result.again, toHex(bytes));
});
