import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import test from "tape";
import { COMMANDS } from "../src/cli/help.js";
import { corpusEntry } from "../tools/corpus.js";
import { inWarm, PLAIN_PROGRAM, plainEnvironment } from "./support/program.js";
import { sha256Of } from "../tools/sha256.js";

/** Every command, in an order in which each finds its inputs: `vm` is a capture with compressed pages. */
const LINES = `
  --help
  convert --help
  nothing
  inspect vm --json
  inspect vm
  devices vm cpu --json
  dump vm --at 100 --json
  verify vm --json
  extract vm --out blocks --format blocks --json
  extract vm --out raw --format raw
  extract vm --out core --format elf
  read vm --physical 0x7c00 --length 512
  unpack vm unpacked
  pack unpacked --out packed
  convert vm --out plain --ram normal --flatten --threads 2
  convert plain --out small --ram zlib --threads 2
  convert plain --out exact --ram zlib --exact
  convert plain --out recording --to recording --multifd zlib --channels 2
  verify recording --json
  adapt plain --like plain --out adapted --json
  convert recording --out together
  generate --machine none --out none --fill text --pages zlib
  generate --template vm --out other --set cpu/0:env.eip=0x1234
  send plain exec:cat>sent
  receive exec:cat<plain --out received
  explain vm
  explain cut --json
  report vm --out page
  report cut --out cutpage
  page --out dropped
  diff plain together --json
  relay exec:cat<plain exec:cat>relayed --ram zlib --out passed
  fuzz decode vm --cases 20 --seed 7 --json
  catalogue list timer --json
  completions bash
  fuzz make vm --cases 3 --seed 7 --out cases
  inspect cut
  inspect missing
  serve nbd missing
  gdb missing
`;

interface Ended {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** The shipped program, started for each line. */
function shipped(args: readonly string[], cwd: string): Ended {
  const { status, stdout, stderr } = spawnSync(process.execPath, [PLAIN_PROGRAM, ...args], {
    cwd,
    encoding: "utf8",
    env: plainEnvironment(),
    maxBuffer: 1 << 28,
  });
  return { status, stdout: steady(stdout), stderr: steady(stderr) };
}

/** The program as separate modules: the commands in one process, all else started. */
async function modules(args: readonly string[], cwd: string): Promise<Ended> {
  const command = Object.hasOwn(COMMANDS, args[0]!) && !args.includes("--help");
  const ended = command ? await inWarm(args, { cwd }, true) : undefined;
  if (ended !== undefined) return { status: ended.code, stdout: steady(ended.stdout), stderr: steady(ended.stderr) };
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], { cwd, encoding: "utf8" });
  return { status, stdout: steady(stdout), stderr: steady(stderr) };
}

/** Removes durations from the output. */
function steady(text: string): string {
  return text.replace(/"(?:seconds|perSecond|heldMore)":\s*[\d.]+/gu, "").replaceAll(/\d+(\.\d+)? s\b/gu, "");
}

const MAIN = fileURLToPath(new URL("../src/cli/main.js", import.meta.url));

/** Every file below a folder with what is in it; of a timeline, whose times differ, only that it is there. */
function contents(folder: string): Record<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const named = files.map(({ parentPath, name }) => {
    const path = join(parentPath, name);
    const bytes = name === "timeline.jsonl" ? "" : readFileSync(path);
    return [path.slice(folder.length), sha256Of(bytes)] as const;
  });
  return Object.fromEntries(named.toSorted(([a], [b]) => a.localeCompare(b)));
}

test("the shipped program behaves like the tested modules", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-program-"));
  const bytes = corpusEntry("compress-live").open();
  const places = ["shipped", "modules"].map((name) => {
    const place = join(folder, name);
    mkdirSync(place);
    writeFileSync(join(place, "vm"), bytes);
    writeFileSync(join(place, "cut"), bytes.subarray(0, bytes.length >> 1));
    return place;
  });
  const [one = "", other = ""] = places;
  const lines = LINES.trim()
    .split("\n")
    .map((line) => line.trim());
  for (const line of lines) {
    const args = line.split(" ");
    const ours = shipped(args, one);
    t.deepEqual(ours, await modules(args, other), line);
    const refused = [
      "nothing",
      "explain cut --json",
      "report cut --out cutpage",
      "inspect cut",
      "inspect missing",
      "serve nbd missing",
      "gdb missing",
    ].includes(line);
    t.equal(ours.status === 0, !refused, `exit status ${ours.status}`);
  }
  const made = contents(one);
  t.ok(Object.keys(made).length > 20, `${Object.keys(made).length} files were made`);
  t.deepEqual(made, contents(other), "and the same files");
  const asked = new Set(lines.map((line) => line.split(" ")[0]));
  for (const command of Object.keys(COMMANDS)) t.ok(asked.has(command), `${command} is among them`);
  rmSync(folder, { recursive: true });
  t.end();
});

test("the program's version without its package.json", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-program-"));
  const program = join(folder, "qevm.cjs");
  copyFileSync(PLAIN_PROGRAM, program);
  copyFileSync(join(dirname(PLAIN_PROGRAM), "help.cjs"), join(folder, "help.cjs"));
  const version = (): string =>
    spawnSync(process.execPath, [program, "--version"], { encoding: "utf8", timeout: 20_000 }).stdout;
  t.equal(version(), "unknown\n", "none above it");
  writeFileSync(join(folder, "package.json"), '{ "name": "other", "version": "7.0.0" }');
  t.equal(version(), "unknown\n", "another's");
  rmSync(folder, { recursive: true });
  t.end();
});
