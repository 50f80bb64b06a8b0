/** Page walks over tables in memory: rights, special sizes, and what is refused, by architecture. */
import test from "tape";
import { QevmError } from "../src/bytes/errors.js";
import type { CpuState } from "../src/guest/cores/cpu-state.js";
import { addressSpaceOf, translate, type AddressSpace } from "../src/guest/walk/index.js";
import { armTables, PageTables, radixTables, riscvTables, s390Tables, x86Tables } from "./support/page-tables.js";
import {
  all,
  armCpu,
  armEl1,
  cpu,
  powerCpu,
  processTable,
  Ram,
  riscvCpu,
  s390Cpu,
  x86Cpu,
} from "./support/virtual-cpus.js";
import { MIB } from "./support/virtual-modes.js";

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
