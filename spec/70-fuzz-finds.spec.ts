import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { decodeCase } from "../src/analyse/fuzz/decode-case.js";
import { reportOf } from "../src/analyse/fuzz/report.js";
import { parseResults } from "../src/analyse/fuzz/run-qemu.js";
import { tryQemu } from "../src/analyse/fuzz/qemu-case.js";
import { corpusEntry, projectRoot } from "../tools/corpus.js";
import { findQemu } from "../tools/qemu/find.js";
import { qevm } from "./support/program.js";
import { reportDocument } from "../src/cli/fuzz/report.js";

interface PastFind {
  file: string;
  machine: string[];
  outcome: string;
  signal: string | null;
  says: string;
  why: string;
}

const folder = join(projectRoot(), "corpus", "finds");
const finds = JSON.parse(readFileSync(join(folder, "finds.json"), "utf8")) as PastFind[];
const qemu = findQemu("7.2");
const reason = qemu === undefined ? "no QEMU 7.2 here" : false;

test("every past find has its line, and our decoder survives it", async (t) => {
  const files = readdirSync(folder).filter((name) => name.endsWith(".bin"));
  t.deepEqual(files.toSorted(), finds.map(({ file }) => file).toSorted());
  for (const { file, why } of finds) {
    for (const lenient of [false, true]) {
      const outcome = await decodeCase(readFileSync(join(folder, file)), lenient);
      t.equal(outcome.find, undefined, `${file}: ${outcome.message ?? outcome.outcome}`);
    }
    t.ok(why.length > 20, why);
  }
});

test("past finds do to QEMU 7.2 what they did", { skip: reason, timeout: 60_000 }, async (t) => {
  for (const { file, machine, outcome, signal, says } of finds) {
    const command = [...qemu!.command, "-accel", "tcg", ...machine];
    const seen = await tryQemu(readFileSync(join(folder, file)), { command, seconds: 3 });
    t.equal(seen.outcome, outcome, `${file}: ${outcome}`);
    t.equal(seen.signal, signal, `${file}: ${signal ?? "no signal"}`);
    t.ok(seen.text.includes(says), `${file}: ${seen.text.trim().split("\n")[0]}`);
  }
});

test("fuzz qemu: outcomes, resuming, report", { skip: reason, timeout: 120_000 }, async (t) => {
  const place = mkdtempSync(join(tmpdir(), "qevm-fuzz-qemu-"));
  t.teardown(() => rmSync(place, { recursive: true, force: true }));
  const file = join(corpusEntry("machine-none-tiny").folder, "stream.gz");
  const out = join(place, "results.jsonl");
  const command = [
    ...qemu!.command,
    "-accel",
    "tcg",
    "-machine",
    "none",
    "-m",
    "64K",
    "-nodefaults",
    "-serial",
    "none",
  ];
  const args = [
    "fuzz",
    "qemu",
    file,
    "--out",
    out,
    "--kinds",
    "record,footer,section-type,eof",
    "--json",
    "--",
    ...command,
  ];
  const first = await qevm([...args.slice(0, 3), "--cases", "12", ...args.slice(3)]);
  t.equal(first.code, 0, "no hang, no signal");
  t.equal(readFileSync(out, "utf8").trim().split("\n").length, 13, "a header and a line a case");
  const second = await qevm([...args.slice(0, 3), "--cases", "20", ...args.slice(3)]);
  const { results } = parseResults(readFileSync(out, "utf8"), out);
  t.deepEqual(
    results.map(({ seed }) => seed).toSorted((a, b) => a - b),
    Array.from({ length: 20 }, (_, i) => i + 1),
    "gone on",
  );
  t.deepEqual(
    (JSON.parse(second.stdout) as { result: object }).result,
    JSON.parse(JSON.stringify(reportDocument(reportOf(results.toSorted((a, b) => a.seed - b.seed))))),
    "the report is of all of them",
  );
  const outcomes = new Set(results.map(({ outcome }) => outcome));
  t.ok(outcomes.has("loaded") && outcomes.has("refused"), "some are loaded, some refused");
  t.ok(
    results.every(({ outcome, text }) => outcome !== "refused" || text.length > 0),
    "each refusal in QEMU's words",
  );
  const report = await qevm(["fuzz", "report", out]);
  t.match(report.stdout, /20 cases\n[^]*kind of damage +refused +loaded[^]*What the destination said:/u);
  t.equal(
    (await qevm([...args.slice(0, 5), "--cases", "3", "--", ...command])).code,
    2,
    "results of other options are left alone",
  );
  const other = await qevm(["fuzz", "qemu", file, "--out", join(place, "x"), "--", ...command.slice(0, -4), "1M"]);
  t.equal(other.code, 2, "a destination that does not load the good stream is not a judge");
  t.match(other.stderr, /does not load the undamaged stream \(refused: .*Size mismatch/u);
  t.notOk(existsSync(join(place, "x")), "and nothing is written");
});
