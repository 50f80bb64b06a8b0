import { deflateRawSync, deflateSync } from "node:zlib";
import test from "tape";
import { QevmError } from "../src/bytes/errors.js";
import {
  ChannelPages,
  type PacketPages,
  type PayloadDecoder,
  ChannelReader,
  decodePageTable,
  encodeChannelItem,
  encodePageTable,
  methodOf,
  MultifdFlag,
  payloadDecoder,
  ZlibStreamDecoder,
  ZlibStreamEncoder,
  type ChannelItem,
  type ChannelOptions,
} from "../src/codec/multifd/index.js";
import { MemorySink, MemorySource, QemuFileWriter, type ByteSource } from "../src/bytes/index.js";
import { listRecordings, recordingNamed } from "../tools/recording/corpus.js";
import { arrivals } from "./support/arrivals.js";
import { sha256Of } from "../tools/sha256.js";

const PAGE = 4096;
const recordings = listRecordings();

/** Decodes a channel and encodes it again. */
async function again(source: ByteSource, options: ChannelOptions = {}): Promise<Buffer> {
  const sink = new MemorySink();
  const writer = new QemuFileWriter(sink);
  for await (const item of new ChannelReader(source, options)) encodeChannelItem(writer, item);
  await writer.finish();
  return Buffer.from(sink.bytes());
}

/** Calls `use` with every packet of pages, opened. */
async function eachPacket(
  bytes: Uint8Array,
  use: (item: Extract<ChannelItem, { kind: "pages" }>, pages: PacketPages) => void,
): Promise<void> {
  const reader = new ChannelReader(new MemorySource(bytes));
  const pages = new ChannelPages(PAGE);
  for await (const item of reader) if (item.kind === "pages") use(item, await pages.open(item, reader.path));
}

async function refusal(bytes: Uint8Array, options: ChannelOptions = {}): Promise<QevmError | undefined> {
  const reader = new ChannelReader(new MemorySource(bytes), options);
  const pages = new ChannelPages(PAGE);
  try {
    for await (const item of reader) if (item.kind === "pages") await pages.open(item, reader.path);
    return undefined;
  } catch (error) {
    if (error instanceof QevmError) return error;
    throw error;
  }
}

const channelsOf = (files: readonly string[]): string[] => files.filter((file) => file.startsWith("multifd-"));

test("there are recordings of every method that needs no hardware", (t) => {
  for (const name of ["7.2-none", "7.2-zlib", "7.2-zstd", "10.0-zlib", "10.0-zstd", "7.2-live", "10.0-live"]) {
    t.ok(channelsOf(recordingNamed(`recording-${name}`).files).length >= 2, name);
  }
  t.end();
});

for (const { name, files, open, truth } of recordings) {
  test(`${name}: every channel comes back from its fields`, async (t) => {
    for (const file of channelsOf(files)) {
      const bytes = open(file);
      t.ok((await again(new MemorySource(bytes))).equals(bytes), file);
      const ids = file.match(/\d+/u);
      for await (const item of new ChannelReader(new MemorySource(bytes))) {
        if (item.kind === "init") t.equal(`${item.init.channel}`, ids?.[0], "its id");
      }
    }
  });

  test(`${name}: zlib payloads are what zlib makes of the pages`, async (t) => {
    let zlib = 0;
    for (const file of channelsOf(files)) {
      const encoder = new ZlibStreamEncoder(1, PAGE);
      await eachPacket(open(file), ({ packet, payload }, { data }) => {
        if (packet.normalPages === 0 || methodOf(packet.flags) !== "zlib") return;
        zlib++;
        if (!Buffer.from(encoder.encode(data!)).equals(payload)) t.fail(`${file}, packet ${packet.packetNum}`);
      });
    }
    t.equal(zlib > 0, name.endsWith("zlib") || name === "recording-7.2-live", `${zlib} payloads`);
  });

  if (truth.blocks.length !== 1) continue;
  test(`${name}: the pages add up to the source's memory`, async (t) => {
    const memory = Buffer.alloc(truth.blocks[0]!.length);
    let zero = 0;
    for (const file of channelsOf(files)) {
      await eachPacket(open(file), (_, pages) => {
        pages.normal.forEach((offset, k) => memory.set(pages.data!.subarray(k * PAGE, (k + 1) * PAGE), Number(offset)));
        zero += pages.zero.length;
      });
    }
    t.equal(sha256Of(memory), truth.blocks[0]!.sha256);
    t.equal(zero > 0, /1\d\.\d/u.test(name), `${zero} zero pages in packets`);
  });
}

test("however it arrives", async (t) => {
  const bytes = recordingNamed("recording-7.2-zlib").open("multifd-1.bin");
  for (const [how, source] of Object.entries(arrivals(bytes))) {
    if (how !== "slowly") t.ok((await again(source(), { bufferSize: 16 })).equals(bytes), how);
  }
});

test("every prefix is taken whole or refused as cut off", async (t) => {
  const bytes = recordingNamed("recording-7.2-zlib").open("multifd-1.bin");
  let taken = 0;
  const wrong: number[] = [];
  for (let n = 0; n < bytes.length; n += n < 1600 ? 1 : 97) {
    const error = await refusal(bytes.subarray(0, n));
    if (error === undefined) taken++;
    else if (error.code !== "truncated" || error.offset === undefined || error.offset > n) wrong.push(n);
  }
  t.deepEqual(wrong, []);
  t.ok(taken >= 2 && taken < 20, `${taken} prefixes end between packets`);
  const lenient = new ChannelReader(new MemorySource(bytes.subarray(0, 2000)), { lenient: true });
  let items = 0;
  for await (const _ of lenient) items++;
  t.deepEqual([items, lenient.diagnostics.warnings.map(({ code }) => code)], [2, ["truncated"]]);
});

test("what QEMU's loader refuses is refused, with its place", async (t) => {
  const { open } = recordingNamed("recording-10.0-zlib");
  const bytes = open("multifd-0.bin");
  let data = 0;
  for await (const item of new ChannelReader(new MemorySource(bytes))) {
    if (item.kind === "pages" && item.packet.normalPages > 0 && data === 0) data = item.offset;
  }
  const cases: [string, number, number, string][] = [
    ["magic of the channel", 0, 0, "bad-magic"],
    ["version of the channel", 7, 2, "unsupported-version"],
    ["magic of a packet", data, 0, "bad-magic"],
    ["version of a packet", data + 7, 2, "unsupported-version"],
    ["two methods", data + 11, 6, "unknown-type"],
    ["unknown flag", data + 11, 0x82, "unknown-type"],
    ["pages_alloc", data + 14, 1, "bad-length"],
    ["normal_pages", data + 19, 129, "bad-length"],
    ["next_packet_size", data + 20, 1, "bad-length"],
    ["zero_pages", data + 35, 128, "bad-length"],
    ["name", data + 64, 0x7f, "unknown-reference"],
    ["unaligned offset", data + 327, 1, "bad-offset"],
    ["offset outside", data + 323, 1, "bad-offset"],
    ["huge offset", data + 320, 0xff, "bad-offset"],
    ["damaged payload", data + 1344 + 40, 0xff, "bad-compressed-data"],
    ["other zlib header", data + 1344, 0, "bad-compressed-data"],
  ];
  t.equal(await refusal(bytes, { block: blockOf }), undefined, "as it was");
  for (const [what, at, value, code] of cases) {
    const broken = Buffer.from(bytes);
    broken[at] = value;
    const error = await refusal(broken, { block: blockOf });
    t.equal(error?.code, code, what);
    t.ok(error?.offset !== undefined && error.offset <= bytes.length, `at byte ${error?.offset}`);
  }
  const named = Buffer.from(bytes).fill(0x61, data + 64, data + 320);
  t.equal((await refusal(named))?.code, "bad-value", "a name without NUL");
});

test("damage of any byte ends in a typed error or is taken", async (t) => {
  let refused = 0;
  for (const name of ["recording-7.2-zstd", "recording-10.0-zlib"]) {
    const bytes = recordingNamed(name).open("multifd-1.bin");
    for (let k = 1; k <= 150; k++) {
      const broken = Buffer.from(bytes);
      const at = (k * 7919) % bytes.length;
      broken[at] = broken[at]! ^ (1 << (k % 8));
      // Anything but a QevmError is thrown on by `refusal`.
      if ((await refusal(broken)) !== undefined) refused++;
    }
  }
  t.ok(refused > 20, `${refused} of 300 refused`);
});

/** The blocks of the still machines. */
function blockOf(idstr: string): { usedLength: number } | undefined {
  return idstr === "ram" ? { usedLength: 600 * PAGE } : undefined;
}

/** A channel with packets as other means make them. */
function channel(...packets: Uint8Array[]): Buffer {
  const init = Buffer.alloc(64);
  init.writeUInt32BE(0x11223344, 0);
  init.writeUInt32BE(1, 4);
  return Buffer.concat([init, ...packets]);
}

function ramPacket(flags: number, offsets: number[], payload: Uint8Array): Buffer {
  const head = Buffer.alloc(1344);
  [0x11223344, 1, flags, 128, offsets.length, payload.length].forEach((value, k) => head.writeUInt32BE(value, 4 * k));
  head.write("pc.ram", 64, "latin1");
  offsets.forEach((offset, k) => head.writeBigUInt64BE(BigInt(offset), 320 + 8 * k));
  return Buffer.concat([head, payload]);
}

const pages = [1, 2, 3].map((k) => Buffer.alloc(PAGE, `page ${k} of three, `));

test("qpl and uadk: a table of lengths and pages of their own", async (t) => {
  const noise = Buffer.from(Array.from({ length: PAGE }, (_, k) => (k * k * 31 + (k >> 3)) & 0xff));
  for (const [flag, deflate] of [
    [MultifdFlag.QPL, deflateRawSync],
    [MultifdFlag.UADK, deflateSync],
  ] as const) {
    const method = methodOf(flag);
    const packed = [...pages.map((page) => deflate(page, { level: 1 })), noise];
    const table = Buffer.alloc(16);
    packed.forEach((page, k) => table.writeUInt32BE(page.length, 4 * k));
    const payload = Buffer.concat([table, ...packed]);
    const bytes = channel(ramPacket(flag, [0, PAGE, 2 * PAGE, 9 * PAGE], payload));
    t.ok((await again(new MemorySource(bytes))).equals(bytes), `${method}: comes back`);
    t.ok(Buffer.from(encodePageTable(packed)).equals(payload), `${method}: written`);
    t.deepEqual(
      decodePageTable(payload, 4),
      packed.map(({ length }) => length),
    );
    await eachPacket(bytes, (_, { data }) => t.ok(Buffer.concat([...pages, noise]).equals(data!), `${method}: opened`));
    const short = Buffer.from(bytes);
    short[64 + 1344 + 3]!++;
    t.equal((await refusal(short))?.code, "bad-length", "a table that does not add up");
    const bad = Buffer.from(bytes);
    bad.fill(0xff, 64 + 1344 + 16, 64 + 1344 + 20);
    t.equal((await refusal(bad))?.code, "bad-compressed-data", "a damaged page");
  }
  const long = Buffer.concat([Buffer.from([0, 0, 0x20, 0]), Buffer.alloc(8192)]);
  t.equal((await refusal(channel(ramPacket(MultifdFlag.QPL, [0], long))))?.code, "bad-length", "longer than a page");
  t.equal((await refusal(channel(ramPacket(MultifdFlag.QPL, [0], Buffer.alloc(2)))))?.code, "bad-length", "no table");
});

test("qatzip is named, framed and left closed; plain pages must fill their payload", async (t) => {
  const bytes = channel(
    ramPacket(MultifdFlag.QATZIP, [0], Buffer.from("whatever the hardware says")),
    ramPacket(1, [], pages[0]!.subarray(0, 0)),
  );
  t.ok((await again(new MemorySource(bytes))).equals(bytes));
  const seen: (string | undefined)[] = [];
  await eachPacket(bytes, ({ packet: { flags } }, { data }) => {
    seen.push(data === undefined ? methodOf(flags) : undefined);
  });
  t.deepEqual(seen, ["qatzip", undefined]);
  t.equal(await payloadDecoder("qatzip", PAGE), undefined);
  t.equal((await refusal(channel(ramPacket(0, [0, PAGE], pages[0]!))))?.code, "bad-length");
  const changes = channel(ramPacket(0, [0], pages[0]!), ramPacket(2, [0], deflateSync(pages[0]!)));
  t.equal((await refusal(changes))?.code, "bad-value", "the method changes");
});

test("zstd: what is not a stream of a channel", async (t) => {
  const head = [0x28, 0xb5, 0x2f, 0xfd];
  // An RLE block of one page, not the last.
  const block = [((PAGE << 3) & 0xff) | 2, (PAGE >> 5) & 0xff, PAGE >> 13, 0x61];
  const good = Buffer.from([...head, 0, 0x48, ...block]);
  const bytes = channel(ramPacket(4, [0], good), ramPacket(4, [PAGE], Buffer.from(block)));
  let opened = 0;
  await eachPacket(bytes, (_, { data }) => {
    if (data!.every((byte) => byte === 0x61)) opened++;
  });
  t.equal(opened, 2, "a first payload of ten bytes");
  const cases: [string, number[], string][] = [
    ["no frame", [1, 2, 3, 4, 5, 6, 7, 8], "bad-compressed-data"],
    ["too short", head, "bad-compressed-data"],
    ["a single segment", [...head, 0x20, 0x48, ...block], "bad-compressed-data"],
    ["a window of 2 GiB", [...head, 0, 0xa8, ...block], "limit"],
    ["half a block header", [...head, 0, 0x48, ...block, 2], "bad-compressed-data"],
    ["half a block", [...head, 0, 0x48, 0x55, 0, 0, 1], "bad-compressed-data"],
    ["a reserved block type", [...head, 0, 0x48, 0x0e, 0, 0, 1], "bad-compressed-data"],
    ["a last block", [...head, 0, 0x48, block[0]! | 1, ...block.slice(1)], "bad-compressed-data"],
    ["two pages for one", [...head, 0, 0x48, ...block, ...block], "bad-compressed-data"],
    ["nothing for one", [...head, 0, 0x48], "bad-compressed-data"],
    ["half a frame header", [...head, 0xc0, 0x48], "bad-compressed-data"],
    ["a compressed block of nothing", [...head, 0, 0x48, 0x0c, 0, 0, 1], "bad-compressed-data"],
  ];
  for (const [what, payload, code] of cases) {
    t.equal((await refusal(channel(ramPacket(4, [0], Buffer.from(payload)))))?.code, code, what);
  }
});

test("device state: named, framed, bounded", async (t) => {
  const head = Buffer.alloc(276);
  [0x11223344, 1, 0x40].forEach((value, k) => head.writeUInt32BE(value, 4 * k));
  head.write("0000:00:03.0/vfio", 12, "latin1");
  head.writeUInt32BE(7, 268);
  head.writeUInt32BE(5, 272);
  const bytes = channel(Buffer.concat([head, Buffer.from("state")]));
  t.ok((await again(new MemorySource(bytes))).equals(bytes));
  for await (const item of new ChannelReader(new MemorySource(bytes))) {
    if (item.kind !== "device-state") continue;
    t.deepEqual(
      [item.packet.idstr, item.packet.instanceId, Buffer.from(item.payload).toString()],
      ["0000:00:03.0/vfio", 7, "state"],
    );
  }
  const change = (at: number, ...values: number[]): Buffer => {
    const copy = Buffer.from(bytes);
    copy.set(values, 64 + at);
    return copy;
  };
  t.equal((await refusal(change(11, 0x41)))?.code, "bad-value", "with SYNC");
  t.equal((await refusal(change(275, 0)))?.code, "bad-length", "without state");
  t.equal((await refusal(change(272, 0xff)))?.code, "limit");
  t.equal((await refusal(change(275, 6)))?.code, "truncated");
  t.equal((await refusal(change(12, ...Array.from({ length: 256 }, () => 0x61))))?.code, "bad-value", "without NUL");
});

test("zlib: incompressible pages, and a level that does not exist", async (t) => {
  let x = 1;
  const noise = Buffer.from(Array.from({ length: 40 * PAGE }, () => (x = Math.imul(x, 1_103_515_245) + 12_345) >>> 24));
  const payload = Buffer.from(new ZlibStreamEncoder(0).encode(noise));
  const into = new Uint8Array(noise.length);
  t.ok(noise.equals((await payloadDecoder("zlib", PAGE))!.decode(payload, into)));
  t.throws(() => new ZlibStreamEncoder(11), /level 11/u);
});

/** The pages of 3, 2, ... in the payloads, or why they are refused. */
function outcomes(decoder: PayloadDecoder, payloads: readonly Buffer[]): string[] {
  return payloads.map((payload, k) => {
    try {
      const into = new Uint8Array((3 - k) * PAGE);
      return sha256Of(decoder.decode(payload, into));
    } catch (error) {
      return error instanceof QevmError ? error.code : String(error);
    }
  });
}

test("zlib by the page engine: the same pages and refusals as by pako", async (t) => {
  const encoder = new ZlibStreamEncoder(1);
  const [first, second] = [pages, [pages[2]!, pages[0]!]].map((some) =>
    Buffer.from(encoder.encode(Buffer.concat(some))),
  );
  let refused = 0;
  const same = async (payloads: readonly Buffer[], what: string): Promise<void> => {
    const fast = outcomes((await payloadDecoder("zlib", PAGE))!, payloads);
    refused += fast.filter((text) => text.length !== 64).length;
    const slow = outcomes(new ZlibStreamDecoder(), payloads);
    if (JSON.stringify(fast) !== JSON.stringify(slow)) t.deepEqual(fast, slow, what);
  };
  await same([first!, second!], "whole");
  t.equal(refused, 0, "the stream itself is accepted");
  for (let at = 0; at < second!.length; at++) {
    const changed = Buffer.from(second!);
    changed[at]! ^= 1 << (at & 7);
    await same([first!, changed], `byte ${at} of the second payload`);
    await same([first!, second!.subarray(0, at)], `cut at ${at}`);
  }
  for (let at = 0; at < 8; at++) {
    const changed = Buffer.from(first!);
    changed[at]! ^= 0x11;
    await same([changed, second!], `byte ${at} of the first payload`);
  }
  await same([first!, Buffer.concat([second!, Buffer.from([1, 0, 0, 0xff, 0xff])])], "the stream ends");
  await same([first!, Buffer.concat([second!, Buffer.from([7])])], "a byte more");
  await same([first!, second!, second!], "a packet more than pages");
  t.ok(refused > 50, `${refused} refusals`);
});
