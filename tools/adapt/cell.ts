/** One cell of the matrix: a guest saved by one QEMU under an old machine type, adapted, loaded by another. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { QevmError } from "../../src/bytes/errors.js";
import { MemorySink, MemorySource } from "../../src/bytes/source.js";
import { planStreams, reportOf, type AdaptReport, type Reopened } from "../../src/rewrite/adapt/index.js";
import { askDestination } from "../../src/rewrite/adapt/destination.js";
import { askSubsections } from "../../src/rewrite/adapt/dumped.js";
import { offeredFeatures } from "../../src/rewrite/adapt/offered.js";
import type { PatternFacts, Survey } from "../../src/rewrite/adapt/types.js";
import { planAdapt } from "../../src/rewrite/adapt/plan.js";
import { displayArguments, globalArguments, topologyArguments } from "../../src/rewrite/adapt/properties.js";
import { settingsOf, settle, type Asked } from "../../src/rewrite/adapt/settle.js";
import { survey } from "../../src/rewrite/adapt/survey.js";
import { writeAdapted } from "../../src/rewrite/adapt/write.js";
import { descriptionOf } from "../../src/codec/stream/index.js";
import type { VmDescription } from "../../src/codec/vmstate/index.js";
import { startDestination } from "../destination/index.js";
import { describesState } from "./cells.js";
import { innerPath, type QemuBinary } from "../qemu/find.js";
import { makeWorkFolder, QemuProcess } from "../qemu/process.js";
import { saveStream } from "../qemu/save-stream.js";
import { sha256Of } from "../sha256.js";

export interface Cell {
  readonly old: QemuBinary;
  readonly now: QemuBinary;
  /** Full machine types. */
  readonly from: string;
  readonly to: string;
  readonly args: readonly string[];
  /** Those of the destination; the same by default. */
  readonly toArgs?: readonly string[];
  /** Devices that are hot-plugged into the source, as `-device` takes them. */
  readonly plugged?: readonly string[];
  /** Milliseconds that the guest runs before it is saved; a Linux guest runs until it works. */
  readonly run: number;
  /** Files in `$DIR`, beside the disk. */
  readonly files?: Readonly<Record<string, Buffer>>;
  /** Rules whose changes are taken although the guest may notice. */
  readonly accept?: readonly string[];
  /** What is refused is written and loaded all the same. */
  readonly force?: boolean;
  /** A Linux that says on its serial port how it does: `tick 3 vda net`. */
  readonly linux?: { readonly kernel: string; readonly initrd: string } | undefined;
}

/** A guest that was saved. */
export interface SavedGuest {
  readonly stream: Buffer;
  /** Its registers; empty: not compared. */
  readonly registers: string;
  /** SHA-256 of its memory; empty: not compared. */
  readonly memory: string;
  /** What a Linux said last. */
  readonly said: string;
  /** What its stream does not say of itself: machine types up to 2.2 describe no state. */
  readonly schema?: readonly VmDescription[];
}

export interface Outcome {
  /** The guest goes on. */
  readonly passed: boolean;
  /** Where it ended: "source", "pattern", "refused", "load", "registers", "stopped". */
  readonly at: string;
  readonly why: string;
  readonly report?: AdaptReport;
  /** Of what was refused and loaded all the same: whether QEMU took it. */
  readonly forced?: boolean;
  readonly globals: readonly string[];
  readonly stream?: Buffer;
  readonly pattern?: Buffer;
}

const LINUX = [
  ..."-kernel $DIR/kernel -initrd $DIR/initrd -chardev file,id=tty,path=$DIR/serial -device isa-serial,chardev=tty".split(
    " ",
  ),
  "-append",
  // On a machine with much to do the kernel finds that its timer does not tick, and stops.
  "console=ttyS0 quiet rdinit=/init no_timer_check",
];

function filesOf({ linux, files }: Cell): Record<string, Buffer> {
  const disk = { ...files, disk: Buffer.alloc(1 << 20) };
  return linux === undefined
    ? disk
    : { ...disk, kernel: readFileSync(linux.kernel), initrd: readFileSync(linux.initrd) };
}

function argumentsOf(cell: Cell, machine: string, args = cell.args): string[] {
  return ["-machine", machine, ...args, ...(cell.linux === undefined ? [] : LINUX)];
}

async function started(cell: Cell, qemu: QemuBinary, args: readonly string[]): Promise<QemuProcess> {
  const folder = makeWorkFolder(qemu);
  for (const [name, bytes] of Object.entries(filesOf(cell))) writeFileSync(join(folder, name), bytes);
  return await QemuProcess.start(qemu, args, folder);
}

/** Seconds that a Linux may take until it works, and until it is seen to go on: 20 and 2 on an idle machine. */
const BOOT = 900;
const GO_ON = 300;

/** Waits until the Linux guest has said so many more lines, at most so many seconds; what it said. */
async function ticks(vm: QemuProcess, count: number, seconds: number): Promise<string[]> {
  for (const until = Date.now() + seconds * 1000; ; await sleep(300)) {
    const said = readFileSync(vm.file("serial"), "latin1");
    const found = said.split(/\r?\n/u).filter((line) => /^tick \d+ .*\d$/u.test(line));
    if (found.length >= count) return found;
    if (Date.now() > until || vm.exit !== undefined) return [...found, said.slice(-500)];
  }
}

/** A machine saved by its QEMU. */
export async function saved(vm: QemuProcess): Promise<Buffer> {
  return readFileSync(await saveStream(vm));
}

/** Lets a guest run until it is saved; what a Linux said last. */
async function settleDown({ linux, run, plugged = [] }: Cell, vm: QemuProcess): Promise<string> {
  for (const device of plugged) await vm.execute("device_add", withTypes(device));
  if (linux === undefined) {
    await sleep(run);
    return "";
  }
  const said = (await ticks(vm, 3, BOOT)).at(-1)!;
  if (!said.startsWith("tick")) throw new QevmError("io", `Linux did not start: ${said}`);
  return said;
}

/** `virtio-net-pci,netdev=n0,addr=5` as QMP takes it. */
function withTypes(device: string): Record<string, string | number> {
  const [driver = "", ...rest] = device.split(",");
  const pairs = rest.map((pair): [string, string | number] => {
    const [name = "", value = ""] = pair.split("=");
    return [name, /^(?:socket|core|thread)-id$/u.test(name) ? Number(value) : value];
  });
  return { driver, ...Object.fromEntries(pairs) };
}

/** The source's stream, and the registers that it was saved with. */
export async function saveOld(cell: Cell): Promise<SavedGuest> {
  const vm = await started(cell, cell.old, argumentsOf(cell, cell.from));
  try {
    const said = await settleDown(cell, vm);
    await vm.execute("stop");
    const registers = await vm.human("info registers");
    const memory = await memoryOf(vm, cell);
    const stream = await saved(vm);
    return {
      stream,
      registers,
      memory,
      said,
      ...(describesState(cell.from) ? {} : { schema: [await describedBy(cell)] }),
    };
  } finally {
    await vm.close();
  }
}

/**
 * SHA-256 of what the guest has in its memory. On a PC without the first MiB: below it are the firmware's own copies, and
 * the windows of adapters.
 */
async function memoryOf(vm: QemuProcess, { args, from }: Cell): Promise<string> {
  const size = Number(args[args.indexOf("-m") + 1]?.split(",")[0]) * 2 ** 20;
  const [start, length] = from.startsWith("virt-") ? [2 ** 30, size] : [2 ** 20, size - 2 ** 20];
  const path = vm.file("memory");
  const words = [start, length].map((number) => `0x${number.toString(16)}`).join(" ");
  await vm.human(`pmemsave ${words} "${innerPath(vm.qemu, path)}"`);
  const hash = sha256Of(readFileSync(path));
  rmSync(path);
  return hash;
}

/**
 * The description that the source's QEMU writes of such a machine when it is told to; it has run too, since what was
 * never used has fewer fields and subsections.
 */
async function describedBy(cell: Cell): Promise<VmDescription> {
  const vm = await started(cell, cell.old, argumentsOf(cell, `${cell.from},suppress-vmdesc=off`));
  try {
    await settleDown(cell, vm);
    await vm.execute("stop");
    return await descriptionOf(new MemorySource(await saved(vm)));
  } finally {
    await vm.close();
  }
}

interface Pattern extends Asked {
  readonly pattern: Buffer;
  readonly facts: PatternFacts;
}

/**
 * The destination's pattern, the arguments beside those of the cell that the guest needs, and what else it says: as
 * `askPattern`, for a QEMU in a chroot too.
 */
export async function patternOf(
  cell: Cell,
  old: Survey,
): Promise<{
  pattern: Buffer;
  globals: string[];
  facts: PatternFacts;
}> {
  const plain = argumentsOf(cell, cell.to, cell.toArgs);
  const names = old.sections.map(({ idstr }) => idstr);
  const display = [...displayArguments(names, plain), ...topologyArguments(cell.from, plain)];
  const line = [...plain, ...display, "-S"];
  const first = await started(cell, cell.now, line);
  const { release, properties, devices } = await askDestination(first, cell.from).finally(() => first.close());
  const globals = globalArguments(properties, line);
  let subsections: PatternFacts["subsections"];
  const ask = async (args: readonly string[]): Promise<Pattern> => {
    const full = [...line, ...globals, ...args];
    const vm = await started(cell, cell.now, full);
    try {
      const pattern = await saved(vm);
      const features = await offeredFeatures(vm.qmp);
      subsections ??= await subsectionsOf(cell.now, full, vm.folder);
      return { pattern, devices, facts: { release, features, subsections } };
    } finally {
      await vm.close();
    }
  };
  const { asked, args, apart } = await settle(ask, async ({ pattern, facts }, alone) => {
    const theirs = await survey(new MemorySource(pattern), {});
    return settingsOf(planAdapt(old, theirs, { ...facts, apart: alone }).changes);
  });
  return { pattern: asked.pattern, globals: [...display, ...globals, ...args], facts: { ...asked.facts, apart } };
}

async function subsectionsOf(
  qemu: QemuBinary,
  args: readonly string[],
  folder: string,
): Promise<PatternFacts["subsections"]> {
  const inner = innerPath(qemu, folder);
  const command = [...qemu.command, ...args].map((word) => word.replaceAll("$DIR", inner));
  const path = join(folder, "vmstate.json");
  return await askSubsections(command, path, innerPath(qemu, path), 60);
}

function reopened(bytes: Buffer): Reopened {
  return { open: () => new MemorySource(bytes) };
}

/** Saves the guest of a cell, unless it was saved before, adapts it and loads it. */
export async function tryCell(cell: Cell, guest?: SavedGuest): Promise<Outcome> {
  let globals: string[] = [];
  const failed = (at: string, error: unknown, rest: Partial<Outcome> = {}): Outcome => ({
    passed: false,
    at,
    why: String(error instanceof Error ? error.message : error).trim(),
    globals,
    ...rest,
  });
  let source: SavedGuest;
  let pattern: Buffer;
  let facts: PatternFacts;
  try {
    source = guest ?? (await saveOld(cell));
  } catch (error) {
    return failed("source", error);
  }
  const { stream, schema } = source;
  const options = schema === undefined ? {} : { schema };
  let known: Survey;
  try {
    known = await survey(new MemorySource(stream), options);
    ({ pattern, globals, facts } = await patternOf(cell, known));
  } catch (error) {
    return failed("pattern", error, { stream });
  }
  const sink = new MemorySink();
  let report: AdaptReport;
  try {
    const plan = await planStreams(reopened(stream), reopened(pattern), { facts, known });
    report = reportOf(plan, { accept: cell.accept });
    if (!report.enough) {
      const why = report.refused.map(({ where, rule, reason }) => `${where}: ${rule}: ${reason}`).join("; ");
      if (cell.force !== true) return failed("refused", why, { report, stream, pattern });
      await writeAdapted(plan, new MemorySource(stream), new MemorySource(pattern), sink, options);
      const taken = await loaded(cell, Buffer.from(sink.bytes()), source, globals, { stream, pattern });
      const said = taken.passed ? "" : `; QEMU: ${taken.at}: ${taken.why}`;
      return failed("refused", `${why}${said}`, { report, stream, pattern, forced: taken.passed });
    }
    await writeAdapted(plan, new MemorySource(stream), new MemorySource(pattern), sink, options);
  } catch (error) {
    return failed("adapt", error, { stream, pattern });
  }
  try {
    return await loaded(cell, Buffer.from(sink.bytes()), source, globals, { report, stream, pattern });
  } catch (error) {
    return failed("load", error, { report, stream, pattern });
  }
}

async function loaded(
  cell: Cell,
  stream: Buffer,
  { registers, memory, said }: SavedGuest,
  globals: string[],
  rest: Partial<Outcome>,
): Promise<Outcome> {
  const fail = (at: string, why: string): Outcome => ({ passed: false, at, why, globals, ...rest });
  const args = [...argumentsOf(cell, cell.to, cell.toArgs), ...globals];
  const { vm, result } = await startDestination({
    qemu: cell.now,
    args,
    stream,
    files: filesOf(cell),
    timeout: 300_000,
  });
  try {
    if (!result.loaded) return fail("load", result.error || result.status);
    const after = await vm.human("info registers");
    if (registers !== "" && values(after) !== values(registers))
      return fail("registers", "other registers after the load");
    if (memory !== "" && (await memoryOf(vm, cell)) !== memory) return fail("memory", "other memory after the load");
    await vm.execute("cont");
    if (cell.linux === undefined) await sleep(500);
    else {
      const lines = await ticks(vm, 3, GO_ON);
      if (works(lines.at(-1)!) !== works(said) || !goesOn(clockOf(said), lines.map(clockOf)))
        return fail("guest", `it said ${said}, then ${lines.slice(-3).join(" / ")}`);
    }
    const status = JSON.stringify(await vm.execute("query-status"));
    if (!status.includes('"running"')) return fail("stopped", status);
    return { passed: true, at: "", why: "", globals, ...rest };
  } finally {
    await vm.close();
  }
}

/** What works, of a line that the Linux guest says. */
function works(line: string): string {
  return line.replace(/^tick \d+|\d+$/gu, "");
}

/** The clock, in seconds, of a line that the Linux guest says. */
function clockOf(line: string): number {
  return Number(/\d+$/u.exec(line)?.[0]);
}

/** Whether a clock goes on from where it was, neither back nor by more than passed. */
function goesOn(before: number, after: readonly number[]): boolean {
  return [...after, before + GO_ON].every((time, i) => time >= (after[i - 1] ?? before));
}

/** General registers of all CPUs, in one form for all versions. */
function values(text: string): string {
  return (text.match(/\b(?:[ER](?:[A-D]X|[SD]I|[BS]P|IP)|R\d+|CR[0234]|X\d\d|PC|SP) ?=[0-9a-f]+/gu) ?? []).join(" ");
}
