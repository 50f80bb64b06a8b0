import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { bundle } from "../src/analyse/fuzz/bundle.js";
import { KINDS, kindsNamed, makeCase } from "../src/analyse/fuzz/cases.js";
import { join as joined, takeApart } from "../src/analyse/fuzz/parts.js";
import { runDecode } from "../src/analyse/fuzz/run-decode.js";
import { corpusEntry } from "../tools/corpus.js";
import { recordingNamed } from "../tools/recording/corpus.js";
import { mappedRamFile } from "./support/mapped-ram-file.js";
import { qevm } from "./support/program.js";
import { flatDocument } from "./support/document.js";

const folder = mkdtempSync(join(tmpdir(), "qevm-fuzz-spec-"));
test.onFinish(() => rmSync(folder, { recursive: true, force: true }));
const tiny = corpusEntry("machine-none-tiny").open();
const pc = corpusEntry("pc-firmware").open();

/** The files of a recording of the corpus as one input. */
function recorded(name: string): Uint8Array {
  const recording = recordingNamed(name);
  return bundle(recording.files.map((file) => ({ name: file, bytes: Uint8Array.from(recording.open(file)) })));
}

test("parts laid end to end are the stream", async (t) => {
  for (const name of [
    "machine-none-tiny",
    "pc-firmware",
    "xbzrle-compress",
    "framing-off",
    "suppress-vmdesc",
    "ignore-shared",
  ]) {
    const bytes = corpusEntry(name).open();
    const parts = await takeApart(bytes);
    t.ok(joined(parts.list).every((byte, i) => byte === bytes[i]) && joined(parts.list).length === bytes.length, name);
    t.ok(parts.list.length > 10, `${name}: ${parts.list.length} parts`);
  }
  const cut = await takeApart(tiny.subarray(0, 300));
  t.deepEqual(joined(cut.list), Uint8Array.from(tiny.subarray(0, 300)), "a cut stream, too");
  const noise = await takeApart(Uint8Array.of(1, 2, 3));
  t.deepEqual(
    noise.list.map(({ kind }) => kind),
    ["rest"],
    "bytes that are no stream are one part",
  );
});

test("every kind of damage finds something to damage in the corpus, says what, and repeats by its seed", async (t) => {
  const bases = await Promise.all(
    [
      tiny,
      pc,
      mappedRamFile(),
      corpusEntry("xbzrle-compress").open(),
      recorded("recording-7.2-zlib"),
      recorded("postcopy-7.2-preempt"),
    ].map((b) => takeApart(b)),
  );
  for (const kind of KINDS) {
    let changed = 0;
    let same = true;
    let silent = 0;
    for (const base of bases) {
      for (let seed = 1; seed <= 6; seed++) {
        const one = makeCase(base, seed, { kinds: [kind] });
        // There is nothing of the kind in this base.
        if (one.kinds.length === 0) break;
        if (one.did === "") silent++;
        if (Buffer.compare(one.bytes, base.bytes) !== 0) changed++;
        if (seed === 1) same &&= Buffer.compare(makeCase(base, seed, { kinds: [kind] }).bytes, one.bytes) === 0;
      }
    }
    t.ok(
      changed > 0 && same && silent === 0,
      `${kind.name}: ${changed} of ${bases.length * 6} cases differ from their base`,
    );
  }
  t.equal(
    new Set(KINDS.map(({ name }) => name)).size,
    KINDS.length,
    `${KINDS.length} kinds, each with a name of its own`,
  );
  t.ok(
    bases[0]!.bytes.every((byte, i) => byte === tiny[i]),
    "the bases are untouched",
  );
  t.throws(() => kindsNamed(["frob"]), /no kind of damage begins with "frob"/u);
});

test("our decoder, with today's seed", { timeout: 120_000 }, async (t) => {
  const today = Number(new Date().toISOString().slice(0, 10).replaceAll("-", ""));
  const runs: [string, Uint8Array[], number][] = [
    ["small streams", [tiny, corpusEntry("v10.0-none").open()], 160],
    ["a mapped-ram file", [mappedRamFile()], 8],
    [
      "machines with devices and every page encoding",
      [pc, corpusEntry("xbzrle-compress").open(), corpusEntry("isapc-bare").open()],
      40,
    ],
    [
      "recordings",
      [recorded("recording-7.2-zlib"), recorded("recording-11.1-zstd"), recorded("postcopy-7.2-preempt")],
      20,
    ],
    ["containers", [readFileSync(join(corpusEntry("machine-none-tiny").folder, "stream.gz"))], 150],
  ];
  for (const [what, inputs, cases] of runs) {
    const result = await runDecode(inputs, { seed: today * 1000, cases });
    const words = result.finds.map(({ find, seed, did, message }) => `${find}, seed ${seed}: ${did}: ${message}`);
    t.deepEqual(
      words,
      [],
      `${what}: ${result.cases} cases from seed ${result.seed}, ${Object.keys(result.outcomes).length} kinds`,
    );
    t.equal(result.cases, cases, "cases were run");
    t.ok(result.heldMore < 16 << 20, `${result.heldMore} bytes more are held at the end`);
  }
});

test("the kit finds what is there to find", { timeout: 60_000 }, async (t) => {
  const decoder = new URL("./support/bad-decoder.js", import.meta.url);
  const result = await runDecode([tiny], {
    cases: 150,
    caseSeconds: 1,
    memory: 32 << 20,
    decoder,
    kinds: ["byte-insert", "byte-remove"],
  });
  const found = new Set(result.finds.map(({ find }) => find));
  for (const find of ["hang", "crash", "memory", "no-address"] as const) t.ok(found.has(find), find);
  t.equal(result.cases, 150, "it goes on after each of them");
  t.ok(
    result.finds.every(({ seed, did }) => seed >= 1 && seed <= 150 && did.length > 5),
    "each with its seed and what was done",
  );
});

test("fuzz decode, make and report on the command line", async (t) => {
  const file = join(folder, "tiny.mig");
  writeFileSync(file, tiny);
  const run = await qevm(["fuzz", "decode", file, "--cases", "300", "--seed", "7", "--json"]);
  t.equal(run.code, 0, "no find: exit 0");
  const document = flatDocument(run.stdout) as { cases: number; seed: number; finds: unknown[]; perSecond: number };
  t.deepEqual([document.cases, document.seed, document.finds], [300, 7, []]);
  const text = await qevm([
    "fuzz",
    "decode",
    file,
    "--cases",
    "50",
    "--kinds",
    "record,footer-id",
    "--repair",
    "never",
  ]);
  t.match(text.stdout, /kind of damage +accepted|kind of damage +refused/u);
  t.notOk(/header-magic/u.test(text.stdout), "only the kinds that were asked for");
  const out = join(folder, "cases");
  t.equal((await qevm(["fuzz", "make", file, "--out", out, "--cases", "5", "--seed", "40"])).code, 0);
  const lines = readFileSync(join(out, "cases.jsonl"), "utf8").trim().split("\n");
  const list = lines.map((line) => JSON.parse(line) as { file: string; bytes: number; did: string });
  t.deepEqual(
    list.map(({ file: name }) => name),
    [40, 41, 42, 43, 44].map((n) => `case-${n}.mig`),
  );
  t.ok(list.every(({ file: name, bytes, did }) => readFileSync(join(out, name)).length === bytes && did.length > 0));
  t.equal((await qevm(["fuzz", "make", file, "--out", out])).code, 2, "a folder that is not empty is left alone");
  const pipe = await qevm(["fuzz", "make", file, "--out", "-", "--cases", "2", "--kinds", "header-version"]);
  t.match(pipe.stdout, /^\{"seed":1,"bytes":\d+,"kinds":\["header-version"\]/u);
  for (const wrong of [
    ["fuzz"],
    ["fuzz", "frob", file],
    ["fuzz", "decode"],
    ["fuzz", "decode", file, "--kinds", "frob"],
    ["fuzz", "make", file],
    ["fuzz", "qemu", file, "--out", "r"],
    ["fuzz", "minimise", file],
  ]) {
    t.equal((await qevm(wrong)).code, 2, `wrong usage: ${wrong.slice(0, 2).join(" ")}`);
  }
  t.equal((await qevm(["fuzz", "report", file])).code, 1, "no results in there");
  t.notOk(existsSync(join(folder, "r")), "nothing was left");
});
