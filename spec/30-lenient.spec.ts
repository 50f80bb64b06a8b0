import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { Diagnostics, QevmError } from "../src/bytes/errors.js";
import { parseExactJson } from "../src/bytes/exact-json.js";
import { explainStream } from "../src/analyse/explain/index.js";
import { inspectStream } from "../src/analyse/inspect/inspect.js";
import { MemorySource } from "../src/bytes/index.js";
import { corpusEntry } from "../tools/corpus.js";
import { qevm } from "./support/program.js";
import { inProcess } from "./support/in-process.js";
import { flatDocument } from "./support/document.js";

const work = mkdtempSync(join(tmpdir(), "qevm-spec-30-"));
const whole = corpusEntry("compress-1-threads-1").open();
const damaged = Buffer.from(whole);
const payload = damaged.indexOf(Buffer.from([0x78, 0x01]), 40_000);
damaged.fill(0xff, payload + 2, payload + 40);
const file = join(work, "damaged.mig");
writeFileSync(file, damaged);

interface Told {
  damage: { streamOffset: number; block?: string; blockOffset?: number; replacedBy?: string }[];
}

const out = (name: string): string => join(work, name);

test("what lenient mode puts in the place of a damaged page is listed, with status 1", async (t) => {
  const commands: Record<string, string[]> = {
    normal: ["convert", file, "--out", out("normal"), "--ram", "normal"],
    threads: ["convert", file, "--out", out("threads"), "--ram", "normal", "--threads", "2"],
    flatten: ["convert", file, "--out", out("flatten"), "--flatten"],
    mapped: ["convert", file, "--out", out("mapped"), "--to", "mapped-ram"],
    blocks: ["extract", file, "--out", out("blocks"), "--format", "blocks"],
    raw: ["extract", file, "--out", out("raw"), "--format", "raw"],
  };
  let place: Told["damage"][number] | undefined;
  for (const [name, command] of Object.entries(commands)) {
    const strict = await qevm(command);
    t.equal(strict.code, 1, `${name}: refused`);
    const lenient = await qevm([...command, "--lenient", "--json"]);
    t.equal(lenient.code, 1, `${name}: delivered, with status 1`);
    const [replaced] = (flatDocument(lenient.stdout) as Told).damage;
    t.ok(replaced?.replacedBy?.endsWith("zeros") === true, `${name}: ${replaced?.replacedBy}`);
    t.ok(payload - replaced!.streamOffset <= 12, `${name}: the record's offset`);
    t.ok(lenient.stderr.includes(`replaced page of "pc.ram" at 0x`), `${name}: in words`);
    const again = command.map((word) => (word === out(name) ? out(`${name}-again`) : word));
    const accepted = await qevm([...again, "--lenient", "--accept-damage"]);
    t.equal(accepted.code, 0, `${name}: all of it is listed`);
    place = replaced;
  }
  t.ok(place?.blockOffset !== undefined && place.blockOffset % 4096 === 0, "a page");
  const { block = "", blockOffset: page } = place!;
  const read = ["read", file, "--block", block, "--offset", `${page}`, "--length", "4096"];
  const strict = await qevm(read);
  t.equal(strict.code, 1, "read: refused");
  const lenient = await qevm([...read, "--lenient", "--json"]);
  t.equal(lenient.code, 1, "read: delivered, with status 1");
  t.deepEqual((flatDocument(lenient.stdout) as Told).damage[0]?.blockOffset, page, "and listed");
  writeFileSync(out("whole"), whole);
  const diff = await qevm(["diff", file, out("whole"), "--lenient"]);
  t.equal(diff.code, 1, "diff");
  t.match(diff.stderr, /replaced page of "pc\.ram"/u, "diff lists it");
});

test("warnings that there is no room for are counted", (t) => {
  const made = new Diagnostics({ lenient: true, maxWarnings: 1 });
  const replaced = { block: "ram", blockOffset: 4096, by: "zeros" };
  for (let k = 0; k < 3; k++) made.anomaly(new QevmError("bad-xbzrle", `number ${k}`, { offset: k }), replaced);
  t.deepEqual([made.passedOver, made.dropped, made.warnings.length], [3, 2, 1]);
  t.deepEqual(made.warnings[0]?.replaced, replaced);
  t.end();
});

test("payloads that were not decompressed are called neither understood nor complete", async (t) => {
  const inspected = await inspectStream(new MemorySource(damaged));
  t.ok(inspected.uncheckedPayloads > 0, `${inspected.uncheckedPayloads} payloads`);
  const { stdout } = await qevm(["inspect", file]);
  t.match(stdout, /^Not checked: .* payloads were not decompressed \(qevm verify FILE does so\)$/mu);
  t.notOk(/Understood: every byte$/mu.test(stdout), "not every byte");
  const sound = await explainStream(new MemorySource(whole));
  t.equal(sound.versions.loads, "may", "explain looks into the payloads");
  const explained = await explainStream(new MemorySource(damaged));
  t.deepEqual(
    explained.faults.map(({ error, times }) => [error.code, times]),
    [["bad-compressed-data", 1]],
    "and names what is damaged",
  );
  const page = await qevm(["explain", file]);
  t.equal(page.code, 1);
  t.notOk(/complete/u.test(page.stdout.split("\n")[0]!), "it is not called complete");
});

test("verify --lenient goes on after damaged pages, and says what was put in their place", async (t) => {
  const bytes = Uint8Array.from(corpusEntry("compress-live").open());
  // Inside the payloads of two compressed pages.
  for (const at of [200_000, 300_000]) bytes.set([0xff ^ bytes[at]!, 0x5a ^ bytes[at + 1]!], at);
  const path = join(work, "two-pages.mig");
  writeFileSync(path, bytes);
  const strict = await inProcess("verify", [path]);
  t.deepEqual([strict.code, strict.stdout], [1, ""], "strict: refused at the first");
  const { code, stdout, stderr } = await inProcess("verify", [path, "--lenient"]);
  t.equal(code, 1);
  t.equal(
    stderr.match(/^warning: at byte 0x[0-9a-f]+, .*; replaced page of "pc\.ram" at 0x[0-9a-f]+: .+$/gmu)?.length,
    2,
    stderr,
  );
  t.match(stdout, /^DAMAGED: 2 pages \(see the warnings\)$/mu);
  const { damage } = flatDocument((await inProcess("verify", [path, "--lenient", "--json"])).stdout) as {
    damage: { block?: string }[];
  };
  t.deepEqual(
    damage.map(({ block }) => block),
    ["pc.ram", "pc.ram"],
    "in JSON, too",
  );
});

test("a cut file has no releases that may load it", async (t) => {
  const cut = join(work, "cut.mig");
  writeFileSync(cut, whole.subarray(0, 300_000));
  const { stdout } = await qevm(["explain", cut]);
  t.match(stdout, /No release of QEMU loads it as it is/u);
  t.notOk(/may load it/u.test(stdout), "and none may");
  t.equal((await explainStream(new MemorySource(whole.subarray(0, 300_000)))).versions.loads, "none", "JSON");
  const html = join(work, "cut.html");
  await qevm(["report", cut, "--out", html]);
  t.notOk(/May load it|may load it:/u.test(readFileSync(html, "utf8")), "the report");
});

test("numbers of 64 bits keep every digit, or are refused as they were typed", async (t) => {
  const text =
    '{"a": 9007199254740993, "b": [-9007199254740993, 12], "c": "9007199254740993", "d": 9007199254740993.0}';
  t.deepEqual(parseExactJson(text), {
    a: 9007199254740993n,
    b: [-9007199254740993n, 12],
    c: "9007199254740993",
    d: "9007199254740993.0",
  });
  t.throws(() => parseExactJson("[1,"), SyntaxError);
  const template = join(work, "template.mig");
  writeFileSync(template, corpusEntry("xbzrle-compress").open());
  const made = join(work, "made.mig");
  const set = ["generate", "--template", template, "--out", made, "--set"];
  const exact = await qevm([...set, "cpu:env.eip=9007199254740993"]);
  t.equal(exact.code, 0, exact.stderr);
  const devices = await qevm(["devices", made, "cpu", "--json"]);
  t.match(devices.stdout, /"env\.eip": "0x20000000000001"/u, "exact");
  const large = await qevm([...set, "cpu:env.eip=99999999999999999999"]);
  t.notEqual(large.code, 0, "too large");
  t.match(large.stderr, /99999999999999999999/u, "as it was typed");
  for (const option of ["--physical", "--length"]) {
    const rest = option === "--length" ? ["--physical", "0"] : [];
    const { code, stderr } = await qevm(["read", template, ...rest, option, "9007199254740993"]);
    t.equal(code, 2, option);
    t.match(stderr, /not "9007199254740993"/u, "as it was typed");
  }
});

test.onFinish(() => rmSync(work, { recursive: true, force: true }));
