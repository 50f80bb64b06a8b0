/** Completions of shells and the manual page: made from the table of options, and taken by the programs they are for. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test from "tape";
import { bashScript, fishScript, zshScript } from "../src/cli/completion-scripts.js";
import { COMMANDS } from "../src/cli/help.js";
import { manPage } from "../src/cli/man-page.js";
import { helpOf, optionsOf } from "../src/cli/option-table.js";
import { inProcess } from "./support/in-process.js";

const work = mkdtempSync(join(tmpdir(), "qevm-completions-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));

/** Every command, and every action of one that has actions. */
const LINES = Object.entries(COMMANDS).flatMap(([name, { actions }]) =>
  actions === undefined ? [[name]] : Object.keys(actions).map((action) => [name, action]),
);
const missing = (program: string): string | false =>
  spawnSync(program, ["--version"]).error === undefined ? false : `no ${program} here`;

/** What bash offers for the last word of a line. */
function offered(...words: string[]): string[] {
  const list = words.map((word) => `'${word}'`).join(" ");
  const script = `${bashScript()}\nCOMP_WORDS=(qevm ${list}); COMP_CWORD=${words.length}; _qevm; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = spawnSync("bash", ["-c", script], { cwd: work, encoding: "utf8" });
  if (stderr !== "") throw new Error(stderr);
  return stdout.split("\n").filter((word) => word !== "");
}

test("bash completes commands, actions, options, values and files", { skip: missing("bash") }, (t) => {
  writeFileSync(join(work, "vm 1.mig"), "");
  t.deepEqual(offered("ver"), ["verify"]);
  t.deepEqual(offered("fuzz", "mi"), ["minimise"]);
  t.deepEqual(offered("completions", ""), ["bash", "zsh", "fish"]);
  t.deepEqual(offered("convert", "x", "--ram", ""), ["normal", "zlib"]);
  t.deepEqual(offered("extract", "x", "--format", "k"), ["kdump"]);
  t.deepEqual(offered("inspect", "--color", "a"), ["auto", "always"]);
  t.deepEqual(offered("convert", "x", "--level", ""), [], "a number is not offered");
  for (const words of [
    ["inspect", "vm"],
    ["convert", "x", "-o", "v"],
    ["fuzz", "make", "vm"],
  ])
    t.deepEqual(offered(...words), ["vm 1.mig"], words.join(" "));
  t.ok(offered("serve", "nbd", "--li").includes("--listen"));
  t.end();
});

test("every option of every command is in each script", (t) => {
  const [bash, zsh, fish] = [bashScript(), zshScript(), fishScript()];
  for (const line of LINES) {
    const options = optionsOf(helpOf(COMMANDS, line)!);
    const own = new RegExp(`^ +"${line.join(" ")}"\\) words="(.*)" ;;$`, "mu").exec(bash)?.[1]?.split(" ") ?? [];
    const part = zsh.split(`    '${line.join(" ")}')`)[1]?.split(";;")[0] ?? "";
    const seen = line.map((word) => `__fish_seen_subcommand_from ${word}`).join("; and ");
    for (const { name } of options) {
      const found = [own.includes(`--${name}`), part.includes(`--${name}[`), fish.includes(`-n '${seen}' -l ${name} `)];
      if (found.includes(false)) t.fail(`${line.join(" ")} --${name}: ${found.join(" ")}`);
    }
    t.equal(own.length, options.length + options.filter(({ short }) => short !== undefined).length + 1, line.join(" "));
  }
  t.end();
});

for (const [shell, script] of [
  ["zsh", zshScript],
  ["fish", fishScript],
] as const) {
  test(`${shell} takes its script`, { skip: missing(shell) }, (t) => {
    const file = join(work, `qevm.${shell}`);
    writeFileSync(file, script());
    const { status, stderr } = spawnSync(shell, ["-n", file], { encoding: "utf8" });
    t.deepEqual([status, stderr], [0, ""]);
    if (shell === "fish") {
      const asked = spawnSync("fish", ["-c", `source ${file}; complete -C 'qevm fuzz make --ki'`], {
        encoding: "utf8",
      });
      t.match(asked.stdout, /^--kinds\t/u);
    }
    t.end();
  });
}

test("the command prints them", async (t) => {
  t.equal((await inProcess("completions", ["fish"])).stdout, fishScript());
});

test("the manual page has every command and option, and groff has no complaint", (t) => {
  const page = readFileSync(fileURLToPath(new URL("../../dist/qevm.1", import.meta.url)), "utf8");
  const { version } = JSON.parse(
    readFileSync(fileURLToPath(new URL("../../package.json", import.meta.url)), "utf8"),
  ) as {
    version: string;
  };
  t.equal(page, manPage(version), "made by the build");
  const plain = page.replaceAll("\\-", "-");
  for (const line of LINES) {
    t.ok(plain.includes(`.SS qevm ${line.join(" ")} `), line.join(" "));
    for (const { name } of optionsOf(helpOf(COMMANDS, line)!)) {
      if (!new RegExp(`^\\.B (?:-\\w, )?--${name}(?: |$)`, "mu").test(plain)) t.fail(`${line.join(" ")} --${name}`);
    }
  }
  if (missing("groff") === false) {
    const { status, stderr } = spawnSync("groff", ["-man", "-ww", "-z"], { input: page, encoding: "utf8" });
    t.deepEqual([status, stderr], [0, ""]);
  } else t.comment("no groff here: the page is not formatted");
  t.end();
});
