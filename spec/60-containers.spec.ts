import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { gunzipSync, gzipSync } from "node:zlib";
import test from "tape";
import {
  decodeLibvirtData,
  decodeLibvirtHeader,
  decodeQcow2Header,
  encodeLibvirtData,
  encodeLibvirtHeader,
  encodeQcow2Header,
  encodeSnapshot,
  openContainers,
  readSnapshots,
  type Input,
} from "../src/container/index.js";
import { QevmError } from "../src/errors.js";
import { inspectStream } from "../src/inspect/inspect.js";
import { verifyStream } from "../src/inspect/verify.js";
import { IterableSource, MemorySource } from "../src/qemu-file/source.js";
import { corpusEntry, projectRoot } from "../tools/corpus.js";
import { findQemus } from "../tools/qemu/find.js";
import { QemuProcess } from "../tools/qemu/process.js";
import { qevm } from "./support/program.js";

const folder = join(projectRoot(), "corpus", "libvirt");
const image = (format: string): Buffer =>
  format === "raw" || format === "sparse"
    ? gunzipSync(readFileSync(join(folder, `save.${format}.gz`)))
    : readFileSync(join(folder, `save.${format}`));

async function bytesOf(input: Input): Promise<Buffer> {
  const parts: Buffer[] = [];
  const piece = new Uint8Array(100_000);
  for (;;) {
    const n = await input.read(piece);
    if (n === 0) return Buffer.concat(parts);
    parts.push(Buffer.from(piece.subarray(0, n)));
  }
}

async function refusal(work: () => Promise<unknown>): Promise<QevmError | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (error instanceof QevmError) return error;
    throw error;
  }
}

test("real libvirt images of every format", async (t) => {
  const formats = ["raw", "gzip", "bzip2", "xz", "lzop", "zstd"];
  for (const format of formats) {
    const bytes = image(format);
    for (const [way, source] of [
      ["file", new MemorySource(bytes)],
      ["pipe", new IterableSource([bytes.subarray(0, 50), bytes.subarray(50)])],
    ] as const) {
      const input = await openContainers(source);
      const [container] = input.containers;
      if (container?.kind !== "libvirt") return t.end("no libvirt container");
      t.equal(container.format, format, `${format} by ${way}`);
      t.match(container.data.xml, /^<domain type='qemu'>[\s\S]*<name>tiny<\/name>[\s\S]*<\/domain>\s*$/u);
      t.match(container.data.cookie ?? "", /^<cookie>[\s\S]*<\/cookie>\s*$/u);
      const result = await verifyStream(input);
      t.ok(result.identical && result.complete, `${format} by ${way}: the stream comes back identical`);
      t.equal(result.inspection.machine, "pc-i440fx-10.0");
    }
    const header = decodeLibvirtHeader(bytes.subarray(0, 92));
    t.deepEqual(Buffer.from(encodeLibvirtHeader(header)), bytes.subarray(0, 92), `${format}: header`);
    const data = bytes.subarray(92, 92 + header.dataLength);
    const again = encodeLibvirtData(decodeLibvirtData(data, header, 92));
    t.ok(data.equals(again.bytes), `${format}: data area`);
    t.equal(again.cookieOffset, header.cookieOffset);
  }
  t.end();
});

test("a raw libvirt image names the file's own offsets", async (t) => {
  const bytes = image("raw");
  const start = bytes.indexOf("QEVM");
  bytes[start + 4] = 9;
  const error = await refusal(async () => await inspectStream(await openContainers(new MemorySource(bytes))));
  t.equal(error?.code, "unsupported-version");
  t.equal(error?.offset, start + 4);
  t.end();
});

test("libvirt headers that are refused", async (t) => {
  const change = async (edit: (bytes: Buffer) => void): Promise<QevmError | undefined> => {
    const bytes = image("gzip");
    edit(bytes);
    return await refusal(async () => await openContainers(new MemorySource(bytes)));
  };
  const foreign = image("gzip").subarray(0, 92);
  foreign[0] = 0x82;
  const wrong = await refusal(async () => decodeLibvirtHeader(foreign, 7));
  t.deepEqual(
    [wrong?.code, wrong?.offset],
    ["bad-magic", 7],
    "not taken for one, whatever text a byte is in Node's encodings",
  );
  const part = await change((bytes) => bytes.write("LibvirtQemudPart"));
  t.match(part?.message ?? "", /incomplete libvirt save image/u);
  t.equal((await change((bytes) => bytes.writeUInt32LE(3, 16)))?.code, "unsupported-version");
  t.equal((await change((bytes) => bytes.writeUInt32LE(0, 20)))?.offset, 20);
  t.equal((await change((bytes) => bytes.writeUInt32LE(7, 28)))?.offset, 28);
  t.equal((await change((bytes) => bytes.writeUInt32LE(0xffffff, 32)))?.offset, 32);
  t.equal((await change((bytes) => bytes.writeUInt32LE(0x7fffffff, 20)))?.code, "limit");
  const cut = await refusal(async () => await openContainers(new MemorySource(image("gzip").subarray(0, 5000))));
  t.equal(cut?.code, "truncated");
  t.end();
});

const PROGRAMS: readonly (readonly [string, readonly string[]])[] = [
  ["gzip", ["-c"]],
  ["xz", ["-c"]],
  ["bzip2", ["-c"]],
  ["zstd", ["-c", "-q"]],
  ["lz4", ["-c", "-q"]],
  ["lzop", ["-c"]],
];

for (const [program, args] of PROGRAMS) {
  const there = spawnSync(program, ["--version"]).error === undefined;
  test(`whole files by the program ${program}`, there ? {} : { skip: `no ${program} here` }, async (t) => {
    const plain = corpusEntry("pc-fill").open();
    const packed = spawnSync(program, args, { input: plain, maxBuffer: 1 << 26 }).stdout;
    const input = await openContainers(new IterableSource([packed.subarray(0, 7), packed.subarray(7)]));
    t.equal(input.containers[0]?.kind, program);
    t.ok(plain.equals(await bytesOf(input)), "the same bytes");
    if (program !== "xz") {
      const twice = await openContainers(new MemorySource(Buffer.concat([packed, packed, Buffer.alloc(512)])));
      t.equal((await bytesOf(twice)).length, 2 * plain.length, "two in a row, and padding");
    }
    const cut = await refusal(
      async () => await bytesOf(await openContainers(new MemorySource(packed.subarray(0, packed.length >> 1)))),
    );
    t.equal(cut?.code, "truncated", `cut: ${cut?.message}`);
    t.ok((cut?.offset ?? -1) > 0 && (cut?.offset ?? 0) <= packed.length, "its place");
    let silent = 0;
    for (let k = 1; k < 12; k++) {
      const broken = Buffer.from(packed);
      const at = Math.floor((packed.length * k) / 12);
      broken[at] = broken[at]! ^ 0x10;
      const error = await refusal(async () => {
        if (plain.equals(await bytesOf(await openContainers(new MemorySource(broken))))) return;
        silent++;
      });
      if (error !== undefined && error.offset === undefined) t.fail(`no place: ${error.message}`);
    }
    t.equal(silent, 0, "no flipped bit passes unseen");
    t.end();
  });
}

/** What came before the end or an error, and the error. */
async function salvaged(bytes: Uint8Array): Promise<{ plain: Buffer; error: QevmError | undefined }> {
  const parts: Buffer[] = [];
  const error = await refusal(async () => {
    const input = await openContainers(new MemorySource(bytes));
    const piece = new Uint8Array(100_000);
    for (let n = await input.read(piece); n > 0; n = await input.read(piece))
      parts.push(Buffer.from(piece.subarray(0, n)));
  });
  return { plain: Buffer.concat(parts), error };
}

/** A file in one of the formats, where its packed part begins, and what it holds. */
function* packedFiles(): Generator<{ what: string; program: string; packed: Buffer; start: number; plain: Buffer }> {
  const live = corpusEntry("live").open();
  for (const [program, args] of PROGRAMS) {
    if (spawnSync(program, ["--version"]).error !== undefined) continue;
    const packed = spawnSync(program, args, { input: live, maxBuffer: 1 << 26 }).stdout;
    yield { what: program, program, packed, start: 0, plain: live };
    if (program === "lz4") continue;
    const saved = image(program);
    const start = 92 + decodeLibvirtHeader(saved.subarray(0, 92)).dataLength;
    const plain = spawnSync(program, ["-dc"], { input: saved.subarray(start), maxBuffer: 1 << 26 }).stdout;
    yield { what: `libvirt, ${program}`, program, packed: saved, start, plain };
  }
}

test("a cut file gives what the program that packed it gives, and says that it is cut", async (t) => {
  for (const { what, program, packed, start, plain } of packedFiles()) {
    const wrong: string[] = [];
    let longest = 0;
    for (const part of [0.02, 0.3, 0.5, 0.9, 0.99, -30, -3]) {
      const at = part < 0 ? packed.length + part : start + Math.floor((packed.length - start) * part);
      // xz-embedded decodes no symbol that might need the 21 bytes behind it.
      const fed = packed.subarray(start, program === "xz" ? at - 32 : at);
      const { length } = spawnSync(program, ["-dc"], { input: fed, maxBuffer: 1 << 26 }).stdout;
      const found = await salvaged(packed.subarray(0, at));
      const { code, offset = -1, path } = found.error ?? {};
      if (code !== "truncated" || offset < start || offset > at || path?.join().includes(program) !== true)
        wrong.push(`cut at ${at}: ${found.error?.message}`);
      if (!found.plain.equals(plain.subarray(0, found.plain.length))) wrong.push(`cut at ${at}: other bytes`);
      if (found.plain.length < length) wrong.push(`cut at ${at}: ${found.plain.length} of ${length} bytes`);
      longest = Math.max(longest, found.plain.length);
      if (found.plain.length === 0) continue;
      const input = await openContainers(new MemorySource(packed.subarray(0, at)));
      const { bytes, warnings, complete } = await inspectStream(input, { lenient: true });
      if (bytes.total !== found.plain.length || complete || !warnings.some((one) => one.code === "truncated"))
        wrong.push(`cut at ${at}: inspect counts ${bytes.total} of ${found.plain.length}, complete: ${complete}`);
    }
    t.deepEqual(wrong, [], what);
    t.ok(longest > plain.length / 2, `${what}: ${longest} of ${plain.length} bytes`);
  }
});

/** Other forms that the same programs, and those which use many threads, write. */
const FORMS: readonly (readonly [string, string])[] = [
  ["zstd", "pzstd -q -c -p 2"],
  ["lz4", "lz4 -q -c -l"],
  ["lz4", "lz4 -q -c -B4D --content-size"],
  ["xz", "xz -c -T2 --block-size=64KiB"],
  ["bzip2", "pbzip2 -q -c -b1"],
];

for (const [kind, line] of FORMS) {
  const [program = "", ...args] = line.split(" ");
  const there = spawnSync(program, ["--version"]).error === undefined;
  test(`whole files by ${line}`, there ? {} : { skip: `no ${program} here` }, async (t) => {
    const plain = corpusEntry("pc-4.2").open();
    const packed = spawnSync(program, args, { input: plain, maxBuffer: 1 << 26 }).stdout;
    const input = await openContainers(new IterableSource([packed.subarray(0, 7), packed.subarray(7)]));
    t.equal(input.containers[0]?.kind, kind);
    t.ok(plain.equals(await bytesOf(input)), "the same bytes");
    const cut = await refusal(
      async () => await bytesOf(await openContainers(new MemorySource(packed.subarray(0, 9000)))),
    );
    t.ok((cut?.offset ?? Infinity) <= 9000, `cut: ${cut?.message}`);
    t.end();
  });
}

test("frames to be passed over before the first, and lz4's legacy frames", async (t) => {
  const text = Buffer.from("QEVM\0\0\0\x03 and no more");
  const raw = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x20, text.length, (text.length << 3) | 1, 0, 0]);
  const skipped = Buffer.from("502a4d180400000001020304", "hex");
  const frames = await openContainers(new MemorySource(Buffer.concat([skipped, skipped, raw, text])));
  t.deepEqual(frames.containers, [{ kind: "zstd" }]);
  t.ok(text.equals(await bytesOf(frames)));
  const lz4 = Buffer.from("02214c18", "hex");
  const block = Buffer.concat([Buffer.from([0xf0, text.length - 15]), text]);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(block.length);
  const legacy = Buffer.concat([lz4, length, block, lz4, length, block]);
  const input = await openContainers(new MemorySource(legacy));
  t.deepEqual(input.containers, [{ kind: "lz4" }]);
  t.ok(Buffer.concat([text, text]).equals(await bytesOf(input)));
  const long = Buffer.concat([lz4, Buffer.from("ffffff7f", "hex")]);
  const error = await refusal(async () => await openContainers(new MemorySource(long)));
  t.deepEqual([error?.code, error?.offset], ["bad-compressed-data", 4]);
  t.end();
});

test("a stream behind foreign bytes, and containers inside each other", async (t) => {
  const plain = corpusEntry("machine-none").open();
  const behind = await openContainers(new MemorySource(Buffer.concat([Buffer.alloc(4096, 0x55), plain])));
  t.deepEqual(behind.containers, [{ kind: "foreign", length: 4096 }]);
  t.equal(behind.offset, 4096);
  for (const offset of [1 << 20, (1 << 20) + 1]) {
    const { containers } = await openContainers(new MemorySource(Buffer.concat([Buffer.alloc(offset), plain])));
    t.equal(containers.length, offset > 1 << 20 ? 0 : 1, `behind ${offset} bytes`);
  }
  t.ok((await verifyStream(behind)).identical);
  const nested = await openContainers(new MemorySource(gzipSync(image("zstd"))));
  t.deepEqual(
    nested.containers.map(({ kind }) => kind),
    ["gzip", "libvirt"],
  );
  t.ok((await verifyStream(nested)).identical);
  let deep: Buffer = plain;
  for (let k = 0; k < 5; k++) deep = gzipSync(deep);
  t.equal((await refusal(async () => await openContainers(new MemorySource(deep))))?.code, "limit");
  t.end();
});

const qemu = findQemus()[0];
const noQemu =
  qemu === undefined
    ? "no qemu-system-x86_64 here"
    : spawnSync("qemu-img", ["--version"]).error !== undefined
      ? "no qemu-img here"
      : "";

for (const [name, options] of [
  ["version 3", "compat=1.1"],
  ["version 2", "compat=0.10"],
  ["small clusters", "cluster_size=4k"],
  ["extended L2", "extended_l2=on,cluster_size=64k"],
] as const) {
  test(`qcow2, ${name}: two snapshots of a real QEMU`, noQemu === "" ? {} : { skip: noQemu }, async (t) => {
    const work = mkdtempSync(join(tmpdir(), "qevm-qcow2-"));
    const file = join(work, "disk.qcow2");
    try {
      spawnSync("qemu-img", ["create", "-q", "-f", "qcow2", "-o", options, file, "3M"]);
      const args = ["-machine", "pc", "-m", "16", "-nodefaults", "-S", "-drive", `file=${file},format=qcow2,if=ide`];
      const vm = await QemuProcess.start(qemu!, args);
      const truth: string[] = [];
      try {
        for (const mark of ["first", "second one"]) {
          if (mark !== "first") {
            await vm.execute("cont");
            await sleep(300);
            await vm.execute("stop");
          }
          await vm.human(`pmemsave 0 0xa0000 "${join(work, "pmem")}"`);
          truth.push(
            createHash("sha256")
              .update(readFileSync(join(work, "pmem")))
              .digest("hex"),
          );
          await vm.human(`savevm "${mark}"`);
        }
      } finally {
        await vm.close();
      }
      const none = await qevm(["inspect", file]);
      t.equal(none.code, 2, "which one must be said");
      t.match(none.stderr, /"first" \(id 1\), "second one" \(id 2\)/u);
      for (const [k, mark] of ["first", "second one"].entries()) {
        const verified = await qevm(["verify", file, "--snapshot", mark, "--json"]);
        t.equal(verified.code, 0, verified.stderr);
        const out = join(work, `out${k}`);
        const extracted = await qevm(["extract", file, "--snapshot", mark, "--format", "blocks", "--out", out]);
        t.equal(extracted.code, 0, extracted.stderr);
        const low = readFileSync(join(out, "pc.ram")).subarray(0, 0xa0000);
        t.equal(createHash("sha256").update(low).digest("hex"), truth[k], `memory of ${mark}`);
      }
      const bytes = readFileSync(file);
      const header = decodeQcow2Header(bytes);
      t.deepEqual(Buffer.from(encodeQcow2Header(header)), bytes.subarray(0, header.headerLength), "header");
      const snapshots = await readSnapshots(new MemorySource(bytes), header);
      const table = Buffer.concat(snapshots.map((snapshot) => encodeSnapshot(snapshot)));
      const at = Number(header.snapshotsOffset);
      // The last entry may stand at the file's very end, without its padding.
      const there = bytes.subarray(at, at + table.length);
      t.ok(there.length > table.length - 8, "snapshot table, whole");
      t.deepEqual(table.subarray(0, there.length), there, "snapshot table");
      t.notEqual(truth[0], truth[1], "the two memories differ");
      const l1 =
        Number(snapshots[0]!.l1TableOffset) +
        8 * Math.ceil(3 / ((2 ** header.clusterBits) ** 2 / (options.includes("extended") ? 16 : 8) / 2 ** 20));
      await corrupt(t, bytes, l1);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
    t.end();
  });
}

/** Every way to spoil the first L1 entry of the state, and the first L2 entry, is an error at its place. */
async function corrupt(t: test.Test, bytes: Buffer, l1: number): Promise<void> {
  const spoil = async (at: number, value: bigint): Promise<QevmError | undefined> => {
    const copy = Buffer.from(bytes);
    copy.writeBigUInt64BE(value, at);
    return await refusal(
      async () => await bytesOf(await openContainers(new MemorySource(copy), { snapshot: "first" })),
    );
  };
  const entry = bytes.readBigUInt64BE(l1);
  const l2 = Number(entry & 0x00fffffffffffe00n);
  const cluster = bytes.readBigUInt64BE(l2);
  const copied = 1n << 63n;
  for (const [what, at, value] of [
    ["L1 entry outside the file", l1, copied | (1n << 50n)],
    ["L1 entry that is not aligned", l1, entry + 512n],
    ["L1 entry with reserved bits", l1, entry | 4n],
    ["L1 entry that leads back to the L1 table", l1, copied | BigInt(l1 - (l1 % 4096))],
    ["L2 entry that leads back to its table", l2, copied | BigInt(l2)],
    ["L2 entry outside the file", l2, copied | (1n << 50n)],
    ["L2 entry that is not aligned", l2, cluster + 512n],
  ] as const) {
    const error = await spoil(at, value);
    t.equal(error?.offset, at, `${what}: ${error?.message}`);
  }
}

test("the program sees through containers", async (t) => {
  const work = mkdtempSync(join(tmpdir(), "qevm-containers-"));
  try {
    const file = join(work, "vm.save");
    copyFileSync(join(folder, "save.lzop"), file);
    const run = await qevm(["inspect", file, "--json"]);
    const found = JSON.parse(run.stdout) as { container: string; machine: string; complete: boolean };
    t.deepEqual([found.container, found.machine, found.complete], ["libvirt (lzop)", "pc-i440fx-10.0", true]);
    const text = await qevm(["inspect", file]);
    t.match(text.stdout, /libvirt save image, version 2, lzop, the guest was paused\n {2}\| <domain type='qemu'>/u);
    truncateSync(file, 300_000);
    const cut = await qevm(["inspect", file]);
    t.equal(cut.code, 1);
    t.match(cut.stderr, /refused at byte 0x[0-9a-f]+, lzop file/u);
    writeFileSync(file, image("gzip").fill("LibvirtQemudPart", 0, 16));
    t.match((await qevm(["inspect", file])).stderr, /incomplete libvirt save image/u);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  t.end();
});

test("a read that fails while the event loop turns is the error of who waits", async (t) => {
  const head = corpusEntry("compress-1-threads-1").open().subarray(0, 600);
  let first = true;
  const input = await openContainers({
    read: async (into) => {
      if (!first) throw new Error("the disk is gone");
      first = false;
      into.set(head);
      return head.length;
    },
  });
  t.equal(await input.read(new Uint8Array(600)), 600);
  // So long that a turn is due: the read has failed before it is over.
  await sleep(150);
  const failed = await Promise.resolve(input.read(new Uint8Array(10))).then(
    () => undefined,
    (error: unknown) => String(error),
  );
  t.equal(failed, "Error: the disk is gone");
});
