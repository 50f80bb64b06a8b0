/** `qevm report FILE --out report.html`: what it prints, what it makes, how it ends. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test from "tape";
import { qevmOnMade } from "./support/made-stream.js";
import { corpusEntry } from "../tools/corpus.js";
import { qevm } from "./support/program.js";
import { readReport, type ReportPage } from "./support/report-page.js";

const work = mkdtempSync(join(tmpdir(), "qevm-report-cli-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));

const bytes = corpusEntry("q35-displays").open();
const file = join(work, "vm.mig");
writeFileSync(file, bytes);

const pageOf = (path: string): ReportPage => readReport(readFileSync(path, "utf8"));

test("a good file, a pipe, standard output", async (t) => {
  const out = join(work, "vm.html");
  const made = await qevm(["report", file, "--out", out]);
  t.deepEqual([made.code, made.stderr], [0, ""]);
  t.match(made.stdout, /vm\.html: [\d.]+ kB\n$/u);
  const page = pageOf(out);
  t.deepEqual(page.complaints, []);
  t.equal(page.title, "vm.mig", "the file's name, without its folder");
  t.match(page.text, /Made by qevm \d+\.\d+\.\d+/u);
  const piped = await qevm(["report", "-", "--out", "-", "--title", "A title"], { stdin: bytes });
  t.equal(piped.code, 0);
  const other = readReport(piped.stdout);
  t.deepEqual([other.complaints, other.title, other.facts.get("File")], [[], "A title", "standard input"]);
  t.equal(other.facts.get("SHA-256 of the file"), page.facts.get("SHA-256 of the file"), "of the same bytes");
  t.deepEqual(other.tables, page.tables, "and the same tables");
  const quick = await qevm(["report", file, "--out", out, "--no-verify"]);
  t.equal(quick.code, 0);
  t.equal(pageOf(out).facts.get("Verified"), "not tried");
});

test("a damaged file: a report, the address, exit status 1", async (t) => {
  const cut = join(work, "cut.mig");
  writeFileSync(cut, bytes.subarray(0, bytes.length >> 1));
  const out = join(work, "cut.html");
  const { code, stdout, stderr } = await qevm(["report", cut, "--out", out]);
  t.equal(code, 1);
  t.match(stdout, /cut\.html: /u, "it was made");
  t.match(stderr, /cut\.mig: damaged: at byte 0x[0-9a-f]+/u);
  const page = pageOf(out);
  t.deepEqual(page.complaints, []);
  t.match(page.text, /Damaged at byte 0x[0-9a-f]+: /u);
  t.match(page.pres.join(""), /qevm inspect cut\.mig --lenient/u, "what can be done, by the file's name");
});

test("usage, and what is not a stream: nothing is made", async (t) => {
  const out = join(work, "none.html");
  for (const [args, code, said] of [
    [["report", file], 2, /--out is missing/u],
    [["report", "--out", out], 2, /expected one FILE/u],
    [["report", file, "--out", out, "--json"], 2, /inspect, devices and verify have --json/u],
    [["report", file, "--out", out, "--lenient"], 2, /takes no --lenient/u],
    [["report", file, "--out", out, "--snapshot", "x"], 2, /--snapshot is for qcow2/u],
    [["report", file, "--out", out, "--page-size", "1000"], 2, /power of two/u],
    [["report", file, "--out", work], 2, /is a folder/u],
    [["report", file, "--out", file], 2, /would replace \S+vm\.mig, which is read/u],
    [["report", "-", "--out", join(work, "nowhere", "x.html")], 2, /nowhere/u],
    [["report", join(work, "missing"), "--out", out], 2, /missing/u],
    [["report", fileURLToPath(import.meta.url), "--out", out], 1, /refused at byte 0x0/u],
  ] as [string[], number, RegExp][]) {
    const ended = await qevm(args);
    t.equal(ended.code, code, args.slice(1).join(" "));
    t.match(ended.stderr, said);
    if (args.includes("--json")) t.match(ended.stdout, /"code": "usage"/u);
    else t.equal(ended.stdout, "");
    t.notOk(existsSync(out), "no page");
  }
  t.ok(bytes.equals(readFileSync(file)), "and FILE is what it was");
  t.deepEqual(
    readdirSync(work).filter((name) => name.startsWith(".")),
    [],
    "nothing is left behind",
  );
});

/** A report of a stream that is made while it is read. */
async function reportMade(
  ram: string,
): Promise<{ seconds: number; maxRss: number; page: ReportPage; sent: string; size: number }> {
  const temporary = join(work, "tmp");
  mkdirSync(temporary, { recursive: true });
  const { seconds, maxRss, stdout, sent } = await qevmOnMade(ram, ["report", "-", "--out", "-"]);
  return { seconds, maxRss, page: readReport(stdout), sent, size: stdout.length };
}

test("16 GiB of RAM through a pipe: time, memory and size have their bounds", { timeout: 240_000 }, async (t) => {
  const small = await reportMade("2G");
  const large = await reportMade("16G");
  const { page, maxRss, size, seconds } = large;
  t.deepEqual(page.complaints, []);
  const [row = []] = page.tables.find(({ caption }) => caption.startsWith("RAM blocks"))!.rows;
  const [, , , normal = "", zero = ""] = row;
  t.deepEqual(
    [normal, zero].map((n) => n.replaceAll(",", "")),
    large.sent.match(/\d+/gu),
    "every page is counted",
  );
  t.match(page.text, /data [\d,]+ \(3\.\d %\), zero [\d,]+ \(9\d\.\d %\)/u, "and on the map");
  t.ok(size < 40_000, `${size} characters`);
  t.ok(maxRss < 125e6, `memory of its own ${(maxRss / 1e6).toFixed(1)} MB is under 125 MB`);
  t.ok(maxRss < small.maxRss + 45e6, `2 GiB took ${(small.maxRss / 1e6).toFixed(1)} MB`);
  t.ok(seconds < 60, `${seconds.toFixed(1)} s; 2 GiB took ${small.seconds.toFixed(1)} s`);
});
