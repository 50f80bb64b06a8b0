import { spawn } from "node:child_process";
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import test from "tape";
import { arrivals } from "./support/arrivals.js";
import { fromHex, refusal, toHex } from "./support/bytes.js";
import {
  IterableSource,
  MemorySink,
  MemorySource,
  QemuFileReader,
  QemuFileWriter,
  type ByteSource,
} from "../src/bytes/index.js";

/** QEMU tests/unit/test-vmstate.c, simple/primitive: the bytes and, in order, the values of QEMU's test. */
const primitive = fromHex(
  "0100820200000111700000000000b8f47c41bf0200fe0000011170fffeee900000000000b8f47cffffffffff470b8400",
);

async function readPrimitive(reader: QemuFileReader): Promise<unknown[]> {
  const values: unknown[] = [];
  for (const field of [
    "u8",
    "u8",
    "u8",
    "u16",
    "u32",
    "u64",
    "u8",
    "u8",
    "u16",
    "u16",
    "u32",
    "u32",
    "u64",
    "u64",
    "u8",
  ]) {
    const width = { u8: 1, u16: 2, u32: 4, u64: 8 }[field];
    await reader.need(width ?? 0, field);
    if (field === "u8") values.push(reader.u8());
    else if (field === "u16") values.push(reader.u16());
    else if (field === "u32") values.push(reader.u32());
    else values.push(reader.u64());
  }
  return values;
}

// prettier-ignore
const primitiveValues = [
  1, 0, 130, 512, 70000, 12121212n,
  65, 256 - 65, 512, 65536 - 512, 70000, 2 ** 32 - 70000, 12121212n, 2n ** 64n - 12121212n,
  0,
];

test("the primitive vector of QEMU's own test, with any chunking", async (t) => {
  for (const [name, source] of Object.entries(arrivals(primitive))) {
    const reader = new QemuFileReader(source(), { bufferSize: 16 });
    t.deepEqual(await readPrimitive(reader), primitiveValues, name);
    t.equal(reader.offset, primitive.length, `${name}: offset`);
    t.equal(await reader.fill(1), false, `${name}: nothing is left`);
    t.ok(reader.atEnd, `${name}: at the end`);
  }
});

test("the primitive vector from a file, a pipe and a socket", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-spec-01-"));
  try {
    const file = join(folder, "primitive");
    writeFileSync(file, primitive);
    const fromFile = new QemuFileReader(new IterableSource(createReadStream(file, { highWaterMark: 10 })));
    t.deepEqual(await readPrimitive(fromFile), primitiveValues, "file");

    const child = spawn("cat", [file], { stdio: ["ignore", "pipe", "inherit"] });
    t.deepEqual(await readPrimitive(new QemuFileReader(new IterableSource(child.stdout))), primitiveValues, "pipe");

    const server = createServer((socket) => {
      socket.write(primitive.subarray(0, 20));
      setTimeout(() => socket.end(primitive.subarray(20)), 5);
    });
    const path = join(folder, "socket");
    await new Promise<void>((resolve) => {
      server.listen(path, resolve);
    });
    const socket = createConnection(path);
    t.deepEqual(await readPrimitive(new QemuFileReader(new IterableSource(socket))), primitiveValues, "socket");
    server.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("writing the values gives QEMU's bytes", async (t) => {
  const sink = new MemorySink();
  const writer = new QemuFileWriter(sink, 8);
  const widths = "1112481122448810";
  for (const [i, value] of primitiveValues.entries()) {
    if (typeof value === "bigint") writer.u64(value);
    else if (widths[i] === "4") writer.u32(value);
    else if (widths[i] === "2") writer.u16(value);
    else writer.u8(value);
    void writer.drain();
  }
  t.equal(writer.offset, primitive.length);
  await writer.finish();
  t.equal(toHex(sink.bytes()), toHex(primitive));
  t.end();
});

test("every prefix is truncated at the offset of its field, with any chunking", async (t) => {
  // u32, then a string of 9 bytes, then 40 bytes to skip.
  const bytes = fromHex(`0000000509${"61".repeat(9)}${"00".repeat(40)}`);
  for (let length = 0; length < bytes.length; length++) {
    const begins = length < 4 ? 0 : length < 14 ? 4 : 14;
    const outcomes = new Set<string>();
    for (const [name, source] of Object.entries(arrivals(bytes.subarray(0, length)))) {
      const reader = new QemuFileReader(source(), { bufferSize: 16, offset: 1000 });
      reader.path.push("record 7");
      const error = await refusal(async () => {
        await reader.need(4, "number");
        reader.u32();
        await reader.need(1, "name");
        await reader.need(1 + Math.max(0, reader.peek()), "name");
        reader.string8("name");
        await reader.discard(40, "rest");
      });
      outcomes.add(JSON.stringify(error?.toJSON()));
      if (error?.code !== "truncated" || error.offset !== 1000 + begins || error.path[0] !== "record 7") {
        t.fail(`${length} bytes, ${name}: ${error?.message ?? "not refused"}`);
      }
    }
    t.equal(outcomes.size, 1, `${length} bytes: one and the same error, ${[...outcomes][0]}`);
  }
});

test("discard seeks where possible, with the same errors", async (t) => {
  const bytes = Uint8Array.from({ length: 5000 }, (_, i) => i & 0xff);
  const sought = new MemorySource(bytes);
  let seeks = 0;
  const seekable: ByteSource = {
    length: bytes.length,
    read: (into) => sought.read(into),
    seek: (position) => {
      seeks++;
      sought.seek(position);
    },
  };
  const plain = new MemorySource(bytes);
  const errors: unknown[] = [];
  for (const source of [seekable, { read: (into: Uint8Array) => plain.read(into) }]) {
    const reader = new QemuFileReader(source, { bufferSize: 16, offset: 300 });
    await reader.need(3);
    reader.skip(3);
    await reader.discard(4000);
    t.equal(reader.offset, 4303);
    await reader.need(1);
    t.equal(reader.u8(), 4003 & 0xff, "the byte after it, the source's own positions counted from 0");
    const error = await refusal(async () => reader.discard(2000, "rest"));
    errors.push(error?.toJSON());
  }
  t.ok(seeks >= 2, "it did seek");
  t.deepEqual(errors[0], errors[1]);
  t.deepEqual(errors[0], {
    code: "truncated",
    message: "the input ends inside rest",
    streamOffset: 4304,
    path: [],
    expected: "2000 bytes",
    found: "996",
  });
});

test("an endless source uses no more memory than requested", async (t) => {
  const endless: ByteSource = { read: (into) => into.fill(1).length };
  const reader = new QemuFileReader(endless, { bufferSize: 1 << 16 });
  t.equal(await reader.fillToEnd(1_000_000), false, "the limit is said to have been reached");
  t.ok(reader.buffer.length <= 2 * 1_000_001, `the buffer holds ${reader.buffer.length} bytes`);
  await reader.discard(50_000_000);
  t.ok(reader.buffer.length <= 2 * 1_000_001, "discarding needs no memory");

  const short = new QemuFileReader(new MemorySource(new Uint8Array(3), 1), { bufferSize: 16 });
  t.equal(await short.fillToEnd(1 << 30), true, "a large limit on a short input");
  t.equal(short.available, 3);
  t.ok(short.buffer.length <= 1024, "takes no memory ahead of the bytes");
  t.equal(await QemuFileReader.over(new Uint8Array(10)).fillToEnd(10), true, "exactly the limit is fine");
  t.equal(await QemuFileReader.over(new Uint8Array(11)).fillToEnd(10), false, "one more is not");
});

test("views, peeks and reads past the buffer", async (t) => {
  const reader = new QemuFileReader(new MemorySource(fromHex("0102030405060708")), { bufferSize: 16 });
  t.equal(reader.peek(), -1, "nothing is in the buffer yet");
  t.equal((await refusal(() => reader.u8()))?.code, "truncated", "a field is not waited for");
  t.equal(reader.fill(8), true, "a source that answers at once costs no promise");
  t.equal(reader.need(8), undefined);
  t.equal(reader.peek(2), 3);
  t.equal(reader.available, 8);
  const view = reader.view(2);
  const copy = reader.bytes(2);
  reader.buffer[0] = 0xff;
  reader.buffer[2] = 0xff;
  t.equal(view[0], 0xff, "a view is the buffer itself");
  t.equal(copy[0], 3, "a copy is not");
  t.equal((await refusal(() => reader.view(5)))?.offset, 4);
  t.equal((await refusal(() => reader.skip(5)))?.offset, 4);
  t.equal(reader.offset, 4, "a refused read takes nothing");
});

test("a slow sink gets everything, in order, and its chunks unchanged", async (t) => {
  const got: string[] = [];
  let pending = 0;
  let ended = false;
  const writer = new QemuFileWriter(
    {
      write: async (chunk) => {
        pending++;
        await sleep(1);
        got.push(toHex(chunk));
        pending--;
      },
      end: () => {
        ended = true;
      },
    },
    64,
  );
  const expected: string[] = [];
  for (let i = 0; i < 200; i++) {
    writer.u32(i);
    expected.push(i.toString(16).padStart(8, "0"));
    const wait = writer.drain();
    if (wait !== undefined) await wait;
    if (pending !== 0) t.fail("the sink was still busy");
  }
  const long = new Uint8Array(1000).fill(9);
  writer.bytes(long);
  expected.push(toHex(long));
  await writer.finish();
  t.equal(got.join(""), expected.join(""));
  t.equal(writer.offset, 1800);
  t.ok(ended);
  t.ok(got.length > 5, "in several chunks");
});

test("closing a source closes the underlying one", async (t) => {
  let closed = false;
  const source = new IterableSource(
    (async function* () {
      try {
        yield new Uint8Array([1]);
        yield new Uint8Array([2]);
      } finally {
        closed = true;
      }
    })(),
  );
  const reader = new QemuFileReader(source);
  await reader.need(1);
  await source.close();
  t.ok(closed);
  t.equal(await reader.fill(2), false, "and has ended");
});

test("a failing source fails the read, not the process", async (t) => {
  const reader = new QemuFileReader({ read: async () => Promise.reject(new Error("the disk is gone")) });
  try {
    await reader.need(1);
    t.fail("not refused");
  } catch (error) {
    t.equal(error instanceof Error && error.message, "the disk is gone");
  }
});

test("memory sources have random access", (t) => {
  const source = new MemorySource(fromHex("00112233"));
  const into = new Uint8Array(3);
  t.equal(source.readAt(2, into), 2);
  t.equal(toHex(into), "223300");
  t.equal(source.readAt(9, into), 0, "past the end");
  source.seek(99);
  t.equal(source.read(into), 0, "seeking past the end ends");
  t.end();
});
