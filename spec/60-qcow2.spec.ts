/** qcow2 images laid out here, cluster by cluster, from the format's documentation: what no QEMU at hand writes, and what is broken. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateRawSync, gunzipSync } from "node:zlib";
import test from "tape";
import {
  decodeQcow2Header,
  encodeQcow2Header,
  encodeSnapshot,
  openContainers,
  readSnapshots,
  vmStateSize,
} from "../src/io/container/index.js";
import { MemorySource } from "../src/bytes/index.js";
import { corpusEntry, projectRoot } from "../tools/corpus.js";
import { refusal } from "./support/bytes.js";
import { qevm } from "./support/program.js";
import { CLUSTER, COPIED, COMPRESSED, image, type Laid, type Wanted } from "./support/qcow2-image.js";
import { flatDocument } from "./support/document.js";

async function read(bytes: Buffer, name?: string): Promise<Buffer> {
  const source = await openContainers(new MemorySource(bytes), { snapshot: name });
  const all = Buffer.alloc(source.length ?? 0);
  for (let done = 0; done < all.length;) {
    const n = await source.read(all.subarray(done));
    if (n === 0) break;
    done += n;
  }
  return all;
}

const FIRST = { name: "first", bytes: corpusEntry("machine-none").open() };
const SECOND = { name: "second one", bytes: corpusEntry("pc-never-run").open() };

test("two snapshots by name and by id", async (t) => {
  const { bytes } = image({ states: [FIRST, SECOND] });
  t.ok((await read(bytes, "first")).equals(FIRST.bytes), "first");
  t.ok((await read(bytes, "second one")).equals(SECOND.bytes), "second");
  t.ok((await read(bytes, "2")).equals(SECOND.bytes), "by its id");
  const none = await refusal(async () => await read(bytes));
  t.equal(none?.code, "unsupported");
  t.match(none?.what ?? "", /several VM states: choose one, as --snapshot first\n/u);
  t.match(none?.what ?? "", /"first", id 1, 1970-01-01T00:00:00.000Z: VM state of [\d.]+ kB, --snapshot first\n/u);
  t.match(none?.what ?? "", /"second one", id 2, .*, --snapshot 2/u, "a name with a blank: by its id");
  const other = await refusal(async () => await read(bytes, "third"));
  t.equal(other?.code, "usage");
  t.match(other?.what ?? "", /no snapshot "third" in the qcow2 image\n *\n.*"first", id 1.*\n.*"second one", id 2/u);
  const work = mkdtempSync(join(tmpdir(), "qevm-laid-"));
  const file = join(work, "disk.qcow2");
  writeFileSync(file, bytes);
  const verified = await qevm(["verify", file, "--snapshot", "second one"]);
  t.equal(verified.code, 0, verified.stderr);
  const fuzz = ["fuzz", "decode", file, "--cases", "5"];
  const inspected = await qevm(["inspect", file]);
  t.equal(inspected.code, 2, "no wrong usage: the list is the answer");
  t.match(inspected.stderr, /"second one", id 2, .*--snapshot 2/u);
  t.equal((await qevm(fuzz)).code, 2, "fuzz does not guess which");
  t.equal((await qevm([...fuzz, "--snapshot", "second one"])).code, 0, "and takes the one that is named");
  const whole = await qevm([...fuzz, "--snapshot", "second one", "--as-is"]);
  t.deepEqual([whole.code, /--as-is/u.test(whole.stderr)], [2, true], "the image itself has none to choose");
  const listed = spawnSync("qemu-img", ["snapshot", "-l", "-U", file], { encoding: "utf8" });
  if (listed.error === undefined)
    t.match(listed.stdout, /1 +first[^]*2 +second one/u, "qemu-img reads the image as we laid it");
  else t.comment("SKIP no qemu-img here");
  rmSync(work, { recursive: true });
  t.end();
});

function zstdOf(cluster: Buffer): Buffer {
  return spawnSync("zstd", ["-c", "--no-check"], { input: cluster }).stdout;
}

test("snapshots without a VM state, and several of one name", async (t) => {
  const EMPTY = { name: "disk only", bytes: Buffer.alloc(0) };
  const other = await refusal(async () => await read(image({ states: [EMPTY] }).bytes));
  t.equal(other?.code, "unsupported");
  t.match(
    other?.what ?? "",
    /hold no VM state: .*others the disk alone; try its other images\n *\n.*"disk only".*no VM state/u,
  );
  const empty = await refusal(async () => await read(image({ states: [EMPTY, FIRST] }).bytes, "disk only"));
  t.deepEqual([empty?.code, /holds no VM state/u.test(empty?.what ?? "")], ["usage", true]);
  t.ok((await read(image({ states: [EMPTY, FIRST] }).bytes)).equals(FIRST.bytes), "the only one with a state");
  const twins = image({ states: [FIRST, { ...SECOND, name: "first" }] }).bytes;
  const twice = await refusal(async () => await read(twins, "first"));
  t.match(twice?.what ?? "", /several snapshots are called "first": choose by id\n *\n.*--snapshot 1\n.*--snapshot 2/u);
  t.ok((await read(twins, "2")).equals(SECOND.bytes), "by its id");
  const half = image({ states: [{ ...EMPTY, name: "first" }, FIRST] }).bytes;
  t.ok((await read(half, "first")).equals(FIRST.bytes), "of two with one name, the one with a state");
  const crossed = image({ states: [{ ...FIRST, name: "2" }, SECOND] }).bytes;
  t.ok((await read(crossed, "2")).equals(FIRST.bytes), "a name before an id");
  t.end();
});

/** A mapped-ram stream of QEMU 11.1, whose snapshot says a smaller size than the state has. */
const MAPPED = gunzipSync(readFileSync(join(projectRoot(), "spec", "support", "mapped-ram-11.1.gz")));

test("a state with mapped-ram goes on after the size that the snapshot says", async (t) => {
  const field = join(projectRoot(), "corpus", "field", "savevm-mapped-ram.bin");
  const real = await qevm(["verify", field, "--json"]);
  t.equal(real.code, 0, real.stderr);
  t.equal((flatDocument(real.stdout) as { complete: boolean }).complete, true, "11.1's own image");
  const devices = await qevm(["devices", field]);
  t.match(devices.stdout, /timer\/0/u, "the device state after the pages");
  const stated = 5000;
  const cases: [string, Partial<Wanted>][] = [
    ["plain clusters", {}],
    ["compressed clusters", { packed: (k) => k % 3 === 0 }],
    ["version 2", { version: 2 }],
    ["extended L2 entries", { extended: true }],
  ];
  for (const [what, wanted] of cases) {
    const laid = image({ states: [{ name: "s", bytes: MAPPED, stated }], ...wanted });
    const bytes = await read(laid.bytes);
    t.ok(bytes.length >= MAPPED.length && bytes.length < MAPPED.length + CLUSTER, `${what}: ${bytes.length}`);
    t.ok(bytes.subarray(0, MAPPED.length).equals(MAPPED), what);
  }
  const normal = image({ states: [{ ...FIRST, stated: 5000 }] });
  t.equal((await read(normal.bytes)).length, 5000, "another stream ends where the snapshot says");
  const spoiled = Buffer.from(image({ states: [{ name: "s", bytes: MAPPED, stated }] }).bytes);
  const { l2 } = image({ states: [{ name: "s", bytes: MAPPED, stated }] }).places[0]!;
  spoiled.writeBigUInt64BE(COPIED | (1n << 50n), l2 + 8 * Math.floor(MAPPED.length / CLUSTER));
  const error = await refusal(async () => await read(spoiled));
  t.equal(error?.code, "bad-offset", `what follows is checked, too: ${error?.message}`);
  const external = await refusal(
    async () => await read(image({ states: [{ name: "s", bytes: MAPPED, stated }], dataFile: "d.raw" }).bytes),
  );
  t.match(external?.what ?? "", /another file, "d\.raw"/u);
  t.end();
});

test("compressed clusters of a state", async (t) => {
  const deflated = image({ states: [FIRST, SECOND], packed: (k) => k % 3 !== 1 });
  t.ok((await read(deflated.bytes, "second one")).equals(SECOND.bytes), "deflate");
  const zstd = spawnSync("zstd", ["-c"], { input: Buffer.alloc(1) });
  if (zstd.error === undefined) {
    const { bytes } = image({ states: [FIRST], packed: () => true, pack: zstdOf, compression: 1 });
    t.ok((await read(bytes)).equals(FIRST.bytes), "zstd");
  } else {
    t.comment("SKIP no zstd here");
  }
  const short = image({ states: [FIRST], packed: (k) => k === 1, pack: () => deflateRawSync(Buffer.alloc(100)) });
  const wrong = await refusal(async () => await read(short.bytes));
  t.equal(wrong?.code, "bad-compressed-data", wrong?.message);
  const garbage = image({ states: [FIRST], packed: (k) => k === 1, pack: () => Buffer.alloc(600, 0xff) });
  const broken = await refusal(async () => await read(garbage.bytes));
  t.equal(broken?.code, "bad-compressed-data");
  t.equal((broken?.offset ?? 0) % CLUSTER, 100, "at the cluster's place");
  t.end();
});

test("an external data file is named, encryption is said", async (t) => {
  const external = await refusal(async () => await read(image({ states: [FIRST], dataFile: "disk.raw" }).bytes));
  t.equal(external?.code, "unsupported");
  t.match(external?.what ?? "", /another file, "disk\.raw"/u);
  const locked = await refusal(async () => await read(image({ states: [FIRST], encryption: 2 }).bytes));
  t.match(locked?.what ?? "", /encrypted/u);
  t.end();
});

test("broken tables and loops are errors with an address", async (t) => {
  const { bytes, places } = image({ states: [FIRST, SECOND], packed: (k) => k === 2 });
  const [{ l1, l2 }, second] = places as [Laid["places"][0], Laid["places"][0]];
  const entry = bytes.readBigUInt64BE(l2);
  const spoiled: [string, number, bigint][] = [
    ["L1 outside the file", l1, COPIED | (1n << 50n)],
    ["L1 not aligned", l1, COPIED | BigInt(l2 + 512)],
    ["L1 with reserved bits", l1, COPIED | BigInt(l2) | 2n],
    ["L1 leads to its own table", l1, COPIED | BigInt(l1 - 8)],
    ["L1 leads to the header", l1, COPIED],
    ["L1 leads to the snapshot table", l1, COPIED | BigInt(CLUSTER)],
    ["L2 leads to its own table", l2, COPIED | BigInt(l2)],
    ["L2 leads to the L1 table", l2, COPIED | BigInt(l1 - 8)],
    ["L2 outside the file", l2, COPIED | (1n << 50n)],
    ["L2 not aligned", l2, entry + 512n],
    ["L2 with reserved bits", l2, entry | 4n],
    ["two clusters at one place", l2 + 8, entry],
    ["compressed outside the file", l2 + 16, COMPRESSED | (1n << 50n)],
  ];
  for (const [what, at, value] of spoiled) {
    const copy = Buffer.from(bytes);
    copy.writeBigUInt64BE(value, at);
    const error = await refusal(async () => await read(copy, "first"));
    // An entry of zero is not a table: it reads as zeros, which is not a stream.
    if (what === "L1 leads to the header") t.ok(error === undefined || error.code === "bad-magic", what);
    else t.equal(error?.offset, at, `${what}: ${error?.message}`);
  }
  const packed = image({ states: [FIRST], packed: () => true });
  const own = packed.places[0]!.l2;
  packed.bytes.copy(packed.bytes, own + 8, own, own + 8);
  const shared = await refusal(async () => await read(packed.bytes, "first"));
  t.deepEqual([shared?.code, shared?.offset], ["bad-offset", own + 8], "two compressed clusters at one place");
  const table = Buffer.from(bytes);
  table.writeUInt32BE(1, CLUSTER + 8);
  const small = await refusal(async () => await read(table, "first"));
  t.equal(small?.code, "bad-length", "an L1 table that is too short for the state");
  t.equal(small?.offset, l1 - 8);
  const cut = await refusal(async () => await read(bytes.subarray(0, second.l2), "second one"));
  t.ok(cut !== undefined && cut.offset !== undefined, `cut: ${cut?.message}`);
  t.end();
});

test("header and snapshot table come back from their fields", async (t) => {
  const { bytes } = image({ states: [FIRST, SECOND] });
  const header = decodeQcow2Header(bytes);
  t.deepEqual(Buffer.from(encodeQcow2Header(header)), bytes.subarray(0, 112), "version 3");
  const snapshots = await readSnapshots(new MemorySource(bytes), header);
  t.deepEqual(
    snapshots.map((one) => [one.id, one.name, Number(vmStateSize(one))]),
    [
      ["1", "first", FIRST.bytes.length],
      ["2", "second one", SECOND.bytes.length],
    ],
  );
  const table = Buffer.concat(snapshots.map((one) => encodeSnapshot(one)));
  t.deepEqual(table, bytes.subarray(CLUSTER, CLUSTER + table.length), "the table");
  const old = Buffer.from(bytes.subarray(0, 72));
  old.writeUInt32BE(2, 4);
  t.deepEqual(Buffer.from(encodeQcow2Header(decodeQcow2Header(old))), old, "version 2");
  const spoiled: [number, number, string, number | undefined][] = [
    [0, 0x51464900, "bad-magic", 0],
    [4, 4, "unsupported-version", 4],
    [20, 8, "bad-value", 20],
    [20, 22, "bad-value", 20],
    [76, 0x20, "unsupported", 72],
    [104, 0x02000000, "unsupported", 104],
  ];
  for (const [at, value, code, offset] of spoiled) {
    const copy = Buffer.from(bytes.subarray(0, 512));
    copy.writeUInt32BE(value, at);
    const error = await refusal(() => decodeQcow2Header(copy));
    t.deepEqual([error?.code, error?.offset], [code, offset], error?.message);
  }
  for (const length of [71, 103]) {
    t.equal((await refusal(() => decodeQcow2Header(bytes.subarray(0, length))))?.code, "truncated");
  }
  t.end();
});
