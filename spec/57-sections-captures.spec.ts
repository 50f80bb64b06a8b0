/** Sections with a grammar of their own in captures: disks, bitmaps, virtio-mem, and what QEMU makes of them. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { convertStream } from "../src/rewrite/convert/convert.js";
import type { ConvertOptions } from "../src/rewrite/convert/types.js";
import { QevmError } from "../src/bytes/errors.js";
import { be } from "../src/analyse/fuzz/raw-bytes.js";
import { inspectStream } from "../src/analyse/inspect/inspect.js";
import { verifyStream } from "../src/analyse/inspect/verify.js";
import { extractBlocks } from "../src/guest/files/extract-blocks.js";
import { MemorySink, MemorySource } from "../src/bytes/index.js";
import {
  BLOCK_CHUNK,
  ownRecord,
  type BitmapRecord,
  type BlockRecord,
  type SectionRecord,
} from "../src/codec/sections/index.js";
import { StreamReader } from "../src/codec/stream/index.js";
import { deviceToPlain } from "../src/codec/vmstate/index.js";
import { smallDisk } from "../tools/capture/entries/sections.js";
import { corpusEntry } from "../tools/corpus.js";
import { destinationLike, startDestination } from "../tools/destination/index.js";
import { changedRecords } from "./support/changed-records.js";
import { loads, qemuOf } from "./support/loads.js";
import { qevm } from "./support/program.js";
import { sha256Of } from "../tools/sha256.js";

/** The records of one section of a capture, with bytes of their own. */
async function recordsOf(entry: string, name: string): Promise<SectionRecord[]> {
  const found: SectionRecord[] = [];
  for await (const item of new StreamReader(new MemorySource(corpusEntry(entry).open()))) {
    if (item.kind !== "section" || item.idstr !== name || item.content.kind !== "records") continue;
    for await (const record of item.content.entries()) found.push(ownRecord(record));
  }
  return found;
}

for (const entry of ["block", "v5.2-block"]) {
  test(`${entry}: the disk is the source's file`, async (t) => {
    const records = (await recordsOf(entry, "block")) as BlockRecord[];
    const disks = new Map<string, Buffer>();
    for (const record of records) {
      if (record.kind !== "data" && record.kind !== "zero") continue;
      const end = record.position + BLOCK_CHUNK;
      const old = disks.get(record.device) ?? Buffer.alloc(0);
      const disk = old.length >= end ? old : Buffer.concat([old, Buffer.alloc(end - old.length)]);
      if (record.kind === "data") disk.set(record.data, record.position);
      disks.set(record.device, disk);
    }
    t.deepEqual([...disks.keys()].toSorted(), ["empty", "hd"], "two disks");
    t.ok(disks.get("hd")?.equals(Buffer.from(smallDisk.content())), "hd");
    t.ok(disks.get("empty")?.equals(Buffer.alloc(1 << 20)), "empty");
    t.deepEqual(records.at(-1)?.kind, "end", "ends");
    const done = records.findLast((record) => record.kind === "progress");
    t.equal(done?.kind === "progress" ? done.percent : -1, 100, "100 percent");
  });
}

/** What the capture's steps wrote: 200 KiB from 64 KiB on, 3 MiB from 32 MiB on. */
function written(granularity: number): number[] {
  const granules: number[] = [];
  for (const [from, length] of [
    [64 << 10, 200 << 10],
    [32 << 20, 3 << 20],
  ] as const) {
    const last = Math.ceil((from + length) / granularity);
    for (let i = Math.floor(from / granularity); i < last; i++) granules.push(i);
  }
  return granules;
}

for (const entry of ["dirty-bitmap", "v5.2-dirty-bitmap", "v10.0-dirty-bitmap", "v11.1-dirty-bitmap"]) {
  test(`${entry}: the bits are those of what was written`, async (t) => {
    const records = (await recordsOf(entry, "dirty-bitmap")) as BitmapRecord[];
    const bitmaps = new Map<string, { granularity: number; enabled: boolean; dirty: Set<number>; complete: boolean }>();
    let node = "";
    let bitmap = "";
    for (const record of records) {
      node = record.node ?? node;
      bitmap = record.bitmap ?? bitmap;
      const name = `${node}/${bitmap}`;
      const at = bitmaps.get(name);
      if (record.kind === "start") {
        const { granularity, enabled, persistent, autoload } = record;
        t.notOk(persistent || autoload, `${name} is not stored`);
        bitmaps.set(name, { granularity, enabled, dirty: new Set(), complete: false });
      } else if (record.kind === "complete") {
        at!.complete = true;
      } else if (record.kind === "bits" && record.bits !== undefined) {
        const first = Number(record.sector) / (at!.granularity / 512);
        record.bits.forEach((byte, i) => {
          for (let bit = 0; bit < 8; bit++) if ((byte & (1 << bit)) !== 0) at!.dirty.add(first + i * 8 + bit);
        });
      }
    }
    const bitsOf = (name: string): number[] => [...(bitmaps.get(name)?.dirty ?? [])].toSorted((a, b) => a - b);
    t.deepEqual([...bitmaps.keys()].toSorted(), ["disk0/fine", "disk0/since-monday", "disk1/still"], "three bitmaps");
    t.deepEqual(bitsOf("disk0/since-monday"), written(65_536), "granules of 64 KiB");
    t.deepEqual(bitsOf("disk0/fine"), written(512), "sectors");
    t.deepEqual(bitsOf("disk1/still"), [], "none");
    t.deepEqual([bitmaps.get("disk0/fine")?.enabled, bitmaps.get("disk1/still")?.enabled], [true, false], "enabled");
    t.ok(
      [...bitmaps.values()].every(({ complete }) => complete),
      "all complete",
    );
  });
}

test("inspect names them with counts", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-57-"));
  try {
    const file = join(folder, "s");
    writeFileSync(file, corpusEntry("dirty-bitmap").open());
    const { stdout: out } = await qevm(["inspect", file]);
    t.ok(
      /dirty-bitmap \d+ parts? \(start 3, .*complete 3\)/u.test(out),
      out.split("\n").find((line) => line.startsWith("Sections")),
    );
    t.ok(out.includes("Understood: every byte"), "every byte");
    const unpacked = join(folder, "u");
    t.equal((await qevm(["unpack", file, unpacked])).code, 0, "unpack");
    t.equal((await qevm(["pack", unpacked, "--out", join(folder, "again")])).code, 0, "pack");
    t.ok(readFileSync(join(folder, "again")).equals(readFileSync(file)), "the same stream");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("a changed record makes a changed disk in QEMU 7.2", async (t) => {
  if (qemuOf(t, "7.2") === undefined) return;
  const entry = corpusEntry("block");
  const stream = await changedRecords(entry.open(), changed);
  const { vm, result } = await startDestination(destinationLike(entry, { stream }));
  try {
    t.ok(result.loaded, `loaded ${result.error}`);
    const want = Buffer.from(smallDisk.content());
    want.write("changed on the way", 5000);
    t.ok(readFileSync(vm.file("disk.img")).equals(want), "the destination's disk");
  } finally {
    await vm.close();
  }
});

function changed(record: SectionRecord): SectionRecord {
  if (record.section !== "block" || record.kind !== "data" || record.position > 0) return record;
  const data = Buffer.from(record.data);
  data.write("changed on the way", 5000);
  return { ...record, data };
}

/** A stream converted, in memory. */
async function converted(name: string, options: ConvertOptions): Promise<Uint8Array> {
  const sink = new MemorySink();
  const scratch = mkdtempSync(join(tmpdir(), "qevm-57-"));
  try {
    await convertStream(new MemorySource(corpusEntry(name).open()), sink, options, scratch);
    return sink.bytes();
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

for (const [name, section] of [
  ["block", "block"],
  ["v10.0-dirty-bitmap", "dirty-bitmap"],
] as const) {
  test(`${name}: one round keeps the sections between the rounds`, async (t) => {
    const before = await inspectStream(new MemorySource(corpusEntry(name).open()));
    const bytes = await converted(name, { flatten: true });
    const { inspection, identical, opaqueBytes } = await verifyStream(new MemorySource(bytes));
    const of = ({ sections }: typeof before): unknown[] =>
      sections.filter((item) => item.section === section).map(({ type, recordCounts: records }) => ({ type, records }));
    t.deepEqual([identical, opaqueBytes], [true, 0], "identical, nothing opaque");
    t.deepEqual(of(inspection), of(before), `every part of "${section}"`);
    const ram = inspection.sections.filter((item) => item.section === "ram").map(({ type }) => type);
    t.deepEqual(ram, ["start", "part", "end"], "one round of pages");
    if (qemuOf(t, corpusEntry(name).capture.version) !== undefined) await loads(t, corpusEntry(name), bytes, name);
  });
}

test("virtio-mem: what is plugged in is before the pages and needs neither them nor a VMDESCRIPTION", async (t) => {
  const bytes = corpusEntry("v10.0-virtio-mem").open();
  const order: string[] = [];
  let early: Record<string, unknown> | undefined;
  // Far less than the memory after it, but room for the devices.
  const reader = new StreamReader(new MemorySource(bytes), { limits: { deviceBytes: 200_000 } });
  for await (const item of reader) {
    if (item.kind !== "section") continue;
    order.push(`${item.type} ${item.idstr.replace(/^.*\//u, "")}`);
    if (item.content.kind === "device" && item.idstr.endsWith("/virtio-mem-device-early")) {
      early = deviceToPlain(item.content.state).fields;
    }
  }
  t.ok(reader.complete, "complete");
  t.deepEqual(order.slice(0, 3), ["start ram", "full virtio-mem-device-early", "part ram"], "order");
  t.deepEqual(
    { ...(early?.["tmp"] as Record<string, unknown>) },
    { addr: "0x100000000", region_size: "0x4000000", block_size: "0x100000", node: 0 },
    "64 MiB from 4 GiB on, in blocks of 1 MiB",
  );
  t.deepEqual([early?.["size"], early?.["bitmap"]], ["0x0", ["0x0"]], "nothing is plugged in without a driver");

  const at = bytes.indexOf("/virtio-mem-device-early", 0, "latin1") + 24 + 8;
  const wrong = Buffer.from(bytes);
  wrong.fill(0, at + 16, at + 24);
  const refused = await inspectStream(new MemorySource(wrong)).then(
    () => undefined,
    (e: unknown) => e,
  );
  t.ok(refused instanceof QevmError && refused.code === "bad-value" && refused.offset === at + 16, String(refused));
  wrong.set(be(1n << 60n, 8), at + 8);
  wrong.set(be(1n, 8), at + 16);
  const large = await inspectStream(new MemorySource(wrong)).then(
    () => undefined,
    (e: unknown) => e,
  );
  t.ok(large instanceof QevmError && large.code === "limit" && large.offset === at + 16, String(large));
});

for (const options of [{ flatten: true }, { to: "mapped-ram" }] as const) {
  test(`virtio-mem: ${JSON.stringify(options)} keeps the pages after it`, async (t) => {
    const entry = corpusEntry("v10.0-virtio-mem");
    const out = mkdtempSync(join(tmpdir(), "qevm-57-"));
    try {
      const bytes = await converted(entry.name, options);
      const { blocks } = await extractBlocks(new MemorySource(bytes), join(out, "ram"));
      for (const { name, sha256 } of entry.truth.blocks) {
        const file = join(out, "ram", blocks.find((block) => block.block === name)?.file ?? "none");
        t.equal(sha256Of(readFileSync(file)), sha256, name);
      }
      if (qemuOf(t, "10.0") === undefined) return;
      const capabilities = "to" in options ? ["mapped-ram"] : [];
      await loads(t, entry, bytes, "10.0", { capabilities, from: "to" in options ? "file" : "exec" });
    } finally {
      rmSync(out, { recursive: true, force: true });
    }
  });
}
