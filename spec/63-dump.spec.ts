/** `qevm dump`: which field a byte belongs to, held against the encoders; damage; the command. */
import test from "tape";
import { Diagnostics, QevmError } from "../src/bytes/errors.js";
import { MemorySink, MemorySource } from "../src/bytes/source.js";
import { QemuFileWriter } from "../src/bytes/writer.js";
import { Random } from "../src/analyse/fuzz/random.js";
import { dumpAt, dumpUnits, fieldAt, type DumpOptions, type DumpSource } from "../src/analyse/dump/dump.js";
import { sectionRecordFields } from "../src/analyse/dump/fields.js";
import type { DumpField, DumpUnit } from "../src/analyse/dump/types.js";
import { encodeRecord, type RamBatch } from "../src/codec/ram/index.js";
import { encodeCommand } from "../src/codec/stream/command.js";
import { encodeConfiguration } from "../src/codec/stream/configuration.js";
import { encodeFooter, encodeSectionHeader } from "../src/codec/stream/section.js";
import { encodeSectionRecord, type SectionRecord } from "../src/codec/sections/index.js";
import { StreamReader, type StreamItem } from "../src/codec/stream/index.js";
import { encodeDevice, isRecordValue, isStructState, type FieldValue } from "../src/codec/vmstate/index.js";
import { corpusEntry, listCorpus } from "../tools/corpus.js";
import { qevm } from "./support/program.js";
import { join } from "node:path";
import { flatDocument } from "./support/document.js";

function inputOf(bytes: Uint8Array): DumpSource {
  const source = new MemorySource(bytes);
  return { source, rewind: () => source.seek(0), whole: () => Promise.resolve(bytes.length) };
}

async function unitsIn(bytes: Uint8Array, options: DumpOptions = {}): Promise<Omit<DumpUnit, "fields">[]> {
  const found: Omit<DumpUnit, "fields">[] = [];
  for await (const unit of dumpUnits(inputOf(bytes), new Diagnostics({ lenient: true }), options)) found.push(unit);
  return found;
}

function encoded(write: (writer: QemuFileWriter) => void): Uint8Array {
  const sink = new MemorySink();
  const writer = new QemuFileWriter(sink);
  write(writer);
  void writer.flush();
  return sink.bytes();
}

/** A byte, what dump says of it, and how to change it: undefined where the value of the field has no such bit. */
interface Asked {
  at: number;
  field: DumpField;
}

const outcomes = { changed: 0, fixed: 0, refused: 0, names: new Map<string, number>() };

/** `before` and `after` are encodings from `start` on; `after` with another value of the field. */
function hold(
  bytes: Uint8Array,
  { at, field }: Asked,
  start: number,
  [before, after]: [Uint8Array, Uint8Array | undefined],
): string | undefined {
  const { streamOffset: offset, length, field: name } = field;
  const where = `0x${at.toString(16)} ${name} [0x${offset.toString(16)}, ${length}]`;
  if (before[at - start] !== bytes[at]) return `${where}: the encoder has another byte there`;
  if (after === undefined) {
    outcomes.fixed++;
    outcomes.names.set(name, (outcomes.names.get(name) ?? 0) + 1);
    return undefined;
  }
  outcomes.changed++;
  const differs: number[] = [];
  for (let k = 0; k < Math.max(before.length, after.length); k++) if (before[k] !== after[k]) differs.push(start + k);
  if (!differs.includes(at))
    return `${where}: another value leaves the byte as it is (${differs.slice(0, 3).join(" ")})`;
  const outside = differs.find((one) => one < offset || one >= offset + length);
  return outside === undefined ? undefined : `${where}: another value changes byte 0x${outside.toString(16)}`;
}

/** The value with the bit of one byte changed; undefined where it has no bytes of that number. */
function changed(value: FieldValue | undefined, byte: number, length: number): FieldValue | undefined {
  if (value instanceof Uint8Array) return value.map((one, k) => (k === byte ? one ^ 1 : one));
  const bit = 1n << BigInt(8 * (length - 1 - byte));
  if (typeof value === "bigint") return value < 0n ? BigInt.asIntN(8 * length, value ^ bit) : value ^ bit;
  if (typeof value === "number") {
    const other = BigInt(value) ^ bit;
    return Number(value < 0 ? BigInt.asIntN(8 * length, other) : other);
  }
  return typeof value === "boolean" ? !value : undefined;
}

/** Changes the field of a struct that a name leads to. Returns what puts it back; undefined where it is not a value. */
function changeIn(
  holder: Record<string, FieldValue> | FieldValue[],
  key: string | number,
  rest: string,
  byte: number,
  length: number,
): (() => void) | undefined {
  const slots = holder as Record<string | number, FieldValue>;
  const value = slots[key];
  if (rest === "") {
    const other = changed(value, byte, length);
    if (other === undefined) return undefined;
    slots[key] = other;
    return () => (slots[key] = value!);
  }
  const index = /^\[(\d+)\](.*)$/su.exec(rest);
  if (Array.isArray(value) && index !== null) return changeIn(value, Number(index[1]), index[2]!, byte, length);
  const inner = isStructState(value) ? value : isRecordValue(value) ? { fields: value.record } : undefined;
  return inner === undefined ? undefined : changeStruct(inner, rest.replace(/^\./u, ""), byte, length);
}

interface StructLike {
  fields: Record<string, FieldValue>;
  subsections?: readonly { description: { vmsdName?: string | undefined }; fields: Record<string, FieldValue> }[];
}

function changeStruct(state: StructLike, name: string, byte: number, length: number): (() => void) | undefined {
  for (const sub of state.subsections ?? []) {
    const prefix = `subsections.${sub.description.vmsdName}.`;
    if (name.startsWith(prefix)) return changeStruct(sub, name.slice(prefix.length), byte, length);
  }
  // The longest key that fits: keys contain dots and brackets themselves.
  const keys = Object.keys(state.fields).filter(
    (key) => name.startsWith(key) && /^(?:$|\.|\[)/u.test(name.slice(key.length)),
  );
  const key = keys.toSorted((a, b) => b.length - a.length)[0];
  return key === undefined ? undefined : changeIn(state.fields, key, name.slice(key.length), byte, length);
}

/** Encodings of devices as they are. */
const unchanged = new WeakMap<StreamItem, Uint8Array>();

/** Encodings of a device with and without another value of the field, which may be little-endian. */
function deviceTwice(
  item: StreamItem & { kind: "section" },
  { at, field }: Asked,
): [Uint8Array, Uint8Array | undefined] {
  if (item.content.kind !== "device") throw new Error("not a device");
  const { state } = item.content;
  const before = unchanged.get(item) ?? encoded((writer) => encodeDevice(writer, state));
  unchanged.set(item, before);
  const byte = at - field.streamOffset;
  let after: Uint8Array | undefined;
  for (const one of [byte, field.length - 1 - byte]) {
    const undo = changeStruct(state, field.field, one, field.length);
    if (undo === undefined) break;
    try {
      after = encoded((writer) => encodeDevice(writer, state));
    } catch (error) {
      // A value that the field cannot have, for example a signed number that the bit makes too large.
      if (!(error instanceof QevmError)) throw error;
      outcomes.refused++;
    } finally {
      undo();
    }
    const start = item.payloadOffset;
    if (after !== undefined && after[at - start] !== before[at - start]) break;
  }
  return [before, after];
}

/** Encodings of a record with and without another value of the field. */
function recordTwice(batch: RamBatch, i: number, { at, field }: Asked): [Uint8Array, Uint8Array | undefined] {
  const again = (): Uint8Array => encoded((writer) => encodeRecord(writer, batch, i));
  const before = again();
  const byte = at - field.streamOffset;
  if (field.field === "fill") {
    batch.fill[i]! ^= 1;
    const after = again();
    batch.fill[i]! ^= 1;
    return [before, after];
  }
  if (/page$|^delta$/u.test(field.field)) {
    const body = batch.body(i);
    body[byte]! ^= 1;
    const after = again();
    body[byte]! ^= 1;
    return [before, after];
  }
  if (field.field === "offset and flags" && byte < 6 && byte > 1) {
    const kept = batch.offset[i]!;
    const bit = 2 ** (8 * (7 - byte));
    batch.offset[i] = Math.floor(kept / bit) % 2 === 0 ? kept + bit : kept - bit;
    const after = again();
    batch.offset[i] = kept;
    return [before, after];
  }
  return [before, undefined];
}

/** Encodings of an item's own fields with and without another value. */
function itemTwice(item: StreamItem, { at, field }: Asked): [Uint8Array, Uint8Array | undefined] {
  const bit = 2 ** (8 * (field.length - 1 - (at - field.streamOffset)));
  const flip = (value: number): number => Number(BigInt(value) ^ BigInt(bit));
  const text = (value: string, k = at - field.streamOffset): string =>
    value.slice(0, k) + String.fromCharCode(value.charCodeAt(k) ^ 1) + value.slice(k + 1);
  switch (item.kind) {
    case "section": {
      const before = encoded((writer) => encodeSectionHeader(writer, item));
      const values: Record<string, object> = {
        section_id: { sectionId: flip(item.sectionId) },
        instance_id: { instanceId: flip(item.instanceId) },
        version_id: { versionId: flip(item.versionId) },
        idstr: { idstr: text(item.idstr) },
      };
      const other = values[field.field];
      return [
        before,
        other === undefined ? undefined : encoded((writer) => encodeSectionHeader(writer, { ...item, ...other })),
      ];
    }
    case "footer": {
      const before = encoded((writer) => encodeFooter(writer, item.sectionId));
      return [
        before,
        field.field === "section_id" ? encoded((writer) => encodeFooter(writer, flip(item.sectionId))) : undefined,
      ];
    }
    case "configuration": {
      const { configuration } = item;
      const before = encoded((writer) => encodeConfiguration(writer, configuration));
      if (field.field !== "machine") return [before, undefined];
      return [
        before,
        encoded((writer) => encodeConfiguration(writer, { ...configuration, machine: text(configuration.machine) })),
      ];
    }
    case "command":
      return [encoded((writer) => encodeCommand(writer, item.command)), undefined];
    default:
      return [new Uint8Array(0), undefined];
  }
}

/** All questions about a capture against the encoders; returns what is wrong. */
async function against(bytes: Uint8Array, asked: readonly Asked[]): Promise<string[]> {
  const wrong: string[] = [];
  const inside = (start: number, end: number): readonly Asked[] => asked.filter(({ at }) => start <= at && at < end);
  const note = (said: string | undefined): void => void (said !== undefined && wrong.push(said));
  for await (const item of new StreamReader(new MemorySource(bytes))) {
    const [head] = itemTwice(item, { at: 0, field: { field: "", streamOffset: 0, length: 1 } });
    for (const one of inside(item.offset, item.offset + head.length))
      note(hold(bytes, one, item.offset, itemTwice(item, one)));
    if (item.kind !== "section") continue;
    if (item.content.kind === "device") {
      const { payloadOffset: start } = item;
      for (const one of inside(start, start + item.content.length))
        note(hold(bytes, one, start, deviceTwice(item, one)));
    }
    for await (const batch of item.records()) {
      if (batch.mappedBlock !== undefined || batch.area) continue;
      for (let i = 0; i < batch.count; i++) {
        const start = batch.position[i]!;
        const next =
          i + 1 < batch.count
            ? batch.position[i + 1]!
            : start + encoded((writer) => encodeRecord(writer, batch, i)).length;
        for (const one of inside(start, next)) note(hold(bytes, one, start, recordTwice(batch, i, one)));
      }
    }
  }
  return wrong;
}

const captures = listCorpus();
const EACH = Math.ceil(10_000 / captures.length);
const random = new Random(63);

for (const { name, open } of captures) {
  test(`${name}: ${EACH} bytes, against the encoders`, async (t) => {
    const bytes = open();
    // Half of them anywhere, half outside of RAM records.
    const places: { offset: number; length: number }[] = [];
    let cursor = 0;
    let gaps = 0;
    for (const unit of await unitsIn(bytes)) {
      if (unit.streamOffset !== cursor) gaps++;
      cursor = unit.streamOffset + unit.length;
      if (unit.record === undefined) places.push({ offset: unit.streamOffset, length: unit.length });
    }
    t.deepEqual([gaps, cursor], [0, bytes.length], "one after the other, from the first byte to the last");
    const total = places.reduce((sum, { length }) => sum + length, 0);
    const wanted = new Set<number>();
    for (let k = 0; wanted.size < EACH && k < 10 * EACH; k++) {
      let n = random.below(k % 2 === 0 ? bytes.length : total);
      if (k % 2 === 1) {
        const place = places.find(({ length }) => (n -= length) < 0)!;
        n += place.offset + place.length;
      }
      wanted.add(n);
    }
    const sorted = [...wanted].toSorted((a, b) => a - b);
    const asked: Asked[] = [];
    for await (const unit of dumpUnits(inputOf(bytes), new Diagnostics({ lenient: true }))) {
      while (asked.length < sorted.length && sorted[asked.length]! < unit.streamOffset + unit.length) {
        const at = sorted[asked.length]!;
        asked.push({ at, field: fieldAt(unit, at) });
      }
    }
    t.equal(asked.length, sorted.length, `${asked.length} answers`);
    t.deepEqual(
      asked.filter(({ at, field: { streamOffset: offset, length } }) => at < offset || at >= offset + length),
      [],
    );
    t.deepEqual((await against(bytes, asked)).slice(0, 5), [], "the encoders say the same");
    const one = random.pick(sorted);
    const answer = await dumpAt(inputOf(bytes), one, new Diagnostics({ lenient: true }));
    t.deepEqual(answer.field, asked.find(({ at }) => at === one)?.field, "asked alone");
    t.end();
  });
}

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

test("most of the bytes were changed through their field", (t) => {
  const { changed: moved, fixed, refused, names } = outcomes;
  const most = [...names].toSorted(([, a], [, b]) => b - a).slice(0, 12);
  t.ok(
    moved > 4 * fixed,
    `${moved} changed, ${fixed} that no value changes: ${most.map(([name, n]) => `${n} ${name}`).join(", ")}`,
  );
  t.ok(refused < moved / 50, `${refused} values that their field cannot have`);
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
