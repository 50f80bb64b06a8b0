import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import test from "tape";
import { MemorySink, MemorySource } from "../src/bytes/source.js";
import { StreamReader } from "../src/codec/stream/index.js";
import type { DeviceState } from "../src/codec/vmstate/index.js";
import { adaptStream, type AdaptOptions, type AdaptReport, type Reopened } from "../src/rewrite/adapt/index.js";
import { withQemuArguments } from "../src/io/container/libvirt/qemu-arguments.js";
import { adaptToFile } from "../src/rewrite/adapt/adapt-file.js";
import { corpusEntry } from "../tools/corpus.js";
import { mainMemory } from "./support/main-memory.js";
import { patternOf } from "./support/pattern.js";
import { qevm } from "./support/program.js";
import { flatDocument } from "./support/document.js";

const scratch = mkdtempSync(join(tmpdir(), "qevm-spec-90-"));
test.onFinish(() => rmSync(scratch, { recursive: true, force: true }));

const reopened = (stream: Uint8Array): Reopened => ({ open: () => new MemorySource(stream) });

async function adapted(
  old: Uint8Array,
  pattern: Uint8Array,
  options: AdaptOptions = {},
): Promise<{ report: AdaptReport; stream: Uint8Array }> {
  const sink = new MemorySink();
  const report = await adaptStream(reopened(old), reopened(pattern), sink, options);
  return { report, stream: sink.bytes() };
}

async function devices(stream: Uint8Array): Promise<Map<string, DeviceState>> {
  const found = new Map<string, DeviceState>();
  for await (const item of new StreamReader(new MemorySource(stream))) {
    if (item.kind === "section" && item.content.kind === "device")
      found.set(`${item.idstr}/${item.instanceId}`, item.content.state);
  }
  return found;
}

test("machine types of 2.3 to 5.0 in the shape of QEMU 11.1: their own memory and registers, its sections", async (t) => {
  for (const [name, board] of [
    ["pc-2.3", "pc"],
    ["pc-2.4", "pc"],
    ["pc-2.12", "pc"],
    ["pc-4.2", "pc"],
    ["q35-2.6", "q35"],
    ["q35-5.0", "q35"],
  ] as const) {
    const old = corpusEntry(name).open();
    const pattern = patternOf(board);
    const { report, stream } = await adapted(old, pattern);
    t.deepEqual(report.refused, [], `${name}: nothing is refused`);
    if (!report.enough) continue;
    t.equal(report.machines.new, board === "pc" ? "pc-i440fx-11.1" : "pc-q35-11.1", `${name}: the machine`);
    const [mine, theirs, made] = [await devices(old), await devices(pattern), await devices(stream)];
    t.ok(
      [...made.keys()].every((key) => theirs.has(key)),
      `${name}: no section that 11.1 does not have`,
    );
    t.deepEqual(made.get("cpu/0")?.fields["env.regs"], mine.get("cpu/0")?.fields["env.regs"], `${name}: registers`);
    t.equal(made.get("cpu/0")?.fields["env.eip"], mine.get("cpu/0")?.fields["env.eip"], `${name}: program counter`);
    t.ok((await mainMemory(stream)).equals(await mainMemory(old)), `${name}: main memory`);
    t.ok(
      report.changes.every(({ where, reason, rule }) => where !== "" && reason !== "" && rule !== ""),
      `${name}: every change says where, why and by which rule`,
    );
  }
  t.end();
});

test("what the destination lacks is refused, named and taken when it is accepted", async (t) => {
  const old = corpusEntry("q35-virtio").open();
  const { report, stream } = await adapted(old, patternOf("q35"));
  t.notOk(report.enough);
  t.equal(stream.length, 0, "nothing is written");
  const net = report.refused.find(({ rule }) => rule.endsWith("/virtio-net"));
  t.equal(net?.weight, "guest", "a device that is gone");
  t.ok((net?.streamOffset ?? 0) > 0, "with its place in the old stream");
  t.ok(/section/u.test(net?.remedy ?? ""), "and what helps");
  const partly = await adapted(old, patternOf("q35"), { accept: [net!.rule] });
  t.equal(partly.report.refused.length, report.refused.length - 1, "one name takes one change");
  const all = await adapted(old, patternOf("q35"), { accept: ["all"] });
  t.ok(all.report.enough, "all takes what can be taken");
  t.notOk([...(await devices(all.stream)).keys()].some((key) => key.includes("virtio")));
  t.end();
});

test("main memory of another size is refused whatever is accepted", async (t) => {
  const old = corpusEntry("machine-none").open();
  const { report } = await adapted(old, patternOf("pc"), { accept: ["all"] });
  t.notOk(report.enough);
  t.ok(report.refused.every(({ weight }) => weight === "never"));
  t.ok(
    report.refused.some(({ where }) => where.startsWith("RAM block")),
    report.refused[0]?.where,
  );
  t.end();
});

test("a file is adapted to itself byte for byte but for its description", async (t) => {
  const pattern = patternOf("pc");
  const { report, stream } = await adapted(pattern, pattern);
  t.deepEqual(report.changes, []);
  const [mine, made] = [await devices(pattern), await devices(stream)];
  t.deepEqual([...made.keys()], [...mine.keys()]);
  t.deepEqual(
    [...made.values()].map(({ fields }) => fields),
    [...mine.values()].map(({ fields }) => fields),
  );
  t.end();
});

test("a cut stream is refused: the missing devices would be those of a machine that has not run", async (t) => {
  const old = corpusEntry("pc-2.4").open();
  const cut = join(scratch, "cut.mig");
  const like = join(scratch, "cut-pattern.mig");
  writeFileSync(like, patternOf("pc"));
  for (const length of [old.length >> 1, old.length - 60_000]) {
    writeFileSync(cut, old.subarray(0, length));
    for (const more of [[], ["--lenient"]]) {
      const { code, stderr } = await qevm(["adapt", cut, "--like", like, "--check", "--accept", "all", ...more]);
      t.equal(code, stderr.includes("nothing describes") ? 2 : 1, `${length} bytes ${more.join("")}: ${stderr}`);
    }
  }
  t.end();
});

test("what lenient mode skipped is listed, and ends with 1", async (t) => {
  const old = Buffer.from(corpusEntry("pc-2.4").open());
  let footer = -1;
  for await (const item of new StreamReader(new MemorySource(old))) {
    if (item.kind === "footer" && footer < 0) footer = item.offset;
  }
  old[footer + 4]! ^= 1;
  const [damaged, like, out] = ["damaged", "damaged-pattern", "damaged-out"].map((name) => join(scratch, name));
  writeFileSync(damaged!, old);
  writeFileSync(like!, patternOf("pc"));
  t.equal((await qevm(["adapt", damaged!, "--like", like!, "--out", out!])).code, 1, "strict: refused");
  t.notOk(existsSync(out!), "and nothing written");
  const { code, stderr, stdout } = await qevm([
    "adapt",
    damaged!,
    "--like",
    like!,
    "--out",
    out!,
    "--lenient",
    "--json",
  ]);
  t.equal(code, 1, stderr);
  t.match(stderr, /1 anomaly was skipped/u);
  t.equal((flatDocument(stdout) as { damage: unknown[] }).damage.length, 1);
  t.end();
});

test("standard input and output: a save image stays one, and a refusal is said", async (t) => {
  const image = readFileSync(new URL("../../corpus/libvirt/save.gzip", import.meta.url));
  const like = join(scratch, "itself.mig");
  await qevm(["convert", "-", "--out", like, "--ram", "normal", "--flatten"], { stdin: image });
  const out = join(scratch, "image");
  const kept = await qevm(["adapt", "-", "--like", like, "--out", out, "--accept", "all"], { stdin: image });
  t.equal(kept.code, 0, kept.stderr);
  t.equal(readFileSync(out).subarray(0, 14).toString("latin1"), "LibvirtQemudSa", "the container of a pipe is kept");
  writeFileSync(like, patternOf("q35"));
  const refused = await qevm(["adapt", "-", "--like", like, "--out", "-"], { stdin: corpusEntry("pc-2.4").open() });
  t.deepEqual([refused.code, refused.stdout], [1, ""]);
  t.match(refused.stderr, /Refused:[^]*--accept section:/u);
  t.end();
});

test("qevm adapt: exit status, text and JSON", async (t) => {
  const old = join(scratch, "old.mig");
  const like = join(scratch, "pattern.mig");
  const out = join(scratch, "new.mig");
  writeFileSync(old, corpusEntry("pc-2.4").open());
  writeFileSync(like, patternOf("pc"));
  const check = await qevm(["adapt", old, "--like", like, "--check"]);
  t.equal(check.code, 0, check.stderr);
  t.ok(check.stdout.includes("From pc-i440fx-2.4 to pc-i440fx-11.1"), check.stdout.split("\n")[0]);
  t.ok(check.stdout.includes("piix4_pm"), "each change with its section");
  const made = await qevm(["adapt", old, "--like", like, "--out", out, "--json"]);
  t.equal(made.code, 0, made.stderr);
  const report = flatDocument(made.stdout) as AdaptReport;
  t.equal(report.streamLength, readFileSync(out).length, "the file is what the report says");
  writeFileSync(like, patternOf("q35"));
  const refused = await qevm(["adapt", old, "--like", like, "--out", join(scratch, "none.mig")]);
  t.equal(refused.code, 1, "refused");
  t.ok(refused.stdout.includes("--accept section:"), "with the name that takes it");
  t.throws(() => readFileSync(join(scratch, "none.mig")), /ENOENT/u, "and nothing written");
  for (const args of [
    [old, "--check"],
    [old, "--like", like],
    [old, "--like", like, "--check", "--print-command"],
  ]) {
    t.equal((await qevm(["adapt", ...args])).code, 2, args.slice(1).join(" "));
  }
  const missing = await qevm(["adapt", old, "--check", "--", join(scratch, "no-such-qemu")]);
  t.equal(missing.code, 2, missing.stderr);
  t.end();
});

test("a libvirt save image stays one, with the new machine type in its XML", async (t) => {
  const [old, like, xml, image, out] = ["plain.mig", "like.mig", "domain.xml", "old.save", "new.save"].map((name) =>
    join(scratch, name),
  ) as [string, string, string, string, string];
  writeFileSync(old, corpusEntry("pc-2.12").open());
  writeFileSync(like, patternOf("pc"));
  writeFileSync(xml, "<domain type='qemu'><os><type machine='pc-i440fx-2.12'>hvm</type></os></domain>");
  t.equal((await qevm(["convert", old, "--out", image, "--to", "libvirt", "--xml", xml])).code, 0);
  const made = await qevm(["adapt", image, "--like", like, "--out", out]);
  t.equal(made.code, 0, made.stderr);
  const written = readFileSync(out);
  t.equal(written.subarray(0, 16).toString("latin1"), "LibvirtQemudSave");
  t.ok(written.subarray(0, 4096).includes("machine='pc-i440fx-11.1'"), "the XML");
  const inspected = await qevm(["inspect", out, "--json"]);
  const { machine, complete } = flatDocument(inspected.stdout) as { machine: string; complete: boolean };
  t.deepEqual([machine, complete], ["pc-i440fx-11.1", true], "the stream in it");
  const added = ["-vga", "cirrus", "-global", "virtio-net-pci.vectors=4", "-set", "device.net1.host_mtu=9000"];
  await adaptToFile(image, like, out, { added });
  const text = readFileSync(out).subarray(0, 4096).toString("latin1");
  t.match(
    text,
    /<qemu:arg value='-global'\/>\s+<qemu:arg value='virtio-net-pci.vectors=4'\/>/u,
    "what it needs beside",
  );
  t.match(
    text,
    /<qemu:device alias='net1'>\s+<qemu:frontend>\s+<qemu:property name='host_mtu' type='unsigned' value='9000'/u,
  );
  t.notOk(text.includes("cirrus"), "the XML itself says which devices there are");
  t.end();
});

test("arguments for QEMU in the XML that libvirt wrote", (t) => {
  const image = gunzipSync(readFileSync(new URL("../../corpus/libvirt/save.raw.gz", import.meta.url)));
  const xml = image.toString("latin1", image.indexOf("<domain"), image.indexOf("</domain>") + "</domain>\n".length);
  t.equal(withQemuArguments(xml, ["-vga", "std"]), xml, "nothing to say");
  const once = withQemuArguments(xml, ["-global", "a.b='<&>\""]);
  t.match(once, /^<domain xmlns:qemu='http:\/\/libvirt.org\/schemas\/domain\/qemu\/1.0' type='qemu'>/u);
  t.ok(
    once.endsWith("<qemu:arg value='a.b=&apos;&lt;&amp;&gt;&quot;'/>\n  </qemu:commandline>\n</domain>\n"),
    "at its end",
  );
  const twice = withQemuArguments(once, ["-global", "c.d=on", "-set", "device.disk0.seg-max-adjust=off"]);
  t.equal(twice.match(/xmlns:qemu|<qemu:commandline>/gu)?.length, 2, "beside those that are there");
  t.ok(twice.includes("&quot;'/>\n    <qemu:arg value='-global'/>\n    <qemu:arg value='c.d=on'/>\n  </qemu:comm"));
  t.match(twice, /alias='disk0'>[^]*type='bool' value='false'/u);
  t.end();
});

test("compressed pages become plain ones", async (t) => {
  const [old, like, out] = ["compressed.mig", "like.mig", "plain-pages.mig"].map((name) => join(scratch, name)) as [
    string,
    string,
    string,
  ];
  const entry = corpusEntry("pc-2.4");
  writeFileSync(old, entry.open());
  writeFileSync(like, patternOf("pc"));
  const packed = join(scratch, "packed.mig");
  t.equal((await qevm(["convert", old, "--out", packed, "--ram", "zlib"])).code, 0);
  const made = await qevm(["adapt", packed, "--like", like, "--out", out]);
  t.equal(made.code, 0, made.stderr);
  t.ok((await mainMemory(readFileSync(out))).equals(await mainMemory(entry.open())), "main memory");
  t.end();
});
