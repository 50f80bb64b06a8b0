/**
 * `bench -- qemu`: our save and load against QEMU 7.2's own, on the same 1 GiB of guest memory, at level 1 with 2 threads.
 *
 * The guest's memory is what a boot-sector guest cannot have and a Linux one does: its 1 GiB is filled with pieces of this machine's
 * programs, libraries and sources, tables and zero pages (37 %), and QEMU gets it by loading a stream that we wrote. Both sides then save the very
 * same bytes to a pipe that is read away, and load the very same stream, which is QEMU's. Figures are non-zero pages a second.
 *
 * - `save page`, `save fast`, `save exact`: our save with that engine against `migrate` with `compress`.
 * - `load`: our load of QEMU's stream against `migrate-incoming` with `decompress-threads` 2.
 */
import { closeSync, mkdtempSync, openSync, readdirSync, readSync, rmSync, statSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { EngineKind } from "../../src/engine/index.js";
import { FlatMemory, loadStream } from "../../src/load/index.js";
import { QemuFileWriter } from "../../src/qemu-file/index.js";
import { RamSave, saveStream, SharedBlock } from "../../src/save/index.js";
import { FileSource } from "../../src/transport/file.js";
import { findQemu, type QemuBinary } from "../qemu/find.js";
import { QemuProcess } from "../qemu/process.js";
import { type JsonObject, textOf } from "../../src/transport/qmp.js";
import { pairs, row, type BenchOptions, type BenchRow, type Side } from "./pair.js";

const RAM = 1024 ** 3;
const PAGE = 4096;
const ARGUMENTS = ["-machine", "none", "-m", "1024"];

/** Real bytes: programs, libraries and texts of this machine, one file behind the other, with runs of zero pages between. */
function fill(bytes: Uint8Array): number {
  let page = 0;
  let full = 0;
  const piece = Buffer.alloc(PAGE * 160);
  const files = ["/usr/lib/x86_64-linux-gnu", "/usr/bin", "/usr/lib/python3/dist-packages", "/usr/share"].flatMap(
    (folder) => listFiles(folder),
  );
  for (let at = 0; page < RAM / PAGE; at++) {
    const file = files[at % files.length];
    if (file === undefined) throw new Error("no files to fill the memory with");
    const fd = openSync(file, "r");
    for (let position = 0; page < RAM / PAGE; position += piece.length) {
      const got = readSync(fd, piece, 0, piece.length, position);
      if (got === 0) break;
      const pages = Math.min(Math.ceil(got / PAGE), RAM / PAGE - page);
      bytes.set(piece.subarray(0, Math.min(got, pages * PAGE)), page * PAGE);
      full += pages;
      page += pages + Math.ceil(pages * 0.59);
    }
    closeSync(fd);
  }
  return full;
}

function listFiles(folder: string): string[] {
  try {
    return readdirSync(folder, { recursive: true, encoding: "utf8" })
      .map((name) => join(folder, name))
      .filter((path) => {
        const stat = statSync(path, { throwIfNoEntry: false });
        return stat?.isFile() === true && stat.size > 65_536;
      })
      .slice(0, 600);
  } catch {
    return [];
  }
}

/** Starts the machine with the memory in it: it loads a stream of ours, and stays stopped. */
async function startSource(qemu: QemuBinary, stream: string): Promise<QemuProcess> {
  const vm = await QemuProcess.start(qemu, [...ARGUMENTS, "-S", "-incoming", "defer"]);
  await prepare(vm);
  await incoming(vm, `exec:cat ${stream}`);
  return vm;
}

async function prepare(vm: QemuProcess): Promise<void> {
  const capabilities = ["events", "compress"].map((capability) => ({ capability, state: true }));
  await vm.execute("migrate-set-capabilities", { capabilities });
  await vm.execute("migrate-set-parameters", {
    "compress-level": 1,
    "compress-threads": 2,
    "decompress-threads": 2,
    "max-bandwidth": 1e11,
  });
}

async function incoming(vm: QemuProcess, uri: string): Promise<number> {
  const start = performance.now();
  await vm.execute("migrate-incoming", { uri });
  const done = await vm.qmp.waitEvent("MIGRATION", 300_000, ({ status }) =>
    ["completed", "failed"].includes(textOf(status)),
  );
  if (textOf(done?.data["status"]) !== "completed") throw new Error(`QEMU did not load: ${vm.stderr}`);
  return (performance.now() - start) / 1000;
}

async function migrate(vm: QemuProcess, uri: string): Promise<number> {
  // A machine that has migrated may not migrate again until it has run.
  await vm.execute("cont");
  await vm.execute("stop");
  const start = performance.now();
  await vm.execute("migrate", { uri });
  for (;;) {
    const info = (await vm.execute("query-migrate")) as JsonObject;
    const status = textOf(info["status"]);
    // "completed" can be seen a moment before the total time is set.
    const total = Number(info["total-time"] ?? 0) / 1000;
    if (status === "completed" && total > 0) return Math.min((performance.now() - start) / 1000, total);
    if (status === "failed" || status === "cancelled") throw new Error(`QEMU did not save: ${JSON.stringify(info)}`);
    await sleep(10);
  }
}

/** Our side: a whole save, threads' start included, into a pipe's far end that throws it away. */
function save(block: SharedBlock, engine: EngineKind, pages: number, sizes: Map<string, number>): Side {
  return {
    async measure() {
      const start = performance.now();
      const fd = openSync("/dev/null", "w");
      const sink = { write: (chunk: Uint8Array): void => void writeSync(fd, chunk) };
      const file = new QemuFileWriter(sink);
      await RamSave.run(file, [block], { compressThreads: 2, engine, maxBandwidth: 0 });
      await file.finish();
      closeSync(fd);
      sizes.set(engine, file.offset);
      return pages / ((performance.now() - start) / 1000);
    },
  };
}

/** The rows named behind WHAT, or all. */
export async function rows({ runs = 5, arguments: wanted }: BenchOptions): Promise<BenchRow[]> {
  const qemu = findQemu("7.2");
  if (qemu === undefined || qemu.root !== undefined) throw new Error("no QEMU 7.2 on PATH to measure against");
  const folder = mkdtempSync(join(tmpdir(), "qevm-bench-"));
  const want = (name: string): boolean => wanted.length === 0 || wanted.includes(name);
  let source: QemuProcess | undefined;
  try {
    const block = new SharedBlock(0, "ram", new SharedArrayBuffer(RAM));
    const pages = fill(block.bytes);
    const template = join(folder, "template");
    const ours = join(folder, "ours");
    const theirs = join(folder, "theirs");
    await writeTemplate(qemu, template);
    await writeStream(template, ours, block);
    const vm = await startSource(qemu, ours);
    source = vm;
    await prepare(vm);
    await migrate(vm, `exec:cat > ${theirs}`);
    rmSync(ours);
    await checkSame(theirs, block);
    const qemuSave: Side = { measure: async () => pages / (await migrate(vm, "exec:cat > /dev/null")) };
    const sizes = new Map<string, number>();
    const done: BenchRow[] = [];
    for (const [name, engine] of [
      ["save page", "page"],
      ["save fast", "fast"],
      ["save exact", "exact"],
    ] as const) {
      if (!want(name)) continue;
      const measured = await pairs(save(block, engine, pages, sizes), qemuSave, runs);
      const bytes = (100 * ((sizes.get(engine) ?? 0) / statSync(theirs).size - 1)).toFixed(1);
      done.push(
        row(
          name,
          "QEMU 7.2 compress, 2 threads, level 1",
          measured,
          `${thousands(measured.a)} to ${thousands(measured.b)} pages/s, ${bytes} % more bytes`,
        ),
      );
    }
    if (want("load")) {
      await vm.close();
      source = undefined;
      const measured = await pairs(load(theirs, pages), qemuLoad(qemu, theirs, pages), runs);
      done.push(
        row(
          "load",
          "QEMU 7.2 load, decompress-threads 2",
          measured,
          `${thousands(measured.a)} to ${thousands(measured.b)} pages/s`,
        ),
      );
    }
    return done;
  } finally {
    await source?.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

function load(path: string, pages: number): Side {
  return {
    async measure() {
      const start = performance.now();
      const source = FileSource.open(path);
      await loadStream(source, new FlatMemory(), { decompressThreads: 2 });
      source.close();
      return pages / ((performance.now() - start) / 1000);
    },
  };
}

function qemuLoad(qemu: QemuBinary, path: string, pages: number): Side {
  return {
    async measure() {
      const vm = await QemuProcess.start(qemu, [...ARGUMENTS, "-S", "-incoming", "defer"]);
      try {
        await prepare(vm);
        return pages / (await incoming(vm, `exec:cat ${path}`));
      } finally {
        await vm.close();
      }
    },
  };
}

/** An empty machine's stream: the device state around the memory. */
async function writeTemplate(qemu: QemuBinary, path: string): Promise<void> {
  const vm = await QemuProcess.start(qemu, [...ARGUMENTS, "-S"]);
  try {
    await migrate(vm, `exec:cat > ${path}`);
  } finally {
    await vm.close();
  }
}

async function writeStream(template: string, path: string, block: SharedBlock): Promise<void> {
  const source = FileSource.open(template);
  const fd = openSync(path, "w");
  const write = (chunk: Uint8Array): void => {
    for (let at = 0; at < chunk.length;) at += writeSync(fd, chunk, at);
  };
  await saveStream(source, { write }, [block], { compressThreads: 2, maxBandwidth: 0 });
  closeSync(fd);
  source.close();
}

/** What QEMU saved must be the memory that we gave it, or nothing here is worth measuring. */
async function checkSame(path: string, block: SharedBlock): Promise<void> {
  const sink = new FlatMemory();
  const source = FileSource.open(path);
  await loadStream(source, sink, { decompressThreads: 2 });
  source.close();
  const theirs = sink.blocks.get(block.idstr) ?? new Uint8Array(0);
  for (let at = 0; at < RAM; at += 1 << 20) {
    const [here, there] = [block.bytes, theirs].map((bytes) => Buffer.from(bytes.subarray(at, at + (1 << 20))));
    if (here === undefined || there === undefined || !here.equals(there)) {
      throw new Error(`QEMU saved other memory than ours at ${at}: ${[...sink.blocks.keys()].join(", ")}`);
    }
  }
}

function thousands(figure: number): string {
  return `${(figure / 1000).toFixed(1)} k`;
}
