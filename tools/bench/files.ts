/**
 * `bench -- files`: reading a file of 2 GiB of RAM, 30 % of it zero pages in runs, against `cat`.
 *
 * - `inspect`: against `cat f > /dev/null`, the file in the page cache.
 * - `extract`: `--format blocks` against `cat f > g`; the outputs are removed and the disk is synced before each run,
 *   since writeback of an earlier one would be counted otherwise.
 * - `start-up`: `qevm --help` against a bare `node`.
 */
import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makePlainStream } from "../streams/plain.js";
import { command, pairs, qevm, row, shell, type BenchOptions, type BenchRow } from "./pair.js";

const RAM = 2 * 1024 ** 3;

export async function rows({ runs }: BenchOptions): Promise<BenchRow[]> {
  const folder = mkdtempSync(join(tmpdir(), "qevm-bench-"));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  process.once("SIGINT", () => {
    remove();
    process.exit(130);
  });
  try {
    return await measure(folder, runs);
  } finally {
    remove();
  }
}

async function measure(folder: string, runs: number | undefined): Promise<BenchRow[]> {
  const file = join(folder, "stream");
  const copy = join(folder, "copy");
  const blocks = join(folder, "blocks");
  makeFile(file);
  const clean = (): void => {
    rmSync(copy, { force: true });
    rmSync(blocks, { recursive: true, force: true });
    spawnSync("sync");
  };
  const size = `${(statSync(file).size / 1e9).toFixed(2)} GB`;

  const inspect = await pairs(qevm(["inspect", file]), shell(`cat '${file}' > /dev/null`), runs ?? 9);
  const extract = await pairs(
    qevm(["extract", file, "--out", blocks, "--format", "blocks"], clean),
    shell(`cat '${file}' > '${copy}'`, clean),
    runs ?? 7,
  );
  const startUp = await pairs(qevm(["--help"]), command(process.execPath, ["-e", "0"]), runs ?? 21);
  return [
    row("inspect", "cat f > /dev/null", inspect, `${size}: ${inspect.a.toFixed(3)} s to ${inspect.b.toFixed(3)} s`),
    row("extract", "cat f > g", extract, `${size}: ${extract.a.toFixed(3)} s to ${extract.b.toFixed(3)} s`),
    row("start-up", "node -e 0", startUp, `qevm --help takes ${(startUp.difference * 1000).toFixed(1)} ms longer`),
  ];
}

function makeFile(path: string): void {
  const fd = openSync(path, "w");
  makePlainStream({ ram: RAM, zero: 0.3 }, (chunk) => {
    for (let at = 0; at < chunk.length;) at += writeSync(fd, chunk, at);
  });
  closeSync(fd);
}
