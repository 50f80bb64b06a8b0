/**
 * `bench -- multifd`: our save over two multifd channels against QEMU 10.0's, with the memory of the Linux
 * guest of `bench -- qemu`, at level 1. Unit: non-zero pages per second.
 *
 * - `save zstd`, `save zlib`, `save none`: our save into sockets that another process empties, against `migrate` into
 *   the same ones.
 * - `load zstd huge`, `load zstd`, and so on: our load from sockets (`loadStream`), with and without huge pages, against
 *   `migrate-incoming`, which always has them; another process sends both the same recording, which is our save.
 *
 * The notes have the processor time of both sides, which a busy machine changes less than the time.
 */
import { spawn, type ChildProcessByStdio } from "node:child_process";
import { closeSync, copyFileSync, linkSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cpuUsage } from "node:process";
import type { Readable, Writable } from "node:stream";
import { QemuFileWriter, type ByteSink } from "../../src/bytes/index.js";
import { FileSource } from "../../src/io/transport/file.js";
import { textOf } from "../../src/io/transport/qmp.js";
import { openDestination, type Destination } from "../../src/io/transport/destination-uri.js";
import { RamSave, saveStream, type SharedBlock } from "../../src/rewrite/save/index.js";
import { linuxGuest } from "../guest/linux.js";
import { findQemu, type QemuBinary } from "../qemu/find.js";
import { makeWorkFolder, QemuProcess } from "../qemu/process.js";
import { median, pairs, row, type BenchOptions, type BenchRow, type Side } from "./pair.js";
import { Loader, MEMORIES } from "./loader.js";
import { makeResident } from "./resident.js";
import { blocksOf, countPages, incoming, migrate, thousands } from "./qemu.js";

const CHANNELS = 2;
const METHODS = ["zstd", "zlib", "none"] as const;
type Method = (typeof METHODS)[number];

/** The guest's machine, without its kernel, which it does not load again. */
const MACHINE = "-machine pc-i440fx-7.2 -m 1024 -smp 2 -nodefaults -device isa-serial,chardev=s -chardev null,id=s";

/** Empties every connection. */
const DRAIN = `require("node:net").createServer((s) => s.resume()).listen(process.argv[1], () => console.log("on"));`;

/** Processor time of each round of a row, in seconds: the first one is not counted. */
interface Spent {
  ours: number[];
  theirs: number[];
}

async function start(qemu: QemuBinary, stream: string): Promise<QemuProcess> {
  const folder = makeWorkFolder(qemu);
  placed(stream, join(folder, "stream"));
  return await QemuProcess.start(qemu, [...MACHINE.split(" "), "-S", "-incoming", "defer"], folder);
}

function placed(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch {
    copyFileSync(from, to);
  }
}

async function prepare(vm: QemuProcess, method: Method, multifd = true): Promise<void> {
  const capabilities = ["events", ...(multifd ? ["multifd"] : [])].map((capability) => ({ capability, state: true }));
  await vm.execute("migrate-set-capabilities", { capabilities });
  if (!multifd) return;
  await vm.execute("migrate-set-parameters", {
    "multifd-channels": CHANNELS,
    "multifd-compression": method,
    "multifd-zstd-level": 1,
    "multifd-zlib-level": 1,
    "max-bandwidth": 1e11,
  });
}

/** Processor time of a process in seconds, in hundredths. */
function spentBy({ child }: QemuProcess): number {
  const fields = readFileSync(`/proc/${child.pid}/stat`, "utf8").split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** A side whose processor time is noted. */
function noted(measure: () => Promise<number>, used: () => number, into: number[]): Side {
  return {
    async measure() {
      const before = used();
      const figure = await measure();
      into.push(used() - before);
      return figure;
    },
  };
}

function own(): number {
  const { user, system } = cpuUsage();
  return (user + system) / 1e6;
}

async function ourSave(path: string, blocks: readonly SharedBlock[], pages: number, method: Method): Promise<number> {
  const start_ = performance.now();
  const sockets: Destination[] = [];
  for (let k = 0; k <= CHANNELS; k++) sockets.push(await openDestination(`unix:${path}`));
  const [main, ...channels] = sockets;
  const file = new QemuFileWriter(main!);
  await RamSave.run(file, [...blocks], { multifd: { channels, method }, maxBandwidth: 0 });
  await file.finish();
  await Promise.all(channels.map(async (channel) => await channel.end()));
  return pages / ((performance.now() - start_) / 1000);
}

/** Sends the recording in FOLDER to a URI for each line of standard input. */
const SEND = `
const [folder, list, sending, recording] = process.argv.slice(1);
const { sendChannels } = await import(sending);
const { FileSource } = await import(recording);
const { createInterface } = await import("node:readline");
const channels = list.split(",").map((name) => ({ open: () => FileSource.open(folder + "/" + name) }));
console.log("on");
for await (const uri of createInterface({ input: process.stdin })) await sendChannels(channels, uri).catch(console.error);
`;

function here(path: string): string {
  return new URL(`../../src/io/transport/${path}`, import.meta.url).href;
}

/** Our save as a recording of whole channels, and who sends it. */
class Sender {
  private constructor(
    private readonly child: ChildProcessByStdio<Writable, Readable, null>,
    readonly folder: string,
  ) {}

  static async create(stream: string, blocks: readonly SharedBlock[], method: Method): Promise<Sender> {
    const folder = mkdtempSync(join(tmpdir(), "qevm-bench-"));
    const names = ["main.bin", ...Array.from({ length: CHANNELS }, (_, k) => `multifd-${k}.bin`)];
    const files = names.map((name) => openSync(join(folder, name), "w"));
    const [main, ...channels] = files.map((fd): ByteSink => ({ write: (chunk) => void writeSync(fd, chunk) }));
    const template = FileSource.open(stream);
    const multifd = { channels, method, release: 1000 };
    await saveStream(template, main!, [...blocks], { multifd, maxBandwidth: 0 });
    template.close();
    files.forEach(closeSync);
    const args = [
      "--input-type=module",
      "-e",
      SEND,
      folder,
      names.join(","),
      here("send-channels.js"),
      here("file.js"),
    ];
    const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
    await new Promise((resolve) => {
      child.stdout.once("data", resolve);
    });
    return new Sender(child, folder);
  }

  send(uri: string): void {
    this.child.stdin.write(`${uri}\n`);
  }

  close(): void {
    this.child.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

async function theirLoad(
  qemu: QemuBinary,
  sender: Sender,
  pages: number,
  method: Method,
  spent: (seconds: number) => void,
): Promise<number> {
  const folder = makeWorkFolder(qemu);
  const vm = await QemuProcess.start(qemu, [...MACHINE.split(" "), "-S", "-incoming", "defer"], folder);
  try {
    await prepare(vm, method);
    await vm.execute("migrate-incoming", { uri: "unix:$DIR/in" });
    const before = spentBy(vm);
    const begun = performance.now();
    sender.send(`unix:${join(folder, "in")}`);
    const done = await vm.qmp.waitEvent("MIGRATION", 300_000, ({ status }) =>
      ["completed", "failed"].includes(textOf(status)),
    );
    if (textOf(done?.data["status"]) !== "completed") throw new Error(`QEMU did not load: ${vm.stderr}`);
    const time = performance.now() - begun;
    spent(spentBy(vm) - before);
    return pages / (time / 1000);
  } finally {
    await vm.close();
  }
}

async function loads(qemu: QemuBinary, stream: string, wanted: readonly string[], runs: number): Promise<BenchRow[]> {
  const blocks = await blocksOf(stream);
  const pages = countPages(blocks);
  const done: BenchRow[] = [];
  for (const method of METHODS) {
    const memories = MEMORIES.filter(({ suffix }) => wanted.includes(`load ${method}${suffix}`));
    if (memories.length === 0) continue;
    const sender = await Sender.create(stream, blocks, method);
    try {
      for (const { huge, suffix } of memories) {
        const loader = new Loader(huge);
        const spent: Spent = { ours: loader.spent, theirs: [] };
        const uri = `unix:${join(sender.folder, "in")}`;
        const ours = loader.side(uri, pages, () => sender.send(uri));
        const theirs = async (): Promise<number> =>
          await theirLoad(qemu, sender, pages, method, (seconds) => spent.theirs.push(seconds));
        const measured = await pairs(ours, { measure: theirs, before: () => makeResident(2 * 2 ** 30) }, runs);
        loader.close();
        done.push(row(`load ${method}${suffix}`, "QEMU 10.0, 2 channels", measured, noteOf(measured, spent)));
      }
    } finally {
      sender.close();
    }
  }
  return done;
}

async function saves(qemu: QemuBinary, stream: string, wanted: readonly Method[], runs: number): Promise<BenchRow[]> {
  const vm = await start(qemu, stream);
  const path = vm.file("drain");
  const drain = spawn(process.execPath, ["-e", DRAIN, path], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    await new Promise((resolve) => {
      drain.stdout.once("data", resolve);
    });
    await prepare(vm, "none", false);
    await incoming(vm, "exec:cat $DIR/stream");
    const blocks = await blocksOf(stream);
    const pages = countPages(blocks);
    const done: BenchRow[] = [];
    for (const method of wanted) {
      await prepare(vm, method);
      const spent: Spent = { ours: [], theirs: [] };
      const measured = await pairs(
        noted(async () => await ourSave(path, blocks, pages, method), own, spent.ours),
        noted(
          async () => pages / (await migrate(vm, "unix:$DIR/drain")),
          () => spentBy(vm),
          spent.theirs,
        ),
        runs,
      );
      done.push(row(`save ${method}`, "QEMU 10.0, 2 channels, level 1", measured, noteOf(measured, spent)));
    }
    return done;
  } finally {
    drain.kill();
    await vm.close();
  }
}

function noteOf({ a, b }: { a: number; b: number }, { ours, theirs }: Spent): string {
  const [mine, other] = [median(ours.slice(1)), median(theirs.slice(1))];
  return `${thousands(a)} to ${thousands(b)} pages/s, ${mine.toFixed(2)} to ${other.toFixed(2)} s of processor time`;
}

/** The requested rows, or all. */
export async function rows({ runs = 5, arguments: wanted }: BenchOptions): Promise<BenchRow[]> {
  const qemu = findQemu("10.0");
  const maker = findQemu("7.2");
  if (qemu === undefined || maker === undefined) throw new Error("no QEMU 10.0 and 7.2 to measure against");
  const { stream } = await linuxGuest(maker);
  const all = METHODS.flatMap((method) => [
    `save ${method}`,
    ...MEMORIES.map(({ suffix }) => `load ${method}${suffix}`),
  ]);
  const names = wanted.length === 0 ? all : wanted;
  const saved = METHODS.filter((method) => names.includes(`save ${method}`));
  return [
    ...(saved.length === 0 ? [] : await saves(qemu, stream, saved, runs)),
    ...(names.some((name) => name.startsWith("load ")) ? await loads(qemu, stream, names, runs) : []),
  ];
}
