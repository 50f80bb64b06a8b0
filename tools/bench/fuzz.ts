/**
 * `bench -- fuzz`: cases per second of `qevm fuzz decode` on small captures (including its start, one thread) against
 * one process `qevm verify CASE` per case. Larger is better.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { QevmError } from "../../src/bytes/errors.js";
import { corpusEntry } from "../corpus.js";
import { pairs, PROGRAM, row, type BenchOptions, type BenchRow } from "./pair.js";

/** Row, capture, number of cases of one measurement. */
const ROWS: readonly [name: string, capture: string, cases: number][] = [
  ["fuzz decode none", "machine-none-tiny", 5000],
  ["fuzz decode pc", "pc-firmware", 200],
];
/** Number of processes in one measurement. */
const PROCESSES = 10;

export async function rows({ runs }: BenchOptions): Promise<BenchRow[]> {
  const folder = mkdtempSync(join(tmpdir(), "qevm-bench-"));
  try {
    const measured: BenchRow[] = [];
    for (const [name, capture, cases] of ROWS) {
      const file = join(folder, capture);
      writeFileSync(file, corpusEntry(capture).open());
      let seed = 1;
      const together = (): number =>
        rate(cases, ["fuzz", "decode", file, "--cases", `${cases}`, "--seed", `${seed++}`], 1);
      const apart = (): number => rate(PROCESSES, ["verify", file], PROCESSES);
      const found = await pairs({ measure: together }, { measure: apart }, runs ?? 5);
      const note = `${Math.round(found.a)} cases a second to ${found.b.toFixed(1)}`;
      measured.push(row(name, "a process a case", found, note));
    }
    return measured;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Cases per second, where `times` runs of the program process `cases`. */
function rate(cases: number, args: readonly string[], times: number): number {
  const start = performance.now();
  for (let i = 0; i < times; i++) {
    const run = spawnSync(process.execPath, [PROGRAM, ...args], { encoding: "utf8" });
    if (run.status !== 0) throw new QevmError("io", `qevm ${args.join(" ")}: ${run.stdout}${run.stderr}`);
  }
  return (cases * 1000) / (performance.now() - start);
}
