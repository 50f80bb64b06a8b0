/** A thousand captures: the recipe of the chapter, run as it is printed; a bad file costs one line; memory is flat. */
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test from "tape";
import { corpusEntry } from "../tools/corpus.js";
import { PLAIN_PROGRAM, plainEnvironment, qevm } from "./support/program.js";
import { flatDocument } from "./support/document.js";

const work = mkdtempSync(join(tmpdir(), "qevm-fleet-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));

const chapter = readFileSync(fileURLToPath(new URL("../../spec/86-fleet.md", import.meta.url)), "utf8");
const blocks = (language: string): string[] =>
  [...chapter.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, "gmu"))].map(([, text = ""]) => text);

/** Captures of small guests, and what is none. */
const KINDS = ["machine-none-tiny", "avr-uno", "v10.0-none", "m68k-virt", "s390x", "pc-4.2"];
const FILES = 1000;
const saves = join(work, "saves");
mkdirSync(saves);
const names = Array.from({ length: FILES }, (_, i) => join(saves, `vm-${String(i).padStart(4, "0")}.mig`));
const machines: Record<string, number> = {};
const bad: string[] = [];
const originals = KINDS.map((kind) => {
  const path = join(work, kind);
  writeFileSync(path, corpusEntry(kind).open());
  return path;
});
writeFileSync(join(work, "bad"), corpusEntry("machine-none-tiny").open().subarray(0, 200));
names.forEach((name, i) => {
  // Every hundredth file is cut, and few are of a whole PC.
  const cut = i % 100 === 7;
  linkSync(cut ? join(work, "bad") : originals[i % 40 === 5 ? 5 : i % 5]!, name);
  if (cut) bad.push(name);
});

/** Runs a block in the folder with the saves, with `qevm` as a command. */
function shell(text: string): { status: number | null; stdout: string; stderr: string } {
  const bin = join(work, "bin");
  if (!existsSync(bin)) {
    mkdirSync(bin);
    writeFileSync(join(bin, "qevm"), `#!/bin/sh\nexec '${process.execPath}' '${PLAIN_PROGRAM}' "$@"\n`);
    chmodSync(join(bin, "qevm"), 0o755);
  }
  const env = { ...plainEnvironment(), PATH: `${bin}:${process.env["PATH"]}` };
  return spawnSync("sh", ["-c", text], { cwd: work, env, encoding: "utf8" });
}

interface Line {
  file: string;
  machine?: string;
  devices?: { section: string; instance: number }[];
  error?: { code: string; streamOffset: number };
}
let lines: Line[] = [];

test("the recipe: a line for each of a thousand files, the bad ones among them", (t) => {
  const [list = "", node = ""] = blocks("sh");
  const start = performance.now();
  const run = shell(list);
  t.comment(`${FILES} files in ${((performance.now() - start) / 1000).toFixed(1)} s`);
  t.equal(run.stderr.match(/: refused at byte /gu)?.length, bad.length, "each is said on stderr");
  lines = readFileSync(join(work, "fleet.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => flatDocument(line) as Line);
  t.deepEqual(lines.map(({ file }) => join(work, file)).toSorted(), names, "every file has one line");
  const refused = lines.filter(({ error }) => error !== undefined);
  t.deepEqual(refused.map(({ file }) => join(work, file)).toSorted(), bad);
  t.ok(
    refused.every(({ error }) => error!.code === "truncated" && error!.streamOffset === 200),
    "with the byte",
  );
  for (const { machine = "", error } of lines)
    if (error === undefined) machines[machine] = (machines[machine] ?? 0) + 1;
  t.ok(Object.keys(machines).length >= 4, Object.keys(machines).join(", "));
  const told = shell(node);
  t.deepEqual(JSON.parse(told.stdout), { files: FILES, refused: bad.length, machines }, told.stderr);
  t.end();
});

test("memory does not grow with the number of files", async (t) => {
  const few = await qevm(["inspect", "--jsonl", ...names.slice(0, 200)], { plain: true });
  const all = await qevm(["inspect", "--jsonl", ...names.slice(0, 400)], { plain: true });
  t.deepEqual([few.code, all.code], [1, 1], "a refused file, and the run goes on");
  const more = (all.maxRss - few.maxRss) / (1 << 20);
  t.ok(more < 32, `${more.toFixed(1)} MiB more for twice the files`);
});

/** A python with DuckDB; undefined where there is none. */
function findDuck(): string | undefined {
  const pythons = [process.env["QEVM_DUCKDB_PYTHON"] ?? "", "python3"].filter((python) => python !== "");
  return pythons.find((python) => spawnSync(python, ["-c", "import duckdb"]).status === 0);
}

test("DuckDB answers the questions", (t) => {
  const python = findDuck();
  if (python === undefined) {
    t.skip("no python3 with duckdb here: its queries are not asked");
    t.end();
    return;
  }
  const ask = (query: string): unknown[][] => {
    const code = "import duckdb,json,sys; print(json.dumps(duckdb.sql(sys.argv[1].strip().rstrip(';')).fetchall()))";
    const run = spawnSync(python, ["-c", code, query], { cwd: work, encoding: "utf8" });
    t.equal(run.status, 0, run.stderr);
    return JSON.parse(run.stdout) as unknown[][];
  };
  const [byMachine, refused, devices] = blocks("sql").map(ask);
  t.deepEqual(Object.fromEntries(byMachine as [string, number][]), machines);
  t.deepEqual(
    refused!.map(([file, code, offset]) => [join(work, String(file)), code, offset]),
    bad.map((file) => [file, "truncated", 200]),
  );
  const counts = new Map<string, number>();
  for (const { section, instance } of lines.flatMap(({ devices: all = [] }) => all))
    if (instance === 0) counts.set(section, (counts.get(section) ?? 0) + 1);
  t.equal(devices!.length, 5);
  for (const [device, n] of devices as [string, number][]) t.equal(n, counts.get(device), device);
  t.end();
});
