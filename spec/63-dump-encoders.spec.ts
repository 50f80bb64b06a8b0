/** Which field a byte belongs to, held against the encoders: 10,000 bytes of the corpus, each changed by its field. */
import test from "tape";
import { Diagnostics, QevmError } from "../src/bytes/errors.js";
import { MemorySource } from "../src/bytes/source.js";
import { Random } from "../src/analyse/fuzz/random.js";
import { dumpAt, dumpUnits, fieldAt } from "../src/analyse/dump/dump.js";
import type { DumpField } from "../src/analyse/dump/types.js";
import { encodeRecord, type RamBatch } from "../src/codec/ram/index.js";
import { encodeCommand } from "../src/codec/stream/command.js";
import { encodeConfiguration } from "../src/codec/stream/configuration.js";
import { encodeFooter, encodeSectionHeader } from "../src/codec/stream/section.js";
import { StreamReader, type StreamItem } from "../src/codec/stream/index.js";
import { encodeDevice, isRecordValue, isStructState, type FieldValue } from "../src/codec/vmstate/index.js";
import { listCorpus } from "../tools/corpus.js";
import { written as encoded } from "./support/devices.js";
import { inputOf, unitsIn } from "./support/dumped.js";

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
