/**
 * Paired measurements: the two sides run alternately, A B, then B A, and so on, so that changes of the machine's speed
 * affect both equally. The result is the median of the per-round ratios.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** One line of the result. `ratio` is always "how many times the other"; each row chooses its unit. */
export interface BenchRow {
  name: string;
  /** Median over the rounds of (this figure / the other's figure). */
  ratio: number;
  /** The reference. */
  against: string;
  /** Number of counted rounds. */
  runs: number;
  min: number;
  max: number;
  /** The absolute figures, for people. Not part of `--json`. */
  note?: string;
}

export interface BenchOptions {
  /** Rounds to count; each row has its own default. */
  runs?: number | undefined;
  /** Names of rows; empty: all of them. */
  arguments: string[];
}

/** One side: `measure` returns its figure (seconds, or pages per second) for one round. */
export interface Side {
  measure(): number | Promise<number>;
  /** Called before each measurement, not counted: removes the last output, syncs. */
  before?(): void | Promise<void>;
}

export interface Pairs {
  ratio: number;
  min: number;
  max: number;
  runs: number;
  /** Each side's median figure. */
  a: number;
  b: number;
  /** Median over the rounds of (a - b). */
  difference: number;
}

/** Measures `a` and `b` alternately, after one uncounted round. */
export async function pairs(a: Side, b: Side, runs: number): Promise<Pairs> {
  const rounds: { a: number; b: number }[] = [];
  for (let round = -1; round < runs; round++) {
    const figures = { a: 0, b: 0 };
    const order = round % 2 === 0 ? (["a", "b"] as const) : (["b", "a"] as const);
    for (const which of order) {
      const side = which === "a" ? a : b;
      await side.before?.();
      figures[which] = await side.measure();
    }
    if (round >= 0) rounds.push(figures);
  }
  const ratios = rounds.map((round) => round.a / round.b);
  return {
    ratio: median(ratios),
    min: Math.min(...ratios),
    max: Math.max(...ratios),
    runs,
    a: median(rounds.map((round) => round.a)),
    b: median(rounds.map((round) => round.b)),
    difference: median(rounds.map((round) => round.a - round.b)),
  };
}

/** A row from measured pairs. */
export function row(name: string, against: string, measured: Pairs, note?: string): BenchRow {
  const { ratio, runs, min, max } = measured;
  return { name, ratio, against, runs, min, max, ...(note === undefined ? {} : { note }) };
}

/** A process as a side: its wall time in seconds, including its start. A run that fails ends the benchmark. */
export function command(program: string, args: readonly string[], before?: () => void): Side {
  return {
    measure: () => seconds(program, args),
    ...(before === undefined ? {} : { before }),
  };
}

/** A shell line as a side. */
export function shell(line: string, before?: () => void): Side {
  return command("sh", ["-c", line], before);
}

/** The built program, as a side. */
export function qevm(args: readonly string[], before?: () => void): Side {
  return command(process.execPath, [PROGRAM, ...args], before);
}

/** The built program's path. */
export const PROGRAM = fileURLToPath(new URL("../../bin/qevm.cjs", import.meta.url));

function seconds(program: string, args: readonly string[]): number {
  const start = process.hrtime.bigint();
  const run = spawnSync(program, args, { stdio: ["ignore", "ignore", "pipe"], encoding: "utf8" });
  const elapsed = Number(process.hrtime.bigint() - start) / 1e9;
  if (run.status !== 0) {
    throw new Error(
      `${[program, ...args].join(" ")}: ${run.error?.message ?? `exit code ${run.status}`}\n${run.stderr}`,
    );
  }
  return elapsed;
}

export function median(figures: readonly number[]): number {
  const sorted = figures.toSorted((x, y) => x - y);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

/** Does something with a temporary folder, which goes away at the end and at an interrupt. */
export async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "qevm-bench-"));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  const interrupted = (): void => {
    remove();
    process.exit(130);
  };
  process.once("SIGINT", interrupted);
  try {
    return await work(folder);
  } finally {
    process.off("SIGINT", interrupted);
    remove();
  }
}

/** The machine that the figures were measured on. */
export function machine(): string {
  const usable = availableParallelism();
  return `${cpus()[0]?.model.trim() ?? "unknown processor"}, ${usable} core${usable === 1 ? "" : "s"}, Node ${process.versions.node}`;
}
