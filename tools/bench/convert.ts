/**
 * `bench -- convert`: a stream of 1 GiB of RAM (60 % zero pages), compressed at level 1, converted by `qevm convert
 * --ram normal` (file to file, including the program's start) against QEMU 7.2 loading the same file. Unit: non-zero
 * pages per second; larger is better.
 */
import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { QevmError } from "../../src/bytes/errors.js";
import { startDestination } from "../destination/index.js";
import { findQemu } from "../qemu/find.js";
import { makePlainStream } from "../streams/plain.js";
import { pairs, PROGRAM, row, type BenchOptions, type BenchRow, type Side } from "./pair.js";

const RAM = 1024 ** 3;

export async function rows({ runs }: BenchOptions): Promise<BenchRow[]> {
  const folder = mkdtempSync(join(tmpdir(), "qevm-bench-"));
  try {
    const plain = join(folder, "plain");
    const compressed = join(folder, "compressed");
    const pages = makeFile(plain);
    convert([plain, "--out", compressed, "--ram", "zlib", "--exact"]);
    rmSync(plain);
    const measured: BenchRow[] = [];
    for (const threads of ["1", "2"]) {
      const ours: Side = {
        before: () => {
          rmSync(plain, { force: true });
        },
        measure: () =>
          pages / seconds(() => convert([compressed, "--out", plain, "--ram", "normal", "--threads", threads])),
      };
      const found = await pairs(ours, { measure: async () => pages / (await load(compressed)) }, runs ?? 5);
      const note = `${Math.round(found.a / 1000)} thousand pages a second to ${Math.round(found.b / 1000)}`;
      measured.push(
        row(`convert normal, ${threads} ${threads === "1" ? "thread" : "threads"}`, "QEMU 7.2 loading it", found, note),
      );
    }
    return measured;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function makeFile(path: string): number {
  const fd = openSync(path, "w");
  const { normal } = makePlainStream({ ram: RAM, zero: 0.6 }, (chunk) => {
    for (let at = 0; at < chunk.length;) at += writeSync(fd, chunk, at);
  });
  closeSync(fd);
  return normal;
}

function convert(args: string[]): void {
  const run = spawnSync(process.execPath, [PROGRAM, "convert", ...args], { encoding: "utf8" });
  if (run.status !== 0) throw new QevmError("io", run.stderr);
}

function seconds(work: () => void): number {
  const start = performance.now();
  work();
  return (performance.now() - start) / 1000;
}

/** Seconds from `migrate-incoming` to the end of the load, with QEMU's default of two decompression threads. */
async function load(file: string): Promise<number> {
  const qemu = findQemu("7.2");
  if (qemu === undefined) throw new QevmError("unsupported", "no QEMU 7.2 here");
  let start = 0;
  const { vm, result } = await startDestination({
    qemu,
    args: ["-machine", "none", "-m", "1024"],
    capabilities: ["compress"],
    stream: file,
    onListening: async () => {
      start = performance.now();
    },
  });
  const elapsed = (performance.now() - start) / 1000;
  await vm.close();
  if (!result.loaded) throw new QevmError("io", `QEMU did not load it: ${result.error}`);
  return elapsed;
}
