import test from "tape";
import { Diagnostics } from "../src/bytes/errors.js";
import { inspectStream } from "../src/analyse/inspect/inspect.js";
import { MemorySink, MemorySource, QemuFileReader, QemuFileWriter } from "../src/bytes/index.js";
import {
  DEFAULT_LIMITS,
  decodeCommand,
  decodeConfiguration,
  decodeFooter,
  decodeFullHeader,
  decodeHeader,
  encodeCommand,
  encodeConfiguration,
  encodeFooter,
  encodeHeader,
  encodeSectionHeader,
  ExactWriter,
  StreamReader,
  type StreamItem,
} from "../src/codec/stream/index.js";
import { corpusEntry } from "../tools/corpus.js";
import { arrivals } from "./support/arrivals.js";
import { fromHex, refusal, toHex } from "./support/bytes.js";

/** One structure: its bytes according to QEMU's sources, and its fields; tested in four directions. */
interface Row {
  name: string;
  hex: string;
  value: unknown;
  decode: (reader: QemuFileReader) => Promise<unknown>;
  encode: (writer: QemuFileWriter, value: never) => void;
}

const command = (reader: QemuFileReader) => decodeCommand(reader, DEFAULT_LIMITS, new Diagnostics());
const configuration = (reader: QemuFileReader) => decodeConfiguration(reader, DEFAULT_LIMITS);
const ascii = (text: string): string => Buffer.from(text, "latin1").toString("hex");

const rows: Row[] = [
  { name: "header", hex: "5145564d 00000003", value: { version: 3 }, decode: decodeHeader, encode: encodeHeader },
  {
    name: "configuration of an x86 machine",
    hex: `07 0000000d ${ascii("pc-i440fx-7.2")}`,
    value: { machine: "pc-i440fx-7.2", subsections: [] },
    decode: configuration,
    encode: encodeConfiguration,
  },
  {
    name: "configuration with target-page-bits, as arm virt writes it",
    hex: `07 00000008 ${ascii("virt-7.2")} 05 1e ${ascii("configuration/target-page-bits")} 00000001 0000000c`,
    value: { machine: "virt-7.2", subsections: [{ name: "configuration/target-page-bits", version: 1, bits: 12 }] },
    decode: configuration,
    encode: encodeConfiguration,
  },
  {
    name: "configuration with capabilities and uuid",
    hex: `07 00000004 ${ascii("none")} 05 1a ${ascii("configuration/capabilities")} 00000001 00000001 0f ${ascii("x-ignore-shared")}
      05 12 ${ascii("configuration/uuid")} 00000001 000102030405060708090a0b0c0d0e0f`,
    value: {
      machine: "none",
      subsections: [
        { name: "configuration/capabilities", version: 1, capabilities: ["x-ignore-shared"] },
        { name: "configuration/uuid", version: 1, uuid: Uint8Array.from({ length: 16 }, (_, i) => i) },
      ],
    },
    decode: configuration,
    encode: encodeConfiguration,
  },
  {
    name: "FULL header",
    hex: `04 00000005 0a ${ascii("cpu_common")} 00000001 00000001`,
    value: { type: "full", sectionId: 5, idstr: "cpu_common", instanceId: 1, versionId: 1 },
    decode: (reader) => decodeFullHeader(reader, "full"),
    encode: encodeSectionHeader,
  },
  { name: "footer", hex: "7e 00000002", value: 2, decode: decodeFooter, encode: encodeFooter },
  {
    name: "SWITCHOVER_START",
    hex: "08 000b 0000",
    value: { name: "SWITCHOVER_START" },
    decode: command,
    encode: encodeCommand,
  },
];

for (const row of rows) {
  test(`${row.name}: four directions`, async (t) => {
    const bytes = fromHex(row.hex);
    const encoded = (value: unknown): string => {
      const sink = new MemorySink();
      const writer = new QemuFileWriter(sink);
      row.encode(writer, value as never);
      void writer.flush();
      return toHex(sink.bytes());
    };
    for (const [way, source] of Object.entries(arrivals(bytes))) {
      const reader = new QemuFileReader(source());
      t.deepEqual(await row.decode(reader), row.value, `decode, ${way}`);
      t.equal(reader.offset, bytes.length, `every byte is taken, ${way}`);
    }
    t.equal(encoded(row.value), toHex(bytes), "encode");
    t.equal(encoded(await row.decode(QemuFileReader.over(bytes))), toHex(bytes), "encode(decode)");
    t.deepEqual(await row.decode(QemuFileReader.over(fromHex(encoded(row.value)))), row.value, "decode(encode)");
    for (const cut of new Set([0, 1, bytes.length >> 1, bytes.length - 2, bytes.length - 1])) {
      // A configuration may end before any subsection: that is not a truncation.
      if (row.name.startsWith("configuration") && cut === bytes.length >> 1) continue;
      const error = await refusal(() => row.decode(QemuFileReader.over(bytes.subarray(0, cut))));
      t.equal(error?.code, "truncated", `cut to ${cut} bytes`);
    }
  });
}

const HEADER = "5145564d 00000003";

async function items(bytes: Uint8Array, options: { lenient?: boolean } = {}): Promise<StreamItem[]> {
  const all: StreamItem[] = [];
  for await (const item of new StreamReader(new MemorySource(bytes), options)) all.push(item);
  return all;
}

test("errors have a code and an offset", async (t) => {
  const ram = `01 00000002 03 ${ascii("ram")} 00000000 00000004`;
  const eos = "0000000000000010";
  const cases: [string, string, string, number][] = [
    ["no stream at all", "7f454c46 02010100", "bad-magic", 0],
    ["the format of before 2009", "5145564d 00000002", "unsupported-version", 4],
    ["nothing after the header", HEADER, "truncated", 8],
    ["a type byte that does not exist", `${HEADER} 09`, "unknown-type", 8],
    ["SUBSECTION at top level", `${HEADER} 05`, "unknown-type", 8],
    ["a machine name without end", `${HEADER} 07 7fffffff 61`, "limit", 9],
    ["an unknown configuration subsection", `${HEADER} 07 00000001 61 05 01 62 00000001`, "unsupported", 14],
    [
      "pages of 512 bytes",
      `${HEADER} 07 00000001 61 05 1e ${ascii("configuration/target-page-bits")} 00000001 00000009 00`,
      "bad-value",
      50,
    ],
    ["PART of a section that never started", `${HEADER} 02 00000007`, "unknown-reference", 8],
    ["command 0", `${HEADER} 08 0000 0000`, "unknown-type", 9],
    ["command 12", `${HEADER} 08 000c 0000`, "unknown-type", 9],
    ["PING of three bytes", `${HEADER} 08 0002 0003 000000`, "bad-length", 11],
    ["a package of 4 GiB", `${HEADER} 08 0007 0004 ffffffff`, "limit", 13],
    ["ram of another version", `${HEADER} 01 00000002 03 ${ascii("ram")} 00000000 00000003`, "unsupported-version", 25],
    ["a footer of another section", `${HEADER} ${ram} ${eos} 7e 00000003 00`, "bad-footer", 34],
    ["a footer that is missing", `${HEADER} ${ram} ${eos} 7e 00000002 03 00000002 ${eos} 00`, "bad-footer", 51],
    ["a VMDESCRIPTION longer than all memory", `${HEADER} 00 06 ffffffff`, "limit", 10],
    ["a VMDESCRIPTION that is not JSON", `${HEADER} 00 06 00000002 7b5d`, "bad-description", 15],
  ];
  for (const [name, hex, code, offset] of cases) {
    const error = await refusal(() => items(fromHex(hex)));
    t.equal(error?.code, code, `${name}: ${code}`);
    t.equal(error?.offset, offset, `${name}: at byte ${offset}`);
    if (name === "pages of 512 bytes") t.deepEqual(error?.path, ["configuration", "configuration/target-page-bits"]);
  }
});

test("lenient mode skips recoverable errors, with the same codes", async (t) => {
  const bytes = fromHex(`${HEADER} 08 000c 0002 abcd 00`);
  t.equal((await refusal(() => items(bytes)))?.code, "unknown-type", "strict refuses");
  const reader = new StreamReader(new MemorySource(bytes), { lenient: true });
  const kinds: string[] = [];
  for await (const item of reader) kinds.push(item.kind);
  t.deepEqual(kinds, ["header", "command", "eof"], "lenient goes on");
  t.deepEqual(
    reader.diagnostics.warnings.map((w) => [w.code, w.offset]),
    [["unknown-type", 9]],
    "and says so",
  );
});

test("records that the consumer does not read are skipped", async (t) => {
  for (const name of ["live", "v11.1-dirty-bitmap", "v5.2-block"]) {
    const bytes = corpusEntry(name).open();
    const kinds: string[][] = [];
    for (const take of [Number.POSITIVE_INFINITY, 1, 0]) {
      const reader = new StreamReader(new MemorySource(bytes), { bufferSize: 1 << 16 });
      const seen: string[] = [];
      for await (const item of reader) {
        seen.push(item.kind);
        if (item.kind !== "section" || take === 0) continue;
        let taken = 0;
        for await (const _ of item.records()) if (++taken === take) break;
        if (item.content.kind === "records") for await (const _ of item.content.entries()) if (++taken === take) break;
      }
      kinds.push(seen);
    }
    t.ok(kinds[0]!.length > 50, `${name}: ${kinds[0]!.length} items`);
    t.deepEqual(kinds[1], kinds[0], `${name}: the first record of each section taken`);
    t.deepEqual(kinds[2], kinds[0], `${name}: none taken`);
  }
});

test("an opaque rest that the consumer does not read is skipped, and completeness is known", async (t) => {
  const section = `01 00000001 03 ${ascii("foo")} 00000000 00000001`;
  const rest = `${"ab".repeat(100)} 7e 00000001 00`;
  for (const [what, hex, complete] of [
    ["whole", `${HEADER} ${section} ${rest}`, true],
    ["cut", `${HEADER} ${section} ${rest.slice(0, -3)}`, false],
  ] as const) {
    for (const take of [0, 1, Number.POSITIVE_INFINITY]) {
      const bytes = fromHex(hex);
      const reader = new StreamReader(new MemorySource(bytes, 16), { bufferSize: 16, unreached: "count" });
      for await (const item of reader) {
        if (item.kind !== "opaque" || take === 0) continue;
        let taken = 0;
        for await (const _ of item.chunks()) if (++taken === take) break;
      }
      t.equal(reader.complete, complete, `${what}, ${take} pieces taken: complete`);
      t.equal(reader.offset, bytes.length, "everything is read");
    }
  }
});

test("a stream truncated in its header is refused, at any offset of its file", async (t) => {
  for (const offset of [0, 4096]) {
    const reader = new StreamReader(new MemorySource(fromHex("5145564d")), { offset, lenient: true });
    const error = await refusal(async () => {
      for await (const _ of reader);
    });
    t.deepEqual([error?.code, error?.offset], ["truncated", offset], `at byte ${offset}`);
  }
});

test("sections of one name and instance use the descriptions of that name in order", async (t) => {
  const text = ["uint8", "uint16"]
    .map(
      (type, k) =>
        `{"name": "d", "instance_id": 0, "vmsd_name": "d", "version": 1, "fields": [{"name": "f", "type": "${type}", "size": ${k + 1}}]}`,
    )
    .join(", ");
  const json = `{"page_size": 4096, "devices": [${text}]}`;
  const section = (payload: string): string => `04 00000003 01 ${ascii("d")} 00000000 00000001 ${payload} 7e 00000003`;
  const length = json.length.toString(16).padStart(8, "0");
  const all = await items(fromHex(`${HEADER} ${section("11")} ${section("2222")} 00 06 ${length} ${ascii(json)}`));
  const found = all.map((item) =>
    item.kind === "section" && item.content.kind === "device" ? item.content.state.fields["f"] : undefined,
  );
  t.deepEqual(
    found.filter((value) => value !== undefined),
    [0x11, 0x2222],
  );
});

test("bytes after the end are kept separately", async (t) => {
  const bytes = fromHex(`${HEADER} 00 0000 ff`);
  const sink = new MemorySink();
  const writer = new ExactWriter(sink);
  const kinds: string[] = [];
  for await (const item of new StreamReader(new MemorySource(bytes))) {
    kinds.push(item.kind);
    await writer.item(item);
  }
  await writer.finish();
  t.deepEqual(kinds, ["header", "eof", "trailing"]);
  t.equal(toHex(sink.bytes()), toHex(bytes));
});

test("bytes after the end that are not zeros are counted with their offset", async (t) => {
  const end = fromHex(`${HEADER} 00 0000`);
  const bytes = new Uint8Array(end.length + 4 * (1 << 20));
  bytes.set(end);
  const from = end.length + 2 * (1 << 20);
  bytes.fill(0x55, from);
  const { undecoded, trailingBytes } = await inspectStream(new MemorySource(bytes));
  t.equal(trailingBytes, bytes.length - end.length + 2);
  const [first, ...more] = undecoded;
  t.deepEqual(more, [], "one piece");
  t.ok(
    first !== undefined && first.streamOffset <= from && first.streamOffset > from - (1 << 20),
    "it begins with the first of them",
  );
  t.equal(first!.streamOffset + first!.length, bytes.length);
});
