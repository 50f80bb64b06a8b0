import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { Diagnostics } from "../src/bytes/errors.js";
import { convertStream } from "../src/rewrite/convert/convert.js";
import { inspectStream } from "../src/analyse/inspect/inspect.js";
import { verifyStream } from "../src/analyse/inspect/verify.js";
import { packFolder } from "../src/rewrite/pack/pack.js";
import { unpackStream } from "../src/rewrite/pack/unpack.js";
import { MemorySink, MemorySource, QemuFileReader, QemuFileWriter } from "../src/bytes/index.js";
import { DEFAULT_LIMITS, StreamReader, decodeCommand, encodeCommand, type Command } from "../src/codec/stream/index.js";
import { arrivals } from "./support/arrivals.js";
import { fromHex, refusal, toHex } from "./support/bytes.js";
import { qevm } from "./support/program.js";

const ascii = (text: string): string => Buffer.from(text, "latin1").toString("hex");

/** Each command as `migration/savevm.c` lays it out. */
const rows: [hex: string, value: Command][] = [
  ["08 0001 0000", { name: "OPEN_RETURN_PATH" }],
  ["08 0002 0004 00000042", { name: "PING", value: 0x42 }],
  ["08 0003 0000", { name: "POSTCOPY_ADVISE" }],
  [
    "08 0003 0010 0000000000201000 0000000000001000",
    { name: "POSTCOPY_ADVISE", ram: { pageSizes: 0x201000n, pageSize: 0x1000n } },
  ],
  ["08 0004 0000", { name: "POSTCOPY_LISTEN" }],
  ["08 0005 0000", { name: "POSTCOPY_RUN" }],
  [
    `08 0006 0029 00 06 ${ascii("pc.ram")} 00 0000000000001000 0000000000002000 000000003fff0000 0000000000010000`,
    {
      name: "POSTCOPY_RAM_DISCARD",
      block: "pc.ram",
      ranges: [
        { start: 0x1000, length: 0x2000 },
        { start: 0x3fff0000, length: 0x10000 },
      ],
    },
  ],
  ["08 0007 0004 00012345", { name: "PACKAGED", length: 0x12345 }],
  ["08 0008 0000", { name: "ENABLE_COLO" }],
  ["08 0009 0000", { name: "POSTCOPY_RESUME" }],
  [`08 000a 0007 06 ${ascii("pc.ram")}`, { name: "RECV_BITMAP", block: "pc.ram" }],
  ["08 000b 0000", { name: "SWITCHOVER_START" }],
];

function decode(reader: QemuFileReader, lenient = false): Promise<Command> {
  return decodeCommand(reader, DEFAULT_LIMITS, new Diagnostics({ lenient }));
}

function encoded(command: Command): string {
  const sink = new MemorySink();
  const writer = new QemuFileWriter(sink);
  encodeCommand(writer, command);
  void writer.flush();
  return toHex(sink.bytes());
}

for (const [hex, value] of rows) {
  test(`${value.name}: fields and the same bytes again`, async (t) => {
    const bytes = fromHex(hex);
    for (const [way, source] of Object.entries(arrivals(bytes))) {
      const reader = new QemuFileReader(source());
      t.deepEqual(await decode(reader), value, `decode, ${way}`);
      t.equal(reader.offset, bytes.length, `every byte is taken, ${way}`);
    }
    t.equal(encoded(value), toHex(bytes), "encode");
    for (let cut = 0; cut < bytes.length; cut++) {
      const error = await refusal(() => decode(QemuFileReader.over(bytes.subarray(0, cut))));
      if (error?.code !== "truncated") t.fail(`cut to ${cut} bytes: ${error?.code}`);
    }
  });
}

test("payloads that break their layout", async (t) => {
  const range = "0000000000001000 0000000000001000";
  const cases: [string, string, string, number][] = [
    ["command 0", "08 0000 0000", "unknown-type", 1],
    ["command 12", "08 000c 0000", "unknown-type", 1],
    ["OPEN_RETURN_PATH with a byte", "08 0001 0001 00", "bad-length", 3],
    ["PING of three bytes", "08 0002 0003 000000", "bad-length", 3],
    ["POSTCOPY_ADVISE of eight bytes", "08 0003 0008 0000000000001000", "bad-length", 3],
    ["a discard without ranges", `08 0006 0009 00 06 ${ascii("pc.ram")} 00`, "bad-length", 3],
    ["a discard with half a range", `08 0006 001c 00 01 61 00 ${range} 0000000000000000`, "bad-length", 3],
    ["a discard whose name is longer than it", `08 0006 0014 00 ff 61 00 ${range}`, "bad-length", 3],
    ["a discard of version 1", `08 0006 0014 01 01 61 00 ${range}`, "bad-value", 5],
    ["a discard without the zero byte", `08 0006 0014 00 01 61 01 ${range}`, "bad-value", 8],
    ["a range beyond 2^53", "08 0006 0014 00 01 61 00 0020000000000000 0000000000001000", "limit", 9],
    ["RECV_BITMAP without a name", "08 000a 0000", "bad-length", 3],
    ["RECV_BITMAP with a byte too many", "08 000a 0003 01 61 62", "bad-length", 3],
  ];
  for (const [name, hex, code, offset] of cases) {
    const bytes = fromHex(hex);
    const error = await refusal(() => decode(QemuFileReader.over(bytes)));
    t.deepEqual([error?.code, error?.offset], [code, offset], `${name}: ${code} at byte ${offset}`);
    const kept = await decode(QemuFileReader.over(bytes), true);
    t.equal(kept.name, "OPAQUE", "lenient keeps it");
    t.equal(encoded(kept), toHex(bytes), "and writes it again");
  }
  const bytes = fromHex("08 0007 0004 ffffffff");
  t.equal((await refusal(() => decode(QemuFileReader.over(bytes), true)))?.code, "limit", "a package of 4 GiB");
  t.equal((await refusal(() => encoded({ name: "RECV_BITMAP", block: "b".repeat(256) })))?.code, "does-not-fit");
  const ranges = Array.from({ length: 4096 }, () => ({ start: 0, length: 1 }));
  t.equal((await refusal(() => encoded({ name: "POSTCOPY_RAM_DISCARD", block: "b", ranges })))?.code, "does-not-fit");
});

// A postcopy stream as QEMU writes it, small enough to read: one block, one device of five bytes with a 0x7e among them.
const HEADER = "5145564d 00000003";
const EOS = "0000000000000010";
const START = `01 00000002 03 ${ascii("ram")} 00000000 00000004 0000000000002004 06 ${ascii("pc.ram")} 0000000000002000 ${EOS} 7e 00000002`;
const DEVICE = `04 00000009 05 ${ascii("thing")} 00000000 00000001 017e000000 7e 00000009`;
const SECOND = `04 0000000a 05 ${ascii("other")} 00000003 00000002 7e0000000a 7e 0000000a`;
const PACKAGE = `08 0004 0000 ${DEVICE} ${SECOND} 08 0002 0004 00000003 08 0005 0000`;
const END = `03 00000002 0000000000000002 06 ${ascii("pc.ram")} 00 0000000000001022 00 ${EOS} 7e 00000002`;

function packaged(content: string): string {
  return `08 0007 0004 ${fromHex(content).length.toString(16).padStart(8, "0")} ${content}`;
}

const POSTCOPY = fromHex(`${HEADER} 08 0001 0000 ${rows[3]![0]} ${START} ${packaged(PACKAGE)} ${END} 00`);

test("a package: its sections and commands are items of the stream", async (t) => {
  const found: string[] = [];
  for await (const item of new StreamReader(new MemorySource(POSTCOPY, 7))) {
    if (item.kind === "section")
      found.push(`${item.offset} ${item.type} ${item.idstr}/${item.instanceId} ${item.content.kind}`);
    else if (item.kind === "command") found.push(`${item.offset} ${item.name}`);
    else if (item.kind !== "footer") found.push(`${item.offset} ${item.kind}`);
  }
  const start = toHex(POSTCOPY).indexOf("0800070004") / 2;
  t.deepEqual(found.slice(3, -2), [
    `34 start ram/0 ram`,
    `${start} PACKAGED`,
    `${start + 9} POSTCOPY_LISTEN`,
    `${start + 14} full thing/0 opaque`,
    `${start + 43} full other/3 opaque`,
    `${start + 72} PING`,
    `${start + 81} POSTCOPY_RUN`,
    `${start + 86} package-end`,
  ]);
  const result = await verifyStream(new MemorySource(POSTCOPY));
  t.ok(result.identical && result.complete, "written again from the fields");
  t.equal(result.opaqueBytes, 10, "the two devices alone are not understood");
  t.deepEqual(
    result.inspection.devices.map(({ section, instance }) => `${section}/${instance}`),
    ["thing/0", "other/3"],
  );
  t.deepEqual(result.inspection.evident, ["return-path", "postcopy-ram"]);
  t.deepEqual(result.inspection.commands[1], {
    name: "POSTCOPY_ADVISE",
    streamOffset: 13,
    pageSizes: "0x201000",
    pageSize: "0x1000",
  });
});

test("for people: commands with their values, and what is not understood in few lines", async (t) => {
  const { stdout } = await qevm(["inspect", "-"], { stdin: POSTCOPY });
  t.match(stdout, /POSTCOPY_ADVISE pageSizes 0x201000 pageSize 0x1000\n/u);
  t.match(stdout, /PACKAGED 77 bytes\n/u);
  t.match(stdout, /PING 3\n/u);
  t.match(stdout, /2 parts from byte 0x[0-9a-f]+, 10 bytes: device state /u);
  t.match(stdout, /--schema CAPTURE/u);
  const verified = await qevm(["verify", "-"], { stdin: POSTCOPY });
  t.match(verified.stdout, /not understood: 10 bytes\n {2}2 parts/u);
  const many = fromHex(`${HEADER} ${`${rows[6]![0]} ${rows[1]![0]} `.repeat(25)} 00`);
  const long = await qevm(["inspect", "-"], { stdin: many });
  t.match(long.stdout, /POSTCOPY_RAM_DISCARD block pc.ram 2 ranges, 72 KiB\n/u);
  t.match(long.stdout, /and 10 more/u);
});

test("packages that are wrong", async (t) => {
  const at = fromHex(`${HEADER} ${START}`).length;
  const cases: [string, string, string, number, string][] = [
    ["PACKAGED in PACKAGED", packaged(packaged("08 0005 0000")), "unsupported", at + 9, "PACKAGED"],
    ["EOF in a package", packaged("00"), "unknown-type", at + 9, "PACKAGED"],
    ["RAM in a package", packaged(END), "unknown-type", at + 9, "PACKAGED"],
    ["a command beyond the package", `08 0007 0004 00000006 ${rows[1]![0]}`, "bad-length", at + 15, "PACKAGED"],
    ["a package that is not there", "08 0007 0004 00001000 08 0005", "truncated", at + 9, ""],
  ];
  for (const [name, hex, code, offset, path] of cases) {
    const bytes = fromHex(`${HEADER} ${START} ${hex}`);
    const error = await refusal(() => verifyStream(new MemorySource(bytes)));
    t.deepEqual([error?.code, error?.offset, error?.path.join(" > ")], [code, offset, path], name);
  }
  const bytes = fromHex(`${HEADER} ${START} ${packaged(`08 0004 0000 ${DEVICE.slice(0, -1)}a 08 0005 0000`)} 00`);
  const result = await verifyStream(new MemorySource(bytes));
  t.ok(result.identical, "without a footer of its section the rest of the package is one part");
  t.deepEqual(
    result.inspection.undecoded.map((part) => part.length),
    [34],
  );
  t.ok(result.complete, "and the stream goes on after it");
});

test("lenient: what a command cannot say is counted", async (t) => {
  const bytes = fromHex(`${HEADER} 08 000c 0002 abcd 00`);
  const found = await inspectStream(new MemorySource(bytes), { lenient: true });
  t.deepEqual(found.commands, [{ name: "COMMAND_12", streamOffset: 8, number: 12, payload: "abcd" }]);
  t.deepEqual([found.opaqueBytes, found.undecoded[0]?.streamOffset], [2, 13]);
});

test("unpacked and packed again, with a package of another length too", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-commands-"));
  try {
    const [dir, out, input] = [join(folder, "dir"), join(folder, "out"), join(folder, "in")];
    writeFileSync(input, POSTCOPY);
    await unpackStream(POSTCOPY, dir);
    await packFolder(dir, out);
    t.equal(toHex(readFileSync(out)), toHex(POSTCOPY), "untouched");
    const file = join(dir, "manifest.json");
    const manifest = JSON.parse(readFileSync(file, "utf8")) as { items: Record<string, unknown>[] };
    const at = manifest.items.findIndex((item) => item["name"] === "POSTCOPY_LISTEN");
    manifest.items.splice(at + 1, 0, { item: "command", name: "PING", value: 5 });
    writeFileSync(file, JSON.stringify(manifest));
    await packFolder(dir, out);
    const again = await verifyStream(new MemorySource(readFileSync(out)));
    t.equal(again.streamLength, POSTCOPY.length + 9, "a command more");
    t.ok(again.identical && again.complete, "and the package's length says so");
    for (const [name, change] of Object.entries({
      "a command that there is not": { item: "command", name: "INVALID" },
      "PACKAGED in PACKAGED": { item: "command", name: "PACKAGED" },
      "a range without end": { item: "command", name: "POSTCOPY_RAM_DISCARD", block: "a", ranges: [{ start: 0 }] },
    })) {
      const items = manifest.items.toSpliced(at + 1, 0, change);
      writeFileSync(file, JSON.stringify({ ...manifest, items }));
      t.equal((await refusal(() => packFolder(dir, out)))?.code, "bad-description", name);
    }
    const items = manifest.items.filter((item) => item["item"] !== "package-end");
    writeFileSync(file, JSON.stringify({ ...manifest, items }));
    t.equal((await refusal(() => packFolder(dir, out)))?.code, "bad-description", "a package without end");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("in one round: the package's devices after the pages, and nothing that asks back", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-commands-"));
  try {
    for (const options of [{ flatten: true }, { to: "mapped-ram" as const }]) {
      const sink = new MemorySink();
      await convertStream(new MemorySource(POSTCOPY), sink, options, folder);
      const hex = toHex(sink.bytes());
      const behind = fromHex(`${DEVICE} ${SECOND} 00`);
      t.ok(hex.endsWith(toHex(behind)), `the devices are before EOF with ${Object.keys(options).join("")}`);
      t.notOk(hex.includes("0800"), "no command is left");
    }
    const broken = fromHex(`${HEADER} ${START} ${packaged(`${DEVICE.slice(0, -1)}a 08 0005 0000`)} 00`);
    const error = await refusal(() =>
      convertStream(new MemorySource(broken), new MemorySink(), { flatten: true }, folder),
    );
    t.equal(error?.code, "unsupported", "a package that cannot be taken apart");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
