/** Device state of two streams compared value by value. */
import test from "tape";
import { diffStreams, type FieldDifference } from "../src/analyse/diff/index.js";
import { type PlainValue, type RecordValue } from "../src/codec/vmstate/index.js";
import { corpusEntry } from "../tools/corpus.js";
import { rewrite } from "./support/rewrite.js";
import { made, PAGE, told, u32 } from "./support/diff.js";

const live = corpusEntry("live").open();

test("values are found by their paths, and are where it is said", async (t) => {
  const other = corpusEntry("compress-live").open();
  const { devices } = await diffStreams(live, other);
  t.ok(devices.some(({ section: name }) => name === "cpu") && devices.length > 3, `${devices.length} devices`);
  let checked = 0;
  for (const { fields } of devices) {
    for (const field of fields) {
      if (field.kind !== "value" || typeof field.a !== "string" || !field.a.startsWith("0x")) continue;
      const [a, b] = [field.a, field.b as string].map((digits) => BigInt.asUintN(64, BigInt(digits)));
      t.equal(live.readBigUInt64BE(field.streamOffset.a!), a, `${field.field} of A`);
      t.equal(other.readBigUInt64BE(field.streamOffset.b!), b, `${field.field} of B`);
      checked++;
    }
  }
  t.ok(checked > 10, `${checked} values`);
  const eip = devices.find(({ section: name }) => name === "cpu")!.fields.find(({ field: path }) => path === "env.eip");
  t.equal(eip?.kind, "value");
  t.end();
});

/** Values of the device below. */
function thingValues(): Record<string, PlainValue> {
  return { n: 1, flag: true, regs: ["0x1", "0x2", "0x3", "0x4"], buffer: "0011223344556677", inner: { n: 5 } };
}

test("a device's values: every kind of difference", async (t) => {
  const ram: [string, number][] = [["ram", PAGE]];
  const form = [
    u32,
    { name: "flag", type: "bool", size: 1 },
    { name: "regs", array_len: 4, type: "uint64", size: 8 },
    { name: "buffer", type: "buffer", size: 8 },
    { name: "inner", type: "struct", struct: { vmsd_name: "inner", version: 1, fields: [u32] }, size: 4 },
  ];
  const base = await made(ram, form, thingValues());
  const fieldsOf = async (changed: Record<string, PlainValue>, fields: object[] = form, more = {}) => {
    const stream = await made(ram, fields, { ...thingValues(), ...changed }, more);
    const { devices, verdict } = await diffStreams(base, stream);
    t.equal(verdict, "different");
    return { stream: Buffer.from(stream), found: devices[0]!.fields };
  };
  const n = await fieldsOf({ n: 2 });
  const [{ streamOffset: offset }] = n.found as [FieldDifference];
  t.deepEqual(n.found, [{ field: "n", streamOffset: offset, kind: "value", a: 1, b: 2 }]);
  t.equal(n.stream.readUInt32BE(offset.b!), 2, "it is there");
  const flag = await fieldsOf({ flag: false });
  t.deepEqual(
    flag.found.map(({ field: path }) => path),
    ["flag"],
  );
  const regs = await fieldsOf({ regs: ["0x1", "0x2", "0x33", "0x4"] });
  t.deepEqual(
    regs.found.map(({ field: path, kind }) => [path, kind]),
    [["regs[2]", "value"]],
    "an element by its index",
  );
  t.equal(regs.stream.readBigUInt64BE(regs.found[0]!.streamOffset.b!), 0x33n);
  const buffer = await fieldsOf({ buffer: "00aa22334455bbcc" });
  t.deepEqual(
    buffer.found.map((one) => one.kind === "bytes" && one.ranges),
    [
      [
        { fieldOffset: 1, length: 1, a: "11", b: "aa" },
        { fieldOffset: 6, length: 2, a: "6677", b: "bbcc" },
      ],
    ],
    "a buffer by ranges",
  );
  const inner = await fieldsOf({ inner: { n: 6 } });
  t.deepEqual(
    inner.found.map(({ field: path }) => path),
    ["inner.n"],
    "a struct's field",
  );
  t.equal(inner.stream.readUInt32BE(inner.found[0]!.streamOffset.b!), 6);

  const wide = await fieldsOf({ n: "0x1" }, [{ ...u32, type: "uint64", size: 8 }, ...form.slice(1)]);
  t.deepEqual(
    wide.found.map(({ kind }) => kind),
    ["type"],
    "another width of the same value",
  );
  const longer = await fieldsOf({ regs: ["0x1", "0x2", "0x3", "0x4", "0x5"] }, [
    ...form.slice(0, 2),
    { ...form[2], array_len: 5 },
    ...form.slice(3),
  ]);
  t.deepEqual(
    longer.found.map(({ field: path, kind }) => [path, kind]),
    [
      ["regs", "length"],
      ["regs[4]", "only"],
    ],
  );
  const version = await fieldsOf({}, [
    ...form.slice(0, 4),
    { ...form[4], struct: { vmsd_name: "inner", version: 2, fields: [u32] } },
  ]);
  t.deepEqual(
    version.found.map(({ field: path, kind }) => [path, kind]),
    [["inner", "version"]],
    "a struct's version",
  );
  const more = await fieldsOf({ extra: 3 }, [...form, { name: "extra", type: "uint8", size: 1 }]);
  t.deepEqual(
    more.found.map(({ field: path, kind, streamOffset: at }) => [path, kind, at.a]),
    [["extra", "only", null]],
    "a field in one only",
  );
  const subsections = [{ vmsd_name: "thing/sub", version: 1, fields: [{ name: "s", type: "uint8", size: 1 }] }];
  const sub = await fieldsOf({ subsections: { "thing/sub": { s: 4 } } }, form, { subsections });
  t.deepEqual(
    sub.found.map((one) => [one.field, one.kind === "only" && [one.side, JSON.stringify(one.value)]]),
    [["subsections.thing/sub", ["b", '{"s":4}']]],
    "a subsection in one only",
  );
  t.equal(sub.stream[sub.found[0]!.streamOffset.b!], 5, "at the byte that begins it");
  t.end();
});

/** So many structs, as they are written into the object of a queue or tree. */
const node = (n: number): string =>
  Array.from(
    { length: n },
    () => '"vmsd_name":"node","version":1,"fields":[{"name":"v","type":"uint32","size":4}]',
  ).join();

test("lists, trees, and values of private codecs", async (t) => {
  const ram: [string, number][] = [["ram", PAGE]];
  const stream = async (list: number[], tree: [string, number][]): Promise<Buffer> => {
    // Structs are written into the field's object under one key each: no JSON object of ours can say that.
    const text = JSON.stringify([
      { name: "list", type: "qtailq", inlined: list.length, size: 5 * list.length + 1 },
      { name: "tree", type: "gtree", inlined: tree.length, size: 13 * tree.length + 5 },
    ]).replaceAll(/"inlined":(\d+)/gu, (_, n) => (n === "0" ? '"vmsd_name":"node"' : node(Number(n))));
    const plain = { list: list.map((v) => ({ v })), tree: tree.map(([key, v]) => ({ key, value: { v } })) };
    return Buffer.from(await made(ram, text, plain));
  };
  const a = await stream(
    [1, 2],
    [
      ["0x10", 1],
      ["0x30", 3],
    ],
  );
  const b = await stream(
    [1, 5, 6],
    [
      ["0x10", 1],
      ["0x20", 2],
      ["0x30", 4],
    ],
  );
  const { devices } = await diffStreams(a, b);
  const { fields } = devices[0]!;
  t.deepEqual(
    fields.map(({ field: path, kind }) => [path, kind]),
    [
      ["list", "length"],
      ["list[1].v", "value"],
      ["list[2]", "only"],
      ["tree", "length"],
      ["tree[0x30].value.v", "value"],
      ["tree[0x20]", "only"],
    ],
    "a tree by its keys",
  );
  t.equal(a.readUInt32BE(fields[1]!.streamOffset.a!), 2, "an element's place");
  t.equal(b.readUInt32BE(fields[1]!.streamOffset.b!), 5);
  t.equal(b.readUInt32BE(fields[2]!.streamOffset.b!), 6, "that of one that only B has");

  const bytes = corpusEntry("q35-virtio").open();
  const changed = await told(bytes, (item) => {
    if (item.kind === "section" && item.content.kind === "device" && item.idstr.endsWith("01.0:00.0/virtio-net")) {
      const { virtio } = item.content.state.fields as { virtio: RecordValue };
      const pci = virtio.record["pci"] as RecordValue;
      (pci.record["config"] as RecordValue).record["bar4"] = 0x12345678;
      const [queue] = virtio.record["queues"] as RecordValue[];
      queue!.record["last_avail_idx"] = 0x4321;
    }
    return item;
  });
  const found = changed.devices.flatMap((device) => device.fields);
  t.deepEqual(
    found.map(({ field: path }) => path),
    ["virtio.pci.config.bar4", "virtio.queues[0].last_avail_idx"],
  );
  const [bar, index] = found.map(({ streamOffset: offset }) => offset.b!);
  t.deepEqual(changed.firstByte?.streamOffset.b, bar, "the place of a register");
  t.equal(found[1]?.kind === "value" && found[1].a, bytes.readUInt16BE(index), "and of an element's value");
  t.end();
});

test("a device that one stream describes wrongly", async (t) => {
  const wrong = await rewrite(live, (item) => {
    if (item.kind !== "vmdescription") return item;
    const hpet = item.description.devices.find(({ name }) => name === "hpet")!;
    hpet.fields[0] = { ...hpet.fields[0]!, type: "uint16", size: 2 };
    return item;
  });
  const { devices } = await diffStreams(live, wrong);
  t.deepEqual(
    devices.flatMap(({ section: name, fields }) => fields.map(({ field: path, kind }) => [name, path, kind])),
    [["hpet", "(form)", "type"]],
    "one is decoded, the other not",
  );
  const other = Buffer.from(wrong);
  const { a } = devices[0]!.fields[0]!.streamOffset;
  other[a! + 3]! ^= 0xff;
  const both = await diffStreams(wrong, other);
  const [field] = both.devices[0]!.fields;
  t.deepEqual([field?.field, field?.kind], ["(not decoded)", "bytes"], "neither: the bytes");
  t.deepEqual(field?.kind === "bytes" && field.ranges.map(({ fieldOffset: offset, length }) => [offset, length]), [
    [3, 1],
  ]);
  t.end();
});
