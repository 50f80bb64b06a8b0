/** `qevm dump`: which field a byte belongs to; damage; the command. */
import { join } from "node:path";
import test from "tape";
import { Diagnostics } from "../src/bytes/errors.js";
import { Random } from "../src/analyse/fuzz/random.js";
import { dumpAt } from "../src/analyse/dump/dump.js";
import { sectionRecordFields } from "../src/analyse/dump/fields.js";
import type { DumpField } from "../src/analyse/dump/types.js";
import { encodeSectionRecord, type SectionRecord } from "../src/codec/sections/index.js";
import { corpusEntry } from "../tools/corpus.js";
import { written as encoded } from "./support/devices.js";
import { flatDocument } from "./support/document.js";
import { inputOf, unitsIn } from "./support/dumped.js";
import { qevm } from "./support/program.js";

test("values in records of sections with a grammar of their own have names", (t) => {
  const data = new Uint8Array(16);
  const [device, node, bitmap, offset] = ["disk", "node", "bits", 0];
  const flags = { enabled: true, persistent: false, autoload: false };
  const records: SectionRecord[] = [
    { section: "block", offset, kind: "data", position: 512, device, data },
    { section: "block", offset, kind: "zero", position: 512, device: "" },
    { section: "block", offset, kind: "progress", percent: 5 },
    { section: "block", offset, kind: "end" },
    ...[undefined, node, ""].flatMap((name): SectionRecord[] => [
      { section: "dirty-bitmap", offset, kind: "start", last: false, node: name, bitmap, granularity: 512, ...flags },
      {
        section: "dirty-bitmap",
        offset,
        kind: "bits",
        last: false,
        node: name,
        bitmap,
        sector: 1n,
        sectors: 2,
        bits: data,
      },
      {
        section: "dirty-bitmap",
        offset,
        kind: "bits",
        last: true,
        node: name,
        bitmap,
        sector: 1n,
        sectors: 2,
        bits: undefined,
      },
    ]),
    { section: "spapr/htab", offset, kind: "table", shift: 24 },
    { section: "spapr/htab", offset, kind: "begin" },
    { section: "spapr/htab", offset, kind: "entries", index: 1, valid: 1, invalid: 0, entries: data },
    { section: "spapr/htab", offset, kind: "end" },
    { section: "s390-storage", offset, kind: "values", address: 0n, values: data },
    { section: "vfio", offset, kind: "data", data },
    { section: "pbs-state", offset, kind: "data", data },
  ];
  for (const record of records) {
    const fields = sectionRecordFields(record, 0);
    const [first] = fields;
    t.ok(
      first !== undefined && fields.every(({ field: name }) => !name.startsWith("value ")),
      `${record.section} ${record.kind}`,
    );
    const end = encoded((writer) => encodeSectionRecord(writer, record)).length;
    t.equal(fields.at(-1)!.streamOffset + fields.at(-1)!.length, end);
  }
  const [, named, text] = sectionRecordFields(records[0]!, 0);
  t.deepEqual([named?.value, text?.field, text?.value], ["4", "device name", '"disk"']);
  t.equal(sectionRecordFields(records[5]!, 0).at(-1)?.field, "bits");
  t.equal(sectionRecordFields(records[12]!, 0).at(-1)?.field, "sectors");
  t.end();
});

/** The corpus capture with damage that the error names. */
const live = corpusEntry("live");

test("every byte behind damage is found, too", async (t) => {
  const whole = live.open();
  const units = await unitsIn(whole);
  const records = units.filter(({ record }) => record?.kind === "normal");
  const cpu = units.find(({ section, unit: what }) => section === "cpu" && what === "device state")!;
  const damages: [string, number, number][] = [
    ["flags of a RAM record", records[40]!.streamOffset + 7, 0xff],
    ["a footer's type byte", units.find(({ unit: what }) => what === "footer")!.streamOffset, 0x55],
    [
      "a section's type byte",
      units.find(({ section, unit: what }) => section === "cpu" && what === "header")!.streamOffset,
      0x77,
    ],
    ["a subsection's name", cpu.streamOffset + cpu.length - 20, 0x81],
  ];
  for (const [name, at, value] of damages) {
    const bytes = Uint8Array.from(whole);
    bytes[at] = value;
    const found = await unitsIn(bytes);
    let cursor = 0;
    const gaps = found.filter(({ streamOffset: offset, length }) => {
      const gap = offset !== cursor;
      cursor = offset + length;
      return gap;
    });
    t.deepEqual([gaps.length, cursor], [0, bytes.length], `${name}: no byte is left out`);
    const answer = await dumpAt(inputOf(bytes), at, new Diagnostics({ lenient: true }));
    t.ok(answer.unit.streamOffset <= at && at < answer.unit.streamOffset + answer.unit.length, answer.unit.unit);
    const same = found.filter((one) =>
      units.some(({ streamOffset: offset, unit: what }) => offset === one.streamOffset && what === one.unit),
    );
    const after = same.filter(({ streamOffset: offset }) => offset > at + 4096).length;
    t.ok(after > 10, `${after} parts after the damage are as before, of ${units.length}`);
  }
  const cut = await unitsIn(whole.subarray(0, records[40]!.streamOffset + 100));
  t.deepEqual(
    [cut.at(-1)?.streamOffset, cut.at(-1)?.length, cut.at(-1)?.reason],
    [records[40]!.streamOffset, 100, "the stream ends inside of this"],
    "a stream that is cut off",
  );
  t.end();
});

test("hostile: random damage is answered for every byte", async (t) => {
  const whole = corpusEntry("machine-none").open();
  const damage = new Random(64);
  for (let round = 0; round < 60; round++) {
    const bytes = Uint8Array.from(whole);
    for (let k = 0; k <= damage.below(4); k++) bytes[8 + damage.below(bytes.length - 8)] = damage.below(256);
    let cursor = 0;
    let gaps = 0;
    for (const { streamOffset: offset, length } of await unitsIn(bytes)) {
      if (offset !== cursor) gaps++;
      cursor = offset + length;
    }
    if (gaps > 0 || cursor !== bytes.length) t.fail(`round ${round}: ${gaps} gaps, end ${cursor} of ${bytes.length}`);
  }
  t.pass("no byte is left out");
  t.end();
});

test("the command", async (t) => {
  const file = join(live.folder, "stream.gz");
  const units = await unitsIn(live.open());
  const record = units.find((unit) => unit.record?.kind === "normal")!;
  const at = record.streamOffset + 100;
  const [text, json, list, records, cpu] = await Promise.all([
    qevm(["dump", file, "--at", `0x${at.toString(16)}`]),
    qevm(["dump", file, "--at", String(at), "--json"]),
    qevm(["dump", file]),
    qevm(["dump", file, "--records", "--jsonl"]),
    qevm(["dump", file, "--section", "cpu"]),
  ]);
  t.match(
    text.stdout,
    new RegExp(`^byte 0x${at.toString(16)} \\(${at}\\)\n  section 2 "ram"/0 \\((?:start|part|end)\\)\n`, "u"),
  );
  t.match(text.stdout, /: page, byte \d+ of it\n {4}[0-9a-f]{8}: [0-9a-f]{4} /u);
  const answer = flatDocument(json.stdout) as {
    fields: [DumpField];
    context: { streamOffset: number; hex: string };
    unit: string;
  };
  const [field] = answer.fields;
  t.deepEqual([field.field, field.length, answer.unit], ["page", 4096, record.unit]);
  const shown = Buffer.from(answer.context.hex, "hex");
  t.ok(
    shown.equals(live.open().subarray(answer.context.streamOffset, answer.context.streamOffset + shown.length)),
    "the bytes beside",
  );
  t.equal(list.stdout.split("\n", 1)[0], "0x0, 8 bytes: header");
  const lines = records.stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { streamOffset: number });
  t.deepEqual(
    lines.map(({ streamOffset }) => streamOffset),
    units.filter((unit) => unit.record !== undefined).map(({ streamOffset: offset }) => offset),
    `${lines.length} records`,
  );
  t.match(cpu.stdout, /^ {2}0x[0-9a-f]+, 8 bytes: env\.eip = /mu);
  const wrong: [string[], RegExp][] = [
    [["--at", "99999999999"], /after the end of the stream/u],
    [["--at", "1", "--records"], /--at goes with none of/u],
    [["--json"], /--json goes with --at/u],
    [["--section", "nothing"], /no section "nothing"/u],
  ];
  for (const [k, run] of (
    await Promise.all(wrong.map(async ([args]) => await qevm(["dump", file, ...args])))
  ).entries()) {
    t.equal(run.code, 2, wrong[k]![0].join(" "));
    t.match(run.stderr, wrong[k]![1]);
  }
  t.end();
});
