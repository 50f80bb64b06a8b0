/** Sockets that a load reads itself, and where the pages of plain channels go. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { PassThrough } from "node:stream";
import test from "tape";
import { QemuFileReader } from "../src/bytes/index.js";
import type { ChannelItem, RamPacket } from "../src/codec/multifd/index.js";
import type { RamBlock } from "../src/codec/ram/index.js";
import { SocketSource } from "../src/io/transport/socket-source.js";
import { FlatMemory } from "../src/rewrite/load/index.js";
import { FreshMemory } from "../src/rewrite/threads/fresh-memory.js";
import { PacketThreads } from "../src/rewrite/threads/packet-threads.js";

/** Both ends of a connection: who sends, and who was connected to. */
async function pair(): Promise<[Socket, Socket]> {
  const server = createServer();
  await once(server.listen(0, "127.0.0.1"), "listening");
  const sender = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [accepted] = (await once(server, "connection")) as [Socket];
  server.close();
  return [sender.on("error", () => undefined), accepted];
}

/** Reads until `length` bytes have come or the source ends, into pieces of these sizes in turn. */
async function readAll(source: SocketSource, length: number, sizes: readonly number[]): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (let k = 0, sum = 0; sum < length; k++) {
    const shared = new Uint8Array(new SharedArrayBuffer(Math.min(sizes[k % sizes.length]!, length - sum)));
    const n = await source.read(shared);
    if (n === 0) break;
    parts.push(Buffer.from(shared.slice(0, n)));
    sum += n;
  }
  return Buffer.concat(parts);
}

test("a socket's bytes come whole and in order, and the socket stays its owner's", async (t) => {
  const [sender, accepted] = await pair();
  const source = SocketSource.over(accepted)!;
  const sent = randomBytes(3_000_001);
  // The stream has its first piece before anybody asks.
  sender.write(sent.subarray(0, 200_000));
  await new Promise((resolve) => setTimeout(resolve, 20));
  sender.write(sent.subarray(200_000));
  const got = await readAll(source, sent.length, [1, 100, 700_000, 4096]);
  t.equal(Buffer.compare(got, sent), 0, `${got.length} bytes`);
  source.close();
  sender.write("more");
  const [more] = (await once(accepted, "data")) as [Buffer];
  t.equal(more.toString(), "more", "it is read as before afterwards");
  t.equal(SocketSource.over(accepted), undefined, "a socket that flows is read by its stream");
  sender.end();
  await once(accepted, "close");
  t.equal(SocketSource.over(accepted), undefined, "as one that is closed");
  t.equal(SocketSource.over(new PassThrough()), undefined, "and what is no socket");
});

test("the end and a reset of a socket are told after its bytes", async (t) => {
  const [sender, accepted] = await pair();
  const source = SocketSource.over(accepted)!;
  sender.end(Buffer.alloc(300_000, 1));
  t.equal((await readAll(source, Infinity, [65_536, 1_000_000])).length, 300_000);
  t.equal(await source.read(new Uint8Array(9)), 0, "and again");
  source.close();
  const [other, reset] = await pair();
  const second = SocketSource.over(reset)!;
  other.write("abc");
  t.equal((await readAll(second, 3, [9])).toString(), "abc");
  const waiting = Promise.resolve(second.read(new Uint8Array(9)));
  other.resetAndDestroy();
  const error: unknown = await waiting.catch((reason: unknown) => reason);
  t.ok(error instanceof Error && "code" in error && error.code === "ECONNRESET", String(error));
  second.close();
});

test("a reader fills pieces of memory from its buffer, and the rest from the source", async (t) => {
  const bytes = randomBytes(10_000);
  let at = 0;
  const read = (into: Uint8Array): number => {
    const n = Math.min(into.length, 999, bytes.length - at);
    into.set(bytes.subarray(at, at + n));
    at += n;
    return n;
  };
  const reader = new QemuFileReader({ read }, { bufferSize: 64 });
  await reader.need(20);
  reader.skip(10);
  const pieces = [new Uint8Array(4), new Uint8Array(5000), new Uint8Array(0), new Uint8Array(2000)];
  t.equal(await reader.into(pieces), 7004);
  t.equal(Buffer.compare(Buffer.concat(pieces), bytes.subarray(10, 7014)), 0);
  t.equal(reader.offset, 7014);
  await reader.need(4);
  t.equal(reader.u32(), bytes.readUInt32BE(7014), "and goes on after them");
  t.equal(await reader.into([new Uint8Array(9000)]), bytes.length - 7018, "as far as the input goes");
  t.equal(reader.offset, bytes.length);
});

/** The choice after so many pages that took so long each. */
function after(threads: number, microseconds: number, pages = 4096): boolean {
  const fresh = new FreshMemory(threads);
  for (let k = 0; k < pages; k += 64) fresh.note(64 * 4096, (64 * microseconds) / 1000);
  return fresh.isExpensive;
}

test("where a first touch is expensive, threads touch", (t) => {
  t.deepEqual(
    [0.3, 1.2, 4, 17].map((cost) => after(2, cost)),
    [false, false, false, true],
  );
  t.equal(after(1, 17), false, "one thread has no other");
  t.equal(after(2, 17, 2048), false, "not judged by a few pages");
  t.end();
});

test("plain pages go where they belong, or through a thread", async (t) => {
  const block = { index: 0, idstr: "a", usedLength: 16 * 4096 } as RamBlock;
  const memory = new FlatMemory();
  memory.add(block);
  const threads = PacketThreads.start(memory, [block], { channels: 2, threads: 2, pageSize: 4096 });
  const offsets = [3, 4, 5, 9, 8].map((page) => BigInt(page * 4096));
  const packet = { flags: 0, normalPages: 5, zeroPages: 0, offsets, idstr: "a" } as unknown as RamPacket;
  const pieces = threads.place(packet, block)!;
  t.deepEqual(
    pieces.map(({ byteOffset, length }) => [byteOffset / 4096, length / 4096]),
    [
      [3, 3],
      [9, 1],
      [8, 1],
    ],
  );
  threads.fresh.note(1 << 24, 1000);
  t.equal(threads.place(packet, block), undefined, "not where touching costs much");
  const payload = randomBytes(5 * 4096);
  const item: ChannelItem = { kind: "pages", offset: 0, packet, payloadOffset: 0, payload };
  await threads.add(item, block, 1, []);
  await threads.flush();
  await threads.close();
  const bytes = memory.blocks.get("a")!;
  const given = offsets.map((offset) => Buffer.from(bytes.slice(Number(offset), Number(offset) + 4096)));
  t.equal(Buffer.compare(Buffer.concat(given), payload), 0, "the thread has put them there");
});
