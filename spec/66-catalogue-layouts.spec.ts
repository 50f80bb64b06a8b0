/** Which layout of a catalogue a section has, and whether that is certain: catalogues and streams made here. */
import { tmpdir } from "node:os";
import test from "tape";
import { inspectSource } from "../src/analyse/inspect/inspect.js";
import { verifyStream } from "../src/analyse/inspect/verify.js";
import { MemorySink, MemorySource } from "../src/bytes/index.js";
import { parseVmDescription } from "../src/codec/vmstate/index.js";
import { Catalogue, Learner, parseCatalogue } from "../src/codec/vmstate/catalogue/index.js";
import { convertStream } from "../src/rewrite/convert/convert.js";
import { devicesOf, valuesOf } from "../tools/catalogue/streams.js";
import { fromHex, refusal } from "./support/bytes.js";
import { ascii, field, learnt, section, stream, word } from "./support/learnt.js";

test("what fits in two ways is uncertain, unless another section rules one of them out", async (t) => {
  const wide = [field("x", "uint32", 4)];
  const narrow = [field("low", "uint16", 2), field("high", "uint16", 2)];
  const catalogue = learnt(
    ["dev", "x86_64 1.0", wide],
    ["dev", "x86_64 2.0", narrow],
    ["dev", "x86_64 3.0", narrow],
    ["mark", "x86_64 1.0", [field("m", "uint8", 1)]],
    ["mark", "x86_64 2.0", [field("m", "uint16", 2)]],
    ["mark", "x86_64 3.0", [field("m", "uint32", 4)]],
  );
  const marks = async (bytes: Uint8Array): Promise<unknown> =>
    (await devicesOf(bytes, { catalogue })).devices.map(({ catalogue: mark }) => mark);
  const dev = section(1, "dev", "00010002");
  const fields = { fields: ["x"], bytes: 4 };
  t.deepEqual(
    await marks(stream(dev)),
    [{ schema: "catalogue x86_64 1.0, x86_64 2.0, x86_64 3.0", others: 1, certain: false, uncertain: fields }],
    "two layouts",
  );
  const third = { schema: "catalogue x86_64 3.0", others: 0, certain: true };
  t.deepEqual(await marks(stream(dev, section(2, "mark", "00000007"))), [third, third], "a later section tells");
  const second = { schema: "catalogue x86_64 2.0" };
  t.deepEqual(
    await marks(stream(dev, section(2, "mark", "0007"))),
    [
      { ...second, others: 1, certain: false, uncertain: { fields: ["low", "high"], bytes: 4 } },
      { ...second, others: 0, certain: true },
    ],
    "a release between 1.0 and 2.0 may have either",
  );
  const one = learnt(["dev", "x86_64 1.0", wide], ["mark", "x86_64 2.0", [field("m", "uint8", 1)]]);
  const other = await devicesOf(stream(dev), { catalogue: one });
  t.equal(other.devices[0]?.catalogue?.certain, true, "one layout of one QEMU");
  const inspected = await inspectSource(new MemorySource(stream(dev)), { catalogue });
  t.deepEqual(
    inspected.catalogue,
    { deviceCount: 1, catalogueBytes: 4, uncertainBytes: 4, uncertainDeviceCount: 1 },
    "inspect counts it",
  );
  const error = await refusal(() =>
    convertStream(new MemorySource(stream(dev)), new MemorySink(), { catalogue, addVmdescription: true }, tmpdir()),
  );
  t.equal(error?.code, "unsupported", "no description is made of it");
});

test("a subsection that only older releases were seen to have does not rule out a later one", async (t) => {
  const learner = new Learner();
  const add = (origin: string, fields: object[], inner: object[]): void => {
    const subsections =
      inner.length === 0 ? {} : { subsections: [{ vmsd_name: "dev/more", version: 1, fields: inner }] };
    const device = { name: "dev", instance_id: 0, vmsd_name: "dev", version: 1, fields, ...subsections };
    learner.add(parseVmDescription(JSON.stringify({ page_size: 4096, devices: [device] })).devices[0]!, origin);
  };
  const more = [field("s", "uint8", 1)];
  add("x86_64 1.0", [field("x", "uint16", 2)], more);
  add("x86_64 2.0", [field("y", "uint16", 2)], more);
  add("x86_64 3.0", [field("z", "uint16", 2)], []);
  add("x86_64 4.0", [field("z", "uint16", 2)], []);
  const catalogue = new Catalogue(learner.data());
  const bytes = stream(section(1, "dev", `0007 05 08 ${ascii("dev/more")} 00000001 09`));
  const { devices } = await devicesOf(bytes, { catalogue });
  const origins = "x86_64 1.0, x86_64 2.0, x86_64 3.0, x86_64 4.0";
  t.equal(devices[0]?.catalogue?.schema, `catalogue ${origins}`, "the later ones may have it");
});

test("a device with a field more or less than a QEMU was seen to have does not make another one certain", async (t) => {
  const card = [field("regs", "uint16", 2), field("msix", "uint8", 1)];
  const catalogue = learnt(
    ["card", "x86_64 1.0", card],
    ["card", "x86_64 2.0", card],
    ["card", "x86_64 3.0", card],
    ["card", "x86_64 3.0", card.slice(0, 1)],
    ["kbd", "x86_64 1.0", [field("old", "uint8", 1)]],
    ["kbd", "x86_64 2.0", [field("new", "uint8", 1)]],
    ["kbd", "x86_64 3.0", [field("new", "uint8", 1)]],
  );
  const marks = async (bytes: Uint8Array): Promise<unknown> =>
    (await devicesOf(bytes, { catalogue })).devices.map(({ catalogue: mark }) => mark?.certain);
  const kbd = section(2, "kbd", "05");
  t.deepEqual(await marks(stream(section(1, "card", "0001"), kbd)), [true, false], "1.0 may have such a card");
});

test("where every QEMU is ruled out, that with the most sections counts, and all of its target are compared", async (t) => {
  const byte = [field("m", "uint8", 1)];
  const word16 = [field("m", "uint16", 2)];
  const catalogue = learnt(
    ["a", "x86_64 1.0", byte],
    ["a", "x86_64 2.0", word16],
    ["b", "x86_64 1.0", byte],
    ["b", "x86_64 2.0", word16],
    ["odd", "x86_64 1.0", word16],
    ["odd", "x86_64 2.0", byte],
    ["same", "x86_64 1.0", [field("old", "uint16", 2)]],
    ["same", "x86_64 2.0", [field("renamed", "uint16", 2)]],
    ["other", "arm 1.0", byte],
  );
  const bytes = stream(
    section(1, "a", "01"),
    section(2, "b", "02"),
    section(3, "odd", "03"),
    section(4, "same", "0004"),
    section(5, "a", "05"),
  );
  const { devices } = await devicesOf(bytes, { catalogue });
  const certain = devices.map(({ catalogue: mark }) => mark?.certain);
  t.deepEqual(certain, [true, true, false, false, true], "the contradiction and a renamed field are uncertain");
  t.equal(devices[3]?.catalogue?.schema, "catalogue x86_64 1.0", "1.0 has the most");
  t.equal(valuesOf(devices[0]!.state!), '{"fields":{"m":1},"subsections":{}}', "and its values are read");
});

const arrays = (a: number, b: number): object[] => [
  field("a", "uint8", 1, { array_len: a }),
  field("b", "uint8", 1, { array_len: b }),
];

test("an array length that was not seen is not certain beside other arrays", async (t) => {
  const catalogue = learnt(["dev", "x86_64 1.0", arrays(2, 3)], ["dev", "x86_64 1.0", arrays(2, 4)]);
  const seen = await devicesOf(stream(section(1, "dev", "0102 03040506")), { catalogue });
  t.equal(seen.devices[0]?.catalogue?.certain, true, "lengths that were seen");
  const { devices } = await devicesOf(stream(section(1, "dev", "0102 0304050607")), { catalogue });
  t.equal(devices[0]?.catalogue?.certain, false, "3 and 4, or 2 and 5");
  const alone = learnt(["dev", "x86_64 1.0", arrays(2, 3).slice(1)], ["dev", "x86_64 1.0", arrays(2, 4).slice(1)]);
  const both = stream(section(1, "dev", "030405"), section(2, "dev", "0304050607"));
  const single = await devicesOf(both, { catalogue: alone });
  t.equal(single.devices[1]?.catalogue?.certain, true, "one array alone");
});

const sizes = (config: number): [number, number] => [24 + config + 22, 52];

/** The beginning of a virtio device with so many bytes of configuration. */
const head = (config: number): string => `${"00".repeat(12)} 0f000000 00000000 ${word(config)} ${"ab".repeat(config)}`;

test("a virtio field that others follow ends by what is in it, and no private field has a size that it cannot", async (t) => {
  const queue = `${word(1)} ${word(64)} ${word(0)} ${"00".repeat(8)} 0000`;
  const scanouts = `00000000 00000001 00000001 ${"00".repeat(40)}`;
  const gpu = (config: number): string => `${head(config)} ${queue} ${scanouts}`;
  const fields = (config: number): object[] =>
    ["virtio", "virtio-gpu"].map((name, at) => field(name, name, sizes(config)[at]!));
  const catalogue = learnt(["virtio-gpu", "x86_64 1.0", fields(4)], ["virtio-gpu", "x86_64 2.0", fields(8)]);
  const { devices } = await devicesOf(stream(section(1, "virtio-gpu", gpu(16))), { catalogue });
  const found = devices[0]?.state?.description.fields.map(({ size }) => size);
  t.deepEqual(found, sizes(16), "a size that was not seen");
});

/** A CPU with a field of its own, and a keyboard, of a QEMU. */
const layouts = (origin: string, name: string, cpu: object): [string, string, object[]][] => [
  ["cpu", origin, [field("x", "uint8", 1), cpu]],
  ["kbd", origin, [field(name, "uint8", 1)]],
];

test("a private field of a size that was not seen makes nothing certain, and rules nobody out", async (t) => {
  const catalogue = learnt(
    // AVR's codec of one byte.
    ...layouts("avr 1.0", "old", field("eind", "eind", 1)),
    ...layouts("x86_64 1.0", "new", field("y", "uint16", 2)),
  );
  const of = async (cpu: string): Promise<(boolean | undefined)[]> =>
    (await devicesOf(stream(section(1, "cpu", cpu), section(2, "kbd", "05")), { catalogue })).devices.map(
      ({ catalogue: mark }) => mark?.certain,
    );
  t.deepEqual(await of("0102"), [true, true], "as AVR has it");
  t.deepEqual(await of("0102030405"), [false, false], "the CPU of a target that the catalogue does not have");
});

/** A device with an array of so many elements. */
const listed = (length: number): [string, string, object[]] => [
  "dev",
  "x86_64 1.0",
  [field("n", "uint8", 1), field(`list${length}`, "uint8", 1, { array_len: length })],
];

/** Without footers. */
const bare = (...sections: string[]): Uint8Array =>
  stream(...sections.map((text) => text.slice(0, text.lastIndexOf("7e"))));

test("without footers, layouts that end at different bytes: a device's name says more than zeros", async (t) => {
  const mark: [string, string, object[]] = ["mark", "x86_64 1.0", [field("m", "buffer", 8)]];
  const zeros = "00".repeat(8);
  // `list26` takes the next header in, and ends where zeros are up to the end of the stream.
  const catalogue = learnt(listed(26), listed(3), listed(5), mark);
  const { devices } = await devicesOf(bare(section(1, "dev", "01 020304"), section(2, "mark", zeros)), { catalogue });
  t.deepEqual(
    devices.map(({ idstr, length, catalogue: how }) => [idstr, length, how?.certain]),
    [
      ["dev", 4, true],
      ["mark", 8, true],
    ],
    "the next section is read, and other layouts make nothing uncertain",
  );
  const last = await devicesOf(bare(section(1, "dev", "01 020304 0000")), { catalogue });
  t.deepEqual(
    last.devices.map(({ length, catalogue: how }) => [length, how?.certain]),
    [[6, false]],
    "with zeros alone the last place counts, and nothing is certain",
  );
});

test("a device that the catalogue does not know is opaque, and the next one is read", async (t) => {
  const catalogue = learnt(["dev", "x86_64 1.0", [field("pad", "unused_buffer", 1), field("x", "uint8", 1)]]);
  const bytes = stream(section(1, "other", "0102030405"), section(2, "dev", "0007"), section(3, "dev", "0207"));
  const { devices, opaque } = await devicesOf(bytes, { catalogue });
  t.deepEqual(
    devices.map(({ state }) => state !== undefined),
    [false, true, false],
    "unused bytes that are not 0 do not fit",
  );
  t.equal(opaque, 7, "bytes are opaque");
  const result = await verifyStream(new MemorySource(bytes), { catalogue });
  t.ok(result.identical && result.complete, "written again");
});

test("array lengths: by the field that says them, or one of those seen", async (t) => {
  const learner = new Learner();
  for (const count of [2, 3]) {
    const text = JSON.stringify({
      page_size: 4096,
      devices: [
        {
          name: "dev",
          instance_id: 0,
          vmsd_name: "dev",
          version: 1,
          fields: [field("n", "uint8", 1), field("list", "uint16", 2, { array_len: count })],
        },
      ],
    });
    const payload = `0${count} ${"0000".repeat(count)}`;
    const bytes = Buffer.concat([
      stream(section(1, "dev", payload)),
      fromHex(`06 ${word(text.length)} ${ascii(text)}`),
    ]);
    const { devices } = await devicesOf(bytes);
    learner.add(devices[0]!.state!.description, "x86_64 1.0", devices[0]!.state);
  }
  const data = learner.data();
  t.equal(data.layouts.length, 1, "merged into one layout");
  t.deepEqual(data.layouts[0]?.fields[1]?.r, ["n"], "the field that says the length");
  t.deepEqual(parseCatalogue(JSON.stringify(data)), data, "the same from its text");
  const catalogue = new Catalogue(data);
  const { devices } = await devicesOf(stream(section(1, "dev", "05 00010002000300040005")), { catalogue });
  t.equal(valuesOf(devices[0]!.state!), '{"fields":{"n":5,"list":[1,2,3,4,5]},"subsections":{}}', "a length not seen");
  const single = await devicesOf(stream(section(1, "dev", "01 0007")), { catalogue });
  t.equal(valuesOf(single.devices[0]!.state!), '{"fields":{"n":1,"list":7},"subsections":{}}', "one element: no array");
  for (const wrong of [
    "",
    "{}",
    '{"format":1}',
    '{"format":1,"origins":[],"layouts":[],"devices":{"a":[3]},"subsections":{}}',
  ])
    t.throws(() => parseCatalogue(wrong), /catalogue/u, `refused: ${wrong}`);
  t.end();
});
