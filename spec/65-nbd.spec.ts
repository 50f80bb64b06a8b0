/** NBD byte by byte: negotiation, requests, holes, hostile clients. */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import test from "tape";
import { MemorySource } from "../src/bytes/index.js";
import { layoutOf, scanPages, type GuestPages } from "../src/guest/read/guest-memory.js";
import { MemorySpace } from "../src/guest/read/space.js";
import { NbdExports } from "../src/serve/nbd/index.js";
import { corpusEntry } from "../tools/corpus.js";
import { contexts, named, NbdClient } from "./support/nbd-client.js";
import { exportsOf, ready, scanned, serving } from "./support/nbd-serving.js";

test("a negotiation, option by option", async (t) => {
  await serving(exportsOf(await scanned("live")), async (path) => {
    const client = await NbdClient.connect(path);
    t.equal(await client.greet(), `${Buffer.from("NBDMAGICIHAVEOPT").toString("hex")}0003`, "greeting");
    const answers = async (option: number, data?: Uint8Array, length?: number): Promise<number[]> => {
      client.option(option, data, length);
      const types: number[] = [];
      for (;;) {
        const reply = await client.reply();
        if (reply?.option !== option) return [...types, -1];
        types.push(reply.type);
        if (reply.type === 1 || reply.type > 0x7fff_ffff) return types;
      }
    };
    const [INVALID, UNKNOWN, UNSUP] = [0x8000_0003, 0x8000_0006, 0x8000_0001];
    t.deepEqual(await answers(3), [2, 2, 1], "list");
    t.deepEqual(await answers(3, Buffer.from("x")), [INVALID], "list with data");
    t.deepEqual(await answers(5), [UNSUP], "TLS");
    t.deepEqual(await answers(11), [UNSUP], "extended headers");
    t.deepEqual(await answers(0xffff_ffff, Buffer.alloc(100)), [UNSUP], "an option that does not exist");
    t.deepEqual(await answers(6, named("", Buffer.from("0003000000010003", "hex"))), [3, 3, 3, 1], "info asked for");
    t.deepEqual(await answers(6, named("pc.ram", Buffer.alloc(2))), [3, 1], "info of a block");
    t.deepEqual(await answers(6, named("no", Buffer.alloc(2))), [UNKNOWN], "no such export");
    t.deepEqual(await answers(6, Buffer.from("ffffffff0000", "hex")), [INVALID], "a name longer than the option");
    t.deepEqual(await answers(6, named("", Buffer.from("0005", "hex"))), [INVALID], "a count that is not true");
    t.deepEqual(await answers(6, Buffer.alloc(3)), [INVALID], "too short");
    t.deepEqual(await answers(10, contexts("", "base:allocation")), [INVALID], "a context before structured replies");
    t.deepEqual(await answers(8, Buffer.alloc(1)), [INVALID], "structured replies with data");
    t.deepEqual(await answers(8), [1], "structured replies");
    t.deepEqual(await answers(9, contexts("")), [4, 1], "all contexts");
    t.deepEqual(await answers(9, contexts("", "base:")), [4, 1], "contexts of a namespace");
    t.deepEqual(await answers(9, contexts("", "qemu:dirty")), [1], "another context");
    t.deepEqual(await answers(10, contexts("no", "base:allocation")), [UNKNOWN], "context of no export");
    t.deepEqual(await answers(10, contexts("", "base:")), [1], "a namespace cannot be set");
    t.deepEqual(await answers(10, Buffer.from("00000000ffffffff", "hex")), [INVALID], "queries that are not there");
    t.deepEqual(await answers(10, contexts("physical", "base:allocation")), [4, 1], "set");
    t.equal(await client.go("pc.ram"), 1, "another export");
    client.request(7, 0, 4096);
    t.equal((await client.chunk())?.data.readUInt32BE(0), 22, "has no context");
    client.request(2, 0, 0);
    await client.closed();

    const old = await NbdClient.connect(path);
    await old.greet("00000001");
    old.option(1, Buffer.from("pc.ram"));
    const head = await old.bytes(134);
    t.equal(head?.readBigUInt64BE(0), 8n << 20n, "EXPORT_NAME: size");
    t.ok(
      head?.subarray(10).every((byte) => byte === 0),
      "and zeros for who has not refused them",
    );
    old.request(0, 0, 512);
    t.equal(await old.simple(), 0, "a simple reply");
    t.equal((await old.bytes(512))?.length, 512);
    old.request(0, 0, 512, 4);
    t.equal(await old.simple(), 22, "DF needs structured replies");
    old.request(0, 4096, 8 << 20);
    t.equal(await old.simple(), 22, "past the end");
    old.socket.end();
    await old.closed();

    const gone = await NbdClient.connect(path);
    await gone.greet();
    gone.option(2);
    t.equal((await gone.reply())?.type, 1, "ABORT is acknowledged");
    await gone.closed();
  });
  t.end();
});

test("the map of a mapped-ram file is by its bitmaps", async (t) => {
  const bytes = gunzipSync(readFileSync(new URL("../../spec/support/mapped-ram-10.0.gz", import.meta.url)));
  let reads = 0;
  const source = new MemorySource(bytes);
  const readAt = source.readAt.bind(source);
  source.readAt = (position, into) => {
    reads++;
    return readAt(position, into);
  };
  const pages = await scanPages(source, { devices: true });
  const space = MemorySpace.physical(pages, layoutOf(pages));
  const all = Buffer.alloc(space.size);
  await space.read(0, all);
  t.ok(reads > 20, `${reads} reads of the memory itself`);
  reads = 0;
  let at = 0;
  for (const { kind, length } of await space.extents(0, space.size, { pages: 1 << 20, runs: 1 << 20 })) {
    const own = all.subarray(at, at + length);
    if (kind !== "data")
      t.ok(
        own.every((byte) => byte === 0),
        `zeros at 0x${at.toString(16)}`,
      );
    else if (length > 0)
      t.ok(
        own.some((byte) => byte !== 0),
        `data at 0x${at.toString(16)}`,
      );
    at += length;
  }
  t.equal(at, space.size);
  t.ok(reads < 10, `${reads} reads for ${space.size / space.pageSize} pages`);
  t.end();
});

test("requests: holes, bounds, and no writes", async (t) => {
  const pages = await scanned("live");
  const space = MemorySpace.physical(pages, layoutOf(pages));
  await serving(exportsOf(pages), async (path) => {
    const client = await ready(path);
    for (const [from, length] of [
      [0, 8 << 20],
      [0x7c01, 3],
      [0xa0000, 0x60000],
      [0xfff, 0x2002],
      [(8 << 20) - 1, 1],
    ] as const) {
      const expected = Buffer.alloc(length);
      await space.read(from, expected);
      const read = await client.read(from, length);
      t.ok(typeof read === "object" && read.bytes.equals(expected), `0x${from.toString(16)} + ${length}`);
      if (length === 8 << 20) t.ok(typeof read === "object" && read.types.includes(2), "with holes");
      const whole = await client.read(from, Math.min(length, 1 << 20), 4);
      t.ok(typeof whole === "object" && whole.types.join() === "1", "in one piece");
    }
    t.equal(await client.read(0, 2 << 20, 4), 75, "too much in one piece");
    t.equal(await client.read(0, 0), 22, "nothing");
    t.equal(await client.read(0, 512, 1), 22, "an unknown flag");
    t.equal(await client.read(8 << 20, 1), 22, "after the end");
    for (const type of [4, 6, 8]) {
      client.request(type, 0, 4096);
      t.equal((await client.chunk())?.data.readUInt32BE(0), 1, `command ${type} is refused`);
    }
    client.request(1, 0, 4096);
    client.socket.write(Buffer.alloc(4096, 0x25));
    t.equal((await client.chunk())?.data.readUInt32BE(0), 1, "a write is refused, and its bytes are passed over");
    client.request(3, 0, 0);
    t.deepEqual(await client.chunk(), { flags: 1, type: 0, data: Buffer.alloc(0) }, "flush");
    client.request(99, 0, 0);
    t.equal((await client.chunk())?.data.readUInt32BE(0), 22, "a command that does not exist");
    client.request(0, (1n << 64n) - 1n, 0xffff_ffff);
    t.equal((await client.chunk())?.data.readUInt32BE(0), 22, "the last address");
    client.request(7, 0, 8 << 20, 8);
    t.equal((await client.chunk())?.data.length, 12, "one extent when one is asked for");
    client.request(7, 0, 0xffff_ffff);
    t.equal((await client.chunk())?.data.readUInt32BE(0), 22, "block status past the end");
    client.request(2, 0, 0);
    await client.closed();
  });
  t.end();
});

test("hostile clients do not stop others", async (t) => {
  const pages = await scanned("live");
  let reads = 0;
  const read: GuestPages["read"] = async (...args) => {
    reads++;
    await pages.read(...args);
  };
  const ask = async (path: string): Promise<void> => {
    const check = async (what: string): Promise<void> => {
      const client = await ready(path);
      const got = await client.read(0x7c00, 512);
      t.ok(typeof got === "object", `${what}: another client is served`);
      client.socket.destroy();
    };
    const silent = await NbdClient.connect(path);
    const wrong = await NbdClient.connect(path);
    await wrong.greet("ffffffff");
    await wrong.closed();
    await check("unknown client flags");
    const noise = await NbdClient.connect(path);
    await noise.greet();
    noise.send("00".repeat(4096));
    await noise.closed();
    await check("noise");
    const huge = await NbdClient.connect(path);
    await huge.greet();
    huge.option(1, Buffer.alloc(0), 0xffff_ffff);
    await huge.closed();
    await check("a name of 4 GiB");
    const long = await NbdClient.connect(path);
    await long.greet();
    long.option(6, Buffer.alloc(1 << 17));
    t.equal((await long.reply())?.type, 0x8000_0009, "an option of 128 KiB is too big");
    long.option(6, Buffer.alloc(10), 1000);
    await long.closed();
    await check("an option that stops in the middle");
    const flood = await NbdClient.connect(path);
    await flood.greet();
    for (let k = 0; k < 1001; k++) flood.option(99);
    await flood.closed();
    await check("1001 options");
    const half = await ready(path);
    half.send("2560951300");
    await half.closed();
    await check("half a request");
    const lie = await ready(path);
    lie.request(1, 0, 0xffff_ffff);
    await lie.closed();
    await check("a write whose bytes do not come");
    const bad = await ready(path);
    bad.send("11".repeat(28));
    await bad.closed();
    await check("a request with another magic number");

    const greedy = await ready(path);
    greedy.socket.pause();
    reads = 0;
    for (let k = 0; k < 200; k++) greedy.request(0, 0, 8 << 20);
    await sleep(150);
    t.ok(reads < 4 * 2048, `a client that takes nothing is not read for: ${reads} pages`);
    await check("a client that takes nothing");
    greedy.socket.destroy();

    await silent.closed();
    const many = await Promise.all(Array.from({ length: 40 }, () => NbdClient.connect(path)));
    const greeted = await Promise.all(many.map(async (one) => await one.greet()));
    const open = greeted.filter((greeting) => greeting !== undefined).length;
    t.ok(open > 8 && open <= 16, `${open} of 40 clients at a time are served`);
    for (const one of many) one.socket.destroy();
    await sleep(50);
    await check("many clients");
  };
  await serving(exportsOf({ ...pages, read }), ask, { stalled: 300 });
  t.end();
});

test("memory that cannot be read is an error of that request alone", async (t) => {
  const bytes = corpusEntry("compress-live").open().slice();
  const pages = await scanPages(new MemorySource(bytes), { devices: true });
  const layout = layoutOf(pages);
  const { offset, base } = [...pages.places!.pages()].find(
    (page) => page.block === "pc.ram" && page.offset < 0xa0000 && bytes[page.base + 6] === 1,
  )!;
  t.ok(base > 0, "a compressed page");
  bytes.fill(0xff, base + 14, base + 24);
  const space = MemorySpace.physical(pages, layout);
  await serving(new NbdExports([{ name: "", description: "", space }]), async (path) => {
    const client = await ready(path);
    t.equal(await client.read(offset, 4096), 5, "EIO");
    t.ok(typeof (await client.read(offset ^ 4096, 16)) === "object", "and the next request is served");
    client.socket.destroy();
  });
  t.end();
});
