import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as zlib from "node:zlib";
import test from "tape";
import { openContainers } from "../src/io/container/open.js";
import { QevmError } from "../src/bytes/errors.js";
import { be, concat, str8 } from "../src/analyse/fuzz/raw-bytes.js";
import { inspectStream, type Inspection } from "../src/analyse/inspect/inspect.js";
import { MemorySource } from "../src/bytes/index.js";
import { descriptionOf } from "../src/codec/stream/index.js";
import { DEFAULT_LIMITS, type StreamLimits } from "../src/codec/stream/limits.js";
import { findVmDescription, triedVmDescriptions } from "../src/codec/vmstate/find.js";
import { corpusEntry, projectRoot } from "../tools/corpus.js";
import { refusal } from "./support/bytes.js";
import { mappedRamFile } from "./support/mapped-ram-file.js";
import { qevm } from "./support/program.js";
import { flatDocument } from "./support/document.js";
import { processorClock } from "./support/processor-time.js";

const tiny = corpusEntry("machine-none-tiny").open();
const pc = corpusEntry("pc-firmware").open();
const HEADER = be(0x5145564d00000003n, 8);
/** Header, EOF and a VMDESCRIPTION. */
const described = (json: string): Uint8Array => concat(HEADER, [0, 6], be(json.length, 4), Buffer.from(json));

async function outcome(bytes: Uint8Array, limits: Partial<StreamLimits>): Promise<Inspection | QevmError> {
  try {
    return await inspectStream(new MemorySource(bytes), { limits, bufferSize: 4096 });
  } catch (error) {
    if (error instanceof QevmError) return error;
    throw error;
  }
}

/** FULL section of a device whose payload is `payload`, described by `fields`. */
function device(payload: Uint8Array, fields: string): Uint8Array {
  const section = concat([4], be(3, 4), str8("dev"), be(0, 4), be(1, 4), payload, [0x7e], be(3, 4));
  const json = `{"page_size": 4096, "devices": [{"name": "dev", "instance_id": 0, "vmsd_name": "dev", "version": 1, "fields": [${fields}]}]}`;
  return concat(HEADER, section, [0, 6], be(json.length, 4), Buffer.from(json));
}

/** A FULL section of s390 storage keys of five pages. */
const storageKeys = concat(
  HEADER,
  [4],
  be(3, 4),
  str8("s390-skeys"),
  be(0, 4),
  be(1, 4),
  concat(be(2n, 8), be(5n, 8), new Uint8Array(5), be(1n, 8), [0x7e], be(3, 4), [0]),
);

/** Ten arrays of eight two-byte structs over bytes that could all be NULL markers: many readings, none of which fits. */
const ambiguous = device(
  new Uint8Array(159).fill(0x30),
  Array.from(
    { length: 10 },
    (_, i) =>
      `{"name":"a${i}","array_len":8,"type":"struct","struct":{"vmsd_name":"e","version":1,"fields":[{"name":"x","type":"uint16","size":2}]},"size":2}`,
  ).join(","),
);

interface Case {
  /** A stream that needs exactly `needs`, and passes a bound of `needs - 1`. */
  bytes: Uint8Array;
  needs: number;
}

/** These are looked at before or after the stream is: each has a test of its own below. */
const OUTSIDE = new Set<string>(["expansion", "windowBytes", "snapshotBytes", "absentBytes"]);

const CASES: Readonly<
  Record<Exclude<keyof StreamLimits, "expansion" | "windowBytes" | "snapshotBytes" | "absentBytes">, Case>
> = {
  machineName: { bytes: tiny, needs: 4 },
  configurationItems: { bytes: corpusEntry("validate-uuid").open(), needs: 1 },
  ramBlocks: { bytes: tiny, needs: 1 },
  sections: { bytes: tiny, needs: 3 },
  items: { bytes: tiny, needs: 0 },
  bitmapBytes: { bytes: mappedRamFile(), needs: 0 },
  gapBytes: { bytes: mappedRamFile(), needs: 0 },
  deviceBytes: { bytes: pc, needs: 0 },
  sectionRecordBytes: { bytes: storageKeys, needs: 5 },
  packagedBytes: {
    bytes: concat(HEADER, [8], be(7, 2), be(4, 2), be(9, 4), [8], be(2, 2), be(4, 2), be(1, 4), [0]),
    needs: 9,
  },
  descriptionBytes: { bytes: described('{"page_size": 4096, "devices": []}'), needs: 34 },
  descriptionDepth: { bytes: described('{"page_size": 4096, "devices": []}'), needs: 2 },
  descriptionValues: { bytes: described('{"page_size": 4096, "devices": []}'), needs: 0 },
  deviceValues: {
    bytes: device(new Uint8Array(6), '{"name": "a", "array_len": 6, "type": "uint8", "size": 1}'),
    needs: 16 + 8 + 6,
  },
  deviceReadings: { bytes: ambiguous, needs: 0 },
  deviceWork: { bytes: ambiguous, needs: 0 },
  tailBytes: { bytes: concat(tiny, new Uint8Array(10)), needs: 10 },
};

/** Rows of the chapter's first table: limit, default, code. */
const rows = readFileSync(join(projectRoot(), "spec", "71-bounds.md"), "utf8")
  .split("\n")
  .flatMap((line) => {
    const [, name, value, , , refused] = line.split("|").map((cell) => cell.trim());
    return /^`\w+`$/u.test(name ?? "") ? [{ name: name!.slice(1, -1), value: Number(value), refused: refused! }] : [];
  });

test("the table names every limit with its default", (t) => {
  t.deepEqual(Object.fromEntries(rows.map(({ name, value }) => [name, value])), DEFAULT_LIMITS);
  t.end();
});

for (const { name, refused } of rows) {
  if (OUTSIDE.has(name)) continue;
  const key = name as keyof typeof CASES;
  const { bytes, needs } = CASES[key];
  test(`${name}: what passes it`, async (t) => {
    const fine = await outcome(bytes, needs > 0 ? { [key]: needs } : {});
    const below = needs > 0 ? needs - 1 : { deviceBytes: 100, gapBytes: 0, bitmapBytes: 0, descriptionValues: 2 }[name];
    const passed = await outcome(bytes, { [key]: below ?? 1 });
    if (key === "deviceReadings" || key === "deviceWork") {
      // Nothing fits here; what the bound changes is how long that takes.
      t.ok(isOpaque(fine) && isOpaque(passed), "opaque, with its reason");
      const spent = processorClock();
      await outcome(bytes, { [key]: 1 });
      t.ok(spent() < 1000, "soon");
      return;
    }
    if (refused === "opaque") t.ok(isOpaque(passed), `${name} = ${below ?? 1}: opaque`);
    else t.equal(passed instanceof QevmError ? passed.code : "accepted", refused, `${name} = ${below ?? 1}`);
    if (passed instanceof QevmError) t.ok(passed.offset !== undefined, passed.message);
    t.equal(
      fine instanceof QevmError ? fine.message : fine.opaqueBytes,
      0,
      needs > 0 ? `${name} = ${needs}: understood` : "the default: understood",
    );
  });
}

function isOpaque(result: Inspection | QevmError): boolean {
  return !(result instanceof QevmError) && result.opaqueBytes > 0;
}

test("promises cost nothing: lengths of 4 GiB and more in front of a few bytes", async (t) => {
  const ram = concat([1], be(2, 4), str8("ram"), be(0, 4), be(4, 4));
  const huge: [string, Uint8Array][] = [
    ["a machine name", concat(HEADER, [7], be(0xffffffff, 4))],
    ["a package", concat(HEADER, [8], be(7, 2), be(4, 2), be(0x0fffffff, 4), [1])],
    ["a description", concat(HEADER, [0, 6], be(0x03ffffff, 4), [1])],
    ["a block list", concat(HEADER, ram, be((1n << 52n) | 4n, 8), str8("x"), be(1n << 51n, 8))],
    [
      "a COMPRESS_PAGE payload",
      concat(HEADER, ram, be(0x1004n, 8), str8("x"), be(0x1000, 8), be(0x100, 8), str8("x"), be(0xfffffff0, 4)),
    ],
    [
      "capabilities",
      concat(HEADER, [7], be(0, 4), [5], str8("configuration/capabilities"), be(1, 4), be(0xffffffff, 4)),
    ],
  ];
  for (const [what, bytes] of huge) {
    const before = process.memoryUsage();
    const result = await outcome(bytes, {});
    const after = process.memoryUsage();
    const more = after.arrayBuffers + after.heapUsed - before.arrayBuffers - before.heapUsed;
    t.ok(result instanceof QevmError, `${what}: ${result instanceof QevmError ? result.message : "accepted"}`);
    t.ok(more < 16 << 20, `${more} bytes of memory`);
  }
});

/** The record of a page of zeros at the beginning of a block. */
function zero(block: string): Uint8Array {
  return concat(be(2n, 8), str8(block), [0]);
}

test("ramBlocks: pages of blocks that no list names", async (t) => {
  const ram = concat([1], be(2, 4), str8("ram"), be(0, 4), be(4, 4), zero("a"), zero("b"), zero("c"), be(0x10n, 8));
  const bytes = concat(HEADER, ram, [0]);
  const inspect = (ramBlocks: number): Promise<Inspection> =>
    inspectStream(new MemorySource(bytes), { lenient: true, limits: { ramBlocks } });
  t.equal((await inspect(3)).ram.blocks.length, 3, "as many as are allowed");
  t.equal((await refusal(() => inspect(2)))?.code, "limit", "one more");
});

test("places that may hold a VMDESCRIPTION cost no more than the bytes around them", async (t) => {
  // Each claims all that follows, which ends as a description does.
  const decoys = new Uint8Array(1 << 19).fill(0x20);
  decoys[decoys.length - 1] = 0x7d;
  const head = Buffer.from('{"page_size": 4096, "devices": [');
  for (let at = 0; at < 400 * 40; at += 40) decoys.set(concat([0, 6], be(decoys.length - at - 6, 4), head), at);
  t.equal([...findVmDescription(decoys)].length, 400, "400 places");
  const tried = [...triedVmDescriptions(decoys)];
  t.ok(tried.length > 0 && tried.length <= 3, `${tried.length} of them are tried from the beginning`);
  const last = [...triedVmDescriptions(decoys, undefined, true)];
  t.ok(last.length > 0 && last.length <= 3 && last[0]!.start > last[1]!.start, `${last.length} from the end`);
  const small = concat(...Array.from({ length: 400 }, () => concat([0, 6], be(head.length + 1, 4), head, [0x7d])));
  t.equal([...triedVmDescriptions(small)].length, 64, "small ones: 64");
  const section = concat([4], be(3, 4), str8("dev"), be(0, 4), be(1, 4), decoys);
  const spent = processorClock();
  const result = await outcome(concat(HEADER, section), {});
  t.ok(isOpaque(result), "and the stream is told");
  await refusal(() => descriptionOf(new MemorySource(concat(HEADER, section))));
  t.ok(spent() < 5000, "soon");
});

test("--limit on the command line", async (t) => {
  const file = join(corpusEntry("machine-none-tiny").folder, "stream.gz");
  t.equal((await qevm(["inspect", file, "--limit", "sections=3"])).code, 0);
  const refused = await qevm(["inspect", file, "--limit", "sections=2"]);
  t.equal(refused.code, 2);
  t.match(refused.stderr, /too many sections/u);
  t.equal((await qevm(["inspect", file, "--limit", "deviceBytes=1G"])).code, 0, "sizes have units");
  const wrong = await qevm(["inspect", file, "--limit", "frob=1"]);
  t.equal(wrong.code, 2);
  t.match(wrong.stderr, /the names are machineName, /u);
});

/** A gzip file of a small stream and 272 MiB of zeros, in members of 16 MiB. */
const zeros = zlib.gzipSync(new Uint8Array(16 << 20));
const grown = Buffer.concat([zlib.gzipSync(tiny), ...Array.from({ length: 17 }, () => zeros)]);

async function inspectContained(bytes: Uint8Array, limits: Partial<StreamLimits>): Promise<Inspection> {
  const input = await openContainers(new MemorySource(bytes), { stream: { limits } });
  try {
    return await inspectStream(input, { limits });
  } finally {
    await input.close?.();
  }
}

test("expansion: one layer of gzip passes, two of it that grow beyond measure do not", async (t) => {
  const once = await inspectContained(grown, {});
  t.equal(once.trailingBytes, 17 * (16 << 20), "a gzip file of zeros is read");
  const bound = await refusal(() => inspectContained(grown, { expansion: 10 }));
  t.equal(bound?.code, "limit");
  t.match(String(bound?.message), /--limit expansion=N/u);
  const twice = zlib.gzipSync(grown);
  t.ok(twice.length < 10_000, `${twice.length} bytes hold 272 MiB`);
  t.equal((await refusal(() => inspectContained(twice, {})))?.code, "limit", "a gzip file in a gzip file");
  t.ok((await inspectContained(twice, { expansion: 2 ** 40 })).complete, "--limit lifts it");
});

test("expansion: a channel of a recording, and a template", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-bounds-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const out = join(folder, "out");
  const list = concat(be(0x100000n | 4n, 8), str8("pc.ram"), be(0x100000n, 8), be(0x10n, 8));
  const first = concat(be(0x1008n, 8), str8("pc.ram"), new Uint8Array(4096), be(0x10n, 8));
  // One page again and again: 17 members of gzip of 16 MiB.
  const pages = Buffer.alloc(4096 * 4104);
  for (let k = 0; k < pages.length; k += 4104) pages.writeBigUInt64BE(0x1028n, k);
  const chunk = concat([2], be(2, 4), pages, be(0x10n, 8), [0x7e], be(2, 4));
  const packed = zlib.gzipSync(chunk, { level: 1 });
  const stream = [zlib.gzipSync(concat(HEADER, ramSection(1, list), ramSection(3, first)))];
  for (let k = 0; k < 17; k++) stream.push(packed);
  stream.push(zlib.gzipSync(Buffer.from([0])));
  mkdirSync(join(folder, "recording"));
  const file = join(folder, "recording", "main.bin.gz");
  writeFileSync(file, Buffer.concat(stream));
  for (const words of [
    ["inspect", join(folder, "recording")],
    ["verify", join(folder, "recording")],
    ["generate", "--template", file, "--out", out],
  ]) {
    const { code, stderr } = await qevm([...words, "--limit", "expansion=10"]);
    t.equal(code, 2, words[0]);
    t.match(stderr, /expands too much/u);
  }
  t.equal((await qevm(["inspect", join(folder, "recording")])).code, 0, "by default it is read");
  t.end();
});

test("expansion: zeros of a guest, by zstd", async (t) => {
  // 65536 blocks of 128 KiB would be 8 GiB; 3000 are enough to be above what is free.
  const block = [0x02, 0x00, 0x10, 0x00];
  const last = [0x03, 0x00, 0x10, 0x00];
  const rle = concat([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58], ...Array.from({ length: 2999 }, () => block), last);
  const head = zstdStored(tiny);
  t.ok((await inspectContained(concat(head, rle), {})).complete, `${rle.length} bytes hold 375 MiB: no bomb`);
});

test("windowBytes: zstd --long", async (t) => {
  const MIB = 2 ** 20;
  t.match(String(await refusedWindow(27, 128 * MIB - 1)), /^limit .*windowBytes/u, "below 128 MiB");
  t.equal(await refusedWindow(27, 128 * MIB), undefined, "128 MiB, zstd's own bound and ours");
  t.match(String(await refusedWindow(28, 128 * MIB)), /^limit .*windowBytes/u, "--long=28 by default");
  t.equal(await refusedWindow(31, 2 ** 31), undefined, "--long=31");
  t.match(String(await refusedWindow(32, 2 ** 32)), /^unsupported .*2 GiB/u, "zstd has no more");
});

/** How a frame with a window of 2 ** log bytes is refused. */
async function refusedWindow(log: number, windowBytes: number): Promise<string | undefined> {
  const error = await refusal(() => inspectContained(zstdStored(tiny, (log - 10) << 3), { windowBytes }));
  return error === undefined ? undefined : `${error.code} ${error.message}`;
}

/** A zstd frame of one stored block, with the window of that descriptor (1 MiB times two). */
function zstdStored(bytes: Uint8Array, descriptor = 0x58): Uint8Array {
  const header = bytes.length * 8 + 1;
  return concat([0x28, 0xb5, 0x2f, 0xfd, 0x00, descriptor], [header & 255, (header >> 8) & 255, header >> 16], bytes);
}

test("snapshotBytes: names of a qcow2 image that are long", async (t) => {
  const header = new Uint8Array(0x10000);
  header.set(concat(be(0x514649fb, 4), be(3, 4), be(0n, 8), be(0, 4), be(16, 4), be(0n, 8), be(0, 4), be(0, 4)));
  header.set(concat(be(0x30000n, 8), be(0x20000n, 8), be(1, 4), be(400, 4), be(0x10000n, 8)), 40);
  header.set(be(4, 4), 96);
  header.set(be(104, 4), 100);
  const entry = new Uint8Array(40 + 2 * 65_536);
  entry.set(be(0xffffffff, 4), 12);
  const image = concat(header, ...Array.from({ length: 400 }, () => entry));
  const error = await refusal(() => openContainers(new MemorySource(image)));
  t.equal(error?.code, "limit", error?.message);
  t.match(String(error?.message), /snapshotBytes/u);
  const lifted = await refusal(() =>
    openContainers(new MemorySource(image), { stream: { limits: { snapshotBytes: 2 ** 30 } } }),
  );
  t.notEqual(lifted?.code, "limit", `the next thing that is wrong: ${lifted?.message}`);
});

/** A section of RAM; 1 is its START. */
function ramSection(type: number, body: Uint8Array): Uint8Array {
  const name = type === 1 ? concat(str8("ram"), be(0, 4), be(4, 4)) : [];
  return concat([type], be(2, 4), name, body, [0x7e], be(2, 4));
}

/** A block of 8 TiB (or so many bytes) of which one page comes. */
function hugeBlock(length: bigint): Uint8Array {
  const list = concat(be(length | 4n, 8), str8("pc.ram"), be(length, 8), be(0x10n, 8));
  const page = concat(be(0x1008n, 8), str8("pc.ram"), new Uint8Array(4096).fill(7), be(0x10n, 8));
  return concat(HEADER, ramSection(1, list), ramSection(3, page), [0]);
}

test("a block of 8 TiB in a file of 4 KiB costs what the file is worth", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-bounds-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const at = (name: string): string => join(folder, name);
  const spent = processorClock();
  writeFileSync(at("huge"), hugeBlock(1n << 43n));
  const mapped = await qevm(["convert", at("huge"), "--to", "mapped-ram", "--out", at("mapped")]);
  t.equal(mapped.code, 2);
  t.match(mapped.stderr, /bitmapBytes/u, "convert names its bound");
  t.equal((await qevm(["unpack", at("huge"), at("folder")])).code, 0, "unpacked");
  const packed = await qevm(["pack", at("folder"), "--out", at("again")]);
  t.equal(packed.code, 2);
  t.match(packed.stderr, /absentBytes/u, "pack names its bound");
  writeFileSync(at("large"), hugeBlock(1n << 38n));
  t.equal((await qevm(["convert", at("large"), "--to", "mapped-ram", "--out", at("mapped")])).code, 0);
  t.ok(statSync(at("mapped")).size > 2 ** 38, "256 GiB of holes");
  t.ok(statSync(at("mapped")).blocks * 512 < 64 << 20, "and little else");
  writeFileSync(at("small"), hugeBlock(1n << 30n));
  t.equal((await qevm(["unpack", at("small"), at("second")])).code, 0);
  const second = ["pack", at("second"), "--out", at("again")];
  t.equal((await qevm([...second, "--limit", "absentBytes=1M"])).code, 2, "a bound of one's own");
  t.equal((await qevm(second)).code, 0, "1 GiB is searched");
  t.deepEqual(readFileSync(at("again")), readFileSync(at("small")), "and the stream is the same");
  t.ok(spent() < 60_000, "soon");
});

test("8 TiB of hole after a stream are counted, not read", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-bounds-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "tail");
  writeFileSync(file, pc);
  truncateSync(file, 2 ** 43);
  const args = ["inspect", file, "--json", "--limit", "tailBytes=64M"];
  const { stdout, code, maxRss } = await qevm(args, { plain: true });
  t.equal(code, 0);
  const { trailingBytes, undecoded } = flatDocument(stdout) as Inspection;
  t.equal(trailingBytes, 2 ** 43 - pc.length, "all of them are counted");
  t.equal(undecoded.at(-1)?.length, trailingBytes - (64 << 20), "and how many were not read");
  t.ok(maxRss < 150e6, `${maxRss} bytes of memory`);
  const verified = await qevm(["verify", file, "--limit", "tailBytes=64M"]);
  t.equal(verified.code, 2);
  t.match(verified.stderr, /tailBytes/u, "what would have to read them names the bound");
});

/** A device of one byte, as a description has it. */
function smallDevice(id: number): string {
  return `{"name": "d", "instance_id": ${id}, "vmsd_name": "d", "version": 1, "fields": [{"name": "x", "type": "uint8", "size": 1}]}`;
}

test("a VMDESCRIPTION of very many small things takes little memory", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-bounds-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "many");
  const json = `{"page_size": 4096, "devices": [${Array.from({ length: 60_000 }, (_, i) => smallDevice(i)).join(", ")}]}`;
  const section = concat([4], be(3, 4), str8("d"), be(0, 4), be(1, 4), [1, 0x7e], be(3, 4));
  writeFileSync(file, concat(HEADER, section, [0, 6], be(json.length, 4), Buffer.from(json)));
  const { code, maxRss } = await qevm(["inspect", file], { plain: true });
  t.equal(code, 0);
  t.ok(json.length > 6_000_000 && maxRss < 200e6, `${maxRss} bytes of memory for ${json.length}`);
});
