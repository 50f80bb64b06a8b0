/**
 * `bench -- sizes`: what a gibibyte of guest memory costs, by the size of the guest. A row is a command and gibibytes:
 * `inspect 64`. The stream is made on the fly and read from a pipe (97 % zero pages, as in an idle guest that is larger
 * than what it uses; `tools/make-stream.ts`). The ratio is seconds a gibibyte against those of the same command with 1
 * GiB: 1 is flat, less is the start of the program shared by more. The notes have the most memory of both.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { median, pairs, PROGRAM, row, type BenchOptions, type BenchRow, type Side } from "./pair.js";

const COMMANDS = ["inspect", "verify", "convert"];
const SIZES = [4, 16, 64];
const MAKE = fileURLToPath(new URL("../make-stream.js", import.meta.url));

/** Prints the most resident memory of a process, KiB, when it ends. */
const WATCH = `data:text/javascript,process.on("exit",()=>console.error("most "+process.resourceUsage().maxRSS))`;

/** The requested rows, or all. */
export async function rows({ runs = 3, arguments: wanted }: BenchOptions): Promise<BenchRow[]> {
  const all = COMMANDS.flatMap((command) => SIZES.map((size) => `${command} ${size}`));
  const done: BenchRow[] = [];
  for (const name of wanted.length === 0 ? all : wanted) {
    const [command = "", digits = ""] = name.split(" ");
    if (!COMMANDS.includes(command) || !/^[1-9]\d*$/u.test(digits)) {
      throw new Error(`no row ${name}: one of ${COMMANDS.join(", ")} and gibibytes`);
    }
    done.push(await measured(name, command, Number(digits), runs));
  }
  return done;
}

async function measured(name: string, command: string, size: number, runs: number): Promise<BenchRow> {
  const most = { large: [] as number[], small: [] as number[] };
  const result = await pairs(side(command, size, most.large), side(command, 1, most.small), runs);
  const [large, small] = [median(most.large), median(most.small)].map((kib) => Math.round(kib / 1024));
  const note = `${result.a.toFixed(2)} s to ${result.b.toFixed(2)} s a GiB; most memory ${large} MB to ${small} MB`;
  return row(name, `${command} of 1 GiB`, result, note);
}

function side(command: string, size: number, most: number[]): Side {
  const made = `'${process.execPath}' '${MAKE}' --ram ${size}G --zero 0.97 2>&-`;
  const out = command === "convert" ? " --ram normal --out -" : "";
  const line = `set -o pipefail; ${made} | '${process.execPath}' --import '${WATCH}' '${PROGRAM}' ${command} -${out} > /dev/null`;
  return {
    measure: () => {
      const start = performance.now();
      const { status, stderr } = spawnSync("bash", ["-c", line], { encoding: "utf8" });
      const seconds = (performance.now() - start) / 1000;
      const kib = /^most (\d+)$/mu.exec(stderr)?.[1];
      if (status !== 0 || kib === undefined) throw new Error(`${line}: exit code ${status}\n${stderr}`);
      most.push(Number(kib));
      return seconds / size;
    },
  };
}
