import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { convertStream } from "../src/rewrite/convert/convert.js";
import { QevmError } from "../src/bytes/errors.js";
import { be, concat, str8 } from "../src/analyse/fuzz/raw-bytes.js";
import { inspectStream } from "../src/analyse/inspect/inspect.js";
import { verifyStream } from "../src/analyse/inspect/verify.js";
import { extractPhysical } from "../src/guest/files/extract-physical.js";
import { MemorySink, MemorySource } from "../src/bytes/index.js";
import { ownRecord, type SectionRecord } from "../src/codec/sections/index.js";
import { StreamReader } from "../src/codec/stream/index.js";
import { deviceToPlain, type PlainValue } from "../src/codec/vmstate/index.js";
import { targetEntries } from "../tools/capture/entries/targets.js";
import { corpusEntry } from "../tools/corpus.js";
import { destinationLike, startDestination } from "../tools/destination/index.js";
import { hashTableEntries, storageKeyPages } from "../tools/guest/targets.js";
import { arrivals } from "./support/arrivals.js";
import { changedRecords } from "./support/changed-records.js";
import { loads, qemuOf } from "./support/loads.js";

const scratch = mkdtempSync(join(tmpdir(), "qevm-58-"));
test.onFinish(() => rmSync(scratch, { recursive: true, force: true }));

const targets: readonly [name: string, pageSize: number, machine: string, blocks: readonly string[]][] = [
  ["aarch64-virt", 4096, "virt-7.2", ["virt.flash0", "virt.flash1", "mach-virt.ram"]],
  ["arm-microbit", 1024, "microbit", ["nrf51_soc.flash", "nrf51.sram"]],
  ["arm-integratorcp", 1024, "integratorcp", ["integrator.ram", "integrator.flash"]],
  ["riscv64-virt", 4096, "virt", ["virt.flash0", "virt.flash1", "riscv_virt_board.ram", "riscv_virt_board.mrom"]],
  ["s390x", 4096, "s390-ccw-virtio-7.2", ["s390.ram"]],
  ["ppc64-pseries", 4096, "pseries-7.2", ["ppc_spapr.ram"]],
  ["m68k-virt", 4096, "virt-7.2", ["m68k_virt.ram"]],
  ["avr-uno", 256, "arduino-uno", ["flash", "sram"]],
];

for (const [name, pageSize, machine, blocks] of targets) {
  test(`${name}: pages of ${pageSize} bytes, every byte understood`, async (t) => {
    const bytes = corpusEntry(name).open();
    const { identical, opaqueBytes, complete, inspection } = await verifyStream(new MemorySource(bytes));
    t.deepEqual([identical, opaqueBytes, complete], [true, 0, true], "identical, nothing opaque, complete");
    t.equal(inspection.pageSize, pageSize, "page size");
    t.equal(inspection.machine, machine, "machine");
    const names = inspection.ram.blocks.map((block) => block.block);
    t.deepEqual(
      blocks.filter((block) => !names.includes(block)),
      [],
      names.join(", "),
    );
    for (const block of inspection.ram.blocks) {
      t.ok(block.normal + block.zero >= block.blockLength / pageSize, `${block.block}: every page was sent`);
    }
    // QEMU's own word, which is after everything that was decoded with it.
    const said = /"page_size": ?(\d+)/u.exec(bytes.toString("latin1", bytes.length - 200_000))?.[1];
    t.equal(said, String(pageSize), "as VMDESCRIPTION says");
  });
}

test("pages of 1 KiB are found however the bytes arrive, and what is asked for holds", async (t) => {
  const bytes = corpusEntry("arm-microbit").open();
  for (const [how, source] of Object.entries(arrivals(bytes))) {
    if (how === "slowly") continue;
    const { pageSize, complete } = await inspectStream(source());
    t.deepEqual([pageSize, complete], [1024, true], how);
  }
  const given = await inspectStream(new MemorySource(bytes), { pageSize: 1024 });
  t.equal(given.pageSize, 1024, "given");
  try {
    await inspectStream(new MemorySource(bytes), { pageSize: 4096 });
    t.fail("accepted as 4 KiB");
  } catch (error) {
    t.ok(error instanceof QevmError && error.code === "unknown-type", String(error));
  }
});

test("virt up to 2.7 has pages of the smallest size, as a real QEMU writes them", async (t) => {
  const bytes = corpusEntry("arm-integratorcp").open();
  // 0x07, be32 length, name.
  const end = 13 + bytes.readUInt32BE(9);
  const named = (machine: string): Buffer => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(machine.length);
    return Buffer.concat([bytes.subarray(0, 9), length, Buffer.from(machine, "latin1"), bytes.subarray(end)]);
  };
  for (const machine of ["virt-2.6", "virt-2.7"]) {
    const { pageSize, complete } = await inspectStream(new MemorySource(named(machine)));
    t.deepEqual([pageSize, complete], [1024, true], machine);
  }
  await inspectStream(new MemorySource(named("virt-2.8"))).then(
    () => t.fail("virt-2.8 read with pages of 1 KiB"),
    (error: unknown) => t.ok(error instanceof QevmError, String(error)),
  );
});

/** A stream without devices: one block of sixteen pages, the first and the last with data. */
function handmade(machine: string, pageSize: number, bits?: number): Uint8Array {
  const subsection = bits === undefined ? [] : [[5], str8("configuration/target-page-bits"), be(1, 4), be(bits, 4)];
  const footer = concat([0x7e], be(2, 4));
  const eos = be(0x10n, 8);
  const length = 16 * pageSize;
  const pages = Array.from({ length: 16 }, (_, i) => {
    const at = i * pageSize;
    const head = be(BigInt(at + (i === 0 ? 8 : i === 15 ? 0x28 : 0x22)), 8);
    if (i === 0) return concat(head, str8("ram"), new Uint8Array(pageSize).fill(0x11));
    return i === 15 ? concat(head, new Uint8Array(pageSize).fill(0x22)) : concat(head, [0]);
  });
  return concat(
    be(0x5145564d00000003n, 8),
    concat([7], be(machine.length, 4), Buffer.from(machine), ...subsection),
    concat([1], be(2, 4), str8("ram"), be(0, 4), be(4, 4), be(BigInt(length + 4), 8), str8("ram")),
    concat(be(BigInt(length), 8), eos, footer),
    concat([2], be(2, 4), ...pages, eos, footer, [3], be(2, 4), eos, footer, [0]),
  );
}

const sizes: readonly [bits: number, machine: string][] = [
  [10, "old-arm"],
  [11, "odd"],
  [12, "some-board"],
  [13, "clipper"],
  [14, "tricore_testboard"],
  [16, "large"],
];

for (const [bits, machine] of sizes) {
  test(`pages of ${2 ** bits} bytes, said or shown`, async (t) => {
    for (const said of [bits, undefined]) {
      const bytes = handmade(machine, 2 ** bits, said);
      const { identical, opaqueBytes, inspection } = await verifyStream(new MemorySource(bytes));
      const what = said === undefined ? "shown by the pages" : "said by the configuration";
      t.deepEqual([identical, opaqueBytes, inspection.pageSize], [true, 0, 2 ** bits], what);
      t.deepEqual([inspection.ram.pages.normal, inspection.ram.pages.zero], [2, 14], "pages");
      t.deepEqual(inspection.warnings, [], "no warnings");
    }
  });
}

test("where nothing shows the page size it is 4096", async (t) => {
  const bytes = handmade("some-board", 4096);
  const start = bytes.subarray(0, bytes.indexOf(2, 60));
  const one = concat(start, [0]);
  const result = await inspectStream(new MemorySource(one), { lenient: true });
  t.equal(result.pageSize, 4096);
});

async function recordsOf(name: string, idstr: string): Promise<SectionRecord[]> {
  const found: SectionRecord[] = [];
  for await (const item of new StreamReader(new MemorySource(corpusEntry(name).open()))) {
    if (item.kind !== "section" || item.idstr !== idstr || item.content.kind !== "records") continue;
    for await (const record of item.content.entries()) found.push(ownRecord(record));
  }
  return found;
}

test("ppc64: the hash page table holds what the guest asked for", async (t) => {
  const table = new Map<number, string>();
  for (const record of await recordsOf("ppc64-pseries", "spapr/htab")) {
    if (record.section !== "spapr/htab" || record.kind !== "entries") continue;
    for (let i = 0; i < record.valid; i++) {
      table.set(record.index + i, Buffer.from(record.entries.subarray(16 * i, 16 * i + 16)).toString("hex"));
    }
  }
  // H_ENTER takes the first free entry of the eight that the number asked for is in.
  const expected = new Map<number, string>();
  for (let i = 0; i < hashTableEntries; i++) {
    let slot = 3 * i - ((3 * i) % 8);
    while (expected.has(slot)) slot++;
    const page = 3 * i * 4096;
    expected.set(slot, Buffer.concat([be(BigInt(page + 1), 8), be(BigInt(page + 0x12), 8)]).toString("hex"));
  }
  t.deepEqual(
    [...table].toSorted(([a], [b]) => a - b),
    [...expected].toSorted(([a], [b]) => a - b),
    "64 entries",
  );
});

test("s390: the storage keys are those that the guest set", async (t) => {
  const records = await recordsOf("s390x", "s390-skeys");
  const [values, end] = records;
  t.deepEqual([records.length, end?.kind], [2, "end"], "one range");
  if (values?.section !== "s390-storage" || values.kind !== "values") return t.fail("no keys");
  t.deepEqual([values.address, values.values.length], [0n, 512], "a key for each page of 2 MiB");
  // The upper four bits are the key; those below say what was touched.
  const keys = Array.from(values.values, (key) => key >> 4);
  const set = Array.from({ length: 512 }, (_, page) => (page < storageKeyPages ? (5 + page) & 15 : 0));
  t.deepEqual(keys, set, "keys");
  const attributes = await recordsOf("s390x", "s390-storage_attributes");
  t.ok(
    attributes.some(({ kind }) => kind === "done"),
    "storage attributes are done with",
  );
});

/** A field of the first processor. */
async function cpuField(name: string, field: string): Promise<bigint[]> {
  for await (const item of new StreamReader(new MemorySource(corpusEntry(name).open()))) {
    if (item.kind !== "section" || item.idstr !== "cpu" || item.content.kind !== "device") continue;
    return (deviceToPlain(item.content.state).fields[field] as PlainValue[]).map((value) => BigInt(value as string));
  }
  return [];
}

/** Numbers of `info registers`, by a pattern whose first group lists them. */
function printed(name: string, pattern: RegExp): bigint[] {
  return [...corpusEntry(name).truth.registers.matchAll(pattern)].flatMap(([, list = ""]) =>
    list
      .trim()
      .split(/\s+/u)
      .map((digits) => BigInt(`0x${digits}`)),
  );
}

test("registers of big-endian processors are those of `info registers`", async (t) => {
  const s390 = printed("s390x", /\bR\d\d=([0-9a-f]{16})/gu);
  t.ok(s390.length === 16 && s390.includes(0x4d41n), "s390: sixteen, one of which the guest set");
  t.deepEqual(await cpuField("s390x", "env.regs"), s390, "s390: equal");
  const ppc = printed("ppc64-pseries", /^GPR\d\d((?: [0-9a-f]{16}){4})/gmu);
  t.ok(ppc.length === 32 && ppc.includes(0x4d41n), "ppc64: thirty-two, one of which the guest set");
  t.deepEqual(await cpuField("ppc64-pseries", "env.gpr"), ppc, "ppc64: equal");
});

test("a changed storage key is the key that QEMU 7.2 then has", async (t) => {
  if (qemuOf(t, "7.2", "qemu-system-s390x") === undefined) return;
  const entry = corpusEntry("s390x");
  const stream = await changedRecords(entry.open(), changed);
  const { vm, result } = await startDestination(destinationLike(entry, { stream }));
  try {
    t.ok(result.loaded, `loaded ${result.error}`);
    t.ok(/key: 0xb0\b/iu.test(await vm.human("info skeys 0x40000")), await vm.human("info skeys 0x40000"));
    t.ok(/key: 0x60\b/u.test(await vm.human("info skeys 0x1000")), "its neighbours are as they were");
  } finally {
    await vm.close();
  }
});

function changed(record: SectionRecord): SectionRecord {
  if (record.section !== "s390-storage" || record.kind !== "values") return record;
  const values = record.values.slice();
  values[64] = 0xb0;
  return { ...record, values };
}

test("pages of 1 KiB, compressed here", async (t) => {
  const entry = corpusEntry("arm-integratorcp");
  const sink = new MemorySink();
  await convertStream(new MemorySource(entry.open()), sink, { ram: "zlib", level: 1, engine: "exact" }, scratch);
  const { identical, inspection, recompressed } = await verifyStream(new MemorySource(sink.bytes()));
  t.ok(identical && inspection.ram.pages.compressed > 50, `${inspection.ram.pages.compressed} compressed pages`);
  t.equal(recompressed.identicalCount, recompressed.pageCount, "each compressed again to the same bytes");
  if (qemuOf(t, "7.2", "qemu-system-arm") === undefined) return;
  await loads(t, entry, sink.bytes(), "a real ARM", { capabilities: ["compress"] });
});

test("pages of 256 bytes have no room for the flag of compressed ones", async (t) => {
  const convert = convertStream(
    new MemorySource(corpusEntry("avr-uno").open()),
    new MemorySink(),
    { ram: "zlib", level: 1 },
    scratch,
  );
  const error = await convert.then(
    () => undefined,
    (e: unknown) => e,
  );
  t.ok(error instanceof QevmError && error.code === "unsupported", String(error));
});

for (const [name, address] of [
  ["aarch64-virt", 0x4020_0000],
  ["riscv64-virt", 0x8000_0000],
  ["arm-integratorcp", 0x1_0000],
  ["m68k-virt", 0x1000],
] as const) {
  test(`${name}: what QEMU was told to load at an address is at that address`, async (t) => {
    const fill = targetEntries.find((entry) => entry.name === name)?.files[0]?.content();
    if (fill === undefined) return t.fail("nothing was loaded");
    const bytes = corpusEntry(name).open();
    const out = join(scratch, name);
    const { length } = fill;
    await extractPhysical(new MemorySource(bytes), out, { format: "raw", from: address, length });
    t.ok(readFileSync(out).equals(Buffer.from(fill)), `${fill.length} bytes at 0x${address.toString(16)}`);
  });
}
