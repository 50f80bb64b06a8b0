import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { makeCase, kindsNamed } from "../src/analyse/fuzz/cases.js";
import { decodeCase } from "../src/analyse/fuzz/decode-case.js";
import { minimise } from "../src/analyse/fuzz/minimise.js";
import { takeApart } from "../src/analyse/fuzz/parts.js";
import { plainText } from "../src/analyse/fuzz/report.js";
import { corpusEntry } from "../tools/corpus.js";
import { qevm } from "./support/program.js";
import { flatDocument } from "./support/document.js";

test("what a destination says is its error, not a warning that every case has", (t) => {
  const [warning, error] = [
    "qemu-system-x86_64: warning: nic n0 has no peer",
    "qemu-system-x86_64: Not a migration stream",
  ];
  t.equal(plainText(`${warning}\n${error}\nmore\n`), "Not a migration stream");
  t.equal(plainText(`${warning}\n`), "warning: nic n0 has no peer", "one that only warns");
  t.end();
});

const judge = async (bytes: Uint8Array): Promise<string> => {
  const { outcome, message } = await decodeCase(bytes, false);
  return message === undefined ? outcome : `${outcome}: ${plainText(message)}`;
};

/** Bytes of the stream's header, a START of "ram", a record's leading word, the block's name (whose stream has one block, "ram"). */
const HEADER = 8;
const RAM = 17;
const RECORD = 8;
const NAME = 4;

/** A kind of damage, the outcome that is looked for, and the length of the stream that a person would write for it. */
const FAULTS: [kind: string, outcome: RegExp, bytes: number][] = [
  ["header-magic", /^bad-magic/u, HEADER],
  ["header-version", /^unsupported-version: stream version/u, HEADER],
  ["configuration-length", /^limit: machine name/u, HEADER + 5],
  ["section-type", /^unknown-type: unknown section type/u, HEADER + 1],
  ["section-of-nothing", /^unknown-reference: a part of a section/u, HEADER + 5],
  ["record-flags-unknown", /^unknown-type/u, HEADER + RAM + RECORD],
  ["record-continue-first", /^unknown-reference: CONTINUE/u, HEADER + RAM + RECORD],
  ["footer-id", /^bad-footer: section_id/u, HEADER + RAM + RECORD + 5],
  ["blocks-total", /^bad-length: the RAM blocks/u, HEADER + RAM + RECORD + 2 + 8],
  ["compressed-length", /^bad-length: COMPRESS_PAGE/u, HEADER + RAM + RECORD + NAME + 8 + RECORD + NAME + 4],
  ["xbzrle-header", /^bad-(?:value|xbzrle)/u, HEADER + RAM + RECORD + NAME + 8 + RECORD + NAME + 3],
];

test("seeded faults end at the smallest stream that a person would have written", { timeout: 240_000 }, async (t) => {
  const base = await takeApart(corpusEntry("machine-none-tiny").open());
  let smallest = 0;
  for (const [kind, wanted, bytes] of FAULTS) {
    let seed = 1;
    let fault = makeCase(base, seed, { kinds: kindsNamed([kind]) });
    while (!wanted.test(await judge(fault.bytes)) && seed < 200)
      fault = makeCase(base, ++seed, { kinds: kindsNamed([kind]) });
    const outcome = await judge(fault.bytes);
    t.match(outcome, wanted, `${kind}, seed ${seed}`);
    const small = await minimise(fault.bytes, judge);
    t.equal(await judge(small.bytes), outcome, `${kind}: the same outcome`);
    if (small.bytes.length <= bytes) smallest++;
    t.comment(
      `${kind}: ${fault.bytes.length} to ${small.bytes.length} bytes (a person: ${bytes}) in ${small.tests} tests`,
    );
  }
  t.ok(smallest >= FAULTS.length - 1, `${smallest} of ${FAULTS.length} are as small as a person's`);
});

test("fuzz minimise on the command line", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-minimise-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "case");
  const bytes = corpusEntry("machine-none-tiny").open();
  bytes[7] = 9;
  writeFileSync(file, bytes);
  const out = join(folder, "small");
  const run = await qevm(["fuzz", "minimise", file, "--out", out, "--json"]);
  t.equal(run.code, 0);
  const { fromBytes, toBytes, outcome } = flatDocument(run.stdout) as Record<string, unknown>;
  t.deepEqual([fromBytes, toBytes], [bytes.length, 8]);
  t.match(String(outcome), /^unsupported-version/u);
  t.equal(readFileSync(out).length, 8);
});
