/** Page walks over tables in memory: rights, special sizes, what is refused, and hostile tables of every mode. */
import test from "tape";
import { QevmError } from "../src/bytes/errors.js";
import { Random } from "../src/analyse/fuzz/random.js";
import type { Architecture, CpuState } from "../src/guest/cores/cpu-state.js";
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
import type { TableFormat, TableRoom } from "./support/page-tables.js";
import { qevm } from "./support/program.js";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { flatDocument } from "./support/document.js";

const MIB = 1 << 20;
const LENGTH = 4 * MIB;

/** Guest memory from `base` on. */
class Ram {
  readonly bytes = new Uint8Array(LENGTH);
  readonly room: TableRoom;
  reads = 0;

  constructor(readonly base = 0) {
    this.room = { ram: this.bytes, base, next: MIB };
  }

  readPhysical(address: number, length: number): Promise<Uint8Array> {
    this.reads++;
    const at = address - this.base;
    if (at < 0 || at + length > LENGTH) return Promise.reject(new QevmError("usage", "no memory"));
    return Promise.resolve(this.bytes.slice(at, at + length));
  }

  set(address: number, entry: bigint, little: boolean): void {
    new DataView(this.bytes.buffer).setBigUint64(address - this.base, entry, little);
  }
}

type Fields = Record<string, unknown>;
const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

function cpu(architecture: Architecture, fields: Fields, subsections: Record<string, Fields> = {}): CpuState {
  return { architecture, instance: 0, device: { fields, subsections } as unknown as CpuState["device"] };
}

function x86Cpu(
  kind: "32" | "pae" | "4" | "5" | "off",
  root: number,
  { pse = true, nx = true, more = {} } = {},
): CpuState {
  const cr4 = (pse ? 0x10n : 0n) | (kind === "32" ? 0n : 0x20n) | (kind === "5" ? 0x1000n : 0n);
  const efer = (kind === "4" || kind === "5" ? 0x400n : 0n) | (nx ? 0x800n : 0n);
  return cpu("x86", {
    "env.cr[0]": hex(kind === "off" ? 0x11n : 0x8000_0011n),
    "env.cr[3]": hex(root),
    "env.cr[4]": hex(cr4),
    "env.efer": hex(efer),
    "env.hflags": 0,
    "env.a20_mask": -1,
    ...more,
  });
}

function armCpu(registers: Record<string, bigint>, pstate = 0x3c5): CpuState {
  const ids = Object.keys(registers).map((id) => `0x60300000001${id}`);
  return cpu("aarch64", {
    cpsr: pstate,
    cpreg_vmstate_array_len: ids.length,
    cpreg_vmstate_indexes: ids,
    cpreg_vmstate_values: Object.values(registers).map(hex),
  });
}

function armEl1(root: number, { page = 12, size = 48, more = 0n }): CpuState {
  const tg0 = { 12: 0n, 14: 2n, 16: 1n }[page]!;
  const tcr = BigInt(64 - size) | (tg0 << 14n) | (1n << 23n) | (5n << 32n) | more;
  return armCpu({ "3c080": 1n, "3c100": BigInt(root), "3c101": 0n, "3c102": tcr | (2n << 30n) | (16n << 16n) });
}

function riscvCpu(mode: bigint, root: number): CpuState {
  const satp = (mode << 60n) | BigInt(root / 4096);
  return cpu("riscv", { "env.misa_mxl": 2, "env.priv": 1, "env.satp": hex(satp), "env.mstatus": "0x0" });
}

function s390Cpu(type: number, root: number, { prefix = 0, edat = true, low = 3n } = {}): CpuState {
  const control = Array.from({ length: 16 }, () => "0x0");
  control[0] = hex(edat ? 1n << 23n : 0n);
  control[1] = hex(BigInt(root) | (BigInt(type) << 2n) | low);
  const mask = hex((1n << 58n) | (3n << 31n));
  return cpu("s390x", { "env.psw.mask": mask, "env.psa": hex(prefix), "env.cregs": control });
}

function powerCpu(msr: bigint, special: Record<number, bigint> = {}): CpuState {
  const spr = Array.from({ length: 1024 }, (_, k) => hex(special[k] ?? 0n));
  return cpu("ppc64", { "env.msr": hex(msr), "env.spr": spr });
}

interface Kind {
  name: string;
  format: TableFormat;
  base?: number;
  cpu: (root: number) => CpuState;
  machine?: (ram: Ram, root: number) => MachineFacts;
}

/** A process table at the start of memory, with the tree of process 0. */
function processTable(ram: Ram, root: number): MachineFacts {
  ram.set(ram.base, (2n << 61n) | (5n << 5n) | BigInt(root) | 13n, false);
  return { processTable: (1n << 63n) | BigInt(ram.base) };
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

async function all(space: AddressSpace, options = {}): Promise<[bigint, bigint, bigint][]> {
  const found: [bigint, bigint, bigint][] = [];
  for await (const { virtual, physical, length } of mappedRanges(space, options))
    found.push([virtual, physical, length]);
  return found;
}

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

test("x86: rights of all levels, no execute, PSE, wrapping, A20", async (t) => {
  const ram = new Ram();
  const tables = new PageTables(ram.room, x86Tables("4"));
  tables.map(0x1000n, 0x5000n, 3, () => 0);
  const space = addressSpaceOf(x86Cpu("4", tables.root), ram);
  const rights = async (): Promise<unknown[]> => {
    const found = await translate(space, 0x1000n);
    return found.physical === undefined ? [] : [found.writable, found.user, found.executable];
  };
  t.deepEqual(await rights(), [true, true, false], "random 0 sets every bit, no execute too");
  const view = new DataView(ram.bytes.buffer);
  view.setBigUint64(tables.root, view.getBigUint64(tables.root, true) & ~6n, true);
  t.deepEqual(await rights(), [false, false, false], "a PML4 entry takes rights away");
  const off = addressSpaceOf(x86Cpu("4", tables.root, { nx: false }), ram);
  const found = await translate(off, 0x1000n);
  t.equal(found.physical === undefined ? undefined : found.executable, true, "without EFER.NXE");
  for (const address of [0x8000_0000_0000n, 0xffff_7fff_ffff_ffffn]) {
    t.match((await translate(space, address)).fault ?? "", /not canonical/u);
  }
  const old = new PageTables(ram.room, x86Tables("32"));
  old.map(0xc040_0000n, 0xab_0040_0000n, 0, () => 0.9);
  const pse = addressSpaceOf(x86Cpu("32", old.root), ram);
  t.equal((await translate(pse, 0xc040_1234n)).physical, 0xab_0040_1234n, "PSE-36");
  t.equal((await translate(pse, 0x7_c040_1234n)).physical, 0xab_0040_1234n, "addresses wrap at 4 GiB");
  const noPse = addressSpaceOf(x86Cpu("32", old.root, { pse: false }), ram);
  t.match((await translate(noPse, 0xc040_1234n)).fault ?? "", /PT entry/u, "without CR4.PSE it is a table");
  const gate = { "env.a20_mask": -1 ^ MIB };
  const real = addressSpaceOf(x86Cpu("off", 0, { more: gate }), ram);
  t.deepEqual(
    [(await translate(real, 0x10_0005n)).physical, (await all(real, { to: 0x1f_ffffn })).length],
    [5n, 2],
    "A20 closed",
  );
  const smm = addressSpaceOf(x86Cpu("off", 0, { more: { ...gate, "env.hflags": 1 << 19 } }), ram);
  t.equal((await translate(smm, 0x10_0005n)).physical, 0x10_0005n, "not in system management mode");
  t.end();
});

test("aarch64: tags, halves that are off, block sizes, attributes of tables", async (t) => {
  const ram = new Ram(0x4000_0000);
  const tables = new PageTables(ram.room, armTables(12, 48));
  tables.map(0x1000n, 0x4000_5000n, 3, () => 0.9);
  const tagged = addressSpaceOf(armEl1(tables.root, { more: 1n << 37n }), ram);
  t.equal((await translate(tagged, 0xab00_0000_0000_1234n)).physical, 0x4000_5234n, "TBI0");
  const space = addressSpaceOf(armEl1(tables.root, {}), ram);
  t.match((await translate(space, 0xab00_0000_0000_1234n)).fault ?? "", /neither TTBR/u);
  t.match((await translate(space, 0xffff_0000_0000_1234n)).fault ?? "", /TTBR1 are off \(TCR.EPD1\)/u);
  const view = new DataView(ram.bytes.buffer);
  const root = tables.root - 0x4000_0000;
  view.setBigUint64(root, view.getBigUint64(root, true) | (7n << 60n) | (1n << 59n), true);
  const found = await translate(space, 0x1000n);
  t.deepEqual(
    found.physical === undefined ? [] : [found.writable, found.user, found.executable],
    [false, false, false],
    "APTable and PXNTable",
  );
  t.match(found.steps[0]!.meaning, /read-only, not for EL0, no execute/u);
  view.setBigUint64(root + 8, 0x4000_0401n, true);
  t.match((await translate(space, 1n << 39n)).fault ?? "", /a block of 2\^39 bytes does not exist/u);
  const wrong = addressSpaceOf(armEl1(tables.root, { more: 3n << 14n }), ram);
  t.match((await translate(wrong, 0n)).fault ?? "", /TCR.TG0 is reserved/u);
  t.end();
});

test("riscv: Svnapot, reserved entries, Sv32", async (t) => {
  const ram = new Ram();
  const tables = new PageTables(ram.room, riscvTables(39));
  tables.map(0x1000n, 0x5000n, 2, () => 0);
  const { at } = (await translate(addressSpaceOf(riscvCpu(8n, tables.root), ram), 0x1000n)).steps[2]!;
  const space = addressSpaceOf(riscvCpu(8n, tables.root), ram);
  const said = async (entry: bigint): Promise<string | bigint | undefined> => {
    ram.set(Number(at), entry, true);
    const found = await translate(space, 0x1234n);
    return found.fault ?? found.physical;
  };
  t.equal(await said((1n << 63n) | (0x128n << 10n) | 0xcfn), 0x12_1234n, "64 KiB by Svnapot");
  t.match(String(await said((1n << 63n) | (0x121n << 10n) | 0xcfn)), /a reserved size/u);
  t.match(String(await said((1n << 54n) | 0xcfn)), /reserved bits/u);
  t.match(String(await said(0x5n)), /writable and not readable/u);
  t.match(String(await said(0x1n)), /below the last level/u);
  const view = new DataView(ram.bytes.buffer);
  view.setUint32(0x8000, ((0x9000 >> 12) << 10) | 1, true);
  view.setUint32(0x9004, (0x7 << 10) | 0xcf, true);
  const narrow = cpu("riscv", { "env.misa_mxl": 1, "env.priv": 1, "env.satp": 0x8000_0008, "env.mstatus": "0x0" });
  const sv32 = addressSpaceOf(narrow, ram);
  t.deepEqual([sv32.mode, (await translate(sv32, 0x1234n)).physical], ["riscv, Sv32", 0x7234n]);
  t.end();
});

test("s390x: lengths of tables, prefixing, EDAT", async (t) => {
  const ram = new Ram();
  const tables = new PageTables(ram.room, s390Tables(0));
  tables.map(0x10_0000n, 0x10_0000n, 0, () => 0.9);
  tables.map(0x1000n, 0x2000n, 1, () => 0.9);
  const with_ = (options: { prefix?: number; edat?: boolean; low?: bigint }): AddressSpace =>
    addressSpaceOf(s390Cpu(0, tables.root, options), ram);
  t.match(
    (await translate(with_({ low: 0n }), 0x2000_0000n)).fault ?? "",
    /entries 0 to 511, not 512/u,
    "table length",
  );
  t.match((await translate(with_({}), 0x8000_0000n)).fault ?? "", /above what a segment table covers/u);
  const space = with_({ prefix: 0x10_0000 });
  t.deepEqual(
    [(await translate(space, 0x1234n)).physical, (await translate(space, 0x10_0234n)).physical],
    [0x2234n, 0x234n],
    "prefixing",
  );
  t.deepEqual(await all(space), [
    [0x1000n, 0x2000n, 0x1000n],
    [0x10_0000n, 0n, 0x2000n],
    [0x10_2000n, 0x10_2000n, 0xf_e000n],
  ]);
  t.notEqual((await translate(with_({ edat: false }), 0x10_0234n)).physical, 0x10_0234n, "no large page without EDAT");
  const off = cpu("s390x", { "env.psw.mask": "0x0", "env.psa": "0x4000", "env.cregs": [] });
  const real = addressSpaceOf(off, ram);
  t.equal((await translate(real, 0x1000_4010n)).physical, 0x10n, "24 bits, DAT off");
  t.end();
});

test("ppc64: quadrants, bounds, the hypervisor's own tables", async (t) => {
  const ram = new Ram();
  const tables = new PageTables(ram.room, radixTables());
  tables.map(0x1000n, 0x5000n, 3, () => 0.9);
  const facts = processTable(ram, tables.root);
  const space = addressSpaceOf(powerCpu(0x30n), ram, facts);
  t.equal((await translate(space, 0xc000_0000_0000_1234n)).physical, 0x5234n, "quadrant 3");
  t.match((await translate(space, 1n << 62n)).fault ?? "", /quadrant 1 or 2/u);
  t.match((await translate(space, 1n << 52n)).fault ?? "", /above the 0x10000000000000 bytes/u);
  const late = addressSpaceOf(powerCpu(0x30n, { 48: 0x100n }), ram, facts);
  t.match((await translate(late, 0n)).fault ?? "", /process 256 is after the end/u);
  ram.set(0x8000, 1n << 63n, false);
  ram.set(0x8008, 0n, false);
  const host = addressSpaceOf(powerCpu((1n << 60n) | 0x30n, { 318: 1n << 20n, 464: 0x8000n }), ram);
  t.equal((await translate(host, 0x1234n)).physical, 0x5234n, "by PTCR");
  const real = addressSpaceOf(powerCpu(0n), ram);
  t.equal((await translate(real, 0xf000_0000_0000_1234n)).physical, 0x1234n, "real mode");
  t.end();
});

test("what is not supported says so", (t) => {
  const ram = new Ram();
  const nested = { "cpu/svm_npt": { fields: { "env.nested_cr3": "0x1000" } } };
  const inside = x86Cpu("4", 0, { more: { "env.hflags": 1 << 21 } });
  const cases: [CpuState, RegExp][] = [
    [powerCpu(0x30n), /hash MMU/u],
    [powerCpu((1n << 60n) | 0x30n), /hash MMU/u],
    [powerCpu(0x30n, { 319: 1n, 464: 0x1000n }), /second stage/u],
    [armCpu({ "3c080": 1n, "3e088": 1n, "3f088": 1n }), /stage 2 is not supported/u],
    [armCpu({ "3c080": 1n }, 0x13), /AArch32/u],
    [cpu("arm", {}), /32-bit arm/u],
    [cpu("ppc", {}), /32-bit ppc/u],
    [{ ...inside, device: { ...inside.device, subsections: nested } }, /nested paging/u],
    [riscvCpu(11n, 0), /satp.MODE 11 is reserved/u],
  ];
  for (const [one, message] of cases) {
    try {
      addressSpaceOf(one, ram);
      t.fail(String(message));
    } catch (error) {
      t.match(error instanceof QevmError && error.code === "unsupported" ? error.message : String(error), message);
    }
  }
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
