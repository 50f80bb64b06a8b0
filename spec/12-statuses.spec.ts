/** Every command with each exit status: 0 fine, 1 an answer that is bad news, 2 no answer. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import type { ErrorCode } from "../src/bytes/errors.js";
import { inspectStream, QevmError } from "../src/index.js";
import { COMMANDS } from "../src/cli/help.js";
import { overview } from "../src/cli/help-text.js";
import { statusOf } from "../src/cli/status.js";
import { corpusEntry } from "../tools/corpus.js";
import { inProcess } from "./support/in-process.js";

const work = mkdtempSync(join(tmpdir(), "qevm-statuses-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));

const path = (name: string): string => join(work, name);
const bytes = corpusEntry("machine-none-tiny").open();
const [good, damaged, empty, missing] = ["good", "damaged", "empty", "missing"].map(path) as [
  string,
  string,
  string,
  string,
];
writeFileSync(good, bytes);
// A stream that breaks inside its first RAM section: the type of a section that does not exist.
const cut = Buffer.from(bytes);
cut.fill(0x77, 40, 80);
writeFileSync(damaged, cut);
writeFileSync(empty, "");
const results = path("results.jsonl");
writeFileSync(
  results,
  `{"qevm":"fuzz qemu"}\n${JSON.stringify({ seed: 1, kinds: ["record"], did: "x", outcome: "loaded", signal: null, text: "", ours: { outcome: "accepted" } })}\n`,
);

let made = 0;
/** A name for an output, another one each time. */
const out = (): string[] => ["--out", path(`out-${made++}`)];

/** A line with its outputs. */
function own(words: readonly string[]): string[] {
  return words.map((word) => (word === "OUT" ? path(`out-${made++}`) : word));
}

type Lines = Partial<Record<0 | 1 | 2, readonly string[]>>;

/** FILE is good, damaged or not there. */
const onFile = (...line: readonly string[]): Lines => {
  const [command = "", ...rest] = line;
  const at = (file: string): string[] => [command, ...rest.map((word) => (word === "FILE" ? file : word))];
  return { 0: own(at(good)), 1: own(at(damaged)), 2: own(at(missing)) };
};

const TABLE: Readonly<Record<string, Lines>> = {
  inspect: onFile("inspect", "FILE"),
  devices: onFile("devices", "FILE"),
  dump: { ...onFile("dump", "FILE"), 1: ["dump", damaged] },
  verify: onFile("verify", "FILE"),
  explain: onFile("explain", "FILE"),
  report: onFile("report", "FILE", "--out", "OUT"),
  page: { 0: ["page", ...out()], 2: ["page", "--out", path("no/such/page.html")] },
  diff: { 0: ["diff", good, good], 1: ["diff", good, path("other")], 2: ["diff", good, damaged] },
  extract: onFile("extract", "FILE", "--format", "blocks", "--out", "OUT"),
  read: onFile("read", "FILE", "--block", "ram", "--length", "16"),
  gdb: {
    ...onFile("gdb", "FILE", "--gdb", "true", "--", "-batch"),
    0: ["gdb", path("pc"), "--gdb", "true", "--", "-batch"],
  },
  // 0 needs a client: chapter 65.
  "serve nbd": { 1: ["serve", "nbd", damaged], 2: ["serve", "nbd", missing] },
  send: { ...onFile("send", "FILE", "exec:cat > /dev/null"), 1: ["send", empty, "exec:cat > /dev/null"] },
  receive: {
    0: ["receive", `exec:cat ${good}`, ...out()],
    1: ["receive", `exec:cat ${damaged}`, ...out()],
    2: ["receive", "exec:false", ...out()],
  },
  // Its other statuses need two QEMUs or what stands for them: chapter 35.
  relay: { 2: ["relay", `unix:${path("no/such")}`, `unix:${path("no")}`] },
  generate: onFile("generate", "--template", "FILE", "--out", "OUT"),
  convert: onFile("convert", "FILE", "--out", "OUT"),
  adapt: onFile("adapt", "FILE", "--like", good, "--check"),
  unpack: onFile("unpack", "FILE", "OUT"),
  pack: {
    0: ["pack", path("folder"), ...out()],
    1: ["pack", path("broken"), ...out()],
    2: ["pack", missing, ...out()],
  },
  "fuzz decode": {
    ...onFile("fuzz", "decode", "FILE", "--cases", "3"),
    1: ["fuzz", "decode", empty, "--cases", "3"],
  },
  "fuzz make": {
    ...onFile("fuzz", "make", "FILE", "--cases", "3", "--out", "OUT"),
    1: ["fuzz", "make", empty, ...out()],
  },
  // 0 and 1 need a destination: chapter 70.
  "fuzz qemu": {
    1: ["fuzz", "qemu", empty, ...out(), "--", "qemu"],
    2: ["fuzz", "qemu", missing, ...out(), "--", "qemu"],
  },
  "fuzz minimise": {
    0: ["fuzz", "minimise", good, "--tests", "3", ...out()],
    1: ["fuzz", "minimise", empty, ...out()],
    2: ["fuzz", "minimise", missing, ...out()],
  },
  "fuzz report": {
    0: ["fuzz", "report", results],
    1: ["fuzz", "report", good],
    2: ["fuzz", "report", missing],
  },
  "catalogue list": { 0: ["catalogue", "list", "e1000"], 2: ["catalogue", "list", "nosuch"] },
  "catalogue learn": onFile("catalogue", "learn", "FILE"),
  completions: { 0: ["completions", "bash"], 2: ["completions", "csh"] },
};

test("the table has every command", (t) => {
  const all = Object.entries(COMMANDS).flatMap(([name, { actions }]) =>
    actions === undefined ? [name] : Object.keys(actions).map((action) => `${name} ${action}`),
  );
  t.deepEqual(Object.keys(TABLE).toSorted(), all.toSorted());
  t.match(overview(), /0: done, the same, sound; 1: an answer that is bad news/u);
  t.end();
});

test("0, 1 and 2 of every command", async (t) => {
  process.env["XDG_DATA_HOME"] = path("data");
  writeFileSync(path("pc"), corpusEntry("pc-4.2").open());
  writeFileSync(path("other"), corpusEntry("v10.0-none").open());
  t.equal((await inProcess("unpack", [good, path("folder")])).code, 0);
  mkdirSync(path("broken"));
  writeFileSync(path("broken/manifest.json"), "{");
  for (const [name, lines] of Object.entries(TABLE)) {
    for (const [status, line] of Object.entries(lines)) {
      const [command = "", ...args] = line;
      const { code, stderr } = await inProcess(command, args);
      t.equal(
        code,
        Number(status),
        `${name}: ${line.slice(1).join(" ").replaceAll(`${work}/`, "")} (${stderr.slice(0, 200)})`,
      );
      if (name !== "completions" && name !== "catalogue list" && status === "2")
        t.equal((await inProcess(command, [...args.slice(0, 1), "--frob"])).code, 2, `${name}: usage`);
    }
  }
});

test("several FILEs: the worst counts, as of grep", async (t) => {
  for (const [files, status] of [
    [[good, good], 0],
    [[good, damaged], 1],
    [[missing, damaged], 2],
    [[damaged, missing], 2],
  ] as const) {
    for (const more of [[], ["--jsonl"]]) {
      t.equal((await inProcess("verify", [...files, ...more])).code, status, files.join(" "));
    }
  }
});

test("what was skipped is bad news, whatever the command", async (t) => {
  const short = path("short");
  writeFileSync(short, bytes.subarray(0, 300));
  for (const line of [["inspect"], ["devices"], ["verify"], ["dump"]]) {
    const { code } = await inProcess(line[0]!, [short, "--lenient"]);
    t.equal(code, 1, line[0]);
  }
});

test("a stream that ends between two sections is cut, too", async (t) => {
  const between = path("between");
  const { sections } = await inspectStream(bytes);
  const first = sections.find(({ type }) => type === "full");
  writeFileSync(between, bytes.subarray(0, first?.streamOffset));
  for (const line of [
    ["inspect"],
    ["devices"],
    ["verify"],
    ["dump"],
    ["explain"],
    ["report", "--out", "OUT"],
    ["extract", "--format", "blocks", "--out", "OUT"],
    ["extract", "--format", "raw", "--out", "OUT"],
    ["convert", "--ram", "normal", "--out", "OUT"],
    ["unpack", "OUT"],
  ]) {
    for (const more of line[0] === "dump" || line[0] === "explain" || line[0] === "report"
      ? [[]]
      : [[], ["--lenient"]]) {
      const [command = "", ...rest] = line;
      const { code } = await inProcess(command, [between, ...own(rest), ...more]);
      t.equal(code, 1, [...line, ...more].join(" "));
    }
  }
});

test("codes of errors", (t) => {
  const codes: readonly [ErrorCode, number][] = [
    ["truncated", 1],
    ["bad-magic", 1],
    ["unsupported-version", 1],
    ["does-not-fit", 1],
    ["usage", 2],
    ["io", 2],
    ["limit", 2],
    ["unsupported", 2],
  ];
  for (const [code, status] of codes) t.equal(statusOf(new QevmError(code, "x")), status, code);
  t.equal(statusOf(new QevmError("truncated", "x"), "receive"), 2, "a lost peer");
  const chapter = readFileSync(new URL("../../spec/12-cli.md", import.meta.url), "utf8");
  t.ok(["| 0 |", "| 1 |", "| 2 |", "| 70 |"].every((row) => chapter.includes(row)));
  t.end();
});
