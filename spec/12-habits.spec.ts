/** What people expect of any program: short options, several files, suggestions, colours, quiet and verbose runs. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import test from "tape";
import { didYouMean } from "../src/bytes/nearest.js";
import { duration, progressText } from "../src/cli/progress.js";
import { hasColor, speak } from "../src/cli/voice.js";
import { openStream } from "../src/index.js";
import { corpusEntry } from "../tools/corpus.js";
import { asTerminal, inProcess } from "./support/in-process.js";
import { flatDocument } from "./support/document.js";

const work = mkdtempSync(join(tmpdir(), "qevm-habits-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));

const put = (name: string, bytes: Uint8Array | string): string => {
  const path = join(work, name);
  writeFileSync(path, bytes);
  return path;
};
const stream = corpusEntry("pc-4.2").open();
const file = put("vm.mig", stream);
const other = put("tiny.mig", corpusEntry("machine-none-tiny").open());
const cut = put("cut.mig", stream.subarray(0, 5000));
const none = put("none.mig", "no stream");

test("-o, -q and -v", async (t) => {
  const out = join(work, "made.mig");
  const quiet = await inProcess("convert", [file, "-qo", out]);
  t.deepEqual([quiet.code, quiet.stdout, quiet.stderr], [0, "", ""], "nothing is said");
  t.ok(readFileSync(out).equals(stream));
  const checked = await inProcess("verify", ["-q", file, cut]);
  t.equal(checked.code, 1);
  t.equal(checked.stdout, "");
  t.match(checked.stderr, /^\S+cut\.mig: refused at byte 0x1388, [^\n]+\n[^\n]+\n$/u, "errors are said");
  const lenient = await inProcess("inspect", [cut, "--lenient", "-q"]);
  t.deepEqual([lenient.code, lenient.stdout, lenient.stderr], [1, "", ""], "warnings are not");
  const json = await inProcess("inspect", [other, "-q", "--json"]);
  t.equal((flatDocument(json.stdout) as { machine: string }).machine, "none", "what is asked for is printed");
  const verbose = await inProcess("inspect", [file, "--verbose"]);
  t.match(verbose.stderr, /^reading: [\d.]+ MB in \d+\.\d s(?: \([\d.]+ [kMG]B\/s\))?\n$/u, "time and rate");
  const [few, all] = [await inProcess("diff", [file, other]), await inProcess("diff", [file, other, "-v"])];
  t.match(few.stdout, /and \d+ more(?: devices)? \(-v lists all\)/u);
  t.notOk(/more/u.test(all.stdout), "-v lists all");
});

test("a name with a line break stays in one line", async (t) => {
  const named = put("two\nlines.mig", stream.subarray(0, 5000));
  const missing = join(work, "not\nhere", "x");
  const runs = [
    await inProcess("inspect", [join(work, "no\nsuch")]),
    await inProcess("verify", [named]),
    await inProcess("verify", [named, none]),
    await inProcess("explain", [named]),
    await inProcess("convert", [file, `--out=${missing}`]),
  ];
  for (const { stdout, stderr } of runs) {
    t.notOk(/(?:no|two|not)\n/u.test(stdout + stderr), "no line ends in a name");
    t.match(stdout + stderr, /(?:no|two|not)\\x0a(?:such|lines|here)/u);
  }
});

test("several files: one that is refused costs its own report", async (t) => {
  const { code, stdout, stderr } = await inProcess("inspect", [file, none, join(work, "missing"), other]);
  t.equal(code, 2);
  t.match(stdout, /^\S+vm\.mig:.*\n[^]*\n\S+tiny\.mig:/u, "a heading each");
  t.match(stderr, /^\S+none\.mig: refused at byte 0x0\n[^]*missing/u);
  const verified = await inProcess("verify", [file, other]);
  t.equal(verified.code, 0);
  t.match(verified.stdout, /\n2 files: 2 identical, 0 DIFFERENT or cut, 0 refused\n$/u);
  const single = await inProcess("verify", [file]);
  t.notOk(/files:/u.test(single.stdout), "one file's report is as it was");
  const refused = await inProcess("inspect", [file, other, "--json"]);
  t.deepEqual(
    [refused.code, refused.stderr.split("\n")[0]],
    [2, "qevm inspect: --json prints one document: --jsonl prints a line for each FILE"],
  );
});

test("--jsonl prints a line for each file", async (t) => {
  for (const command of ["inspect", "verify"]) {
    const { code, stdout } = await inProcess(command, ["--jsonl", file, none, other]);
    t.equal(code, 1);
    const lines = stdout
      .trimEnd()
      .split("\n")
      .map((line) => flatDocument(line) as Record<string, unknown>);
    t.deepEqual(
      lines.map((line) => line["file"]),
      [file, none, other],
    );
    const { code: kind, streamOffset: offset } = lines[1]!["error"] as { code: string; streamOffset: number };
    t.deepEqual([kind, offset], ["bad-magic", 0], "the error is in its line");
    const { stdout: document } = await inProcess(command, ["--json", file]);
    t.deepEqual(lines[0], flatDocument(document), `${command}: the document of the file`);
  }
});

test("suggestions take any case, and the last part of a name", async (t) => {
  t.equal(didYouMean("INSPECT", ["inspect", "verify"]), "; did you mean inspect?");
  t.equal(didYouMean("e1000", ["cpu", "0000:00:03.0/e1000"]), "; did you mean 0000:00:03.0/e1000?");
  t.equal(didYouMean("frobnicate", ["inspect", "verify"]), "");
  for (const [command, args, said] of [
    ["devices", [file, "CPU"], /no device "CPU" in \S+; did you mean cpu\?/u],
    ["devices", [file, "ide"], /did you mean 0000:00:01\.1\/ide\?/u],
    ["read", [file, "--block", "PC.RAM"], /no RAM block "PC\.RAM"; did you mean pc\.ram\?/u],
    ["read", [file, "--block", "nowhere"], /no RAM block "nowhere": there are "pc\.ram"/u],
    [
      "generate",
      ["--template", file, "-o", join(work, "x"), "--set", "Cpu:env.eip=1"],
      /no device "Cpu"; did you mean cpu\?/u,
    ],
    [
      "generate",
      ["--template", file, "-o", join(work, "x"), "--set", "cpu:env.epi=1"],
      /"env\.epi"; did you mean env\.eip\?/u,
    ],
    ["generate", ["--template", file, "-o", join(work, "x"), "--ram", `pc.rma=${file}`], /did you mean pc\.ram\?/u],
    ["convert", [file, "--OUT", join(work, "x")], /unknown option --OUT; did you mean --out\?/u],
    ["completions", ["bsh"], /did you mean bash\?/u],
  ] as const) {
    const { code, stderr } = await inProcess(command, args);
    t.equal(code, 2, command);
    t.match(stderr, said);
  }
});

test("colours: --color, then NO_COLOR and FORCE_COLOR, then the terminal", async (t) => {
  const terminal = { isTTY: true };
  speak({});
  t.ok(hasColor(terminal, {}));
  t.notOk(hasColor({}, {}), "no terminal");
  t.notOk(hasColor(terminal, { TERM: "dumb" }));
  t.notOk(hasColor(terminal, { NO_COLOR: "1", FORCE_COLOR: "1" }), "NO_COLOR wins");
  t.ok(hasColor(terminal, { NO_COLOR: "" }), "an empty one does not count");
  t.ok(hasColor({}, { FORCE_COLOR: "1" }));
  t.notOk(hasColor(terminal, { FORCE_COLOR: "0" }));
  speak({ color: "always" });
  t.ok(hasColor({}, { NO_COLOR: "1" }), "the option wins over all");
  speak({ color: "never" });
  t.notOk(hasColor(terminal, { FORCE_COLOR: "1" }));
  const plain = await inProcess("diff", [file, other]);
  const colored = await inProcess("diff", [file, other, "--color=always"]);
  t.notOk(plain.stdout.includes("\u001b"));
  t.ok(colored.stdout.includes("\u001b[31mDIFFERENT"));
  t.equal(stripVTControlCharacters(colored.stdout), plain.stdout, "the same text, in the same columns");
  const wrong = await inProcess("inspect", [file, "--color", "blue"]);
  t.deepEqual(
    [wrong.code, wrong.stderr.split("\n")[0]],
    [2, 'qevm inspect: --color takes auto, always or never, not "blue"'],
  );
});

test("bytes are not written to a terminal, and waiting for one is said", async (t) => {
  await asTerminal(true, async () => {
    for (const [command, args] of [
      ["convert", [file, "-o", "-"]],
      ["generate", ["--template", file, "--out", "-"]],
      ["read", [file, "--physical", "0", "--raw"]],
      ["fuzz", ["make", file, "--out", "-"]],
    ] as const) {
      const { code, stdout, stderr } = await inProcess(command, args);
      t.deepEqual([code, stdout], [2, ""], command);
      t.match(stderr, /standard output is a terminal, and the output is binary: .*(?:--out FILE|> FILE)/u);
    }
    const page = await inProcess("report", [other, "--out", "-", "--no-verify"]);
    t.ok(page.stdout.startsWith("<!doctype html>"), "a page is text");
    // Wrong use ends it before it would read.
    const { stderr } = await inProcess("inspect", ["-", "--page-size", "7"]);
    t.ok(stderr.startsWith("reading standard input, which is a terminal (end it with Ctrl-D)\n"), stderr);
  });
  const silent = await asTerminal(false, () => inProcess("inspect", ["-", "--page-size", "7"]));
  t.notOk(silent.stderr.includes("reading"), "a pipe is read silently");
});

test("progress has a rate and the time left, from the first pass on", async (t) => {
  t.equal(progressText("reading", 25e6, 100e6, 2), "reading: 25 MB of 100 MB (25 %), 12.5 MB/s, 6 s left");
  t.equal(progressText("reading", 25e6, undefined, 2), "reading: 25 MB, 12.5 MB/s", "of a pipe the end is not known");
  t.equal(progressText("reading", 0, 0, 0), "reading: 0 bytes");
  t.deepEqual([0.4, 59.4, 60, 3725].map(duration), ["0 s", "59 s", "1:00", "1:02:05"]);
  const { stderr } = await inProcess("verify", [file, "-v"]);
  t.match(stderr, /^verifying: [^\n]+\n$/u, "one pass where no page is XBZRLE");
});

test("explain reads QEMU's text from a file", async (t) => {
  const text = "qemu-system-x86_64: Unknown savevm section or instance '0000:00:01.3/piix4_pm' 0\n";
  const given = await inProcess("explain", [file, text]);
  const read = await inProcess("explain", [file, `@${put("err.log", text)}`]);
  t.deepEqual(read, given);
  t.match(read.stdout, /QEMU says: /u);
  t.equal((await inProcess("explain", [file, `@${join(work, "no.log")}`])).code, 2, "a log that is not there");
});

test("devices prints the names and numbers that --set takes", async (t) => {
  const { stdout } = await inProcess("devices", [file, "cpu"]);
  const lines = [...stdout.matchAll(/^ {2}(\S+) = (.*)$/gmu)].map(
    ([, name = "", value = ""]) => [name, value] as const,
  );
  t.ok(lines.length > 100, `${lines.length} values`);
  t.deepEqual(
    lines.filter(([, value]) => /^-?[0-9]+$/u.test(value)).map(([name]) => name),
    [],
    "one base for numbers",
  );
  const one = /^(?:env\.regs|env\.eip|env\.segs\[2\]\.base|subsections\.\S+)$/u;
  const some = lines.filter(([name, value]) => one.test(name) && /^-?0x/u.test(value));
  t.ok(
    some.some(([name]) => name.startsWith("subsections.")),
    "of subsections, too",
  );
  const out = join(work, "set.mig");
  const values = some.map(([name, value]) => {
    const words = value.split(" ");
    return words.length === 1 ? `cpu:${name}=${value}` : `cpu/0:${name}[${words.length - 1}]=${words.at(-1)}`;
  });
  const same = await inProcess("generate", [
    "--template",
    file,
    "-o",
    out,
    ...values.flatMap((text) => ["--set", text]),
  ]);
  t.equal(same.code, 0, same.stderr);
  t.ok(readFileSync(out).equals(stream), `${values.length} values set to what they are: the same bytes`);
  const sets = ["env.regs[3]=0x1234", "env.tsc=18446744073709551615", "env.eip=9007199254740993"];
  await inProcess("generate", ["--template", file, "-o", out, ...sets.flatMap((text) => ["--set", `cpu:${text}`])]);
  const opened = await openStream(out);
  const { fields } = await opened.device("cpu");
  t.equal((fields["env.regs"] as bigint[])[3], 0x1234n, "an element");
  t.equal(fields["env.tsc"], 2n ** 64n - 1n, "decimal values of 64 bits are exact");
  t.equal(fields["env.eip"], 2n ** 53n + 1n);
});

const mode = (path: string): number => statSync(path).mode & 0o777;

test("outputs that hold guest memory are for their owner only", async (t) => {
  const before = process.umask(0);
  try {
    for (const [command, args, made] of [
      ["convert", [file, "-o", "OUT"], ["OUT"]],
      ["extract", [file, "-o", "OUT", "--format", "elf"], ["OUT"]],
      ["extract", [file, "-o", "OUT", "--format", "raw"], ["OUT"]],
      ["extract", [file, "-o", "OUT", "--format", "blocks"], ["OUT", "OUT/pc.ram", "OUT/blocks.json"]],
      ["unpack", [file, "OUT"], ["OUT", "OUT/ram/pc.ram", "OUT/manifest.json", "OUT/devices/NAME"]],
      ["report", [file, "-o", "OUT", "--no-verify"], ["OUT"]],
      ["diff", [file, other, "--html", "OUT"], ["OUT"]],
      ["read", [file, "--block", "pc.ram", "--index", "OUT"], ["OUT"]],
      ["fuzz", ["make", file, "--cases", "1", "-o", "OUT"], ["OUT", "OUT/cases.jsonl"]],
    ] as const) {
      const out = join(work, `private-${command}-${made.length}`);
      rmSync(out, { recursive: true, force: true });
      const { stderr } = await inProcess(
        command,
        args.map((word) => word.replace("OUT", out)),
      );
      for (const path of made) {
        const folder = path.replace("OUT", out);
        const real = path.endsWith("NAME") ? join(dirname(folder), readdirSync(dirname(folder))[0]!) : folder;
        t.equal(mode(real), statSync(real).isDirectory() ? 0o700 : 0o600, `${command}: ${path} ${stderr}`);
      }
    }
  } finally {
    process.umask(before);
  }
});
