import {
  array,
  assert,
  asyncProperty,
  boolean,
  constantFrom,
  integer,
  record,
  uint8Array,
  type Arbitrary,
} from "fast-check";
import test from "tape";
import { fromHex, refusal, toHex } from "./support/bytes.js";
import {
  fromLatin1,
  MemorySink,
  MemorySource,
  QemuFileReader,
  QemuFileWriter,
  type ByteSource,
} from "../src/bytes/index.js";

type Field = { kind: "u8" | "u16" | "u32" | "u64" | "bytes" | "string8" | "skip" | "discard"; n: number };

const fields: Arbitrary<Field[]> = array(
  record({
    kind: constantFrom<Field["kind"][]>("u8", "u16", "u32", "u64", "bytes", "string8", "skip", "discard"),
    n: integer({ min: 0, max: 300 }),
  }),
  { maxLength: 40 },
);

/** The field values according to a DataView: a model that shares no code with the reader. */
function model(bytes: Uint8Array, list: Field[]): unknown[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const values: unknown[] = [];
  let at = 0;
  for (const { kind, n } of list) {
    if (kind === "u8") values.push(view.getUint8(at));
    else if (kind === "u16") values.push(view.getUint16(at, false));
    else if (kind === "u32") values.push(view.getUint32(at, false));
    else if (kind === "u64") values.push(view.getBigUint64(at, false));
    else if (kind === "bytes") values.push(toHex(bytes.subarray(at, at + n)));
    else if (kind === "string8")
      values.push(Buffer.from(bytes.subarray(at + 1, at + 1 + bytes[at]!)).toString("latin1"));
    at +=
      kind === "string8" ? 1 + bytes[at]! : (({ u8: 1, u16: 2, u32: 4, u64: 8 } as Record<string, number>)[kind] ?? n);
    values.push(at);
  }
  return values;
}

test("any fields, any splits, any buffer size agree with a DataView", async (t) => {
  await assert(
    asyncProperty(
      uint8Array({ minLength: 13_000, maxLength: 13_000 }),
      fields,
      integer({ min: 1, max: 700 }),
      integer({ min: 1, max: 900 }),
      boolean(),
      async (bytes, list, step, bufferSize, later) => {
        const memory = new MemorySource(bytes, step);
        const source: ByteSource = later ? { read: async (into) => Promise.resolve(memory.read(into)) } : memory;
        const reader = new QemuFileReader(source, { bufferSize });
        const values: unknown[] = [];
        for (const { kind, n } of list) {
          if (kind === "discard") await reader.discard(n);
          else await reader.need(kind === "string8" ? 256 : Math.max(8, n));
          if (kind === "u8") values.push(reader.u8());
          else if (kind === "u16") values.push(reader.u16());
          else if (kind === "u32") values.push(reader.u32());
          else if (kind === "u64") values.push(reader.u64());
          else if (kind === "bytes") values.push(toHex(reader.bytes(n)));
          else if (kind === "string8") values.push(reader.string8());
          else if (kind === "skip") reader.skip(n);
          values.push(reader.offset);
        }
        const expected = model(bytes, list);
        if (JSON.stringify(values, text) !== JSON.stringify(expected, text)) throw new Error("differs from the model");
        if (reader.buffer.length > Math.max(16, bufferSize, 2 * 300)) throw new Error("the buffer outgrew the request");
      },
    ),
    { numRuns: 300 },
  );
  t.pass("300 random sequences");
});

function text(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? `${value}n` : value;
}

test("64-bit values keep every bit", async (t) => {
  const edges = [
    "0",
    "1",
    "1fffffffffffff",
    "20000000000000",
    "20000000000001",
    "7fffffffffffffff",
    "8000000000000000",
  ];
  for (const edge of [...edges, "fffffffffffffffe", "ffffffffffffffff", "0123456789abcdef"]) {
    const wire = edge.padStart(16, "0");
    t.equal(QemuFileReader.over(fromHex(wire)).u64(), BigInt(`0x${edge}`), `read ${edge}`);
    t.equal(await written((writer) => writer.u64(BigInt(`0x${edge}`))), wire, `write ${edge}`);
  }
  for (const edge of [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 53 - 1]) {
    const wire = edge.toString(16).padStart(16, "0");
    t.equal(QemuFileReader.over(fromHex(wire)).length64("size"), edge, `read the length ${edge}`);
    t.equal(await written((writer) => writer.length64(edge)), wire, `write the length ${edge}`);
  }
  for (const wire of ["0020000000000000", "ffffffffffffffff", "8000000000000001"]) {
    const error = await refusal(() => QemuFileReader.over(fromHex(wire), 100).length64("size"));
    t.equal(error?.code, "limit", `the length ${wire} is refused`);
    t.equal(error?.offset, 100, "at its own offset");
    t.ok(error?.message.includes(BigInt(`0x${wire}`).toString()), "and named in full");
  }
});

async function written(write: (writer: QemuFileWriter) => void): Promise<string> {
  const sink = new MemorySink();
  const writer = new QemuFileWriter(sink);
  write(writer);
  await writer.finish();
  return toHex(sink.bytes());
}

test("a value that does not fit is refused without writing a byte", async (t) => {
  const refused: Record<string, (writer: QemuFileWriter) => void> = {
    "u8 256": (writer) => writer.u8(256),
    "u8 -1": (writer) => writer.u8(-1),
    "u8 1.5": (writer) => writer.u8(1.5),
    "u8 NaN": (writer) => writer.u8(Number.NaN),
    "u16 65536": (writer) => writer.u16(65_536),
    "u32 2^32": (writer) => writer.u32(2 ** 32),
    "u32 -1": (writer) => writer.u32(-1),
    "u64 2^64": (writer) => writer.u64(2n ** 64n),
    "u64 -1": (writer) => writer.u64(-1n),
    "length -1": (writer) => writer.length64(-1),
    "length 2^53": (writer) => writer.length64(2 ** 53),
    "length 0.5": (writer) => writer.length64(0.5),
    "a string of 256": (writer) => writer.string8("x".repeat(256)),
    "a string beyond Latin-1": (writer) => writer.string8("a\u0100"),
  };
  for (const [name, write] of Object.entries(refused)) {
    const sink = new MemorySink();
    const writer = new QemuFileWriter(sink);
    writer.u8(7);
    const error = await refusal(() => write(writer));
    t.equal(error?.code, "does-not-fit", name);
    t.equal(writer.offset, 1, `${name}: the offset has not moved`);
    await writer.finish();
    t.equal(toHex(sink.bytes()), "07", `${name}: nothing of it is written`);
  }
});

test("counted strings keep every byte", async (t) => {
  const all = Uint8Array.from({ length: 255 }, (_, i) => i + 1);
  const wire = `ff${toHex(all)}`;
  const string = QemuFileReader.over(fromHex(wire)).string8();
  t.equal(string.length, 255);
  t.equal(await written((writer) => writer.string8(string)), wire, "255 bytes, all values");
  t.equal(QemuFileReader.over(fromHex("00")).string8(), "", "empty");
  t.equal(QemuFileReader.over(fromHex("0372616dff")).string8(), "ram", "a name");
  t.equal(toHex(fromLatin1("r\u00e9")), "72e9");
});
