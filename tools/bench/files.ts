/**
 * `bench -- files`: reading a file of 2 GiB of RAM, 30 % of it zero pages in runs, against `cat`.
 *
 * - `inspect`: against `cat f > /dev/null`, the file in the page cache.
 * - `extract`: `--format blocks` against `cat f > g`. Before each run the outputs are removed, the disk is synced (so
 *   that writeback of an earlier run is not counted) and memory for the output is made resident (`resident.ts`).
 * - `extract raw`: `--format raw`, in the same way; `node copy`: a loop in Node that only reads and writes, the lower
 *   bound of both.
 * - `start-up`: `qevm --help` against a bare `node`.
 */
import { spawnSync } from "node:child_process";
import { closeSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { makeResident } from "./resident.js";
import { makePlainStream } from "../streams/plain.js";
import {
  command,
  inFolder,
  pairs,
  qevm,
  row,
  shell,
  type BenchOptions,
  type BenchRow,
  type Pairs,
  type Side,
} from "./pair.js";

const RAM = 2 * 1024 ** 3;

type Row = (place: { file: string; folder: string; size: string }, runs: number | undefined) => Promise<BenchRow>;

const ROWS: Readonly<Record<string, Row>> = {
  inspect: async ({ file, size }, runs) => {
    const measured = await pairs(qevm(["inspect", file]), shell(`cat '${file}' > /dev/null`), runs ?? 9);
    return row("inspect", "cat f > /dev/null", measured, `${size}: ${seconds(measured)}`);
  },
  extract: async (place, runs) => await againstCat("extract", place, runs, (from, to) => extract(from, to, "blocks")),
  "extract raw": async (place, runs) =>
    await againstCat("extract raw", place, runs, (from, to) => extract(from, to, "raw")),
  "node copy": async (place, runs) => await againstCat("node copy", place, runs, nodeCopy),
  "start-up": async (_place, runs) => {
    const measured = await pairs(qevm(["--help"]), command(process.execPath, ["-e", "0"]), runs ?? 21);
    const longer = (measured.difference * 1000).toFixed(1);
    return row("start-up", "node -e 0", measured, `qevm --help takes ${longer} ms longer`);
  },
};

/** Makes `to` from `from`, measured from the process's start. */
type Making = (from: string, to: string) => (clean: () => void) => Side;

function extract(from: string, to: string, format: string): (clean: () => void) => Side {
  return (clean) => qevm(["extract", from, "--out", to, "--format", format], clean);
}

/** Reads 4 MiB in another thread while the previous ones are written in pieces of 128 KiB: the cost of Node alone. */
const COPY = `
const { openSync, read, writeSync } = require("node:fs");
const from = openSync(process.argv[1], "r");
const to = openSync(process.argv[2], "w");
const buffers = [Buffer.allocUnsafeSlow(1 << 22), Buffer.allocUnsafeSlow(1 << 22)];
const piece = (at) => new Promise((resolve, reject) => {
  const buffer = buffers[(at >> 22) & 1];
  read(from, buffer, 0, buffer.length, at, (error, n) => (error ? reject(error) : resolve(buffer.subarray(0, n))));
});
(async () => {
  for (let at = 0, next = piece(0), bytes; (bytes = await next).length > 0; at += bytes.length) {
    next = piece(at + bytes.length);
    for (let done = 0; done < bytes.length; done += 131072) writeSync(to, bytes, done, Math.min(131072, bytes.length - done), at + done);
  }
})();
`;

function nodeCopy(from: string, to: string): (clean: () => void) => Side {
  return (clean) => command(process.execPath, ["-e", COPY, from, to], clean);
}

/**
 * A command that makes a file or folder, against `cat f > g`. Outputs are removed and the disk is synced before each
 * run.
 */
async function againstCat(
  name: string,
  { file, folder, size }: { file: string; folder: string; size: string },
  runs: number | undefined,
  making: Making,
): Promise<BenchRow> {
  const copy = join(folder, "copy");
  const made = join(folder, "made");
  const clean = (): void => {
    rmSync(copy, { force: true });
    rmSync(made, { recursive: true, force: true });
    spawnSync("sync");
    makeResident(2 * RAM);
  };
  const measured = await pairs(making(file, made)(clean), shell(`cat '${file}' > '${copy}'`, clean), runs ?? 9);
  clean();
  return row(name, "cat f > g", measured, `${size}: ${seconds(measured)}`);
}

/** The requested rows, or all. */
export async function rows({ runs, arguments: wanted }: BenchOptions): Promise<BenchRow[]> {
  for (const name of wanted)
    if (!(name in ROWS)) throw new Error(`no row ${name}, only ${Object.keys(ROWS).join(", ")}`);
  return await inFolder(async (folder) => {
    const file = join(folder, "stream");
    makeFile(file);
    const place = { file, folder, size: `${(statSync(file).size / 1e9).toFixed(2)} GB` };
    const done: BenchRow[] = [];
    for (const [name, measure] of Object.entries(ROWS)) {
      if (wanted.length === 0 || wanted.includes(name)) done.push(await measure(place, runs));
    }
    return done;
  });
}

function seconds({ a, b }: Pairs): string {
  return `${a.toFixed(3)} s to ${b.toFixed(3)} s`;
}

function makeFile(path: string): void {
  const fd = openSync(path, "w");
  makePlainStream({ ram: RAM, zero: 0.3 }, (chunk) => {
    for (let at = 0; at < chunk.length;) at += writeSync(fd, chunk, at);
  });
  closeSync(fd);
}
