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
import { PageTables, type TableRoom } from "./support/page-tables.js";
import { whenLoaded } from "./support/qemus.js";
import { saveStream } from "../tools/qemu/save-stream.js";
import {
  DATA,
  hex,
  MACHINES,
  MIB,
  PREFIX,
  TABLES,
  type Machine,
  type Mode,
  type Plain,
} from "./support/virtual-modes.js";

/** Mapped addresses of each mode: a question takes QEMU 2 ms. `QEVM_ADDRESSES=500` asks for more. */
const MAPPED = Number(process.env["QEVM_ADDRESSES"] ?? 60);

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
