/** Every kind of difference between the parts of two streams, and where it is. */
import test from "tape";
import { diffStreams } from "../src/analyse/diff/index.js";
import { be, concat, str8 } from "../src/analyse/fuzz/raw-bytes.js";
import { MemorySink } from "../src/bytes/index.js";
import type { RamBlock } from "../src/codec/ram/index.js";
import { createStreamWriter, type Configuration, type StreamItem } from "../src/codec/stream/index.js";
import { corpusEntry } from "../tools/corpus.js";
import { rewrite } from "./support/rewrite.js";
import { made, named, PAGE, told, u32 } from "./support/diff.js";
import { processorClock } from "./support/processor-time.js";

const live = corpusEntry("live").open();

const uuid = (last: number): Configuration["subsections"][number] => {
  return { name: "configuration/uuid", version: 1, uuid: Uint8Array.from({ length: 16 }, () => last) };
};

test("configuration", async (t) => {
  const machine = await told(live, (item) => {
    if (item.kind === "configuration") item.configuration.machine = "pc-i440fx-6.2";
    return item;
  });
  t.deepEqual(machine.differences, [
    {
      level: "meaning",
      part: "configuration",
      subject: "machine",
      a: "pc-i440fx-7.2",
      b: "pc-i440fx-6.2",
      streamOffset: { a: 8, b: 8 },
    },
  ]);
  t.equal(machine.verdict, "different");
  t.deepEqual(machine.firstByte?.streamOffset, { a: 23, b: 23 }, "the first byte of 6.2");
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
  t.deepEqual(none.differences[0]?.streamOffset, { a: 8, b: null });
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
  const at = gone.differences[0]!.streamOffset.a!;
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
  t.equal(order.differences.find(({ subject: name }) => name === "order")?.a, "hpet/0");
  const id = await told(live, (item) => {
    if (item.kind === "footer" && item.sectionId === 0) item.sectionId = 77;
    return item.kind === "section" && item.sectionId === 0 ? { ...item, sectionId: 77 } : item;
  });
  t.equal(id.verdict, "same", "another section_id");
  t.match(named(id, "encoding")[0]!, /^section \S+ section_id$/u);
  const footless = await told(live, (item) => (item.kind === "footer" ? [] : item));
  t.deepEqual(named(footless, "encoding"), ["section footers"], "no footers");
  t.end();
});

test("very many sections of one name cost no more each than a few", async (t) => {
  const section = concat([4], be(3, 4), str8("dev"), be(0, 4), be(1, 4), [1, 0x7e], be(3, 4));
  const json = JSON.stringify({ page_size: 4096, devices: [{ name: "dev", instance_id: 0, fields: [] }] });
  const ends = concat([0, 6], be(json.length, 4), Buffer.from(json));
  const count = 12_000;
  const some = Array.from({ length: count }, () => section);
  const a = concat(be(0x5145564d00000003n, 8), ...some, ends);
  const b = concat(be(0x5145564d00000003n, 8), ...some, section, ends);
  const spent = processorClock();
  const found = await diffStreams(a, b);
  t.ok(spent() < 10_000, "soon");
  t.deepEqual(named(found, "meaning"), [`section dev/0#${count + 1}`], "the last one is told by its number");
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
  t.ok(
    record!.streamOffset.a! > 0 && record!.streamOffset.a! <= records.firstByte!.streamOffset.a,
    "the record of the first byte",
  );
  t.equal(record!.streamOffset.a, record!.streamOffset.b);

  const command = await told(bitmaps, (item) => (item.kind === "command" ? [] : item));
  t.deepEqual(named(command, "encoding"), ["command POSTCOPY_ADVISE"]);
  const ping = (value: number): Promise<Uint8Array> =>
    rewrite(live, (item) =>
      item.kind === "eof"
        ? [{ kind: "command", offset: 0, payloadOffset: 5, name: "PING", command: { name: "PING", value } }, item]
        : item,
    );
  const pings = await diffStreams(await ping(1), await ping(2));
  t.deepEqual(named(pings, "encoding"), ["command number 0"], "another value");
  t.match(String(pings.differences[0]?.b), /"value":2/u);
  const moved = await told(await ping(1), (item) => {
    if (item.kind === "configuration") item.configuration.machine = "pc-i440fx-10.2";
    return item;
  });
  t.deepEqual(named(moved, "encoding"), [], "the same command elsewhere");

  const description = await told(live, (item) => {
    return item.kind === "vmdescription" ? { ...item, description: { ...item.description, pageSize: 8192 } } : item;
  });
  t.deepEqual(named(description, "encoding"), ["VMDESCRIPTION page_size", "VMDESCRIPTION text"]);
  t.deepEqual(description.differences[1]?.streamOffset, description.firstByte?.streamOffset, "its first character");
  const silent = await told(live, (item) => (item.kind === "vmdescription" ? [] : item));
  t.deepEqual(named(silent, "encoding"), ["VMDESCRIPTION length"]);
  t.equal(silent.b.describedBy, "of the other", "device state is read by the other's");
  t.equal(silent.verdict, "same");

  const behind = await diffStreams(live, Buffer.concat([live, Buffer.alloc(512)]));
  t.deepEqual(named(behind, "encoding"), ["end bytes after"], "padding");
  const filled = await diffStreams(
    Buffer.concat([live, Buffer.alloc(512, 1)]),
    Buffer.concat([live, Buffer.alloc(512)]),
  );
  t.deepEqual(named(filled, "encoding"), ["end content after"], "other padding");
  t.deepEqual(filled.differences[0]?.streamOffset, { a: live.length, b: live.length });
  const cut = await diffStreams(live, live.subarray(0, 300_000), { lenient: true });
  t.equal(named(cut, "meaning")[0], "end complete", "one is cut off");
  t.ok(cut.ram.compared.onlyA > 0 && cut.ram.compared.onlyB === 0, `${cut.ram.compared.onlyA} pages in A only`);
  t.ok(cut.b.warnings.length > 0);
  const late = await diffStreams(live, live.subarray(0, 0x34c000), { lenient: true });
  t.equal(late.b.describedBy, "of the other", "devices before a cut are read by the other's description");
  t.deepEqual(late.devices, [], "and are the same");
  const { streamLength: total, opaqueBytes: opaque } = late.b;
  t.deepEqual(
    [total, opaque > 0 && opaque < 200],
    [0x34c000, true],
    "the device that the cut is in is counted as not understood",
  );
  const other = Buffer.from(live.subarray(0, 300_000));
  other[299_999]! ^= 1;
  const inRecord = await diffStreams(live.subarray(0, 300_000), other, { lenient: true });
  t.deepEqual(
    named(inRecord, "meaning"),
    ["undecoded truncated final record"],
    "and so is a record, which is compared",
  );
  t.deepEqual(named(late, "meaning").slice(0, 2), ["end complete", "section hpet/0"], "those after it are missing");
  t.end();
});

test("what is not decoded: the same bytes or not", async (t) => {
  const bare = corpusEntry("suppress-vmdesc").open();
  const other = Buffer.from(bare);
  other[other.length - 100]! ^= 1;
  const same = await diffStreams(bare, corpusEntry("suppress-vmdesc").open());
  t.equal(same.verdict, "identical");
  t.ok(same.a.opaqueBytes > 0, `${same.a.opaqueBytes} bytes are not understood`);
  const { differences, verdict } = await diffStreams(bare, other);
  t.equal(verdict, "different");
  t.deepEqual(
    differences.map(({ part, streamOffset: offset }) => [part, offset]),
    [["undecoded", { a: bare.length - 100, b: bare.length - 100 }]],
  );
  const { subject: name } = differences[0]!;
  t.match(name, /no VMDESCRIPTION describes/u);
  t.end();
});

test("RAM blocks", async (t) => {
  const two: [string, number, number?][] = [
    ["ram", 8 * PAGE, 7],
    ["vga", 4 * PAGE, 9],
  ];
  const base = await made(two, [u32], { n: 1 });
  const fewer = await diffStreams(base, await made([two[0]!], [u32], { n: 1 }));
  t.deepEqual(named(fewer, "meaning"), ["RAM block vga"], "in one only");
  t.deepEqual([fewer.differences[0]?.a, fewer.differences[0]?.b], [4 * PAGE, null]);
  const listed = fewer.differences[0]!.streamOffset.a!;
  t.equal(Buffer.from(base).readBigUInt64BE(listed), BigInt(12 * PAGE + 4), "where the list is");
  const longer = await diffStreams(base, await made([["ram", 16 * PAGE, 7], two[1]!], [u32], { n: 1 }));
  t.deepEqual(named(longer, "meaning"), ["RAM block ram length"], "another length");
  t.deepEqual([longer.ram.compared.same, longer.ram.compared.onlyB], [12, 8], "what both have is compared");
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
      blockOffset: 0,
      length: 4 * PAGE,
      physical: 0x1_0000_0000,
      first: { blockOffset: 0, a: "09".repeat(16), b: "08".repeat(16) },
    },
  ]);
  t.equal(other.ram.differentBytes, 4 * PAGE);
  t.end();
});

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
  t.equal(unsent.ram.compared.onlyA, 1);
  t.end();
});
