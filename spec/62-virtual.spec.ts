/** Page walks over tables in memory: pages of each size, and hostile tables of every mode; bytes at virtual addresses. */
import test from "tape";
import { QevmError } from "../src/bytes/errors.js";
import { Random } from "../src/analyse/fuzz/random.js";
import type { CpuState } from "../src/guest/cores/cpu-state.js";
import {
  addressSpaceOf,
  mappedRanges,
  readString,
  readVirtual,
  translate,
  type AddressSpace,
  type MachineFacts,
} from "../src/guest/walk/index.js";
import { openMemory } from "../src/node.js";
import { corpusEntry } from "../tools/corpus.js";
import { armTables, PageTables, radixTables, riscvTables, s390Tables, x86Tables } from "./support/page-tables.js";
import type { TableFormat } from "./support/page-tables.js";
import { qevm } from "./support/program.js";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { flatDocument } from "./support/document.js";
import { all, armEl1, powerCpu, processTable, Ram, riscvCpu, s390Cpu, x86Cpu } from "./support/virtual-cpus.js";
import { hex, MIB } from "./support/virtual-modes.js";

interface Kind {
  name: string;
  format: TableFormat;
  base?: number;
  cpu: (root: number) => CpuState;
  machine?: (ram: Ram, root: number) => MachineFacts;
}

const KINDS: readonly Kind[] = [
  ...(["32", "pae", "4", "5"] as const).map((kind): Kind => ({
    name: `x86 ${kind}`,
    format: x86Tables(kind),
    cpu: (root) => x86Cpu(kind, root),
  })),
  ...([12, 14, 16] as const).map((page): Kind => ({
    name: `aarch64 ${page}`,
    format: armTables(page, 47),
    base: 0x4000_0000,
    cpu: (root) => armEl1(root, { page, size: 47 }),
  })),
  ...([39, 48, 57] as const).map((size, k): Kind => ({
    name: `riscv Sv${size}`,
    format: riscvTables(size),
    base: 0x8000_0000,
    cpu: (root) => riscvCpu(BigInt(8 + k), root),
  })),
  ...[0, 1, 2, 3].map((type): Kind => ({
    name: `s390x ${type}`,
    format: s390Tables(type),
    cpu: (root) => s390Cpu(type, root),
  })),
  { name: "ppc64", format: radixTables(), cpu: () => powerCpu(0x30n), machine: processTable },
];

for (const { name, format, base = 0, cpu: cpuWith, machine } of KINDS) {
  test(`${name}: pages of each size are found, and nothing else`, async (t) => {
    const ram = new Ram(base);
    const tables = new PageTables(ram.room, format);
    const space = addressSpaceOf(cpuWith(tables.root), ram, machine?.(ram, tables.root));
    t.deepEqual(await all(space), [], "empty tables map nothing");
    const expected: [bigint, bigint, bigint][] = [];
    const low = 1n << BigInt(format.levels.at(-1)!.shift);
    for (let k = 0; k < format.levels.length; k++) {
      const size = 1n << BigInt(format.levels[k]!.shift);
      const physical = size > 1n << 40n ? 0n : 3n * size;
      // Two pages of each size, smaller ones at lower addresses.
      for (const virtual of [2n * size, 3n * size]) {
        if (tables.map(virtual, physical + virtual - 2n * size, k, () => 0))
          expected.push([virtual, physical + virtual - 2n * size, size]);
      }
    }
    t.ok(expected.length >= 2, `${expected.length} pages`);
    for (const [virtual, physical, size] of expected) {
      const found = await translate(space, virtual + size - 5n);
      t.deepEqual([found.physical, found.fault], [physical + size - 5n, undefined], `${hex(virtual)}, ${hex(size)}`);
      t.deepEqual(
        [found.physical === undefined ? 0 : found.pageSize, found.physical === undefined ? 0 : found.length],
        [Number(size), 5],
      );
      const depth = format.levels.findIndex(({ shift }) => 1n << BigInt(shift) === size) + 1;
      t.equal(
        found.steps.length,
        depth + (machine === undefined ? 0 : 1),
        found.steps.map(({ level }) => level).join(" "),
      );
    }
    const joined = expected
      .filter((_, k) => k % 2 === 0)
      .map(([virtual, physical, size]): [bigint, bigint, bigint] => [virtual, physical, 2n * size])
      .toSorted(([a], [b]) => (a < b ? -1 : 1));
    t.deepEqual(
      await all(space, machine === undefined ? {} : { to: (1n << 62n) - 1n }),
      joined,
      "mappedRanges: neighbours are one range",
    );
    const nothing = await translate(space, low * 5n);
    t.match(nothing.fault ?? "", /entry \d+ at 0x[0-9a-f]+ is 0x[0-9a-f]+: (?:not present|not valid|invalid)/u);
    t.end();
  });

  test(`${name}: hostile tables`, async (t) => {
    const ram = new Ram(base);
    const tables = new PageTables(ram.room, format);
    const facts = machine?.(ram, tables.root);
    const space = addressSpaceOf(cpuWith(tables.root), ram, facts);
    const { bits } = format.levels[0]!;
    const bytes = new DataView(ram.bytes.buffer);
    const fillRoot = (entry: bigint): void => {
      for (let k = 0; k < 2 ** bits; k++) {
        const at = tables.root - base + k * format.bytes;
        if (format.bytes === 4) bytes.setUint32(at, Number(entry), true);
        else bytes.setBigUint64(at, entry, format.little);
      }
    };
    // Every entry points at the table that it is in.
    fillRoot(format.table(BigInt(tables.root), 0));
    ram.reads = 0;
    const looped = await translate(space, 0n);
    t.ok(looped.steps.length <= 8 && ram.reads <= 9, `a loop: ${looped.steps.length} steps`);
    await mappedEnds(t, space, ram);
    // Tables outside memory.
    fillRoot(format.table(format.bytes === 4 ? 0xf000_0000n : 0xf0_0000_0000n, 0));
    const outside = await translate(space, 0n);
    t.match(outside.fault ?? "", / entry 0: 0x[0-9a-f]+ is not memory/u, "outside");
    t.deepEqual(await all(space), [], "nothing is mapped by tables outside memory");
    // Anything at all.
    const random = new Random(62);
    for (let round = 0; round < 2; round++) {
      for (let at = MIB; at < 2 * MIB; at++) ram.bytes[at] = random.below(256);
      fillRoot(format.table(BigInt(base + MIB + 0x10000 * random.below(8)), 0));
      for (let k = 0; k < 50; k++) {
        const address = (BigInt(random.u32()) << 32n) | BigInt(random.u32());
        const { steps } = await translate(space, address);
        if (steps.length > 8) t.fail(`${steps.length} steps`);
      }
      await mappedEnds(t, space, ram);
    }
    t.end();
  });
}

/** The list of ranges ends: whole, or with the error for too many tables. */
async function mappedEnds(t: test.Test, space: AddressSpace, ram: Ram): Promise<void> {
  ram.reads = 0;
  try {
    for await (const range of mappedRanges(space, { mostTables: 30 })) if (range.length < 0n) t.fail("negative");
  } catch (error) {
    t.equal(error instanceof QevmError ? error.code : String(error), "limit");
  }
  t.ok(ram.reads <= 33, `at most 30 pieces of tables: ${ram.reads}`);
}

test("hostile: tables that share one table are decoded once", async (t) => {
  const ram = new Ram();
  const bytes = new DataView(ram.bytes.buffer);
  // PML4, PDPT and PD with 512 equal entries each: 2^27 ways to one PT, which maps 2 MiB in one piece.
  for (let table = 1; table <= 4; table++) {
    for (let k = 0; k < 512; k++) {
      const to = table < 4 ? 4096 * (table + 1) : 4096 * k;
      bytes.setBigUint64(4096 * table + 8 * k, BigInt(to) | 7n, true);
    }
  }
  const fields = { "env.cr[0]": "0x80000011", "env.cr[3]": "0x1000", "env.cr[4]": "0x20", "env.efer": "0x500" };
  const space = addressSpaceOf({ architecture: "x86", instance: 0, device: { fields, subsections: {} } }, ram);
  let decoded = 0;
  const counted: AddressSpace = {
    ...space,
    decode: (...entry) => {
      decoded++;
      return space.decode(...entry);
    },
  };
  let ranges = 0;
  try {
    for await (const { length } of mappedRanges(counted, { mostTables: 20_000 })) if (length === 0x20_0000n) ranges++;
    t.fail("it ended");
  } catch (error) {
    t.equal((error as QevmError).code, "limit");
  }
  t.equal(decoded, 4 * 512, "entries decoded");
  t.ok(ranges > 19_000 && ranges < 20_000, `${ranges} ranges`);
  t.end();
});

test("bytes over borders, strings, what is mapped to no memory", async (t) => {
  const ram = new Ram();
  const tables = new PageTables(ram.room, x86Tables("4"));
  for (const [virtual, physical] of [
    [0x1000n, 0x5000n],
    [0x2000n, 0x3000n],
    [0x4000n, 1n << 40n],
  ] as const)
    tables.map(virtual, physical, 3, () => 0.9);
  const space = addressSpaceOf(x86Cpu("4", tables.root), ram);
  ram.bytes.set(Buffer.from("over the b"), 0x6000 - 10);
  ram.bytes.set(Buffer.from("order\0"), 0x3000);
  const text = await readVirtual(space, 0x2000n - 10n, 16);
  t.equal(Buffer.from(text).toString(), "over the border\0");
  const read = await readString(space, 0x2000n - 10n, 100_000);
  t.deepEqual([Buffer.from(read.bytes).toString(), read.ended], ["over the border", true]);
  const cut = await readString(space, 0x2000n - 10n, 4);
  t.deepEqual([Buffer.from(cut.bytes).toString(), cut.ended], ["over", false], "bounded");
  const failing = async (address: bigint, length: number): Promise<string> =>
    await readVirtual(space, address, length).then(
      () => "no error",
      (error: unknown) => (error instanceof QevmError ? `${error.code}: ${error.message}` : String(error)),
    );
  t.match(await failing(0x2ff0n, 17), /^usage: virtual address 0x3000 is not mapped: PT entry 3 at/u);
  t.match(
    await failing(0x4000n, 1),
    /^usage: virtual address 0x4000 is mapped to 0x10000000000, where the guest has no/u,
  );
  t.match(await failing((1n << 64n) - 1n, 2), /after the last address/u);
  t.end();
});

test("a capture: by a scan and by an index, and the command", async (t) => {
  const work = mkdtempSync(join(tmpdir(), "qevm-virtual-"));
  const file = join(work, "live");
  writeFileSync(file, corpusEntry("live").open());
  const index = join(work, "live.index");
  const answers: unknown[] = [];
  for (const options of [{}, { index }, { index }]) {
    const memory = await openMemory(file, options);
    const { mode } = memory.addressSpace();
    answers.push([
      mode,
      JSON.stringify(memory.cpus),
      Buffer.from(await memory.readVirtual(0x7c00n, 64)).toString("hex"),
    ]);
    await memory.close();
  }
  t.deepEqual(answers[1], answers[0], "an index that is made");
  t.deepEqual(answers[2], answers[0], "an index that is used: it keeps the CPUs");
  const bytes = (answers[0] as string[])[2]!;
  const asked = ["read", file, "--virtual", "0x7c00", "--length", "64"];
  const [document, numbers, walk] = await Promise.all([
    qevm([...asked, "--json"]),
    qevm([...asked, "--u64"]),
    qevm([...asked, "--translate"]),
  ]);
  t.equal((flatDocument(document.stdout) as { hex: string }).hex, bytes, "--json");
  const first = Buffer.from(bytes, "hex").readBigUInt64LE(0);
  t.equal(numbers.stdout.split("\n")[0], `0000000000007c00: 0x${first.toString(16).padStart(16, "0")}  ${first}`);
  t.match(walk.stdout, /^virtual 0x7c00 \(x86, [^)]+\)\nphysical 0x7c00: RAM block "pc.ram" \+ 0x7c00\n$/u);
  const wrong: [string[], RegExp][] = [
    [["--virtual", "0", "--physical", "0"], /--physical, --virtual or --block says where/u],
    [["--virtual", "-1"], /--virtual takes a value/u],
    [["--virtual", "0x10000000000000000"], /takes an address of 64 bits/u],
    [["--physical", "0", "--u64"], /--u64 goes with --virtual/u],
    [["--physical", "0", "--cpu", "1"], /--cpu goes with --virtual/u],
    [["--virtual", "0", "--string", "--u64"], /exclude each other/u],
    [["--virtual", "0", "--u64", "--length", "7"], /whole numbers/u],
    [["--virtual", "0", "--cpu", "99"], /no CPU 99: there are 0/u],
    [["--virtual", "0xd0000000"], /is mapped to 0xd0000000, where the guest has no memory/u],
  ];
  const runs = await Promise.all(wrong.map(async ([args]) => await qevm(["read", file, ...args])));
  for (const [k, run] of runs.entries()) {
    t.equal(run.code, 2, wrong[k]![0].join(" "));
    t.match(run.stderr, wrong[k]![1]);
  }
  rmSync(work, { recursive: true, force: true });
  t.end();
});
