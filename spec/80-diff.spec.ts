/** Two streams compared by what a destination would get of each. */
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import test from "tape";
import { convertStream } from "../src/convert/convert.js";
import { convertToFile } from "../src/convert/convert-file.js";
import { diffStreams, sideOf, type FieldDifference, type PartDifference, type StreamDiff } from "../src/diff/index.js";
import { extractBlocks } from "../src/memory/extract-blocks.js";
import { packFolder } from "../src/pack/pack.js";
import { unpackStream } from "../src/pack/unpack.js";
import { IterableSource, MemorySink, MemorySource } from "../src/qemu-file/index.js";
import type { RamBlock } from "../src/ram/index.js";
import { createStreamWriter, type Configuration, type StreamItem } from "../src/stream/index.js";
import { deviceFromPlain, parseVmDescription, type PlainValue, type RecordValue } from "../src/vmstate/index.js";
import { corpusEntry, projectRoot } from "../tools/corpus.js";
import { refusal } from "./support/bytes.js";
import { rewrite } from "./support/rewrite.js";

const work = mkdtempSync(join(tmpdir(), "qevm-diff-spec-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));
const PAGE = 4096;
const live = corpusEntry("live").open();

async function converted(bytes: Uint8Array, options: Parameters<typeof convertStream>[2]): Promise<Uint8Array> {
  const sink = new MemorySink();
  await convertStream(new MemorySource(bytes), sink, options, join(work, "scratch"));
  return sink.bytes();
}

/** `part name` of what differs, at one level. */
const named = (diff: StreamDiff, level: PartDifference["level"]): string[] =>
  diff.differences.filter((one) => one.level === level).map(({ part, name }) => `${part} ${name}`);

test("a stream against itself: the same bytes", async (t) => {
  for (const name of ["live", "xbzrle", "postcopy-10.0-preempt", "suppress-vmdesc", "s390x", "pc-2.3"]) {
    const folder = join(projectRoot(), "corpus", name);
    const path = existsSync(join(folder, "stream.gz")) ? join(folder, "stream.gz") : folder;
    const diff = await diffStreams(path, path);
    t.equal(diff.verdict, "identical", name);
    t.equal(diff.firstByte, null);
    t.deepEqual([diff.differences, diff.devices, diff.ram.ranges], [[], [], []], "nothing differs");
    t.ok(diff.ram.pages.same > 0 && diff.ram.bytes === 0, `${diff.ram.pages.same} pages`);
  }
  t.end();
});

for (const name of ["live", "xbzrle", "compress-live", "xbzrle-compress", "v10.0-xbzrle", "v5.2-compress-live"]) {
  test(`${name} in every other encoding: the same memory`, async (t) => {
    const bytes = corpusEntry(name).open();
    const file = join(work, "mapped");
    await convertToFile(new MemorySource(bytes), file, { to: "mapped-ram" });
    const others: [string, Uint8Array | string][] = [
      ["normal", await converted(bytes, { ram: "normal" })],
      ["zlib", await converted(bytes, { ram: "zlib" })],
      ["flatten", await converted(bytes, { flatten: true })],
      ["mapped-ram", file],
      ["no description", await converted(bytes, { dropVmdescription: true })],
    ];
    for (const [how, other] of others) {
      for (const [a, b] of [
        [bytes, other],
        [other, bytes],
      ] as const) {
        const diff = await diffStreams(a, b);
        const { same, different, onlyA, onlyB, otherEncoding } = diff.ram.pages;
        t.deepEqual([named(diff, "meaning"), diff.devices, different + onlyA + onlyB], [[], [], 0], `${how}: the same`);
        t.equal(diff.ram.notCompared, null);
        t.ok(same > 1000, `${same} pages`);
        if (how === "mapped-ram") t.ok(otherEncoding > 0, `${otherEncoding} pages in another encoding`);
        const alike = diff.verdict === "identical";
        t.equal(alike, how === "normal" && name === "live", "the verdict says whether the bytes are the same");
        t.equal(diff.firstByte === null, alike);
      }
    }
    rmSync(file);
    t.end();
  });
}

test("what differs in memory is what differs in extracted files", async (t) => {
  for (const [a, b] of [
    ["live", "compress-live"],
    ["xbzrle", "live"],
    ["v10.0-xbzrle", "v10.0-live"],
    ["compress-live-9", "xbzrle-compress"],
  ] as const) {
    const [inA, inB] = [corpusEntry(a).open(), corpusEntry(b).open()];
    const diff = await diffStreams(inA, inB);
    const folders = [join(work, "a"), join(work, "b")] as const;
    const [ofA, ofB] = [
      await extractBlocks(new MemorySource(inA), folders[0]),
      await extractBlocks(new MemorySource(inB), folders[1]),
    ];
    const pages: string[] = [];
    let bytes = 0;
    for (const { name, file } of ofA.blocks) {
      const other = ofB.blocks.find((block) => block.name === name)!;
      const [ca, cb] = [readFileSync(join(folders[0], file)), readFileSync(join(folders[1], other.file))];
      for (let at = 0; at < ca.length; at += PAGE) {
        const [pa, pb] = [ca.subarray(at, at + PAGE), cb.subarray(at, at + PAGE)];
        if (pa.equals(pb)) continue;
        pages.push(`${name} ${at}`);
        for (let i = 0; i < PAGE; i++) if (pa[i] !== pb[i]) bytes++;
      }
    }
    const found = diff.ram.ranges.flatMap(({ block, offset, length }) =>
      Array.from({ length: length / PAGE }, (_, i) => `${block} ${offset + i * PAGE}`),
    );
    t.deepEqual(found, pages, `${a} and ${b}: ${pages.length} pages`);
    t.deepEqual([diff.ram.pages.different, diff.ram.bytes], [pages.length, bytes], `${bytes} bytes`);
    t.equal(diff.verdict, "different");
    for (const { block, offset, first } of diff.ram.ranges.filter((range) => range.first !== undefined).slice(0, 4)) {
      const { file } = ofA.blocks.find((one) => one.name === block)!;
      const at = first!.offset;
      const ca = readFileSync(join(folders[0], file));
      t.equal(ca.toString("hex", at, at + first!.a.length / 2), first!.a, `${block} ${at}: the bytes of A`);
      t.ok(at >= offset && first!.a.slice(0, 2) !== first!.b.slice(0, 2), "which are not those of B");
    }
    for (const folder of folders) rmSync(folder, { recursive: true });
  }
  t.end();
});

test("values are found by their paths, and stand where it is said", async (t) => {
  const other = corpusEntry("compress-live").open();
  const { devices } = await diffStreams(live, other);
  t.ok(devices.some(({ name }) => name === "cpu") && devices.length > 3, `${devices.length} devices`);
  let checked = 0;
  for (const { fields } of devices) {
    for (const field of fields) {
      if (field.kind !== "value" || typeof field.a !== "string" || !field.a.startsWith("0x")) continue;
      const [a, b] = [field.a, field.b as string].map((digits) => BigInt.asUintN(64, BigInt(digits)));
      t.equal(live.readBigUInt64BE(field.offset.a!), a, `${field.path} of A`);
      t.equal(other.readBigUInt64BE(field.offset.b!), b, `${field.path} of B`);
      checked++;
    }
  }
  t.ok(checked > 10, `${checked} values`);
  const eip = devices.find(({ name }) => name === "cpu")!.fields.find(({ path }) => path === "env.eip");
  t.equal(eip?.kind, "value");
  t.end();
});

test("a pipe is kept in a temporary file, and gone afterwards", async (t) => {
  const temporary = join(work, "tmp");
  mkdirSync(temporary);
  const { TMPDIR } = process.env;
  process.env["TMPDIR"] = temporary;
  const chunks = async function* chunks(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < live.length; at += 50_000) yield await Promise.resolve(live.subarray(at, at + 50_000));
  };
  const diff = await diffStreams(new IterableSource(chunks()), await converted(live, { ram: "zlib" }));
  t.equal(diff.verdict, "same");
  t.ok(diff.ram.pages.otherEncoding > 200, `${diff.ram.pages.otherEncoding} pages`);
  t.deepEqual(readdirSync(temporary), [], "nothing is left");
  if (TMPDIR === undefined) delete process.env["TMPDIR"];
  else process.env["TMPDIR"] = TMPDIR;
  t.end();
});

test("guest-physical addresses, and runs that end where the guest's do", async (t) => {
  const numa = corpusEntry("q35-firmware").open();
  const { ram } = await diffStreams(numa, corpusEntry("q35-firmware").open());
  t.ok(ram.layout !== null && ram.layout.length > 0, "a layout is known");
  const diff = await diffStreams(live, corpusEntry("compress-live").open());
  for (const { block, offset, physical } of diff.ram.ranges) if (block === "pc.ram") t.equal(physical, offset);
  t.end();
});

// Every kind of difference between parts, and where it is.
const uuid = (last: number): Configuration["subsections"][number] => {
  return { name: "configuration/uuid", version: 1, uuid: Uint8Array.from({ length: 16 }, () => last) };
};

/** What one change of a stream is told as. */
async function told(bytes: Uint8Array, change: (item: StreamItem) => StreamItem | readonly StreamItem[]) {
  return await diffStreams(bytes, await rewrite(bytes, change));
}

test("configuration", async (t) => {
  const machine = await told(live, (item) => {
    if (item.kind === "configuration") item.configuration.machine = "pc-i440fx-6.2";
    return item;
  });
  t.deepEqual(machine.differences, [
    {
      level: "meaning",
      part: "configuration",
      name: "machine",
      a: "pc-i440fx-7.2",
      b: "pc-i440fx-6.2",
      offset: { a: 8, b: 8 },
    },
  ]);
  t.equal(machine.verdict, "different");
  t.deepEqual(machine.firstByte?.offset, { a: 23, b: 23 }, "the first byte of 6.2");
  const withUuid = (last: number) =>
    rewrite(live, (item) => {
      if (item.kind === "configuration") item.configuration.subsections.push(uuid(last));
      return item;
    });
  const one = await diffStreams(live, await withUuid(1));
  t.deepEqual(named(one, "encoding"), ["configuration uuid", "configuration subsections"], "a uuid in one only");
  t.equal(one.verdict, "same");
  const both = await diffStreams(await withUuid(1), await withUuid(2));
  t.deepEqual(named(both, "meaning"), ["configuration uuid"], "another uuid");
  t.equal(both.differences[0]?.a, "01".repeat(16));
  const capable = await told(live, (item) => {
    if (item.kind === "configuration") {
      const capabilities = ["validate-uuid"];
      item.configuration.subsections.push({ name: "configuration/capabilities", version: 1, capabilities });
    }
    return item;
  });
  t.deepEqual(capable.differences[0]?.b, ["validate-uuid"], "capabilities");
  const none = await told(live, (item) => (item.kind === "configuration" ? [] : item));
  t.deepEqual(named(none, "meaning"), ["configuration section"], "no configuration section");
  t.deepEqual(none.differences[0]?.offset, { a: 8, b: null });
  t.end();
});

const isHpet = (item: StreamItem): boolean => item.kind === "section" && item.idstr === "hpet";

test("sections", async (t) => {
  let dropped = false;
  const gone = await told(live, (item) => {
    const drop = isHpet(item) || (dropped && item.kind === "footer");
    dropped = isHpet(item);
    return drop ? [] : item;
  });
  t.deepEqual(named(gone, "meaning"), ["section hpet/0"], "a device in one only");
  const at = gone.differences[0]!.offset.a!;
  t.equal(live.toString("latin1", at + 5, at + 10), "\u0004hpet", "its offset");
  const version = await told(live, (item) =>
    item.kind === "section" && isHpet(item) ? { ...item, versionId: 9 } : item,
  );
  t.deepEqual(named(version, "meaning"), ["section hpet/0 version_id"], "another version");
  t.deepEqual([version.differences[0]?.a, version.differences[0]?.b], [2, 9]);
  let moved: StreamItem[] = [];
  let moving = false;
  const order = await told(live, (item) => {
    if (isHpet(item) || moving) {
      moving = isHpet(item);
      moved.push(item);
      return [];
    }
    const back = item.kind === "eof" ? [...moved, item] : item;
    if (item.kind === "eof") moved = [];
    return back;
  });
  t.ok(named(order, "meaning").includes("section order"), "another order");
  t.equal(order.differences.find(({ name }) => name === "order")?.a, "hpet/0");
  const id = await told(live, (item) => {
    if (item.kind === "footer" && item.sectionId === 0) item.sectionId = 77;
    return item.kind === "section" && item.sectionId === 0 ? { ...item, sectionId: 77 } : item;
  });
  t.equal(id.verdict, "same", "another section_id");
  t.match(named(id, "encoding")[0]!, /^section \S+ section_id$/u);
  const flat = await diffStreams(live, await converted(live, { flatten: true }));
  t.deepEqual(named(flat, "encoding"), ["section ram/0 parts"], "another number of rounds");
  const footless = await told(live, (item) => (item.kind === "footer" ? [] : item));
  t.deepEqual(named(footless, "encoding"), ["section footers"], "no footers");
  t.end();
});

test("records of other sections, commands, VMDESCRIPTION, the end", async (t) => {
  const bitmaps = corpusEntry("dirty-bitmap").open();
  let done = false;
  const records = await told(bitmaps, (item) => {
    if (item.kind !== "section" || item.content.kind !== "records") return item;
    const { content } = item;
    const entries = content.entries;
    const changed = async function* changed() {
      for await (const record of entries()) {
        if (record.section === "dirty-bitmap" && record.kind === "bits" && record.bits !== undefined && !done) {
          record.bits[0]! ^= 1;
          done = true;
        }
        yield record;
      }
    };
    return { ...item, content: { ...content, entries: changed } };
  });
  t.ok(done);
  t.deepEqual(named(records, "meaning"), ["records dirty-bitmap/0"]);
  const [record] = records.differences;
  t.ok(record!.offset.a! > 0 && record!.offset.a! <= records.firstByte!.offset.a, "the record of the first byte");
  t.equal(record!.offset.a, record!.offset.b);

  const command = await told(bitmaps, (item) => (item.kind === "command" ? [] : item));
  t.deepEqual(named(command, "encoding"), ["command POSTCOPY_ADVISE"]);
  const ping = (value: number): Promise<Uint8Array> =>
    rewrite(live, (item) =>
      item.kind === "eof"
        ? [{ kind: "command", offset: 0, name: "PING", command: { name: "PING", value } }, item]
        : item,
    );
  const pings = await diffStreams(await ping(1), await ping(2));
  t.deepEqual(named(pings, "encoding"), ["command number 0"], "another value");
  t.match(String(pings.differences[0]?.b), /"value":2/u);

  const description = await told(live, (item) => {
    return item.kind === "vmdescription" ? { ...item, description: { ...item.description, pageSize: 8192 } } : item;
  });
  t.deepEqual(named(description, "encoding"), ["VMDESCRIPTION page_size", "VMDESCRIPTION text"]);
  t.deepEqual(description.differences[1]?.offset, description.firstByte?.offset, "its first character");
  const silent = await told(live, (item) => (item.kind === "vmdescription" ? [] : item));
  t.deepEqual(named(silent, "encoding"), ["VMDESCRIPTION length"]);
  t.equal(silent.b.description, "of the other", "device state is read by the other's");
  t.equal(silent.verdict, "same");

  const behind = await diffStreams(live, Buffer.concat([live, Buffer.alloc(512)]));
  t.deepEqual(named(behind, "encoding"), ["end bytes behind"], "padding");
  const filled = await diffStreams(
    Buffer.concat([live, Buffer.alloc(512, 1)]),
    Buffer.concat([live, Buffer.alloc(512)]),
  );
  t.deepEqual(named(filled, "encoding"), ["end content behind"], "other padding");
  t.deepEqual(filled.differences[0]?.offset, { a: live.length, b: live.length });
  const cut = await diffStreams(live, live.subarray(0, 300_000), { lenient: true });
  t.equal(named(cut, "meaning")[0], "end complete", "one is cut off");
  t.ok(cut.ram.pages.onlyA > 0 && cut.ram.pages.onlyB === 0, `${cut.ram.pages.onlyA} pages in A only`);
  t.ok(cut.b.warnings.length > 0);
  const late = await diffStreams(live, live.subarray(0, 0x34c000), { lenient: true });
  t.equal(late.b.description, "of the other", "devices before a cut are read by the other's description");
  t.deepEqual([late.devices, late.b.bytes.opaque], [[], 0], "and are the same");
  t.deepEqual(named(late, "meaning").slice(0, 2), ["end complete", "section hpet/0"], "those behind it are missing");
  t.end();
});

test("what is not decoded: the same bytes or not", async (t) => {
  const bare = corpusEntry("suppress-vmdesc").open();
  const other = Buffer.from(bare);
  other[other.length - 100]! ^= 1;
  const same = await diffStreams(bare, corpusEntry("suppress-vmdesc").open());
  t.equal(same.verdict, "identical");
  t.ok(same.a.bytes.opaque > 0, `${same.a.bytes.opaque} bytes are not understood`);
  const { differences, verdict } = await diffStreams(bare, other);
  t.equal(verdict, "different");
  t.deepEqual(
    differences.map(({ part, offset }) => [part, offset]),
    [["undecoded", { a: bare.length - 100, b: bare.length - 100 }]],
  );
  const { name } = differences[0]!;
  t.match(name, /no VMDESCRIPTION describes/u);
  t.end();
});

/** A stream of its own with blocks and one device. */
async function made(
  blocks: readonly [string, number, number?][],
  fields: readonly object[] | string,
  values: Record<string, PlainValue>,
  more: { subsections?: object[]; pageSize?: number } = {},
): Promise<Uint8Array> {
  const sink = new MemorySink();
  const { pageSize = 4096, subsections } = more;
  const writer = createStreamWriter(sink, { machine: "none", pageSize });
  const begun = writer.ram.blocks(blocks.map(([idstr, usedLength]) => ({ idstr, usedLength })));
  for (const [i, [, usedLength, fill = 0]] of blocks.entries()) {
    for (let at = 0; at < usedLength; at += pageSize) {
      await writer.ram.page(begun[i]!, at, new Uint8Array(pageSize).fill(fill));
    }
  }
  writer.ram.end();
  const device = {
    name: "thing",
    instance_id: 0,
    vmsd_name: "thing",
    version: 1,
    fields,
    ...(subsections && { subsections }),
  };
  const json = JSON.stringify({ page_size: pageSize, devices: [device] });
  const { devices } = parseVmDescription(
    typeof fields === "string" ? json.replace(JSON.stringify(fields), fields) : json,
  );
  const plain = { fields: values, subsections: {} as Record<string, PlainValue> };
  if ("subsections" in values) {
    plain.subsections = values["subsections"] as Record<string, PlainValue>;
    delete plain.fields["subsections"];
  }
  await writer.device({ state: deviceFromPlain(devices[0]!, plain), versionId: 1 });
  await writer.finish();
  return sink.bytes();
}

const u32 = { name: "n", type: "uint32", size: 4 };

test("RAM blocks", async (t) => {
  const two: [string, number, number?][] = [
    ["ram", 8 * PAGE, 7],
    ["vga", 4 * PAGE, 9],
  ];
  const base = await made(two, [u32], { n: 1 });
  const fewer = await diffStreams(base, await made([two[0]!], [u32], { n: 1 }));
  t.deepEqual(named(fewer, "meaning"), ["RAM block vga"], "in one only");
  t.deepEqual([fewer.differences[0]?.a, fewer.differences[0]?.b], [4 * PAGE, null]);
  const listed = fewer.differences[0]!.offset.a!;
  t.equal(Buffer.from(base).readBigUInt64BE(listed), BigInt(12 * PAGE + 4), "where the list stands");
  const longer = await diffStreams(base, await made([["ram", 16 * PAGE, 7], two[1]!], [u32], { n: 1 }));
  t.deepEqual(named(longer, "meaning"), ["RAM block ram length"], "another length");
  t.deepEqual([longer.ram.pages.same, longer.ram.pages.onlyB], [12, 8], "what both have is compared");
  const order = await diffStreams(base, await made(two.toReversed(), [u32], { n: 1 }));
  t.deepEqual([named(order, "encoding"), order.verdict], [["RAM block order"], "same"]);
  const larger = await diffStreams(base, await made(two, [u32], { n: 1 }, { pageSize: 8192 }));
  t.equal(larger.ram.notCompared, "pages of different sizes");
  t.ok(named(larger, "meaning").includes("configuration page size"), "which is a difference");
  const other = await diffStreams(
    base,
    await made(
      [
        ["ram", 8 * PAGE, 7],
        ["vga", 4 * PAGE, 8],
      ],
      [u32],
      { n: 1 },
    ),
  );
  t.deepEqual(other.ram.ranges, [
    {
      block: "vga",
      offset: 0,
      length: 4 * PAGE,
      physical: 0x1_0000_0000,
      first: { offset: 0, a: "09".repeat(16), b: "08".repeat(16) },
    },
  ]);
  t.equal(other.ram.bytes, 4 * PAGE);
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
  const [{ offset }] = n.found as [FieldDifference];
  t.deepEqual(n.found, [{ path: "n", offset, kind: "value", a: 1, b: 2 }]);
  t.equal(n.stream.readUInt32BE(offset.b!), 2, "it stands there");
  const flag = await fieldsOf({ flag: false });
  t.deepEqual(
    flag.found.map(({ path }) => path),
    ["flag"],
  );
  const regs = await fieldsOf({ regs: ["0x1", "0x2", "0x33", "0x4"] });
  t.deepEqual(
    regs.found.map(({ path, kind }) => [path, kind]),
    [["regs[2]", "value"]],
    "an element by its index",
  );
  t.equal(regs.stream.readBigUInt64BE(regs.found[0]!.offset.b!), 0x33n);
  const buffer = await fieldsOf({ buffer: "00aa22334455bbcc" });
  t.deepEqual(
    buffer.found.map((one) => one.kind === "bytes" && one.ranges),
    [
      [
        { offset: 1, length: 1, a: "11", b: "aa" },
        { offset: 6, length: 2, a: "6677", b: "bbcc" },
      ],
    ],
    "a buffer by ranges",
  );
  const inner = await fieldsOf({ inner: { n: 6 } });
  t.deepEqual(
    inner.found.map(({ path }) => path),
    ["inner.n"],
    "a struct's field",
  );
  t.equal(inner.stream.readUInt32BE(inner.found[0]!.offset.b!), 6);

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
    longer.found.map(({ path, kind }) => [path, kind]),
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
    version.found.map(({ path, kind }) => [path, kind]),
    [["inner", "version"]],
    "a struct's version",
  );
  const more = await fieldsOf({ extra: 3 }, [...form, { name: "extra", type: "uint8", size: 1 }]);
  t.deepEqual(
    more.found.map(({ path, kind, offset: at }) => [path, kind, at.a]),
    [["extra", "only", null]],
    "a field in one only",
  );
  const subsections = [{ vmsd_name: "thing/sub", version: 1, fields: [{ name: "s", type: "uint8", size: 1 }] }];
  const sub = await fieldsOf({ subsections: { "thing/sub": { s: 4 } } }, form, { subsections });
  t.deepEqual(
    sub.found.map((one) => [one.path, one.kind === "only" && [one.in, JSON.stringify(one.value)]]),
    [["subsections.thing/sub", ["b", '{"s":4}']]],
    "a subsection in one only",
  );
  t.equal(sub.stream[sub.found[0]!.offset.b!], 5, "at the byte that begins it");
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
    fields.map(({ path, kind }) => [path, kind]),
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
  t.equal(a.readUInt32BE(fields[1]!.offset.a!), 2, "an element's place");
  t.equal(b.readUInt32BE(fields[1]!.offset.b!), 5);
  t.equal(b.readUInt32BE(fields[2]!.offset.b!), 6, "that of one that only B has");

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
    found.map(({ path }) => path),
    ["virtio.pci.config.bar4", "virtio.queues[0].last_avail_idx"],
  );
  const [bar, index] = found.map(({ offset }) => offset.b!);
  t.deepEqual(changed.firstByte?.offset.b, bar, "the place of a register");
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
    devices.flatMap(({ name, fields }) => fields.map(({ path, kind }) => [name, path, kind])),
    [["hpet", "(form)", "type"]],
    "one is decoded, the other not",
  );
  const other = Buffer.from(wrong);
  const { a } = devices[0]!.fields[0]!.offset;
  other[a! + 3]! ^= 0xff;
  const both = await diffStreams(wrong, other);
  const [field] = both.devices[0]!.fields;
  t.deepEqual([field?.path, field?.kind], ["(not decoded)", "bytes"], "neither: the bytes");
  t.deepEqual(field?.kind === "bytes" && field.ranges.map(({ offset, length }) => [offset, length]), [[3, 1]]);
  t.end();
});

test("rounds: the last content counts, and what XBZRLE is applied to", async (t) => {
  const sink = new MemorySink();
  const writer = createStreamWriter(sink, { machine: "none" });
  const [ram] = writer.ram.blocks([{ idstr: "ram", usedLength: 4 * PAGE }]) as [RamBlock];
  const page = (fill: number): Uint8Array => new Uint8Array(PAGE).fill(fill);
  // Leave 16 bytes, change 2.
  const delta = Uint8Array.of(16, 2, 0xaa, 0xbb);
  for (let i = 0; i < 4; i++) await writer.ram.page(ram, i * PAGE, page(1));
  writer.ram.endRound();
  for (let i = 0; i < 3; i++) await writer.ram.xbzrle(ram, i * PAGE, delta);
  writer.ram.endRound();
  await writer.ram.page(ram, PAGE, page(2));
  await writer.ram.zero(ram, 2 * PAGE);
  writer.ram.end();
  await writer.finish();
  const changed = page(1);
  changed.set([0xaa, 0xbb], 16);
  const flat = new MemorySink();
  const once = createStreamWriter(flat, { machine: "none" });
  const [block] = once.ram.blocks([{ idstr: "ram", usedLength: 4 * PAGE }]) as [RamBlock];
  for (const [i, content] of [changed, page(2), page(0), page(1)].entries()) {
    await once.ram.page(block, i * PAGE, content);
  }
  once.ram.end();
  await once.finish();
  const { verdict, ram: found } = await diffStreams(sink.bytes(), flat.bytes());
  t.equal(verdict, "same");
  t.deepEqual(found.pages, { same: 4, otherEncoding: 2, different: 0, onlyA: 0, onlyB: 0 }, "XBZRLE and ZERO");
  t.end();
});

test("pages that are scattered too far are refused before memory is taken", async (t) => {
  const sink = new MemorySink();
  const writer = createStreamWriter(sink, { machine: "none" });
  const count = 40_000;
  const step = 1024 * PAGE;
  const [ram] = writer.ram.blocks([{ idstr: "ram", usedLength: count * step }]) as [RamBlock];
  for (let i = 0; i < count; i++) await writer.ram.zero(ram, i * step);
  writer.ram.end();
  await writer.finish();
  const error = await refusal(() => diffStreams(live, sink.bytes()));
  t.deepEqual([error?.code, error && sideOf(error)], ["limit", "b"], error?.message);
  t.ok(error!.offset! > 100_000, "at the record that would take more");
  t.end();
});

test("runs of pages end where the guest's memory does", async (t) => {
  const bytes = corpusEntry("q35-displays").open();
  const { ram } = await diffStreams(bytes, await touched(bytes, [0x9f000, 0xa0000, 0x100000, 0x101000]));
  t.deepEqual(
    ram.ranges.map(({ offset, length, physical }) => [offset, length, physical]),
    [
      [0x9f000, PAGE, 0x9f000],
      [0xa0000, PAGE, null],
      [0x100000, 2 * PAGE, 0x100000],
    ],
    "behind 0xa0000 is the VGA adapter",
  );
  t.end();
});

/** The stream with one more round of pages of its first block, all 0x5a. */
async function touched(bytes: Uint8Array, offsets: readonly number[]): Promise<Uint8Array> {
  const folder = join(work, "unpacked");
  await unpackStream({ open: () => new MemorySource(bytes), again: true }, folder);
  const fd = openSync(
    join(
      folder,
      "ram",
      readdirSync(join(folder, "ram")).find((name) => /pc\.ram/u.test(name))!,
    ),
    "r+",
  );
  for (const offset of offsets) writeSync(fd, Buffer.alloc(PAGE, 0x5a), 0, PAGE, offset);
  closeSync(fd);
  const file = join(work, "touched");
  await packFolder(folder, file);
  rmSync(folder, { recursive: true });
  return readFileSync(file);
}

/** A stream of one block whose address is said. */
const shared = async (address: bigint, sends = true): Promise<Uint8Array> => {
  const sink = new MemorySink();
  const capabilities = ["x-ignore-shared"];
  const subsections: Configuration["subsections"] = [{ name: "configuration/capabilities", version: 1, capabilities }];
  const writer = createStreamWriter(sink, { machine: "none", subsections });
  const [ram] = writer.ram.blocks([{ idstr: "ram", usedLength: PAGE, address }]) as [RamBlock];
  if (sends) await writer.ram.page(ram, 0, new Uint8Array(PAGE).fill(3));
  writer.ram.end();
  await writer.finish();
  return sink.bytes();
};

test("what a block list says of blocks, and blocks that are not sent", async (t) => {
  const moved = await diffStreams(await shared(0n), await shared(0x1000n));
  t.deepEqual(named(moved, "meaning"), ["RAM block ram address"]);
  t.deepEqual([moved.differences[0]?.a, moved.differences[0]?.b], ["0x0", "0x1000"]);
  const unsent = await diffStreams(await shared(0n), await shared(0n, false));
  t.deepEqual(named(unsent, "meaning"), ["RAM block ram pages"]);
  t.equal(unsent.ram.pages.onlyA, 1);
  t.end();
});

test("errors say which stream, and where", async (t) => {
  const cut = live.subarray(0, 200_000);
  for (const [a, b, side] of [
    [live, cut, "b"],
    [cut, live, "a"],
  ] as const) {
    const error = await refusal(() => diffStreams(a, b));
    t.deepEqual([error?.code, error?.offset, error && sideOf(error)], ["truncated", 200_000, side]);
    t.equal(error?.path[1], 'section 2 "ram"', "the path goes on behind the side");
  }
  const bytes = corpusEntry("compress-1-threads-1").open();
  const broken = Buffer.from(bytes);
  // The payload of the first compressed page: be64 with flag 0x100, the name or not, be32 length, zlib.
  const zlib = broken.indexOf("7801", 0, "hex");
  broken[zlib + 9]! ^= 0xff;
  const inflating = await refusal(() => diffStreams(bytes, broken));
  t.deepEqual(
    [inflating?.code, inflating && sideOf(inflating)],
    ["bad-compressed-data", "b"],
    "a payload that is damaged",
  );
  t.ok(inflating!.offset! < zlib && inflating!.offset! > zlib - 300, "at its record");
  const missing = await refusal(() => diffStreams(join(work, "nothing"), live));
  t.deepEqual([missing?.code, missing && sideOf(missing)], ["io", "a"]);
  t.end();
});

test("containers, a domain XML among them", async (t) => {
  const packed = join(projectRoot(), "corpus", "libvirt", "save.raw.gz");
  const image = gunzipSync(readFileSync(packed));
  const plain = join(work, "save.raw");
  writeFileSync(plain, image);
  const diff = await diffStreams(packed, plain);
  t.equal(diff.verdict, "identical", "the streams inside");
  t.deepEqual(named(diff, "encoding"), ["container kind"]);
  t.deepEqual([diff.differences[0]?.a, diff.differences[0]?.b], ["gzip > libvirt", "libvirt"]);
  image[image.indexOf("<name>") + 6]! ^= 1;
  const file = join(work, "edited.raw");
  writeFileSync(file, image);
  const xml = await diffStreams(plain, file);
  t.equal(xml.verdict, "different");
  t.match(named(xml, "meaning")[0]!, /^container domain XML, line \d+$/u);
  t.notEqual(xml.differences[0]?.a, xml.differences[0]?.b);
  t.end();
});
