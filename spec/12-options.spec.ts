import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import test from "tape";
import { UsageError } from "../src/cli/arguments.js";
import { COMMANDS } from "../src/cli/help.js";
import { helpFor } from "../src/cli/help-text.js";
import { helpOf, optionsOf } from "../src/cli/option-table.js";
import type { Command } from "../src/cli/run.js";
import { qevm } from "./support/program.js";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Every command, and every action of one that has actions. */
const LINES = Object.entries(COMMANDS).flatMap(([name, { actions }]) =>
  actions === undefined ? [[name]] : Object.keys(actions).map((action) => [name, action]),
);

/** Whether a command has an option; without FILE and --out it does nothing else. */
async function takes([name = "", ...action]: readonly string[], option: string): Promise<boolean> {
  // The one option without which a command does nothing, and with which it needs no FILE.
  if (name === "page" && option === "out") return true;
  const command = (await import(`../src/cli/${name}.js`)) as Command;
  try {
    await command.run([...action, `--${option}=1`]);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return !error.message.startsWith("unknown option");
  }
  throw new Error(`${name} does something without arguments`);
}

test("one table: the help of a command lists exactly the options that it takes", async (t) => {
  const helps = new Map(LINES.map((line) => [line, helpOf(COMMANDS, line)!]));
  const all = new Set([...helps.values()].flatMap((help) => optionsOf(help).map(({ name }) => name)));
  t.ok(all.size > 40, `${all.size} options`);
  for (const [line, help] of helps) {
    const [name = "", action] = line;
    const listed = [...helpFor(name, action).matchAll(/^ {2}(?:-\w, )?--([\w-]+)/gmu)].map(
      ([, option]) => option ?? "",
    );
    const taken: string[] = [];
    for (const option of all) if (await takes(line, option)) taken.push(option);
    const shown = taken.filter((option) => !Object.hasOwn(help.refused ?? {}, option));
    t.deepEqual([...new Set(listed)].toSorted(), shown.toSorted(), line.join(" "));
  }
  for (const path of readdirSync(`${root}src/cli`, { recursive: true, encoding: "utf8" })) {
    const text = path.endsWith(".ts") ? readFileSync(`${root}src/cli/${path}`, "utf8") : "";
    t.notOk(/type: "(?:string|boolean)"(?! )/u.test(text), `${path} has no table of its own`);
  }
});

test("every option of the table is well formed", (t) => {
  for (const line of LINES) {
    const options = optionsOf(helpOf(COMMANDS, line)!);
    t.ok(
      options.every(({ name, text }) => /^[a-z0-9-]+$/u.test(name) && text !== ""),
      line.join(" "),
    );
    const shorts = options.flatMap(({ short }) => (short === undefined ? [] : [short]));
    t.equal(new Set(shorts).size, shorts.length, "no short form twice");
    const out = options.find(({ name }) => name === "out");
    if (out !== undefined) t.equal(out.short, "o", "-o is --out");
  }
  t.end();
});

test("the chapter on --schema names the commands that take it", async (t) => {
  const chapter = readFileSync(`${root}spec/54-schema.md`, "utf8");
  const [, sentence = ""] = /`--schema` is taken by ([^.]+), and may be given/u.exec(chapter) ?? [];
  const named = [...sentence.matchAll(/`(\w[\w ]*)`/gu)].map(([, name]) => name);
  const taking: string[] = [];
  for (const line of LINES) if (await takes(line, "schema")) taking.push(line.join(" "));
  t.deepEqual(named, taking);
});

test("an action has its own help", async (t) => {
  const { stdout } = await qevm(["fuzz", "--help"]);
  for (const name of Object.keys(COMMANDS["fuzz"]?.actions ?? {})) {
    t.match(stdout, new RegExp(`^ {2}${name} `, "mu"), name);
    const own = await qevm(["fuzz", name, "--help"]);
    t.ok(own.stdout.startsWith(`usage: qevm fuzz ${name} `), `fuzz ${name} --help`);
    t.equal((await qevm(["help", "fuzz", name])).stdout, own.stdout, `help fuzz ${name}`);
    const wide = own.stdout.split("\n").filter((line) => line.length > 80);
    t.deepEqual(wide, [], "80 columns");
  }
});

test("an error about an option is one sentence", async (t) => {
  for (const [args, sentence] of [
    [["--frob"], "unknown option --frob (file names that begin with - go after --)"],
    [["--jsn"], "unknown option --jsn; did you mean --json?"],
    [["-x"], "unknown option -x (file names that begin with - go after --)"],
    [["--page-size"], "--page-size takes a value"],
    [["--page-size", "--json"], "--page-size takes a value; one that begins so is written --page-size=--json"],
    [["--json=1"], "--json takes no value"],
  ] as const) {
    const { code, stderr } = await qevm(["inspect", "file", ...args]);
    t.deepEqual([code, stderr.split("\n")[0]], [2, `qevm inspect: ${sentence}`]);
  }
});

test("a mistyped command gets a suggestion", async (t) => {
  const { code, stderr } = await qevm(["inspct", "file"]);
  t.deepEqual([code, stderr.split("\n")[0]], [2, 'qevm: unknown command "inspct"; did you mean inspect?']);
  const far = await qevm(["frobnicate"]);
  t.equal(far.stderr.split("\n")[0], 'qevm: unknown command "frobnicate"');
});

/** Phrases that a native engineer stumbles at. */
const STUMBLING = [
  "seen through",
  "not in common",
  "pass over what",
  "there is no option",
  "behind",
  "tells more",
  "the message has",
  "is no ",
  "whole or not at all",
];

test("help is plain", async (t) => {
  const pages = [(await qevm(["--help"])).stdout];
  for (const name of Object.keys(COMMANDS)) pages.push((await qevm([name, "--help"])).stdout);
  for (const phrase of STUMBLING)
    t.notOk(
      pages.some((page) => page.includes(phrase)),
      phrase,
    );
});
