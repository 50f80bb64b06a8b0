/**
 * `bench -- qemu`: our save and load against QEMU 7.2's, on the same 1 GiB of guest memory, at level 1 with 2 threads.
 *
 * The memory is a Linux guest's (`tools/guest/linux.ts`). Both sides save the same pages to a pipe that discards them
 * (QEMU's guest runs briefly between two migrations, so some pages change). Both load the same stream, which is QEMU's
 * compressed one. Unit: non-zero pages per second.
 *
 * - `save page`, `save fast`, `save exact`: our save with that engine against `migrate` with `compress`.
 * - `load huge`, `load`: our load of QEMU's stream, with and without huge pages, against `migrate-incoming` with
 *   `decompress-threads` 2, which always has them.
 */
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { EngineKind } from "../../src/engine/index.js";
import { FlatMemory, loadStream } from "../../src/rewrite/load/index.js";
import { QemuFileWriter } from "../../src/bytes/index.js";
import { isZeroPage } from "../../src/engine/index.js";
import { RamSave, SharedBlock } from "../../src/rewrite/save/index.js";
import { FileSource } from "../../src/io/transport/file.js";
import { linuxGuest, type LinuxGuest } from "../guest/linux.js";
import { findQemu, type QemuBinary } from "../qemu/find.js";
import { QemuProcess } from "../qemu/process.js";
import { type JsonObject, textOf } from "../../src/io/transport/qmp.js";
import { Loader, MEMORIES } from "./loader.js";
import { makeResident } from "./resident.js";
import { median, pairs, row, type BenchOptions, type BenchRow, type Side } from "./pair.js";

const PAGE = 4096;

/** A stopped machine with the guest loaded. */
async function startSource(qemu: QemuBinary, { stream, args }: LinuxGuest): Promise<QemuProcess> {
  const vm = await QemuProcess.start(qemu, [...args, "-S", "-incoming", "defer"]);
  await prepare(vm);
  await incoming(vm, `exec:cat '${stream}'`);
  return vm;
}

/** All blocks of memory in a stream. */
export async function blocksOf(path: string): Promise<SharedBlock[]> {
  const memory = new FlatMemory();
  const source = FileSource.open(path);
  const { blocks } = await loadStream(source, memory);
  source.close();
  return blocks.map((block) => new SharedBlock(block.index, block.idstr, memory.memory(block)));
}

export function countPages(blocks: readonly SharedBlock[]): number {
  let full = 0;
  for (const { bytes } of blocks) {
    for (let at = 0; at < bytes.length; at += PAGE) if (!isZeroPage(bytes.subarray(at, at + PAGE))) full++;
  }
  return full;
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

/** Loads, and returns the time in seconds. */
export async function incoming(vm: QemuProcess, uri: string): Promise<number> {
  const start = performance.now();
  await vm.execute("migrate-incoming", { uri });
  const done = await vm.qmp.waitEvent("MIGRATION", 300_000, ({ status }) =>
    ["completed", "failed"].includes(textOf(status)),
  );
  if (textOf(done?.data["status"]) !== "completed") throw new Error(`QEMU did not load: ${vm.stderr}`);
  return (performance.now() - start) / 1000;
}

/** Migrates, and returns the time in seconds. */
export async function migrate(vm: QemuProcess, uri: string): Promise<number> {
  // A machine that has migrated must run again before its next migration.
  await vm.execute("cont");
  await vm.execute("stop");
  const start = performance.now();
  await vm.execute("migrate", { uri });
  for (;;) {
    const info = (await vm.execute("query-migrate")) as JsonObject;
    const status = textOf(info["status"]);
    // "completed" may be visible a moment before the total time is set.
    const total = Number(info["total-time"] ?? 0) / 1000;
    if (status === "completed" && total > 0) return Math.min((performance.now() - start) / 1000, total);
    if (status === "failed" || status === "cancelled") throw new Error(`QEMU did not save: ${JSON.stringify(info)}`);
    await sleep(10);
  }
}

/** Our side: a whole save, including the threads' start, into a pipe that discards it. */
function save(blocks: readonly SharedBlock[], engine: EngineKind, pages: number, sizes: Map<string, number>): Side {
  return {
    async measure() {
      const start = performance.now();
      const fd = openSync("/dev/null", "w");
      const sink = { write: (chunk: Uint8Array): void => void writeSync(fd, chunk) };
      const file = new QemuFileWriter(sink);
      await RamSave.run(file, [...blocks], { compressThreads: 2, engine, maxBandwidth: 0 });
      await file.finish();
      closeSync(fd);
      sizes.set(engine, file.offset);
      return pages / ((performance.now() - start) / 1000);
    },
  };
}

/** The requested rows, or all. */
export async function rows({ runs = 5, arguments: wanted }: BenchOptions): Promise<BenchRow[]> {
  const qemu = findQemu("7.2");
  if (qemu === undefined || qemu.root !== undefined) throw new Error("no QEMU 7.2 on PATH to measure against");
  const folder = mkdtempSync(join(tmpdir(), "qevm-bench-"));
  const want = (name: string): boolean => wanted.length === 0 || wanted.includes(name);
  let source: QemuProcess | undefined;
  try {
    const guest = await linuxGuest(qemu);
    const theirs = join(folder, "theirs");
    const vm = await startSource(qemu, guest);
    source = vm;
    await migrate(vm, `exec:cat > ${theirs}`);
    const blocks = await blocksOf(theirs);
    const pages = countPages(blocks);
    const qemuSave: Side = { measure: async () => pages / (await migrate(vm, "exec:cat > /dev/null")) };
    const sizes = new Map<string, number>();
    const done: BenchRow[] = [];
    for (const [name, engine] of [
      ["save page", "page"],
      ["save fast", "fast"],
      ["save exact", "exact"],
    ] as const) {
      if (!want(name)) continue;
      const measured = await pairs(save(blocks, engine, pages, sizes), qemuSave, runs);
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
    if (done.length > 0) {
      const after = join(folder, "after");
      await migrate(vm, `exec:cat > ${after}`);
      checkSame(blocks, await blocksOf(after), pages);
      rmSync(after);
    }
    for (const { huge, suffix } of MEMORIES) {
      const name = `load${suffix}`;
      if (!want(name)) continue;
      await source?.close();
      source = undefined;
      const loader = new Loader(huge);
      const measured = await pairs(loader.side(theirs, pages), qemuLoad(qemu, guest, theirs, pages), runs);
      loader.close();
      const note = `${thousands(measured.a)} to ${thousands(measured.b)} pages/s, ${spentBy(loader)} of processor time`;
      done.push(row(name, "QEMU 7.2 load, decompress-threads 2", measured, note));
    }
    return done;
  } finally {
    await source?.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

function qemuLoad(qemu: QemuBinary, { args }: LinuxGuest, path: string, pages: number): Side {
  return {
    before: () => makeResident(2 * 2 ** 30),
    async measure() {
      const vm = await QemuProcess.start(qemu, [...args, "-S", "-incoming", "defer"]);
      try {
        await prepare(vm);
        return pages / (await incoming(vm, `exec:cat ${path}`));
      } finally {
        await vm.close();
      }
    },
  };
}

/**
 * QEMU's last save must have the memory that we saved, except for pages that its guest has changed meanwhile; otherwise
 * the figures mean nothing.
 */
function checkSame(ours: readonly SharedBlock[], theirs: readonly SharedBlock[], pages: number): void {
  let other = 0;
  for (const [i, { bytes }] of ours.entries()) {
    for (let at = 0; at < bytes.length; at += PAGE) {
      if (Buffer.compare(bytes.subarray(at, at + PAGE), theirs[i]!.bytes.subarray(at, at + PAGE)) !== 0) other++;
    }
  }
  if (other > pages / 100) throw new Error(`QEMU saved other memory than ours: ${other} of ${pages} pages`);
}

/** Our processor time, without the round that is not counted. */
function spentBy({ spent }: Loader): string {
  return `${median(spent.slice(1)).toFixed(2)} s`;
}

export function thousands(figure: number): string {
  return `${(figure / 1000).toFixed(1)} k`;
}
