import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import test from "tape";
import { convertStream } from "../src/rewrite/convert/convert.js";
import { verifyStream } from "../src/analyse/inspect/verify.js";
import { packFolder } from "../src/rewrite/pack/pack.js";
import { unpackStream } from "../src/rewrite/pack/unpack.js";
import { MemorySink, MemorySource, QemuFileReader } from "../src/bytes/index.js";
import { descriptionOf, StreamReader, type StreamOptions } from "../src/codec/stream/index.js";
import { deviceToPlain, parseVmDescription, Schema, type VmDescription } from "../src/codec/vmstate/index.js";
import { fitDevice } from "../src/codec/vmstate/fit.js";
import { corpusEntry } from "../tools/corpus.js";
import { fromHex, refusal, toHex } from "./support/bytes.js";
import { qevm } from "./support/program.js";
import { flatDocument } from "./support/document.js";

const ascii = (text: string): string => Buffer.from(text, "latin1").toString("hex");

/** A stream without its VMDESCRIPTION. */
function bare(bytes: Uint8Array): Uint8Array {
  const text = Buffer.from(bytes).toString("latin1");
  const at = text.search(/\{"(?:page_size|configuration)": /u);
  return bytes.subarray(0, at - 5);
}

async function devices(bytes: Uint8Array, options: StreamOptions = {}): Promise<string> {
  const found: unknown[] = [];
  for await (const item of new StreamReader(new MemorySource(bytes), options)) {
    if (item.kind === "section" && item.content.kind === "device") {
      found.push([item.idstr, item.instanceId, deviceToPlain(item.content.state)]);
    }
  }
  return JSON.stringify(found);
}

for (const [name, other] of [
  ["live", "live"],
  ["compress-0", "live"],
  ["live", "compress-0"],
  ["pc-never-run", "pc-never-run"],
  ["v10.0-q35-devices", "v10.0-q35-devices"],
  ["v11.1-q35-devices", "v11.1-q35-devices"],
  ["live-q35", "live-q35"],
] as const) {
  test(`${name} without its VMDESCRIPTION, by that of ${other}`, async (t) => {
    const bytes = corpusEntry(name).open();
    const schema = [await descriptionOf(new MemorySource(corpusEntry(other).open()))];
    const cut = bare(bytes);
    const without = await verifyStream(new MemorySource(cut));
    t.ok(without.identical && without.opaqueBytes > 0, `${without.opaqueBytes} bytes are opaque by itself`);
    const lent = await verifyStream(new MemorySource(cut, 1000), { schema, bufferSize: 4096 });
    t.ok(lent.identical && lent.complete, "written again from the fields");
    t.equal(lent.opaqueBytes, 0, "every byte is understood");
    t.equal(await devices(cut, { schema }), await devices(bytes), "the values are those of its own description");
  });
}

test("suppress-vmdesc: what no description of its own says, another capture's does", async (t) => {
  const bytes = corpusEntry("suppress-vmdesc").open();
  const schema = [await descriptionOf(new MemorySource(corpusEntry("live").open()))];
  const result = await verifyStream(new MemorySource(bytes), { schema });
  t.ok(result.identical && result.complete, "written again from the fields");
  t.equal(result.opaqueBytes, 0, "every byte is understood");
  t.equal(result.inspection.devices.length, 30, "30 devices");
  const registers = corpusEntry("suppress-vmdesc").truth.registers;
  const found = JSON.parse(await devices(bytes, { schema })) as [string, number, { fields: Record<string, unknown> }][];
  const cpu = found.find(([name]) => name === "cpu")![2].fields;
  const eip = /EIP=([0-9a-f]{8})/u.exec(registers)?.[1];
  t.equal(BigInt(cpu["env.eip"] as string), BigInt(`0x${eip}`), "the CPU is where QEMU said");
});

test("devices of their own codec are as long as they are, whatever the lender's were", async (t) => {
  const bytes = corpusEntry("q35-virtio").open();
  const lent = await descriptionOf(new MemorySource(bytes));
  let changed = 0;
  const others = lent.devices.map((device) => {
    const fields = device.fields.map((field) => {
      if (field.type !== "virtio" || device.fields.length > 1) return field;
      changed++;
      return { ...field, size: field.size + (changed % 2 === 0 ? 7 : -2) };
    });
    return { ...device, fields };
  });
  const schema = [{ ...lent, devices: others }];
  t.ok(changed > 10, `${changed} virtio devices of other lengths`);
  t.equal(await devices(bare(bytes), { schema }), await devices(bytes), "the values are those of its own description");
  const found = await verifyStream(new MemorySource(bare(bytes)), { schema });
  t.ok(found.identical && found.opaqueBytes === 0, "written again from the fields");
});

test("cut off inside the devices, and still decoded up to there", async (t) => {
  const whole = corpusEntry("live").open();
  const schema = [await descriptionOf(new MemorySource(whole))];
  const cut = bare(whole).subarray(0, -2000);
  const error = await refusal(() => devices(cut, { schema }));
  t.equal(error?.code, "truncated", "strict");
  const reader = new StreamReader(new MemorySource(cut), { schema, lenient: true });
  let decoded = 0;
  for await (const item of reader) if (item.kind === "section" && item.content.kind === "device") decoded++;
  t.ok(decoded > 20, `lenient: ${decoded} devices`);
  t.notOk(reader.complete, "and it is known not to be whole");
});

test("a description comes from a capture's end, from a pipe, or from JSON alone", async (t) => {
  const bytes = corpusEntry("machine-none").open();
  const own = await descriptionOf(new MemorySource(bytes));
  const walked = await descriptionOf({ read: (into) => piped.read(into) });
  t.deepEqual(walked, own, "the same without seeking");
  const text = bytes.subarray(bare(bytes).length + 5);
  t.deepEqual(await descriptionOf(new MemorySource(text)), own, "the same from its text");
  const error = await refusal(() => descriptionOf(new MemorySource(bare(bytes))));
  t.equal(error?.code, "bad-description", "none");
  const wrong = await refusal(() => descriptionOf(new MemorySource(Buffer.from("{}"))));
  t.equal(wrong?.code, "bad-description", "JSON that is not a description");
});
const piped = new MemorySource(corpusEntry("machine-none").open());

// Devices made by hand: what `migration/vmstate.c` writes for them.
const HEADER = "5145564d 00000003";
const word = (value: number): string => value.toString(16).padStart(8, "0");
const section = (id: number, name: string, instance: number, version: number, payload: string): string => {
  const n = name.length.toString(16).padStart(2, "0");
  return `04 ${word(id)} ${n} ${ascii(name)} ${word(instance)} ${word(version)} ${payload} 7e ${word(id)}`;
};
const subsection = (name: string, payload: string): string =>
  `05 ${name.length.toString(16).padStart(2, "0")} ${ascii(name)} 00000001 ${payload}`;
const byte = (name: string) => ({ name, type: "uint8", size: 1 });

/** A device with a nested struct that may have a subsection, a queue, and subsections of its own. */
function lender(inner: boolean, queue: number, outer: readonly string[], version = 2): VmDescription {
  const nested = {
    vmsd_name: "nested",
    version: 1,
    fields: [byte("a")],
    ...(inner ? { subsections: [{ vmsd_name: "nested/more", version: 1, fields: [byte("b")] }] } : {}),
  };
  const element = { vmsd_name: "element", version: 1, fields: [byte("e")] };
  const members = [
    `"name": "nested", "type": "struct", "struct": ${JSON.stringify(nested)}, "size": ${inner ? 19 : 1}`,
    `"name": "queue", "type": "qtailq", ${Array.from({ length: queue }, () => JSON.stringify(element).slice(1, -1))
      .map((text) => `${text}, `)
      .join("")}"size": ${1 + 2 * queue}`,
    `"name": "last", "type": "uint8", "size": 1`,
  ];
  const subsections = outer.map((name) => ({ vmsd_name: name, version: 1, fields: [byte("s")] }));
  const more = subsections.length === 0 ? "" : `, "subsections": ${JSON.stringify(subsections)}`;
  const device = `{"name": "dev", "instance_id": 0, "vmsd_name": "dev", "version": ${version}, "fields": [${members.map((m) => `{${m}}`).join(", ")}]${more}}`;
  return parseVmDescription(`{"page_size": 4096, "devices": [${device}]}`);
}

function stream(payload: string, instance = 0, version = 2): Uint8Array {
  return fromHex(`${HEADER} ${section(1, "dev", instance, version, payload)} 00`);
}

const values = (bytes: Uint8Array, ...schema: VmDescription[]): Promise<string> => devices(bytes, { schema });

test("what differs from capture to capture is taken from the bytes", async (t) => {
  const full = stream(
    `11 ${subsection("nested/more", "22")} 01 33 01 44 00 55 ${subsection("dev/x", "66")} ${subsection("dev/y", "77")}`,
  );
  const plain = stream("11 00 55");
  const exact = await values(full, lender(true, 2, ["dev/x", "dev/y"]));
  t.equal(
    await values(full, lender(true, 1, ["dev/y", "dev/x"])),
    exact,
    "subsections in another order, a longer queue",
  );
  t.equal(
    await values(full, lender(true, 5, ["dev/x"]), lender(false, 0, ["dev/y"])),
    exact,
    "a subsection that a second schema describes",
  );
  t.equal(
    await values(plain, lender(true, 2, ["dev/x"])),
    '[["dev",0,{"fields":{"nested":{"a":17},"queue":[],"last":85},"subsections":{}}]]',
    "fewer of everything",
  );
  t.ok((await values(stream("11 00 55", 7), lender(true, 2, []))).includes('"dev",7'), "another instance");
  for (const bytes of [full, plain]) {
    const result = await verifyStream(new MemorySource(bytes), {
      schema: new Schema([lender(true, 1, ["dev/x", "dev/y"])]),
    });
    t.ok(result.identical && result.opaqueBytes === 0, "written again from the fields");
  }
});

test("a schema that does not fit is refused at the first byte that shows it", async (t) => {
  const start = 8 + 1 + 4 + 1 + 3 + 4 + 4;
  const cases: [string, Uint8Array, VmDescription, number, string][] = [
    [
      "a device that it does not describe",
      fromHex(`${HEADER} ${section(1, "other", 0, 1, "00")} 00`),
      lender(false, 0, []),
      8,
      "bad-description",
    ],
    ["another version", stream("11 00 55", 0, 3), lender(false, 0, []), start - 4, "bad-description"],
    [
      "a subsection that it does not know",
      stream(`11 ${subsection("nested/more", "22")} 00 55`),
      lender(false, 0, []),
      start + 1,
      "bad-description",
    ],
    ["a queue of unknown elements", stream("11 01 33 00 55"), lender(false, 0, []), start + 1, "bad-description"],
    ["no presence byte", stream("11 02 55"), lender(false, 0, []), start + 1, "bad-value"],
    ["a byte too many", stream("11 00 55 66"), lender(false, 0, []), start + 3, "bad-description"],
    [
      "another version of a subsection",
      stream(`11 00 55 05 05 ${ascii("dev/x")} 00000002 66`),
      lender(false, 0, ["dev/x"]),
      start + 10,
      "bad-value",
    ],
  ];
  for (const [name, bytes, description, offset, code] of cases) {
    const error = await refusal(() => devices(bytes, { schema: [description] }));
    t.deepEqual([error?.code, error?.offset], [code, offset], `${name}: at byte ${offset}`);
    const lenient = await verifyStream(new MemorySource(bytes), { schema: [description], lenient: true });
    t.ok(lenient.identical && lenient.opaqueBytes > 0, `${name}: opaque in lenient mode`);
  }
});

test("a device that could end in many places and fits none costs bounded work", (t) => {
  // Queues without number, and everywhere what a footer looks like.
  const payload = new Uint8Array(1 << 16);
  for (let at = 28; at + 5 <= payload.length; at += 5) payload.set([0x7e, 0, 0, 0, 1], at);
  payload.fill(0xff, 24, 28);
  const [description] = parseVmDescription(
    '{"page_size": 4096, "devices": [{"name": "dev", "instance_id": 0, "vmsd_name": "virtio-net", "version": 1, "fields": [{"name": "virtio", "type": "virtio", "size": 100}]}]}',
  ).devices;
  const ends = (maxWork: number): number => {
    let asked = 0;
    const endsAt = (offset: number): boolean => ++asked > 0 && payload[offset] === 0x7e;
    const reader = QemuFileReader.over(payload);
    t.deepEqual(
      fitDevice(reader, description!, () => undefined, { endsAt, maxWork }),
      description,
      "taken as it is",
    );
    return asked;
  };
  const [some, more] = [ends(1 << 18), ends(1 << 20)];
  t.ok(some < more && more < 1 << 13, `${some} and ${more} places, four times the work`);
  t.end();
});

test("the device of a section is found without looking at the others", async (t) => {
  const count = 500;
  const [like] = lender(true, 0, []).devices;
  let asked = 0;
  const many = Array.from({ length: count }, (_, instance) => ({
    ...like!,
    get instanceId() {
      asked++;
      return instance;
    },
  }));
  const sections = many.map((_, instance) => section(1, "dev", instance, 2, "11 00 55")).join(" ");
  const schema = [{ ...lender(true, 0, []), devices: many }];
  const found = JSON.parse(await devices(fromHex(`${HEADER} ${sections} 00`), { schema })) as unknown[];
  t.equal(found.length, count, "each is read");
  t.ok(asked < 20 * count, `${asked} looks at ${count} devices`);
});

test("limits hold for devices of a lent schema too", async (t) => {
  const bytes = stream("11 00 55");
  const schema = [lender(true, 0, [])];
  t.equal(await refusal(() => devices(bytes, { schema })), undefined, "fine by default");
  const error = await refusal(() => devices(bytes, { schema, limits: { deviceValues: 20 } }));
  t.equal(error?.code, "limit", "too many values");
});

test("on the command line, and in a folder", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-schema-"));
  try {
    const [file, lent, dir, out] = ["bare.mig", "lender.mig", "dir", "again.mig"].map((name) => join(folder, name));
    const bytes = bare(corpusEntry("machine-none").open());
    writeFileSync(file!, bytes);
    writeFileSync(lent!, corpusEntry("machine-none").open());
    const verified = await qevm(["verify", file!, "--schema", lent!, "--json"]);
    t.equal((flatDocument(verified.stdout) as { opaqueBytes: number }).opaqueBytes, 0, "verify --schema");
    const shown = await qevm(["devices", file!, "timer", "--schema", lent!]);
    t.ok(shown.stdout.includes("cpu_ticks_offset") || shown.stdout.includes("fields."), "devices --schema");
    const wrong = await qevm(["inspect", file!, "--schema", file!]);
    t.equal(wrong.code, 1, "a schema without a description");
    t.ok(wrong.stderr.startsWith(`${file}: refused at byte 0x`), wrong.stderr);
    t.ok(wrong.stderr.includes(`--schema ${file}`), "names the schema");
    const noise = join(folder, "noise");
    const packed = join(folder, "noise.gz");
    writeFileSync(noise, Buffer.alloc(5000, 0x5a));
    writeFileSync(packed, gzipSync(bytes).subarray(0, 300));
    for (const schema of [noise, packed]) {
      for (const command of ["inspect", "verify", "explain", "devices"]) {
        const { code, stderr } = await qevm([command, file!, "--schema", schema]);
        t.equal(code, 1);
        t.match(stderr, new RegExp(`^${schema}: refused at byte 0x[0-9a-f]+, --schema ${schema}`, "u"), command);
      }
    }
    t.equal((await qevm(["inspect", file!, "--schema", "-"])).code, 2, "the schema is a file");
    const schema = [await descriptionOf(new MemorySource(readFileSync(lent!)))];
    await unpackStream(bytes, dir!, { schema });
    await packFolder(dir!, out!);
    t.equal(toHex(readFileSync(out!)), toHex(bytes), "unpacked and packed again");
    const manifest = JSON.parse(readFileSync(join(dir!, "manifest.json"), "utf8")) as { schema: string };
    t.equal(manifest.schema, "schema.json", "the folder says by what");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("convert --add-vmdescription: the output describes itself", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-schema-"));
  try {
    const whole = corpusEntry("live").open();
    const schema = [await descriptionOf(new MemorySource(corpusEntry("compress-0").open()))];
    const sink = new MemorySink();
    await convertStream(new MemorySource(bare(whole)), sink, { schema, addVmdescription: true }, folder);
    t.equal(toHex(sink.bytes()), toHex(whole), "what QEMU had written there, character for character");
    const again = new MemorySink();
    await convertStream(new MemorySource(whole), again, { addVmdescription: true }, folder);
    t.equal(toHex(again.bytes()), toHex(whole), "its own stays as it is");
    const padded = new MemorySink();
    const bytes = Buffer.concat([bare(whole), Buffer.alloc(512)]);
    await convertStream(new MemorySource(bytes), padded, { schema, addVmdescription: true }, folder);
    t.equal(toHex(padded.bytes()), toHex(Buffer.concat([whole, Buffer.alloc(512)])), "before what follows the stream");
    const nothing = { addVmdescription: true };
    const error = await refusal(() => convertStream(new MemorySource(bare(whole)), new MemorySink(), nothing, folder));
    t.equal(error?.code, "unsupported", "nothing to describe it by");
    const both = ["--add-vmdescription", "--drop-vmdescription"];
    t.equal((await qevm(["convert", "a", "--out", "b", ...both])).code, 2, "not with --drop-vmdescription");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
