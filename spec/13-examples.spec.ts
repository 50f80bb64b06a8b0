/** The examples, run as a user runs them: they import the package by its name. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { corpusEntry, projectRoot } from "../tools/corpus.js";
import { plainEnvironment } from "./support/program.js";

const folder = join(projectRoot(), "spec", "examples");
const work = mkdtempSync(join(tmpdir(), "qevm-examples-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));

const capture = (name: string): string => join(corpusEntry(name).folder, "stream.gz");
const edited = join(work, "edited.mig");

/** Each example with its arguments and the first lines that it prints. */
const RUNS: readonly [string, string[], RegExp][] = [
  ["registers.mjs", [capture("live")], /^env\.eip 0x7d[\da-f]{2}\nenv\.eflags 0x/u],
  ["rounds.mjs", [capture("live")], /^2130 pages, 636 sent again, 1929 zero\n$/u],
  ["strings.mjs", [capture("pc-firmware"), "SeaBIOS"], /^pc\.ram 0xc5a30\npc\.ram 0x/u],
  ["edit.mjs", [capture("live"), edited], /^\d+ bytes\n$/u],
  ["registers.mjs", [edited], /^env\.eip 0x7c00\n/u],
];

test("every example runs and prints what its comment says", (t) => {
  for (const [name, args, prints] of RUNS) {
    const run = spawnSync(process.execPath, [join(folder, name), ...args], {
      encoding: "utf8",
      env: plainEnvironment(),
    });
    t.deepEqual([run.status, run.stderr], [0, ""], name);
    t.match(run.stdout, prints, name);
  }
  const ran = new Set(RUNS.map(([name]) => name));
  t.deepEqual(readdirSync(folder), [...ran].toSorted(), "all of them");
  t.end();
});
