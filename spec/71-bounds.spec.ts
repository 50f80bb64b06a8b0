import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "tape";
import { QevmError } from "../src/errors.js";
import { be, concat, str8 } from "../src/fuzz/raw-bytes.js";
import { inspectStream, type Inspection } from "../src/inspect/inspect.js";
import { MemorySource } from "../src/qemu-file/index.js";
import { descriptionOf } from "../src/stream/index.js";
import { DEFAULT_LIMITS, type StreamLimits } from "../src/stream/limits.js";
import { findVmDescription, triedVmDescriptions } from "../src/vmstate/find.js";
import { corpusEntry, projectRoot } from "../tools/corpus.js";
import { refusal } from "./support/bytes.js";
import { mappedRamFile } from "./support/mapped-ram-file.js";
import { qevm } from "./support/program.js";

const tiny = corpusEntry("machine-none-tiny").open();
const pc = corpusEntry("pc-firmware").open();
const HEADER = be(0x5145564d00000003n, 8);
/** Header, EOF and a VMDESCRIPTION. */
const described = (json: string): Uint8Array => concat(HEADER, [0, 6], be(json.length, 4), Buffer.from(json));

async function outcome(bytes: Uint8Array, limits: Partial<StreamLimits>): Promise<Inspection | QevmError> {
  try {
    return await inspectStream(new MemorySource(bytes), { limits, bufferSize: 4096 });
  } catch (error) {
    if (error instanceof QevmError) return error;
    throw error;
  }
}

/** FULL section of a device whose payload is `payload`, described by `fields`. */
function device(payload: Uint8Array, fields: string): Uint8Array {
  const section = concat([4], be(3, 4), str8("dev"), be(0, 4), be(1, 4), payload, [0x7e], be(3, 4));
  const json = `{"page_size": 4096, "devices": [{"name": "dev", "instance_id": 0, "vmsd_name": "dev", "version": 1, "fields": [${fields}]}]}`;
  return concat(HEADER, section, [0, 6], be(json.length, 4), Buffer.from(json));
}

/** A FULL section of s390 storage keys of five pages. */
const storageKeys = concat(
  HEADER,
  [4],
  be(3, 4),
  str8("s390-skeys"),
  be(0, 4),
  be(1, 4),
  concat(be(2n, 8), be(5n, 8), new Uint8Array(5), be(1n, 8), [0x7e], be(3, 4), [0]),
);

/** Ten arrays of eight two-byte structs over bytes that could all be NULL markers: many readings, none of which fits. */
const ambiguous = device(
  new Uint8Array(159).fill(0x30),
  Array.from(
    { length: 10 },
    (_, i) =>
      `{"name":"a${i}","array_len":8,"type":"struct","struct":{"vmsd_name":"e","version":1,"fields":[{"name":"x","type":"uint16","size":2}]},"size":2}`,
  ).join(","),
);

interface Case {
  /** A stream that needs exactly `needs`, and passes a bound of `needs - 1`. */
  bytes: Uint8Array;
  needs: number;
}

const CASES: Readonly<Record<keyof StreamLimits, Case>> = {
  machineName: { bytes: tiny, needs: 4 },
  configurationItems: { bytes: corpusEntry("validate-uuid").open(), needs: 1 },
  ramBlocks: { bytes: tiny, needs: 1 },
  sections: { bytes: tiny, needs: 3 },
  bitmapBytes: { bytes: mappedRamFile(), needs: 0 },
  gapBytes: { bytes: mappedRamFile(), needs: 0 },
  deviceBytes: { bytes: pc, needs: 0 },
  sectionRecordBytes: { bytes: storageKeys, needs: 5 },
  packagedBytes: {
    bytes: concat(HEADER, [8], be(7, 2), be(4, 2), be(9, 4), [8], be(2, 2), be(4, 2), be(1, 4), [0]),
    needs: 9,
  },
  descriptionBytes: { bytes: described('{"page_size": 4096, "devices": []}'), needs: 34 },
  descriptionDepth: { bytes: described('{"page_size": 4096, "devices": []}'), needs: 2 },
  descriptionValues: { bytes: described('{"page_size": 4096, "devices": []}'), needs: 0 },
  deviceValues: {
    bytes: device(new Uint8Array(6), '{"name": "a", "array_len": 6, "type": "uint8", "size": 1}'),
    needs: 16 + 8 + 6,
  },
  deviceReadings: { bytes: ambiguous, needs: 0 },
  deviceWork: { bytes: ambiguous, needs: 0 },
};

/** Rows of the chapter's first table: limit, default, code. */
const rows = readFileSync(join(projectRoot(), "spec", "71-bounds.md"), "utf8")
  .split("\n")
  .flatMap((line) => {
    const [, name, value, , , refused] = line.split("|").map((cell) => cell.trim());
    return /^`\w+`$/u.test(name ?? "") ? [{ name: name!.slice(1, -1), value: Number(value), refused: refused! }] : [];
  });

test("the table names every limit with its default", (t) => {
  t.deepEqual(Object.fromEntries(rows.map(({ name, value }) => [name, value])), DEFAULT_LIMITS);
  t.end();
});

for (const { name, refused } of rows) {
  const key = name as keyof StreamLimits;
  const { bytes, needs } = CASES[key];
  test(`${name}: what passes it`, async (t) => {
    const fine = await outcome(bytes, needs > 0 ? { [key]: needs } : {});
    const below = needs > 0 ? needs - 1 : { deviceBytes: 100, gapBytes: 0, bitmapBytes: 0, descriptionValues: 2 }[name];
    const passed = await outcome(bytes, { [key]: below ?? 1 });
    if (key === "deviceReadings" || key === "deviceWork") {
      // Nothing fits here; what the bound changes is how long that takes.
      t.ok(isOpaque(fine) && isOpaque(passed), "opaque, with its reason");
      const start = performance.now();
      await outcome(bytes, { [key]: 1 });
      t.ok(performance.now() - start < 1000, "soon");
      return;
    }
    if (refused === "opaque") t.ok(isOpaque(passed), `${name} = ${below ?? 1}: opaque`);
    else t.equal(passed instanceof QevmError ? passed.code : "accepted", refused, `${name} = ${below ?? 1}`);
    if (passed instanceof QevmError) t.ok(passed.offset !== undefined, passed.message);
    t.equal(
      fine instanceof QevmError ? fine.message : fine.bytes.opaque,
      0,
      needs > 0 ? `${name} = ${needs}: understood` : "the default: understood",
    );
  });
}

function isOpaque(result: Inspection | QevmError): boolean {
  return !(result instanceof QevmError) && result.bytes.opaque > 0;
}

test("promises cost nothing: lengths of 4 GiB and more in front of a few bytes", async (t) => {
  const ram = concat([1], be(2, 4), str8("ram"), be(0, 4), be(4, 4));
  const huge: [string, Uint8Array][] = [
    ["a machine name", concat(HEADER, [7], be(0xffffffff, 4))],
    ["a package", concat(HEADER, [8], be(7, 2), be(4, 2), be(0x0fffffff, 4), [1])],
    ["a description", concat(HEADER, [0, 6], be(0x03ffffff, 4), [1])],
    ["a block list", concat(HEADER, ram, be((1n << 52n) | 4n, 8), str8("x"), be(1n << 51n, 8))],
    [
      "a COMPRESS_PAGE payload",
      concat(HEADER, ram, be(0x1004n, 8), str8("x"), be(0x1000, 8), be(0x100, 8), str8("x"), be(0xfffffff0, 4)),
    ],
    [
      "capabilities",
      concat(HEADER, [7], be(0, 4), [5], str8("configuration/capabilities"), be(1, 4), be(0xffffffff, 4)),
    ],
  ];
  for (const [what, bytes] of huge) {
    const before = process.memoryUsage();
    const result = await outcome(bytes, {});
    const after = process.memoryUsage();
    const more = after.arrayBuffers + after.heapUsed - before.arrayBuffers - before.heapUsed;
    t.ok(result instanceof QevmError, `${what}: ${result instanceof QevmError ? result.message : "accepted"}`);
    t.ok(more < 16 << 20, `${more} bytes of memory`);
  }
});

/** The record of a page of zeros at the beginning of a block. */
function zero(block: string): Uint8Array {
  return concat(be(2n, 8), str8(block), [0]);
}

test("ramBlocks: pages of blocks that no list names", async (t) => {
  const ram = concat([1], be(2, 4), str8("ram"), be(0, 4), be(4, 4), zero("a"), zero("b"), zero("c"), be(0x10n, 8));
  const bytes = concat(HEADER, ram, [0]);
  const inspect = (ramBlocks: number): Promise<Inspection> =>
    inspectStream(new MemorySource(bytes), { lenient: true, limits: { ramBlocks } });
  t.equal((await inspect(3)).ram.blocks.length, 3, "as many as are allowed");
  t.equal((await refusal(() => inspect(2)))?.code, "limit", "one more");
});

test("places that may hold a VMDESCRIPTION cost no more than the bytes around them", async (t) => {
  // Each claims all that follows, which ends as a description does.
  const decoys = new Uint8Array(1 << 19).fill(0x20);
  decoys[decoys.length - 1] = 0x7d;
  const head = Buffer.from('{"page_size": 4096, "devices": [');
  for (let at = 0; at < 400 * 40; at += 40) decoys.set(concat([0, 6], be(decoys.length - at - 6, 4), head), at);
  t.equal([...findVmDescription(decoys)].length, 400, "400 places");
  const tried = [...triedVmDescriptions(decoys)];
  t.ok(tried.length > 0 && tried.length <= 3, `${tried.length} of them are tried from the beginning`);
  const last = [...triedVmDescriptions(decoys, undefined, true)];
  t.ok(last.length > 0 && last.length <= 3 && last[0]!.start > last[1]!.start, `${last.length} from the end`);
  const small = concat(...Array.from({ length: 400 }, () => concat([0, 6], be(head.length + 1, 4), head, [0x7d])));
  t.equal([...triedVmDescriptions(small)].length, 64, "small ones: 64");
  const section = concat([4], be(3, 4), str8("dev"), be(0, 4), be(1, 4), decoys);
  const started = performance.now();
  const result = await outcome(concat(HEADER, section), {});
  t.ok(isOpaque(result), "and the stream is told");
  await refusal(() => descriptionOf(new MemorySource(concat(HEADER, section))));
  t.ok(performance.now() - started < 5000, "soon");
});

test("--limit on the command line", async (t) => {
  const file = join(corpusEntry("machine-none-tiny").folder, "stream.gz");
  t.equal((await qevm(["inspect", file, "--limit", "sections=3"])).code, 0);
  const refused = await qevm(["inspect", file, "--limit", "sections=2"]);
  t.equal(refused.code, 1);
  t.match(refused.stderr, /too many sections/u);
  t.equal((await qevm(["inspect", file, "--limit", "deviceBytes=1G"])).code, 0, "sizes have units");
  const wrong = await qevm(["inspect", file, "--limit", "frob=1"]);
  t.equal(wrong.code, 2);
  t.match(wrong.stderr, /the names are machineName, /u);
});
