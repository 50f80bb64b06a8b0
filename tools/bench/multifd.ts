/**
 * `bench -- multifd`: our save over two multifd channels against QEMU 10.0's, with the memory of the Linux
 * guest of `bench -- qemu`, at level 1. Unit: non-zero pages per second.
 *
 * - `save zstd`, `save zlib`, `save none`: our save into sockets that another process empties, against `migrate` into
 *   the same ones.
 *
 * The notes have the processor time of both sides, which a busy machine changes less than the time.
 */
import { spawn } from "node:child_process";
import { copyFileSync, linkSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { cpuUsage } from "node:process";
import { QemuFileWriter } from "../../src/bytes/index.js";
import { openDestination, type Destination } from "../../src/io/transport/destination-uri.js";
import { RamSave, type SharedBlock } from "../../src/rewrite/save/index.js";
import { linuxGuest } from "../guest/linux.js";
import { findQemu, type QemuBinary } from "../qemu/find.js";
import { makeWorkFolder, QemuProcess } from "../qemu/process.js";
import { median, pairs, row, type BenchOptions, type BenchRow, type Side } from "./pair.js";
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
  await Promise.all(sockets.map(async (socket) => await socket.end()));
  return pages / ((performance.now() - start_) / 1000);
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
  const methods = METHODS.filter((method) => wanted.length === 0 || wanted.includes(`save ${method}`));
  return await saves(qemu, stream, methods, runs);
}
