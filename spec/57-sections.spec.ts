/** Sections with a grammar of their own, byte by byte: what their records mean, and what is refused. */
import test from "tape";
import { QevmError } from "../src/bytes/errors.js";
import { be, concat, str8 } from "../src/analyse/fuzz/raw-bytes.js";
import { inspectStream } from "../src/analyse/inspect/inspect.js";
import { verifyStream } from "../src/analyse/inspect/verify.js";
import { MemorySink, MemorySource, QemuFileReader, QemuFileWriter } from "../src/bytes/index.js";
import { chunkDecoder, encodeSectionRecord, ownRecord, type SectionRecord } from "../src/codec/sections/index.js";
import { corpusEntry } from "../tools/corpus.js";

const LIMIT = 1 << 20;
type SectionType = "start" | "part" | "end" | "full";

/** Every record of a chunk that is decoded from these bytes, and the rest of them. */
async function decode(
  idstr: string,
  type: SectionType,
  bytes: Uint8Array,
): Promise<{ records: SectionRecord[]; rest: number }> {
  const reader = new QemuFileReader(new MemorySource(bytes, 3), { bufferSize: 16 });
  const records: SectionRecord[] = [];
  for await (const record of chunkDecoder(idstr, type)!(reader, LIMIT)) records.push(ownRecord(record));
  return { records, rest: bytes.length - reader.offset };
}

function encode(records: readonly SectionRecord[]): Buffer {
  const sink = new MemorySink();
  const writer = new QemuFileWriter(sink);
  for (const record of records) encodeSectionRecord(writer, record);
  void writer.flush();
  return Buffer.from(sink.bytes());
}

/** Kinds without their bytes and addresses, for comparison. */
const shown = (records: readonly SectionRecord[]): unknown[] =>
  records.map((record) =>
    Object.fromEntries(
      Object.entries(record).flatMap(([key, value]: [string, unknown]) =>
        key === "offset" || key === "section"
          ? []
          : [[key, value instanceof Uint8Array ? Buffer.from(value).toString("hex") : value]],
      ),
    ),
  );

const VFIO = 0xffffffffef100000n;

/** Chunks written by hand from the tables. */
const chunks: readonly { name: string; idstr: string; type: SectionType; bytes: Uint8Array; means: unknown[] }[] = [
  {
    name: "htab: START with a table of 16 MiB",
    idstr: "spapr/htab",
    type: "start",
    bytes: be(24, 4),
    means: [{ kind: "table", shift: 24 }],
  },
  {
    name: "htab: START of a guest without table",
    idstr: "spapr/htab",
    type: "start",
    bytes: be(0xffffffff, 4),
    means: [{ kind: "table", shift: undefined }],
  },
  {
    name: "htab: PART with two valid entries and three invalid",
    idstr: "spapr/htab",
    type: "part",
    bytes: concat(be(0, 4), be(5, 4), be(2, 2), be(3, 2), new Uint8Array(32).fill(0xab), new Uint8Array(8)),
    means: [
      { kind: "begin" },
      { kind: "entries", index: 5, valid: 2, invalid: 3, entries: "ab".repeat(32) },
      { kind: "end" },
    ],
  },
  {
    name: "attributes: four pages from 2 MiB on",
    idstr: "s390-storage_attributes",
    type: "end",
    bytes: concat(be(0x200002n, 8), be(4n, 8), [1, 2, 3, 4], be(8n, 8), be(1n, 8)),
    means: [
      { kind: "values", address: 0x200000n, values: "01020304" },
      { kind: "done", address: 0n },
      { kind: "end", address: 0n },
    ],
  },
  {
    name: "keys: none could be read",
    idstr: "s390-skeys",
    type: "full",
    bytes: concat(be(4n, 8), be(1n, 8)),
    means: [
      { kind: "error", address: 0n },
      { kind: "end", address: 0n },
    ],
  },
  {
    name: "vfio: PART with data",
    idstr: "0000:00:04.0/vfio",
    type: "part",
    bytes: concat(be(VFIO + 4n, 8), be(3n, 8), [7, 8, 9], be(VFIO + 1n, 8)),
    means: [{ kind: "data", data: "070809" }, { kind: "end" }],
  },
  {
    name: "vfio: START",
    idstr: "vfio",
    type: "start",
    bytes: concat(be(VFIO + 3n, 8), be(VFIO + 1n, 8)),
    means: [{ kind: "setup" }, { kind: "end" }],
  },
  {
    name: "vfio: all sent (8.1)",
    idstr: "vfio",
    type: "part",
    bytes: be(VFIO + 5n, 8),
    means: [{ kind: "init-sent" }],
  },
  { name: "vfio: ready (10.1)", idstr: "vfio", type: "part", bytes: be(VFIO + 6n, 8), means: [{ kind: "load-ready" }] },
  {
    name: "block: zeros, progress",
    idstr: "block",
    type: "part",
    bytes: concat(be(0x300009n, 8), str8("hd"), be(57n * 512n + 4n, 8), be(2n, 8)),
    means: [{ kind: "zero", device: "hd", position: 0x300000 }, { kind: "progress", percent: 57 }, { kind: "end" }],
  },
  {
    name: "dirty-bitmap: names left out, end on another record",
    idstr: "dirty-bitmap",
    type: "end",
    bytes: concat(
      concat([0x4c], str8("disk"), str8("b"), be(128n, 8), be(256, 4), be(4n, 8), [1, 0, 0, 0x80]),
      concat([0x42], be(384n, 8), be(64, 4)),
      concat([0x14], str8("c"), be(65536, 4), [6]),
      [0x21],
    ),
    means: [
      { kind: "bits", node: "disk", bitmap: "b", last: false, sector: 128n, sectors: 256, bits: "01000080" },
      { kind: "bits", node: undefined, bitmap: undefined, last: false, sector: 384n, sectors: 64, bits: undefined },
      {
        kind: "start",
        node: undefined,
        bitmap: "c",
        last: false,
        granularity: 65536,
        enabled: false,
        persistent: true,
        autoload: true,
      },
      { kind: "complete", node: undefined, bitmap: undefined, last: true },
    ],
  },
];

for (const { name, idstr, type, bytes, means } of chunks) {
  test(name, async (t) => {
    const { records, rest } = await decode(idstr, type, concat(bytes, [0x7e, 0, 0, 0, 9]));
    t.deepEqual(shown(records), means, "means what the table says");
    t.equal(rest, 5, "ends before the footer");
    t.equal(encode(records).toString("hex"), Buffer.from(bytes).toString("hex"), "comes back");
    for (let length = 0; length < bytes.length; length++) {
      const error = await decode(idstr, type, bytes.subarray(0, length)).then(
        () => undefined,
        (e: unknown) => e,
      );
      if (error instanceof QevmError && error.code === "truncated" && error.offset !== undefined) continue;
      t.fail(`cut after ${length} bytes: ${String(error)}`);
    }
    t.pass(`cut at each of ${bytes.length} bytes: truncated, with an address`);
  });
}

test("what no table has is refused where it is", async (t) => {
  const wrong: [string, SectionType, Uint8Array, string, number][] = [
    ["block", "part", be(3n, 8), "unknown-type", 0],
    ["block", "part", concat(be(4n, 8), be(0x202n, 8)), "bad-value", 8],
    ["block", "part", be(1n << 63n, 8), "limit", 0],
    ["dirty-bitmap", "start", concat([0x30], be(1, 4)), "unknown-type", 0],
    ["dirty-bitmap", "start", concat([0x80, 0]), "unknown-type", 0],
    ["dirty-bitmap", "start", concat([0x10], be(65536, 4), [8]), "bad-value", 5],
    ["dirty-bitmap", "end", concat([0x40], be(0n, 8), be(1, 4), be(10_241n, 8)), "bad-length", 13],
    ["s390-skeys", "full", be(3n, 8), "unknown-type", 0],
    ["s390-storage_attributes", "part", concat(be(2n, 8), be(BigInt(LIMIT) + 1n, 8)), "limit", 8],
    ["vfio", "part", be(5n, 8), "unknown-type", 0],
    ["vfio", "end", be(VFIO + 2n, 8), "unsupported", 0],
    ["vfio", "part", concat(be(VFIO + 4n, 8), be(1n << 40n, 8)), "limit", 8],
  ];
  for (const [idstr, type, bytes, code, offset] of wrong) {
    const error = await decode(idstr, type, concat(bytes, new Uint8Array(32))).then(
      () => undefined,
      (e: unknown) => e,
    );
    t.ok(error instanceof QevmError, String(error));
    if (!(error instanceof QevmError)) continue;
    t.deepEqual([error.code, error.offset], [code, offset], `${idstr}: ${code} at byte ${offset}`);
    t.ok(
      error.path.some((step) => step.startsWith("record ")),
      "with the record's number",
    );
  }
  t.equal(chunkDecoder("cpu", "full"), undefined, "a device is none of these sections");
  t.equal(chunkDecoder("block", "full"), undefined, "nor is a FULL section that has the name of one");
});

test("a section that nothing knows is an opaque rest, named", async (t) => {
  const start = concat(be(0x5145564d00000003n, 8), [1], be(7, 4), str8("something"), be(0, 4), be(1, 4), [1, 2, 3]);
  const { undecoded, opaqueBytes } = await inspectStream(new MemorySource(start));
  t.equal(opaqueBytes, 3, "counted");
  t.ok(undecoded[0]!.reason.includes('"something"'), undecoded[0]!.reason);
});

test("lenient: a stream cut inside a section keeps what came before", async (t) => {
  const bytes = corpusEntry("block").open();
  const cut = bytes.subarray(0, bytes.indexOf("sector 0 of a disk") + 1000);
  const result = await verifyStream(new MemorySource(cut), { lenient: true });
  t.notOk(result.complete, "not complete");
  t.equal(result.inspection.warnings[0]?.code, "truncated", result.inspection.warnings[0]?.message);
  const start = result.inspection.sections.find(({ section: name }) => name === "block");
  t.deepEqual(start?.recordCounts, { end: 1 }, "START was read");
});

test("COLO and CPR are named", async (t) => {
  const tiny = corpusEntry("machine-none-tiny").open();
  const header = 8 + 5 + 4;
  const colo = concat(tiny.subarray(0, header), [8], be(8, 2), be(0, 2), tiny.subarray(header), be(1, 4), be(3, 4));
  const { commands, undecoded, trailingBytes } = await inspectStream(new MemorySource(colo));
  t.equal(commands[0]?.name, "ENABLE_COLO", "the command");
  t.deepEqual([undecoded[0]?.reason, trailingBytes], ["checkpoints of COLO", 8], "and what follows the stream");
  const cpr = await inspectStream(new MemorySource(concat(be(0x51435052, 4), be(1, 4)))).then(
    () => undefined,
    (e: unknown) => e,
  );
  t.ok(cpr instanceof QevmError && cpr.code === "bad-magic" && cpr.message.includes("CPR state"), String(cpr));
});
