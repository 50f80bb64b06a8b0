/** `diff --stat`, `--only`, `--ignore`, `--html`, and names of registers. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { diffStreams, filterDiff, type StreamDiff } from "../src/analyse/diff/index.js";
import { diffPage } from "../src/analyse/report/index.js";
import { registerName } from "../src/guest/cores/register-names.js";
import { corpusEntry } from "../tools/corpus.js";
import { inProcess } from "./support/in-process.js";
import { readReport } from "./support/report-page.js";
import { flatDocument } from "./support/document.js";

const work = mkdtempSync(join(tmpdir(), "qevm-diff-filter-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));

const bytes = { a: corpusEntry("live-seabios").open(), b: corpusEntry("compress-live").open() };
const [a, b] = [join(work, "a.mig"), join(work, "b.mig")];
writeFileSync(a, bytes.a);
writeFileSync(b, bytes.b);
const whole: StreamDiff = await diffStreams(bytes.a, bytes.b);
const values = ({ devices }: StreamDiff): number => devices.reduce((sum, { fields }) => sum + fields.length, 0);
const pages = ({ ram: { compared: of } }: StreamDiff): number => of.different + of.onlyA + of.onlyB;

test("a filter takes devices, values, blocks and parts by pattern, and counts what it leaves out", (t) => {
  t.ok(values(whole) > 10 && pages(whole) > 10 && whole.verdict === "different");
  const cpu = filterDiff(whole, { only: ["CPU"] });
  t.deepEqual([cpu.devices.map(({ section: name }) => name), pages(cpu), cpu.differences.length], [["cpu"], 0, 0]);
  t.equal(cpu.verdict, "different");
  t.equal(cpu.leftOut.values + values(cpu), values(whole), "every value is shown or counted");
  t.deepEqual([cpu.leftOut.pageCount, cpu.leftOut.parts], [pages(whole), whole.differences.length]);
  const one = filterDiff(whole, { only: ["cpu:env.regs"] });
  t.ok(
    values(one) > 0 && one.devices[0]!.fields.every(({ field: path }) => /^env\.regs\[\d+\]$/u.test(path)),
    "an array's elements",
  );
  const but = filterDiff(whole, { only: ["cpu/0"], ignore: ["*:env.regs*", "cpu/0:env.eip"] });
  t.ok(
    but.devices[0]!.fields.every(({ field: path }) => !/^env\.(?:regs|eip)/u.test(path)) && values(but) < values(cpu),
  );
  const ram = filterDiff(whole, { ignore: ["pc.ram"] });
  t.equal(ram.ram.ranges.filter(({ block }) => block === "pc.ram").length, 0);
  t.equal(ram.ram.compared.same, whole.ram.compared.same);
  const nothing = filterDiff(whole, { ignore: ["*"] });
  t.deepEqual([nothing.verdict, values(nothing), pages(nothing), nothing.differences], ["same", 0, 0, []]);
  t.throws(() => filterDiff(whole, { only: [""] }), /pattern/u);
  t.equal(values(filterDiff(whole, { only: ["c.u"] })), 0, "a dot is a dot");
  t.end();
});

test("the command: exit status, --stat and what was left out", async (t) => {
  const all = await inProcess("diff", [a, b, "--ignore", "*"]);
  t.equal(all.code, 0, all.stderr);
  t.match(all.stdout, /^The same, but for what is left out$/mu);
  t.match(all.stdout, /^Left out: [\d,]+ pages, [\d,]+ values/mu);
  const stat = await inProcess("diff", [a, b, "--stat"]);
  t.equal(stat.code, 1);
  const lines = stat.stdout.trimEnd().split("\n");
  t.equal(
    lines.at(-1),
    `DIFFERENT: ${pages(whole)} pages, ${values(whole)} values of ${whole.devices.length} devices, ${whole.differences.filter(({ level }) => level === "meaning").length} parts`,
  );
  t.ok(
    lines.some((line) => /^ {2}cpu\/0 +\d+ {2}values? +#+$/u.test(line)),
    "a line for each device",
  );
  t.deepEqual(
    lines.filter((line) => line.length > 110),
    [],
  );
  const quiet = await inProcess("diff", [a, b, "-q"]);
  t.deepEqual([quiet.code, quiet.stdout, quiet.stderr], [1, "", ""], "--quiet: the exit status alone");
  const json = await inProcess("diff", [a, b, "--json", "--only", "cpu"]);
  t.equal((flatDocument(json.stdout) as { leftOut: { pageCount: number } }).leftOut.pageCount, pages(whole));
});

test("registers by their names", (t) => {
  for (const [path, name] of [
    ["env.regs[0]", "rax"],
    ["env.regs[4]", "rsp"],
    ["env.regs[15]", "r15"],
    ["env.eip", "rip"],
    ["env.segs[1].selector", "cs"],
    ["env.gdt.base", "gdt"],
    ["env.cr[3]", "cr3"],
    ["subsections.cpu/tsc_adjust.env.tsc_adjust", "TSC_ADJUST"],
    ["env.hflags", undefined],
  ] as const)
    t.equal(registerName("pc-q35-7.2", "cpu", path), name, path);
  t.equal(registerName("virt-7.2", "cpu", "env.xregs[30]"), "x30");
  t.equal(registerName("virt-7.2", "cpu", "env.regs[0]"), undefined, "Arm's r0 is not rax");
  t.equal(registerName("pc-q35-7.2", "apic", "env.regs[0]"), undefined);
  t.end();
});

test("--html writes a page of its own", async (t) => {
  const out = join(work, "diff.html");
  const { code, stdout } = await inProcess("diff", [a, b, "--html", out]);
  t.equal(code, 1);
  t.ok(stdout.includes("DIFFERENT"), "beside the report");
  const html = readFileSync(out, "utf8");
  const page = readReport(html);
  t.deepEqual(page.complaints, []);
  t.match(page.text, /Different: a destination does not get the same of both/u);
  for (const { section: name, instance, fields } of whole.devices) {
    const table = page.tables.find(({ caption }) => caption.startsWith(`${name}/${instance}:`));
    t.equal(table?.rows.length, fields.length, `${name}: every value`);
  }
  t.ok(html.includes("(rip)"), "registers by name");
  t.equal(diffPage({ a: "x", b: "y" }, whole), diffPage({ a: "x", b: "y" }, whole), "the same page again");
  const wicked = "<script>1</script>\u202e";
  t.deepEqual(readReport(diffPage({ a: wicked, b: wicked }, whole)).complaints, [], "names are text");
  const replaced = await inProcess("diff", [a, b, "--html", b]);
  t.deepEqual([replaced.code, readFileSync(b).equals(bytes.b)], [2, true], "an input is never replaced");
});
