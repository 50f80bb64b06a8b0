/**
 * `bench -- commands`: each command on the save of the Linux guest of `bench -- qemu` (842 MB), in every form, against
 * the fastest program that has to read or write the same bytes. With QEVM_LINUX_GIB=4 the guest has 4 GiB, whose page
 * cache is filled with copies of its files: the start of the program weighs less.
 *
 * A row is a command and a form: `inspect zstd`. Commands: inspect, verify, devices, explain, report, diff (the file
 * with a copy of itself), extract, convert (`--ram normal`). Against: what decompresses the form, to nowhere
 * (`cat` for plain ones); extract and convert: into a file; diff: `cmp` of both, decompressed. The notes have the
 * times, and the processor time of both sides, which a busy machine changes less.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { linuxGuest } from "../guest/linux.js";
import { findQemu } from "../qemu/find.js";
import { makeResident } from "./resident.js";
import { inFolder, median, pairs, PROGRAM, row, type BenchOptions, type BenchRow, type Side } from "./pair.js";

/** A form: how a shell makes `$2` from `$1`, and how it gives the plain bytes of `$1`. */
interface Form {
  make: string;
  plain: string;
}

const QEVM = `'${process.execPath}' '${PROGRAM}'`;
const XML = '<domain type="qemu"><name>guest</name></domain>';

const FORMS: Readonly<Record<string, Form>> = {
  plain: { make: 'ln "$1" "$2" 2>/dev/null || cp "$1" "$2"', plain: 'cat "$1"' },
  zstd: { make: 'zstd -q -3 -c "$1" > "$2"', plain: 'zstd -dc "$1"' },
  "zstd-frames": { make: 'pzstd -q -3 -p 2 -c "$1" > "$2"', plain: 'zstd -dc "$1"' },
  lz4: { make: 'lz4 -q -c "$1" > "$2"', plain: 'lz4 -dc "$1"' },
  lzop: { make: 'lzop -c "$1" > "$2"', plain: 'lzop -dc "$1"' },
  gzip: { make: 'gzip -1 -c "$1" > "$2"', plain: 'gzip -dc "$1"' },
  bzip2: { make: 'bzip2 -c "$1" > "$2"', plain: 'bzip2 -dc "$1"' },
  xz: { make: 'xz -1 -T1 -c "$1" > "$2"', plain: 'xz -dc "$1"' },
  "xz-blocks": { make: 'xz -1 -T2 -c "$1" > "$2"', plain: 'xz -dc -T1 "$1"' },
  mapped: { make: `${QEVM} convert "$1" --to mapped-ram --out "$2"`, plain: 'cat "$1"' },
  multifd: {
    make: `${QEVM} convert "$1" --to recording --multifd zstd --out "$2"`,
    // The payloads are pieces of a frame between the packets' headers: no program decompresses them.
    plain: 'cat "$1"/*',
  },
  libvirt: {
    make: `echo '${XML}' > "$2.xml"; ${QEVM} convert "$1" --to libvirt --xml "$2.xml" --compression zstd --out "$2"`,
    // libvirt's header and the domain's description come before the compressed stream.
    plain: 'tail -c +$(( 93 + $(od -An -t u4 -j 20 -N 4 "$1") )) "$1" | zstd -dc',
  },
};

const COMMANDS: Readonly<Record<string, string>> = {
  inspect: 'inspect "$1"',
  verify: 'verify "$1"',
  devices: 'devices "$1"',
  explain: 'explain "$1"',
  report: 'report "$1" --out "$2"',
  diff: 'diff "$1" "$1.copy"',
  extract: 'extract "$1" --out "$2" --format blocks',
  convert: 'convert "$1" --out "$2" --ram normal',
};

/** What the other side does with the plain bytes. */
const OTHER: Readonly<Record<string, (plain: string) => string>> = {
  extract: (plain) => `{ ${plain}; } > "$2"`,
  convert: (plain) => `{ ${plain}; } > "$2"`,
  diff: (plain) => `mkfifo "$2"; { ${plain}; } > "$2" & { ${plain}; } | cmp - "$2"`,
};

/** The rows without a name: the others are asked for by name. */
const USUAL = [
  ...Object.keys(FORMS).map((form) => `inspect ${form}`),
  ...["verify", "devices", "explain", "report", "diff", "extract", "convert"].map((command) => `${command} plain`),
  ...["verify", "diff", "report"].map((command) => `${command} zstd`),
];

/** The requested rows, or the usual ones. */
export async function rows({ runs = 5, arguments: wanted }: BenchOptions): Promise<BenchRow[]> {
  const names = wanted.length === 0 ? USUAL : wanted;
  for (const name of names) {
    const [command = "", form = ""] = name.split(" ");
    if (!(command in COMMANDS) || !(form in FORMS)) {
      throw new Error(
        `no row ${name}: one of ${Object.keys(COMMANDS).join(", ")} and of ${Object.keys(FORMS).join(", ")}`,
      );
    }
  }
  const maker = findQemu("7.2");
  if (maker === undefined) throw new Error("no QEMU 7.2 that makes the guest");
  const { stream } = await linuxGuest(maker, undefined, gibibytes());
  return await inFolder(async (folder) => {
    const done: BenchRow[] = [];
    for (const name of names) {
      const [command = "", form = ""] = name.split(" ");
      done.push(await measured(name, { command, form, stream, folder, runs }));
      if (names.every((other, k) => k <= names.indexOf(name) || !other.endsWith(` ${form}`))) {
        rmSync(join(folder, form), { recursive: true, force: true });
      }
    }
    return done;
  });
}

/** Memory of the guest: QEVM_LINUX_GIB, a whole number of GiB; 1 without. */
function gibibytes(): number {
  const text = process.env["QEVM_LINUX_GIB"] ?? "1";
  if (!/^[1-9]\d?$/u.test(text)) throw new Error(`QEVM_LINUX_GIB=${text} is not a number of GiB from 1 to 99`);
  return Number(text);
}

async function measured(
  name: string,
  {
    command,
    form,
    stream,
    folder,
    runs,
  }: { command: string; form: string; stream: string; folder: string; runs: number },
): Promise<BenchRow> {
  const { make, plain } = FORMS[form]!;
  const file = join(folder, form);
  if (!existsSync(file)) run(make, stream, file);
  const copy = `${file}.copy`;
  if (command === "diff") spawnSync("cp", ["-r", file, copy]);
  const out = join(folder, "out");
  const writes = command === "extract" || command === "convert";
  const clean = (): void => {
    rmSync(out, { recursive: true, force: true });
    if (!writes) return;
    spawnSync("sync");
    makeResident(2 * statSync(stream).size);
  };
  const spent = { ours: [] as number[], theirs: [] as number[] };
  const side = (line: string, into: number[]): Side => ({
    before: clean,
    measure: () => {
      const { seconds, processor } = run(line, file, out);
      into.push(processor);
      return seconds;
    },
  });
  const other = OTHER[command]?.(plain) ?? `{ ${plain}; } > /dev/null`;
  const result = await pairs(side(`exec ${QEVM} ${COMMANDS[command]!}`, spent.ours), side(other, spent.theirs), runs);
  clean();
  rmSync(copy, { recursive: true, force: true });
  const [mine, others] = [median(spent.ours.slice(1)), median(spent.theirs.slice(1))];
  const size = sizeOf(file) / 1e6;
  const note = `${size.toFixed(0)} MB: ${result.a.toFixed(2)} s to ${result.b.toFixed(2)} s; processor ${mine.toFixed(2)} s to ${others.toFixed(2)} s`;
  return row(name, plain.replace(' "$1"', ""), result, note);
}

/** Seconds and processor seconds of a shell line. Errors: a failing one. */
function run(line: string, file: string, out: string): { seconds: number; processor: number } {
  const before = childTimes();
  const start = performance.now();
  const { status, stderr } = spawnSync("bash", ["-c", line, "bash", file, out], {
    stdio: ["ignore", "ignore", "pipe"],
    encoding: "utf8",
  });
  const seconds = (performance.now() - start) / 1000;
  if (status !== 0) throw new Error(`${line}: exit code ${status}\n${stderr}`);
  return { seconds, processor: childTimes() - before };
}

/** Processor seconds of all children that have ended. */
function childTimes(): number {
  const fields = readFileSync("/proc/self/stat", "utf8").split(") ")[1]!.split(" ");
  return (Number(fields[13]) + Number(fields[14])) / 100;
}

function sizeOf(path: string): number {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.size;
  return readdirSync(path).reduce((sum, name) => sum + statSync(join(path, name)).size, 0);
}
