/** Cores with virtual addresses and kdump files, against those of QEMU's dump-guest-memory for the same guest. */
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inflateSync } from "node:zlib";
import test from "tape";
import type { CpuState } from "../src/guest/cores/cpu-state.js";
import { mappedLoads } from "../src/guest/files/paging.js";
import { utsnameOf } from "../src/guest/files/utsname.js";
import { makeWorkFolder, QemuProcess } from "../tools/qemu/process.js";
import { corpusEntry } from "../tools/corpus.js";
import { coreParts } from "./support/cores.js";
import { qevm } from "./support/program.js";
import { testEach, whenLoaded } from "./support/qemus.js";
import { saveStream } from "../tools/qemu/save-stream.js";
import { flatDocument } from "./support/document.js";

const work = mkdtempSync(join(tmpdir(), "qevm-dumps-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));

const MIB = 1 << 20;
const KERNEL = 0xffff_ffff_8000_0000n;
const DIRECT = 0xffff_8000_0000_0000n;
const [PRESENT, WRITE, USER, LARGE] = [1n, 2n, 4n, 128n];
const TABLE = PRESENT | WRITE | USER;

/** Mapped parts of the memory below, in the order of `mappedLoads`. Two CPUs have tables of their own. */
const EXPECTED: readonly [virtual: bigint, physical: number, length: number][] = [
  [DIRECT, 0, 0xc0000],
  [0x3000n, 0x10000, 0x2000],
  [0x8000n, 0x12000, 0x1000],
  [DIRECT + 0x100000n, 0x100000, 31 * MIB],
  [0x200000n, 0x200000, 2 * MIB],
  [KERNEL + 0x1000000n, 0x400000, 2 * MIB],
  [0x0n, 0x600000, 2 * MIB],
];

/** 32 MiB of numbered pages with the page tables of two CPUs in them, and a kernel's note. */
function memory(): Buffer {
  const bytes = Buffer.alloc(32 * MIB);
  for (let at = 0; at < bytes.length; at += 12_288) bytes.write(`page ${at / 4096}`, at + 100, "latin1");
  const entry = (table: number, index: number, value: bigint): void => {
    bytes.writeBigUInt64LE(value, table + 8 * index);
  };
  bytes.fill(0, 0x100000, 0x120000);
  entry(0x100000, 0, 0x101000n | TABLE);
  entry(0x100000, 256, 0x102000n | TABLE);
  entry(0x100000, 511, 0x103000n | TABLE);
  entry(0x101000, 0, 0x104000n | TABLE);
  entry(0x104000, 0, 0x105000n | TABLE);
  for (const [index, page] of [
    [3, 0x10n],
    [4, 0x11n],
    [8, 0x12n],
  ] as const) {
    entry(0x105000, index, (page << 12n) | TABLE);
  }
  entry(0x104000, 1, 0x200000n | TABLE | LARGE);
  entry(0x102000, 0, TABLE | LARGE);
  entry(0x103000, 510, 0x106000n | TABLE);
  entry(0x106000, 8, 0x400000n | TABLE | LARGE);
  entry(0x110000, 0, 0x111000n | TABLE);
  entry(0x110000, 256, 0x102000n | TABLE);
  entry(0x111000, 0, 0x112000n | TABLE);
  entry(0x112000, 0, 0x600000n | PRESENT | USER | LARGE);
  const text = "OSRELEASE=6.1.0-qevm\nPAGESIZE=4096\nNUMBER(phys_base)=18874368\n";
  const note = Buffer.alloc(24 + Math.ceil(text.length / 4) * 4);
  note.writeUInt32LE(11, 0);
  note.writeUInt32LE(text.length, 4);
  note.write(`VMCOREINFO\0\0${text}`, 12, "latin1");
  note.copy(bytes, 0x700000);
  return bytes;
}

/** The stream of a paused guest with that memory, and its CPUs in long mode. */
async function paused(stream: string): Promise<string> {
  const [ram, out] = [join(work, "ram"), join(work, "paging")];
  writeFileSync(ram, memory());
  const cpus = [0x100000, 0x110000].flatMap((root, k) =>
    ["env.cr[0]=0x80000011", `env.cr[3]=${root}`, "env.cr[4]=0x20", "env.efer=0x500", "env.hflags=0x40c0b4"].map(
      (one) => `cpu/${k}:${one}`,
    ),
  );
  const told = [
    "has_vmcoreinfo=true",
    ...["guest_format=1", "size=4096", "paddr=0x700000"].map((f) => `vmcoreinfo.${f}`),
  ];
  const set = [...cpus, ...told.map((one) => `vmcoreinfo/0:${one}`)].flatMap((one) => ["--set", one]);
  const run = await qevm(["generate", "--template", stream, "--ram", `pc.ram=${ram}`, ...set, "--out", out]);
  if (run.code !== 0) throw new Error(run.stderr);
  return out;
}

/** PT_LOADs with their virtual addresses. */
function virtualLoads(core: Buffer): { virtual: bigint; physical: number; length: number; bytes: Buffer }[] {
  const count = core.readUInt16LE(56);
  const start = Number(core.readBigUInt64LE(32));
  return Array.from({ length: count }, (_, k) => start + 56 * k)
    .filter((at) => core.readUInt32LE(at) === 1)
    .map((at) => {
      const [offset, length] = [8, 32].map((field) => Number(core.readBigUInt64LE(at + field))) as [number, number];
      const physical = Number(core.readBigUInt64LE(at + 24));
      return {
        virtual: core.readBigUInt64LE(at + 16),
        physical,
        length,
        bytes: core.subarray(offset, offset + length),
      };
    });
}

interface Dump {
  head: Buffer;
  subheader: Buffer;
  notes: Buffer;
  bitmap: Buffer;
  pages: Map<number, Buffer>;
}

/** A kdump file, by makedumpfile's description of the format. */
function kdump(file: Buffer): Dump {
  const size = file.readUInt32LE(428);
  const [sub, bits] = [file.readUInt32LE(432), file.readUInt32LE(436)];
  const subheader = file.subarray(size, size + 104);
  const [at, length] = [Number(subheader.readBigUInt64LE(48)), Number(subheader.readBigUInt64LE(56))];
  const bitmaps = file.subarray((1 + sub) * size, (1 + sub + bits) * size);
  const bitmap = bitmaps.subarray(bitmaps.length / 2);
  const pages = new Map<number, Buffer>();
  let descriptor = (1 + sub + bits) * size;
  for (let page = 0; page < bitmap.length * 8; page++) {
    if (((bitmap[page >> 3]! >> (page & 7)) & 1) === 0) continue;
    const start = Number(file.readBigUInt64LE(descriptor));
    const data = file.subarray(start, start + file.readUInt32LE(descriptor + 8));
    pages.set(page, file.readUInt32LE(descriptor + 12) === 0 ? data : inflateSync(data));
    descriptor += 24;
  }
  return { head: file.subarray(0, 464), subheader, notes: file.subarray(at, at + length), bitmap, pages };
}

/** The file in makedumpfile's flattened form: pieces with their places. */
function unflattened(flat: Buffer): Buffer {
  const pieces: [number, Buffer][] = [];
  for (let at = 4096; at + 16 <= flat.length;) {
    const [offset, length] = [flat.readBigInt64BE(at), Number(flat.readBigInt64BE(at + 8))];
    if (offset < 0n) break;
    pieces.push([Number(offset), flat.subarray(at + 16, at + 16 + length)]);
    at += 16 + length;
  }
  const file = Buffer.alloc(Math.max(...pieces.map(([offset, { length }]) => offset + length)));
  for (const [offset, bytes] of pieces) bytes.copy(file, offset);
  return file;
}

testEach("a core with virtual addresses and a kdump file are those of dump-guest-memory", async (t, qemu) => {
  const [folder, second] = [makeWorkFolder(qemu), makeWorkFolder(qemu)];
  const machine = "-machine pc -m 32 -smp 2 -nodefaults -vga none -S -device vmcoreinfo".split(" ");
  const source = await QemuProcess.start(qemu, machine, folder);
  let stream: string;
  try {
    stream = await paused(await saveStream(source));
  } finally {
    await source.close();
  }
  copyFileSync(stream, join(second, "incoming"));
  const vm = await QemuProcess.start(qemu, [...machine, "-incoming", "exec:cat $DIR/incoming"], second);
  try {
    await whenLoaded(vm);
    await vm.execute("dump-guest-memory", { paging: true, protocol: "file:$DIR/core" });
    await vm.execute("dump-guest-memory", { paging: false, protocol: "file:$DIR/kdump", format: "kdump-zlib" });
    const path = join(work, "core");
    const run = await qevm(["extract", stream, "--format", "elf", "--paging", "--out", path, "--json"]);
    t.equal(run.code, 0, run.stderr);
    const { mappedRangeCount: mapped } = flatDocument(run.stdout) as { mappedRangeCount: number };
    const ours = virtualLoads(readFileSync(path));
    t.equal(mapped, ours.length, "the mapped ranges are counted");
    const theirs = virtualLoads(readFileSync(vm.file("core")));
    t.ok(theirs.length >= 5, `${theirs.length} ranges of QEMU`);
    for (const one of theirs.filter(({ length }) => length > 0)) {
      // QEMU has the part of a mapping in the block that it begins in.
      // It also sets the upper 16 bits of all addresses, those of the lower half too.
      const at = BigInt.asUintN(64, BigInt.asIntN(48, one.virtual));
      const found = ours.find(({ virtual, length }) => virtual <= at && at < virtual + BigInt(length));
      const within = Number(at - (found?.virtual ?? 0n));
      const what = `${at.toString(16)} ${one.length.toString(16)}`;
      t.equal(found && found.physical + within, one.physical, `${what}: at the same physical address`);
      const bytes = found?.bytes.subarray(within, within + one.length);
      t.ok(bytes?.equals(one.bytes.subarray(0, bytes.length)), `${what}: the same bytes`);
    }
    for (const [virtual, physical, length] of EXPECTED) {
      const found = ours.find((one) => one.virtual === virtual && one.physical === physical);
      t.equal(found?.length, length, `${virtual.toString(16)} is mapped to ${physical.toString(16)}`);
    }
    const dumpPath = join(work, "kdump");
    t.equal((await qevm(["extract", stream, "--format", "kdump", "--out", dumpPath])).code, 0);
    compareDumps(t, kdump(readFileSync(dumpPath)), kdump(unflattened(readFileSync(vm.file("kdump")))));
    askTools(t, dumpPath);
  } finally {
    await vm.close();
  }
});

function compareDumps(t: test.Test, ours: Dump, theirs: Dump): void {
  t.equal(ours.head.toString("latin1", 0, 8), "KDUMP   ");
  const headers = [ours, theirs].map(({ head }) => head.subarray(424, 440).toString("hex") + head.toString("hex", 460));
  t.equal(headers[0], headers[1], "status, block size, blocks of the parts, CPUs");
  const names = [ours, theirs].map(({ head }) => head.toString("latin1", 272, head.indexOf(0, 272)));
  t.equal(names[0], "x86_64", "the machine's name");
  t.ok(["x86_64", "Unknown"].includes(names[1]!), "QEMU 10.0 and later do not tell it");
  t.ok(ours.notes.equals(theirs.notes), `${theirs.notes.length} bytes of notes`);
  t.ok(ours.subheader.subarray(8).equals(theirs.subheader.subarray(8)), "subheader: places of the notes, VMCOREINFO");
  // QEMU reads the kernel's decimal number as a hexadecimal one (7.2).
  t.equal(ours.subheader.readBigInt64LE(), 18_874_368n, "phys_base");
  t.deepEqual(
    [...ours.pages.keys()].filter((page) => !theirs.pages.has(page)),
    [],
    "no page that QEMU does not have",
  );
  const different = [...theirs.pages].filter(([page, bytes]) => ours.pages.get(page)?.equals(bytes) !== true);
  t.deepEqual(
    different.map(([page]) => page),
    [],
    `${theirs.pages.size} pages`,
  );
}

/** Programs that read kdump files, which share no code with this project. */
function askTools(t: test.Test, path: string): void {
  const python = "/usr/bin/python3";
  if (existsSync(python) && spawnSync(python, ["-c", "import kdumpfile"]).status === 0) {
    const script = [
      "import kdumpfile",
      `k = kdumpfile.kdumpfile(${JSON.stringify(path)})`,
      "print(k.attr['file.format'], k.attr['arch.page_size'], k.attr['linux.phys_base'])",
      "print(k.read(kdumpfile.KDUMP_MACHPHYSADDR, 0x700018, 20))",
    ].join("\n");
    const run = spawnSync(python, ["-c", script], { encoding: "utf8" });
    t.match(run.stdout + run.stderr, /diskdump 4096 18874368\n.*OSRELEASE=6\.1\.0/u, "libkdumpfile reads it");
  } else t.comment("SKIP libkdumpfile: no python3-libkdumpfile here");
  const crash = spawnSync("crash", ["--osrelease", path], { encoding: "utf8", timeout: 60_000 });
  if (crash.error === undefined) t.match(crash.stdout, /^6\.1\.0-qevm$/mu, "crash: the kernel's release");
  else t.comment("SKIP crash: not here");
}

test("a core with virtual addresses of a guest that does not translate them", async (t) => {
  const [stream, path, plain] = ["none", "none.core", "plain.core"].map((name) => join(work, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(stream, corpusEntry("pc-fill").open());
  const run = await qevm(["extract", stream, "--format", "elf", "--paging", "--out", path]);
  t.equal(run.code, 0, run.stderr);
  t.match(run.stderr, /no CPU translates addresses/u);
  t.equal((await qevm(["extract", stream, "--format", "elf", "--out", plain])).code, 0);
  t.ok(readFileSync(path).equals(readFileSync(plain)), "it is the core without them");
  const wrong = await qevm(["extract", stream, "--format", "raw", "--paging", "--out", join(work, "x")]);
  t.equal(wrong.code, 2, wrong.stderr);
  const kdumped = join(work, "fill.kdump");
  t.equal((await qevm(["extract", stream, "--format", "kdump", "--out", kdumped])).code, 0);
  t.ok(statSync(kdumped).size < statSync(plain).size, "compressed");
  const { pages } = kdump(readFileSync(kdumped));
  const { loads } = coreParts(readFileSync(plain));
  const core = readFileSync(plain);
  let checked = 0;
  for (const { at, address, length } of loads) {
    for (let done = 0; done < length; done += 4096, checked++) {
      const page = pages.get((address + done) / 4096);
      if (page?.equals(core.subarray(at + done, at + done + 4096)) !== true) t.fail(`page at ${address + done}`);
    }
  }
  t.equal(checked, pages.size, "every page of the core, and no other");
});

test("page tables without end are a limit, not a full memory", async (t) => {
  // Every entry of the only table points at itself: 2^36 pages of 4 KiB.
  const table = new Uint8Array(4096);
  const view = new DataView(table.buffer);
  for (let at = 0; at < 4096; at += 8) view.setBigUint64(at, 0x1000n | PRESENT | WRITE | USER, true);
  const fields = {
    "env.cr[0]": "0x80000011",
    "env.cr[3]": "0x1000",
    "env.cr[4]": "0x20",
    "env.efer": "0x500",
    "env.hflags": "0x4000",
    "env.a20_mask": "0xffffffff",
  };
  const cpu = { architecture: "x86" as const, instance: 0, device: { fields, subsections: {} } };
  const memoryOf = { readPhysical: (_: number, length: number) => Promise.resolve(table.slice(0, length)) };
  const segments = [{ block: "pc.ram", start: 0, length: MIB, offset: 0 }];
  try {
    await mappedLoads([cpu], memoryOf, {}, segments);
    t.fail("nothing was refused");
  } catch (error) {
    t.equal((error as { code?: string }).code, "limit", String(error));
  }
});

/** A CPU in long mode with these tables. */
function longMode(cr3: string): CpuState {
  const fields = { "env.cr[0]": "0x80000011", "env.cr[3]": cr3, "env.cr[4]": "0x20", "env.efer": "0x500" };
  return { architecture: "x86", instance: 0, device: { fields, subsections: {} } };
}

test("the kernel's names for the header of a kdump are where its note says", async (t) => {
  const ram = Buffer.alloc(0x10000);
  for (const [table, entry] of [
    [0x1000 + 8 * 511, 0x2007n],
    [0x2000 + 8 * 510, 0x3007n],
    [0x3000, 0x4007n],
    [0x4000, 0x8007n],
    [0x4008, 0x9007n],
  ] as const) {
    ram.writeBigUInt64LE(entry, table);
  }
  // Over the border of two pages.
  const at = 0x8f00;
  ["Linux", "host", "6.1.0-qevm", "#1 SMP", "x86_64", "(none)"].forEach((name, k) => ram.write(name, at + 65 * k));
  const physical = {
    readPhysical: async (from: number, length: number) => await Promise.resolve(ram.subarray(from, from + length)),
  };
  const named = async (text: string, cpus: CpuState[]): Promise<Uint8Array | undefined> =>
    await utsnameOf(Buffer.concat([Buffer.alloc(24), Buffer.from(text)]), cpus, physical, {});
  const symbol = "SYMBOL(init_uts_ns)=ffffffff80000ef0\nOFFSET(uts_namespace.name)=16\n";
  const text = `OSRELEASE=6.1.0-qevm\n${symbol}`;
  const found = await named(text, [longMode("0x5000"), longMode("0x1000")]);
  t.deepEqual(Buffer.from(found ?? []), ram.subarray(at, at + 390), "by the CPU that maps it");
  t.equal(await named(text, [longMode("0x5000")]), undefined, "no CPU maps it");
  t.equal(await named(`OSRELEASE=6.1.1\n${symbol}`, [longMode("0x1000")]), undefined, "another release");
  t.equal(await named("OSRELEASE=6.1.0-qevm\n", [longMode("0x1000")]), undefined, "no symbol");
  ram.fill(0x41, at + 65, at + 130);
  t.equal(await named(text, [longMode("0x1000")]), undefined, "a name without its end");
  t.end();
});
