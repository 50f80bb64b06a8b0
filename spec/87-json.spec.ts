/** The contract of the JSON: one envelope, one meaning a name, schemas that are strict and in the package. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { COMMANDS } from "../src/cli/help.js";
import { helpOf, optionsOf } from "../src/cli/option-table.js";
import { corpusEntry, projectRoot } from "../tools/corpus.js";
import { printed, rows, schemas, uses } from "../tools/schema/make.js";
import { MEANINGS } from "../tools/schema/names.js";
import { inProcess } from "./support/in-process.js";
import { checkDocument, problemsOf } from "./support/schemas.js";

const root = projectRoot();
const work = mkdtempSync(join(tmpdir(), "qevm-json-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));
const path = (name: string): string => join(work, name);
const file = path("vm.mig");
writeFileSync(file, corpusEntry("pc-4.2").open());

interface Envelope {
  qevm: string;
  schema: string;
  file: string | null;
  container: string | null;
  warnings: unknown[];
  damage: Record<string, unknown>[];
  result: Record<string, unknown> | null;
  error?: Record<string, unknown>;
}

async function envelope(name: string, ...args: string[]): Promise<Envelope> {
  return JSON.parse((await inProcess(name, [...args, "--json"])).stdout) as Envelope;
}

test("every command that has --json has a schema, and none is left over", (t) => {
  const lines = Object.entries(COMMANDS).flatMap(([name, { actions }]) =>
    actions === undefined ? [[name]] : Object.keys(actions).map((action) => [name, action]),
  );
  const having = lines.filter((line) => optionsOf(helpOf(COMMANDS, line)!).some(({ name }) => name === "json"));
  t.deepEqual([...schemas().keys()].toSorted(), having.map((line) => `${line.join("-")}.json`).toSorted());
  t.end();
});

test("the schemas of the package and the table of the chapter are those of the shapes", (t) => {
  const folder = join(root, "dist", "schema");
  t.deepEqual(readdirSync(folder).toSorted(), [...schemas().keys()].toSorted());
  for (const [name, schema] of schemas()) {
    const text = readFileSync(join(folder, name), "utf8");
    t.equal(text, printed(schema), `${name}: the build writes it`);
    t.notOk(/"description": ""/u.test(text));
  }
  const chapter = readFileSync(join(root, "spec", "87-json.md"), "utf8");
  t.deepEqual(chapter.trimEnd().split("\n").slice(-rows().length), rows(), "the table");
  t.end();
});

test("one meaning for one name, and no name without use", (t) => {
  t.deepEqual(Object.keys(MEANINGS).toSorted(), [...uses().keys()].toSorted());
  const meanings = Object.values(MEANINGS);
  t.equal(new Set(meanings).size, meanings.length, "no two names with one meaning");
  t.end();
});

test("the envelope", async (t) => {
  const { result, ...head } = await envelope("inspect", file);
  t.deepEqual(head, { qevm: "0.1.0", schema: "inspect/1", file, container: null, warnings: [], damage: [] });
  t.equal(result?.["machine"], "pc-i440fx-4.2");
  const missing = await envelope("verify", path("missing"));
  t.deepEqual([missing.result, missing.file, missing.error?.["code"]], [null, path("missing"), "io"]);
  const wrong = await envelope("inspect", file, "--frob");
  t.deepEqual([wrong.schema, wrong.result, wrong.error?.["code"]], ["inspect/1", null, "usage"]);
  writeFileSync(path("no.mig"), "QEVN is no magic");
  const none = await envelope("explain", path("no.mig"));
  t.ok(none.damage.length > 0 && none.error === undefined, "explain has an answer");
  const bad = await envelope("devices", path("no.mig"));
  t.deepEqual([bad.error?.["code"], bad.error?.["streamOffset"]], ["bad-magic", 0]);
  t.ok(typeof bad.error?.["found"] === "string" && typeof bad.error["expected"] === "string", "as data");
  const two = await envelope("diff", file, path("no.mig"));
  t.deepEqual([two.file, two.error?.["side"]], [null, "b"]);
  const { stdout } = await inProcess("inspect", [file, path("no.mig"), "--jsonl"]);
  const lines = stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Envelope);
  t.deepEqual(
    lines.map((line) => [line.file, line.result === null]),
    [
      [file, false],
      [path("no.mig"), true],
    ],
  );
  const cut = path("cut.mig");
  writeFileSync(cut, corpusEntry("pc-4.2").open().subarray(0, 50_000));
  const lenient = await envelope("inspect", cut, "--lenient");
  t.deepEqual([lenient.damage[0]?.["code"], lenient.damage[0]?.["streamOffset"]], ["truncated", 50_000]);
});

test("a document of each command that needs no other program fits its schema", async (t) => {
  const out = path("out.mig");
  for (const line of [
    ["devices", file],
    ["dump", file, "--at", "100"],
    ["verify", file],
    ["explain", file, "Missing section footer for timer"],
    ["extract", file, "--format", "blocks", "--out", path("blocks")],
    ["extract", file, "--format", "elf", "--out", path("elf")],
    ["read", file, "--physical", "0"],
    ["read", file, "--block", "pc.ram"],
    ["read", file, "--virtual", "0x100", "--translate"],
    ["read", file, "--virtual", "0x100", "--u64"],
    ["read", file, "--virtual", "0x100", "--string"],
    ["unpack", file, path("folder")],
    ["pack", path("folder"), "--out", out],
    ["convert", file, "--out", out, "--flatten"],
    ["convert", file, "--out", path("rec"), "--to", "recording"],
    ["inspect", path("rec")],
    ["verify", path("rec")],
    ["diff", file, out],
    ["adapt", file, "--like", file, "--check"],
    ["generate", "--machine", "none", "--out", out],
    ["send", file, "exec:cat > /dev/null"],
    ["receive", `exec:cat ${file}`, "--out", path("received")],
    ["catalogue", "list", "e1000"],
    ["fuzz", "decode", file, "--cases", "2"],
    ["fuzz", "minimise", path("no.mig"), "--out", path("small"), "--tests", "3"],
  ]) {
    const [name = "", ...args] = line;
    const { stdout, stderr } = await inProcess(name, [...args, "--json"]);
    t.ok((JSON.parse(stdout) as Envelope).result !== null, `${line[0]} ${stderr}`);
  }
});

test("the schemas refuse what is not in them", async (t) => {
  const good = await envelope("inspect", file);
  t.deepEqual(problemsOf(good), []);
  const result = good.result!;
  for (const [what, wrong] of [
    ["a name that nobody knows", { ...good, result: { ...result, streamlength: 1 } }],
    ["another type", { ...good, result: { ...result, streamLength: "1" } }],
    ["a name that is missing", { ...good, damage: undefined }],
    ["a schema that there is not", { ...good, schema: "frob/1" }],
  ] as const) {
    t.throws(() => checkDocument(JSON.stringify(wrong)), /does not fit/u, what);
  }
});
