/**
 * Virtual addresses of saved guests against QEMU's own translation. Each CPU of one machine gets a mode of its own: its
 * registers and tables are edited into a saved stream, a real QEMU loads that, says where random mapped addresses and
 * others are (`gva2gpa`), and saves it again, which is what `translate` reads.
 */
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { Random } from "../src/analyse/fuzz/random.js";
import { mappedRanges, openMemory, packFolder, readVirtual, translate, unpackStream } from "../src/node.js";
import { findQemu, innerPath } from "../tools/qemu/find.js";
import { makeWorkFolder, QemuProcess } from "../tools/qemu/process.js";
import { armTables, PageTables, radixTables, riscvTables, s390Tables, x86Tables } from "./support/page-tables.js";
import type { TableFormat, TableRoom } from "./support/page-tables.js";
import { radixGuest, radixTable } from "../tools/guest/targets.js";
import { whenLoaded } from "./support/qemus.js";
import { saveStream } from "./support/save-stream.js";

const MIB = 1 << 20;
/** Mapped addresses of each mode: a question takes QEMU 2 ms. `QEVM_ADDRESSES=500` asks for more. */
const MAPPED = Number(process.env["QEVM_ADDRESSES"] ?? 60);
/** Data for reading is in the guest's memory from here on; tables come after it. */
const DATA = 1 * MIB;
const TABLES = 4 * MIB;

type Plain = { fields: Record<string, unknown>; subsections: Record<string, Record<string, unknown>> };

interface Mode {
  name: string;
  /** Registers for tables with this root. */
  edit: (cpu: Plain, root: bigint) => void;
  /** Absent: no translation. */
  format?: TableFormat;
  /** A virtual address of the mode with these random bits. */
  virtual: (bits: bigint) => bigint;
  /** Bits of physical addresses, by level. */
  physical: (k: number) => number;
  /** Where its tables map anything; default: everywhere. */
  last?: bigint;
}

interface Machine {
  name: string;
  program: string;
  args: string;
  block: string;
  /** Guest-physical address and length of main memory. */
  base: number;
  length: number;
  modes: readonly Mode[];
  /** Physical addresses outside of memory are refused by QEMU itself (s390x). */
  inside?: true;
  prepare?: (folder: string) => void;
  ready?: (vm: QemuProcess) => Promise<void>;
  /** Writes tables that all CPUs share. */
  shared?: (ram: Uint8Array, roots: readonly number[]) => void;
}

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

function x86(name: string, kind: "32" | "pae" | "4" | "5", registers: [cr0: bigint, cr4: bigint, efer: bigint]): Mode {
  const format = x86Tables(kind);
  const bits = kind === "32" || kind === "pae" ? 32 : kind === "4" ? 48 : 57;
  return {
    name,
    format,
    edit: ({ fields }, root) => {
      const [cr0, cr4, efer] = registers;
      Object.assign(fields, {
        "env.cr[0]": hex(cr0),
        "env.cr[3]": hex(root),
        "env.cr[4]": hex(cr4),
        "env.efer": hex(efer),
      });
      const flags = Number(fields["env.hflags"]) & ~(1 << 14);
      fields["env.hflags"] = (efer & 0x400n) === 0n ? flags : flags | (1 << 14);
    },
    virtual: (random) =>
      BigInt.asUintN(bits > 32 ? 64 : 32, bits > 32 ? BigInt.asIntN(bits, random) : BigInt.asUintN(32, random)),
    physical: (k) => (kind !== "32" ? 52 : k === 0 ? 40 : 32),
  };
}

const PAGING = 0x8000_0011n;
const X86_MODES: readonly Mode[] = [
  {
    name: "real mode",
    edit: () => undefined,
    virtual: (bits) => BigInt.asUintN(32, bits),
    physical: () => 32,
  },
  x86("32 bits, PSE", "32", [PAGING, 0x10n, 0n]),
  x86("PAE", "pae", [PAGING, 0x20n, 0x800n]),
  x86("4 levels", "4", [PAGING, 0x20n, 0xd00n]),
  x86("5 levels", "5", [PAGING, 0x1020n, 0xd00n]),
  {
    name: "real mode, A20 closed",
    edit: ({ fields }) => (fields["env.a20_mask"] = -1 ^ MIB),
    virtual: (bits) => BigInt.asUintN(32, bits),
    physical: () => 32,
  },
];

/** Changes system registers of an ARM CPU by the numbers of their KVM ids. */
function system({ fields }: Plain, values: Record<string, bigint>): void {
  const ids = fields["cpreg_vmstate_indexes"] as string[];
  const list = fields["cpreg_vmstate_values"] as string[];
  for (const [id, value] of Object.entries(values)) {
    const at = ids.indexOf(`0x60300000001${id}`);
    if (at < 0) throw new Error(`no system register ${id}`);
    list[at] = hex(value);
  }
}

interface ArmKind {
  level: 1 | 2 | 3;
  vhe?: true;
  page: 12 | 14 | 16;
  size: number;
  top?: true;
  wide?: "64k" | "ds";
}

const GRANULE = { 12: [0n, 2n], 14: [2n, 1n], 16: [1n, 3n] } as const;

function arm(name: string, { level, vhe, page, size, top, wide }: ArmKind): Mode {
  const two = level === 1 || vhe === true;
  const ips = wide === undefined ? 5n : 6n;
  const zero = BigInt(64 - size);
  const [tg0, tg1] = GRANULE[page];
  const tcr = two
    ? zero |
      (zero << 16n) |
      (tg0 << 14n) |
      (tg1 << 30n) |
      (ips << 32n) |
      (wide === "ds" ? 1n << 59n : 0n) |
      (top ? 1n << 7n : 1n << 23n)
    : zero | (tg0 << 14n) | (ips << 16n) | (wide === "ds" ? 1n << 32n : 0n) | (1n << 31n) | (1n << 23n);
  const number = { 1: "3c", 2: "3e", 3: "3f" }[level];
  return {
    name,
    format: armTables(page, size, wide ?? "no"),
    edit: (cpu, root) => {
      cpu.fields["cpsr"] = 0x3c0 | (level << 2) | 1;
      // SCR_EL3: EL2 and EL1 are not secure, and of 64 bits. HCR_EL2: EL1 has 64 bits; VHE.
      const hcr = (1n << 31n) | (vhe === true ? (1n << 34n) | (1n << 27n) : 0n);
      system(cpu, { "3f088": 0x431n, "3e088": hcr, [`${number}080`]: 1n, [`${number}102`]: tcr });
      system(cpu, { [`${number}100`]: root, ...(two ? { [`${number}101`]: root } : {}) });
    },
    virtual: (bits) => {
      const low = BigInt.asUintN(size, bits);
      return top === true ? low | (((1n << BigInt(64 - size)) - 1n) << BigInt(size)) : low;
    },
    physical: () => (wide === undefined ? 48 : 52),
  };
}

const ARM_MODES: readonly Mode[] = [
  arm("EL1, 4 KiB, TTBR0", { level: 1, page: 12, size: 48 }),
  arm("EL1, 4 KiB, 39 bits, TTBR1", { level: 1, page: 12, size: 39, top: true }),
  arm("EL1, 16 KiB, TTBR1", { level: 1, page: 14, size: 47, top: true }),
  arm("EL1, 64 KiB, 52 bits", { level: 1, page: 16, size: 52, wide: "64k" }),
  arm("EL1, 4 KiB, LPA2", { level: 1, page: 12, size: 52, wide: "ds", top: true }),
  arm("EL2", { level: 2, page: 12, size: 42 }),
  arm("EL2 with VHE, 64 KiB", { level: 2, vhe: true, page: 16, size: 48, top: true }),
  arm("EL3, 16 KiB", { level: 3, page: 14, size: 36 }),
];

function riscv(size: number, mode: bigint): Mode {
  return {
    name: `Sv${size}`,
    format: riscvTables(size),
    edit: ({ fields }, root) => {
      // MXR and SUM, so that QEMU's read is allowed everywhere.
      const status = BigInt(fields["env.mstatus"] as string) | (3n << 18n);
      Object.assign(fields, {
        "env.satp": hex((mode << 60n) | (root >> 12n)),
        "env.priv": typeof fields["env.priv"] === "number" ? 1 : "0x1",
        "env.mstatus": hex(status),
      });
    },
    virtual: (bits) => BigInt.asUintN(64, BigInt.asIntN(size, bits)),
    physical: () => 50,
  };
}

const RISCV_MODES: readonly Mode[] = [
  { name: "machine mode", edit: () => undefined, virtual: (bits) => BigInt.asUintN(56, bits), physical: () => 56 },
  riscv(39, 8n),
  riscv(48, 9n),
  riscv(57, 10n),
];

function s390(name: string, type: number, home = false): Mode {
  const bits = [31, 42, 53, 64][type]!;
  return {
    name,
    format: s390Tables(type, false),
    edit: ({ fields }, root) => {
      // DAT, 64 bits, and home space; EDAT in control register 0.
      fields["env.psw.mask"] = hex((1n << 58n) | (3n << 31n) | (home ? 3n << 46n : 0n));
      fields["env.psa"] = hex(PREFIX);
      const control = fields["env.cregs"] as string[];
      control[0] = hex(BigInt(control[0]!) | (1n << 23n));
      control[home ? 13 : 1] = hex(root | (BigInt(type) << 2n) | 3n);
    },
    virtual: (random) => BigInt.asUintN(bits, random),
    physical: () => 25,
  };
}

const S390_MODES: readonly Mode[] = [
  {
    name: "DAT off, prefix",
    edit: ({ fields }) => Object.assign(fields, { "env.psw.mask": hex(3n << 31n), "env.psa": hex(0x6000) }),
    virtual: (bits) => BigInt.asUintN(16, bits),
    physical: () => 16,
  },
  s390("segment table", 0),
  s390("region third table", 1),
  s390("region second table, home space", 2, true),
  s390("region first table", 3),
];

function power(name: string, pid: number): Mode {
  return {
    name,
    format: radixTables(),
    edit: ({ fields }) => {
      fields["env.msr"] = hex((1n << 63n) | 0x30n);
      // Process 9 has no tree, so that quadrant 0 is empty.
      (fields["env.spr"] as string[])[48] = hex(pid === 0 ? 9 : pid);
    },
    virtual: (bits) => BigInt.asUintN(52, bits) | (pid === 0 ? 3n << 62n : 0n),
    physical: () => 56,
    // Quadrant 3 is process 0's, which is another mode.
    ...(pid === 0 ? {} : { last: (1n << 62n) - 1n }),
  };
}

const POWER_MODES: readonly Mode[] = [
  { name: "real mode", edit: () => undefined, virtual: (bits) => BigInt.asUintN(60, bits), physical: () => 60 },
  power("radix, quadrant 3", 0),
  power("radix, quadrant 0", 5),
];

const MACHINES: readonly Machine[] = [
  {
    name: "x86_64",
    program: "qemu-system-x86_64",
    args: "-machine pc -cpu max,la57=on -m 48 -smp 6",
    block: "pc.ram",
    base: 0,
    length: 48 * MIB,
    modes: X86_MODES,
  },
  {
    name: "aarch64",
    program: "qemu-system-aarch64",
    args: "-machine virt,virtualization=on,secure=on -cpu max -m 48 -smp 8",
    block: "mach-virt.ram",
    base: 0x4000_0000,
    length: 48 * MIB,
    modes: ARM_MODES,
  },
  {
    name: "riscv64",
    program: "qemu-system-riscv64",
    args: "-machine virt -bios none -cpu rv64,pmp=off -m 48 -smp 4",
    block: "riscv_virt_board.ram",
    base: 0x8000_0000,
    length: 48 * MIB,
    modes: RISCV_MODES,
  },
  {
    name: "s390x",
    program: "qemu-system-s390x",
    args: "-machine s390-ccw-virtio -cpu max -m 48 -smp 5",
    block: "s390.ram",
    base: 0,
    length: 48 * MIB,
    modes: S390_MODES,
    inside: true,
  },
  {
    name: "ppc64",
    program: "qemu-system-ppc64",
    args: "-machine pseries -cpu power9 -m 256 -smp 3 -bios $DIR/guest",
    block: "ppc_spapr.ram",
    base: 0,
    length: 48 * MIB,
    modes: POWER_MODES,
    prepare: (folder) => writeFileSync(join(folder, "guest"), radixGuest()),
    ready: async (vm) => {
      for (let k = 0; k < 300 && !/4d41/u.test(await vm.human("xp /1wx 0x4000")); k++)
        await new Promise((resolve) => setTimeout(resolve, 50));
    },
    // Entry: the size of the addresses (52 = 31 + 21), the root, its 13 bits.
    shared: (ram, roots) => {
      const view = new DataView(ram.buffer, ram.byteOffset, ram.length);
      for (const [pid, root] of [
        [0, roots[1]!],
        [5, roots[2]!],
      ] as const)
        view.setBigUint64(radixTable + 16 * pid, (2n << 61n) | (5n << 5n) | BigInt(root) | 13n);
    },
  },
];

interface MappedPage {
  virtual: bigint;
  physical: bigint;
  bits: number;
}

/** Maps random pages, many of them near others. */
function fill(mode: Mode, tables: PageTables, room: TableRoom, machine: Machine, random: Random): MappedPage[] {
  const { levels } = mode.format!;
  const pages: MappedPage[] = [];
  const next = (): number => random.below(1 << 30) / (1 << 30);
  const wide = (): bigint => (BigInt(random.below(2 ** 32)) << 32n) | BigInt(random.below(2 ** 32));
  const bases = Array.from({ length: 6 }, wide);
  const limit = room.next + 4 * MIB;
  for (let k = 0; k < 60 && room.next < limit; k++) {
    const near = 12n + BigInt(random.below(53));
    const base = bases[random.below(bases.length)]!;
    const virtual = mode.virtual(((base >> near) << near) | (wide() & ((1n << near) - 1n)));
    const level = levels.length - 1 - (next() < 0.6 ? 0 : random.below(3));
    if (level < 0) continue;
    const bits = levels[level]!.shift;
    // Some pages are in memory, so that they can be read; the others anywhere.
    const data = BigInt(machine.base) + BigInt(DATA + 0x10000 * random.below(8)) + BigInt(random.below(16)) * 4096n;
    const anywhere = wide() & ((1n << BigInt(mode.physical(level))) - 1n);
    const wanted = machine.inside !== undefined ? (bits > 26 ? 0n : anywhere) : next() < 0.5 ? data : anywhere;
    const physical = (wanted >> BigInt(bits)) << BigInt(bits);
    const put = (at: bigint, to: bigint): void => {
      if (tables.map(at, to, level, next)) pages.push({ virtual: at, physical: to, bits });
    };
    const at = (virtual >> BigInt(bits)) << BigInt(bits);
    put(at, physical);
    // The next page, too, in another place: for reading over the border. Addresses never wrap here.
    if (level === levels.length - 1 && ((at >> BigInt(bits)) & 7n) !== 7n)
      put(at + (1n << BigInt(bits)), BigInt(machine.base) + BigInt(DATA + 0x10000 * random.below(8)));
  }
  return pages;
}

for (const machine of MACHINES) {
  const qemu = findQemu("7.2", machine.program);
  test(`${machine.name}: gva2gpa`, qemu === undefined ? { skip: `no ${machine.program} 7.2 here` } : {}, async (t) => {
    const work = mkdtempSync(join(tmpdir(), "qevm-virtual-"));
    const folder = makeWorkFolder(qemu!);
    machine.prepare?.(folder);
    const args = [...machine.args.split(" "), "-nodefaults", ...(machine.ready === undefined ? ["-S"] : [])];
    const source = await QemuProcess.start(qemu!, args, folder);
    try {
      await machine.ready?.(source);
      await source.execute("stop");
      await unpackStream(await saveStream(source), join(work, "parts"));
    } finally {
      await source.close();
    }
    const random = new Random(62);
    const ram = new Uint8Array(machine.length);
    for (let at = DATA; at < DATA + MIB / 2; at++) ram[at] = random.below(256);
    const room: TableRoom = { ram, base: machine.base, next: TABLES };
    const all = machine.modes.map((mode) => {
      if (mode.format === undefined) return { mode, root: 0, pages: [] };
      const tables = new PageTables(room, mode.format);
      return { mode, root: tables.root, pages: fill(mode, tables, room, machine, random) };
    });
    machine.shared?.(
      ram,
      all.map(({ root }) => root),
    );
    const parts = join(work, "parts", "ram", machine.block);
    const fd = openSync(parts, "r+");
    writeSync(fd, ram, DATA, room.next - DATA, DATA);
    closeSync(fd);
    all.forEach(({ mode, root }, k) =>
      editCpu(join(work, "parts", "devices"), k, (cpu) => mode.edit(cpu, BigInt(root))),
    );
    const edited = join(makeWorkFolder(qemu!), "edited");
    await packFolder(join(work, "parts"), edited);
    const second = makeWorkFolder(qemu!);
    machine.prepare?.(second);
    const again = [
      ...machine.args.split(" "),
      "-nodefaults",
      "-S",
      "-incoming",
      `exec:cat ${innerPath(qemu!, edited)}`,
    ];
    const vm = await QemuProcess.start(qemu!, again, second);
    try {
      await whenLoaded(vm).catch((error: unknown) => t.fail(`${String(error)} ${vm.stderr}`));
      const stream = await saveStream(vm);
      for (const [k, { mode, pages }] of all.entries())
        await compare(t, vm, stream, { mode, pages, cpu: k, random, machine });
    } finally {
      await vm.close();
      for (const place of [work, edited]) rmSync(place, { recursive: true, force: true });
    }
    t.end();
  });
}

function editCpu(folder: string, instance: number, edit: (cpu: Plain) => void): void {
  const name = readdirSync(folder).find((one) => one.endsWith(`-cpu-${instance}.json`));
  if (name === undefined) throw new Error(`no CPU ${instance} in ${readdirSync(folder).join(" ")}`);
  const path = join(folder, name);
  const cpu = JSON.parse(readFileSync(path, "utf8")) as Plain;
  edit(cpu);
  writeFileSync(path, JSON.stringify(cpu));
}

interface Compared {
  mode: Mode;
  pages: readonly MappedPage[];
  cpu: number;
  random: Random;
  machine: Machine;
}

async function compare(
  t: test.Test,
  vm: QemuProcess,
  stream: string,
  { mode, pages, cpu, random, machine }: Compared,
): Promise<void> {
  const memory = await openMemory(stream);
  const space = memory.addressSpace(cpu);
  const wide = (): bigint => (BigInt(random.below(2 ** 32)) << 32n) | BigInt(random.below(2 ** 32));
  const addresses: bigint[] = [];
  for (let k = 0; k < MAPPED; k++) {
    const page = pages[random.below(Math.max(1, pages.length))];
    // s390x: only the part of a page that is in memory.
    const bits = BigInt(Math.min(page?.bits ?? 0, mode.physical(0)));
    addresses.push(page === undefined ? mode.virtual(wide()) : page.virtual | (wide() & ((1n << bits) - 1n)));
  }
  const mapped = addresses.length;
  for (let k = 0; k < MAPPED / 2 && pages.length > 0; k++) {
    const known = addresses[random.below(mapped)]!;
    addresses.push(k % 4 === 0 ? wide() : known ^ (1n << BigInt(random.below(64))));
  }
  const human = async (line: string): Promise<string> =>
    (await vm.execute("human-monitor-command", { "command-line": line, "cpu-index": cpu })) as string;
  const wrong: string[] = [];
  let found = 0;
  let refused = 0;
  for (const [k, address] of addresses.entries()) {
    const said = await human(`gva2gpa ${hex(address)}`);
    const theirs = /^gpa: (?:0x)?([0-9a-f]+)/u.exec(said)?.[1];
    const ours = await translate(space, address);
    // s390x: QEMU also refuses what is mapped to no memory.
    const outside = machine.inside !== undefined && Number(ours.physical ?? 0n) >= machine.length;
    const here = outside ? undefined : ours.physical;
    if (theirs === undefined) refused++;
    else if (k < mapped) found++;
    if ((theirs === undefined ? undefined : BigInt(`0x${theirs}`)) === here) continue;
    wrong.push(`${hex(address)}: QEMU ${said.trim()}, here ${ours.fault ?? hex(ours.physical ?? 0n)}`);
  }
  t.deepEqual(wrong.slice(0, 5), [], `${space.mode} (${mode.name}): ${found} found, ${refused} refused by both`);
  t.equal(found, mapped, "every mapped one is found");
  if (pages.length > 0) {
    t.ok(refused > 5, "some are refused");
    t.deepEqual(await ranged(space, mode.last), expectedRanges(pages, machine), "mappedRanges: what was mapped");
    await compareBytes(
      t,
      { vm, human },
      space,
      pages.filter((page) => inData(page, machine)),
    );
  }
  await memory.close();
}

async function ranged(space: Parameters<typeof mappedRanges>[0], to = (1n << 64n) - 1n): Promise<string[]> {
  const found: [bigint, bigint, bigint][] = [];
  for await (const { virtual, physical, length } of mappedRanges(space, { to }))
    found.push([virtual, physical, length]);
  return joined(found);
}

/** What the pages are in physical memory; s390x: with the prefix, 0x20000, exchanged. */
function expectedRanges(pages: readonly MappedPage[], machine: Machine): string[] {
  const sorted = pages.toSorted((a, b) => (a.virtual < b.virtual ? -1 : 1));
  const cuts = machine.inside === undefined ? [] : [0x2000n, PREFIX, PREFIX + 0x2000n];
  return joined(
    sorted.flatMap(({ virtual, physical, bits }) => {
      const end = physical + (1n << BigInt(bits));
      const starts = [physical, ...cuts.filter((cut) => physical < cut && cut < end)];
      return starts.map((start, k): [bigint, bigint, bigint] => {
        const moved = machine.inside === undefined ? start : prefixed(start);
        return [virtual + start - physical, moved, (starts[k + 1] ?? end) - start];
      });
    }),
  );
}

const PREFIX = 0x20000n;

function prefixed(real: bigint): bigint {
  if (real < 0x2000n) return real + PREFIX;
  return real >= PREFIX && real < PREFIX + 0x2000n ? real - PREFIX : real;
}

function inData({ physical, bits }: MappedPage, { base }: Machine): boolean {
  const start = Number(physical) - base;
  return bits <= 16 && start >= DATA && start + 2 ** bits <= DATA + MIB / 2;
}

/** Bytes at pages with data, some over the border to the next page, as `memsave` wrote them. */
async function compareBytes(
  t: test.Test,
  { vm, human }: { vm: QemuProcess; human: (line: string) => Promise<string> },
  space: Parameters<typeof readVirtual>[0],
  pages: readonly MappedPage[],
): Promise<void> {
  const starts = new Set(pages.map(({ virtual }) => virtual));
  const size = ({ bits }: MappedPage): bigint => 1n << BigInt(bits);
  const pairs = pages.filter((page) => starts.has(page.virtual + size(page)));
  const asked = [
    ...pages.slice(0, 5).map(({ virtual }) => virtual),
    ...pairs.slice(0, 15).map((one) => one.virtual + size(one) - 50n),
  ];
  const wrong: string[] = [];
  for (const address of asked) {
    await human(`memsave ${hex(address)} 100 "$DIR/saved"`);
    const theirs = readFileSync(vm.file("saved")).toString("hex");
    const ours = Buffer.from(await readVirtual(space, address, 100)).toString("hex");
    if (ours !== theirs) wrong.push(`${hex(address)}: ${ours}, QEMU ${theirs}`);
  }
  t.deepEqual(wrong, [], `${asked.length} readings, ${Math.min(15, pairs.length)} of them over borders`);
}

/** Ranges without their rights, those that continue one another as one. */
function joined(ranges: readonly [bigint, bigint, bigint][]): string[] {
  const all: [bigint, bigint, bigint][] = [];
  for (const [virtual, physical, length] of ranges) {
    const last = all.at(-1);
    if (last !== undefined && last[0] + last[2] === virtual && last[1] + last[2] === physical) last[2] += length;
    else all.push([virtual, physical, length]);
  }
  return all.map((range) => range.map(hex).join(" "));
}
