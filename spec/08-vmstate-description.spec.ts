import { isDeepStrictEqual } from "node:util";
import * as fc from "fast-check";
import test from "tape";
import { latin1 } from "../src/bytes/index.js";
import {
  findVmDescription,
  JsonNumber,
  JsonObject,
  parseJson,
  parseVmDescription,
  printJson,
  printVmDescription,
  type JsonStyle,
  type JsonValue,
  type VmDescription,
} from "../src/codec/vmstate/index.js";
import { refusal } from "./support/bytes.js";
import { processorClock } from "./support/processor-time.js";

/** As QEMU 7.2 and 5.2 wrote it for `-machine none` (the first device only). */
const COMPACT =
  '{"page_size": 4096, "devices": [{"name": "timer", "instance_id": 0, "vmsd_name": "timer", "version": 2, "fields": ' +
  '[{"name": "cpu_ticks_offset", "type": "int64", "size": 8}, {"name": "unused", "type": "unused_buffer", "size": 8}]}]}';
const SPACED =
  '{ "page_size" : 4096, "devices" : [ { "name" : "timer", "instance_id" : 0, "vmsd_name" : "timer", "version" : 2, "fields" : ' +
  '[ { "name" : "cpu_ticks_offset", "type" : "int64", "size" : 8 }, { "name" : "unused", "type" : "unused_buffer", "size" : 8 } ] } ] }';

test("both text forms are reproduced exactly", (t) => {
  for (const [style, text] of [
    ["compact", COMPACT],
    ["spaced", SPACED],
  ] as const) {
    const description = parseVmDescription(text);
    t.deepEqual([description.style, description.exact, description.pageSize], [style, true, 4096], style);
    t.equal(printVmDescription(description), text, `${style}: printed`);
    t.deepEqual(
      description.devices,
      [
        {
          name: "timer",
          instanceId: 0,
          vmsdName: "timer",
          version: 2,
          fields: [
            { name: "cpu_ticks_offset", type: "int64", size: 8 },
            { name: "unused", type: "unused_buffer", size: 8 },
          ],
        },
      ],
      `${style}: the schema`,
    );
  }
  t.equal(printVmDescription({ ...parseVmDescription(COMPACT), style: "spaced" }), SPACED, "one into the other");
  t.end();
});

/** A whole text around the field objects of one device. */
function wrap(fields: string): string {
  return (
    `{"configuration": {"vmsd_name": "configuration", "version": 1, "fields": []}, "page_size": 4096, "devices": [` +
    `{"name": "d", "instance_id": 4294967295, "vmsd_name": "d", "version": 0, "fields": [${fields}], ` +
    `"subsections": [{"vmsd_name": "d/s", "version": 1, "fields": []}]}, ` +
    `{"name": "slirp", "instance_id": 0, "size": 3, "fields": [{"name": "data", "size": 3, "type": "buffer"}]}]}`
  );
}

test("every form of a field object is reproduced", (t) => {
  const shapes = [
    "",
    '{"name": "a", "array_len": 4, "type": "uint8", "size": 1}',
    '{"name": "a", "index": 0, "type": "uint8", "size": 1}, {"name": "a", "index": 1, "type": "uint8", "size": 1}',
    '{"name": "a", "type": "struct", "struct": {}, "size": 1}',
    '{"name": "a", "type": "struct", "struct": {"vmsd_name": "s", "version": 1, "fields": []}, "size": 0}',
    '{"name": "a", "type": "tmp", "vmsd_name": "s", "version": 1, "fields": [], "size": 0}',
    // Two elements: duplicate keys, the first with a subsection.
    '{"name": "a", "type": "qtailq", "vmsd_name": "s", "version": 1, "fields": [], "subsections": [{"vmsd_name": "s/x", ' +
      '"version": 1, "fields": []}], "vmsd_name": "s", "version": 1, "fields": [], "size": 3}',
    String.raw`{"name": "\"\\\n\u00E9\u0001", "type": "buffer", "size": 0}`,
  ];
  for (const shape of shapes) {
    const text = wrap(shape);
    const description = parseVmDescription(text);
    t.equal(printVmDescription(description), text, shape.slice(0, 60));
    t.ok(description.exact, "and says so");
    t.deepEqual(description, byJsonParser(text), "the JSON parser reads the same");
  }
  const queue = parseVmDescription(wrap(shapes[6]!)).devices[0]!.fields[0]!;
  t.deepEqual(
    queue.inlined?.map(({ vmsdName, subsections }) => [vmsdName, subsections?.length]),
    [
      ["s", 1],
      ["s", undefined],
    ],
    "duplicate keys are elements",
  );
  t.end();
});

/** What the JSON parser makes of a text; a text with more characters than values are allowed always goes to it. */
function byJsonParser(text: string): VmDescription {
  return parseVmDescription(text, { maxNodes: text.length - 1 });
}

/** What a reader makes of a text: the description, or code and offset of the error. */
async function outcome(parse: (text: string) => VmDescription, text: string): Promise<unknown> {
  let description: VmDescription | undefined;
  const error = await refusal(() => (description = parse(text)));
  return error === undefined ? description : [error.code, error.offset];
}

test("a text with other characters is read as the JSON parser reads it", async (t) => {
  const text = wrap(
    '{"name": "a", "array_len": 4, "type": "uint8", "size": 1}, {"name": "b", "index": 0, "type": "tmp", "vmsd_name": "s", ' +
      '"version": 1, "fields": [], "size": 0}, {"name": "c", "type": "struct", "struct": {"vmsd_name": "s", "version": 1, "fields": []}, "size": 0}',
  );
  let refused = 0;
  for (let at = 0; at < text.length; at++) {
    for (const other of ["", " ", "0", '"', "\\", "\u007f"]) {
      const edited = text.slice(0, at) + other + text.slice(at + 1);
      const quick = await outcome(parseVmDescription, edited);
      if (Array.isArray(quick)) refused++;
      if (isDeepStrictEqual(quick, await outcome(byJsonParser, edited))) continue;
      t.fail(`${JSON.stringify(other)} at ${at}`);
    }
  }
  t.ok(refused > 1000, `${refused} of them refused`);
  t.end();
});

test("a text that QEMU would not write is parsed, but not exact", (t) => {
  for (const text of [
    COMPACT.replaceAll(": ", ":"),
    `${COMPACT} `,
    COMPACT.replace('"version": 2', '"version": 2, "more": [null, true, 1.5e3]'),
    COMPACT.replace('"page_size": 4096', '"page_size": 4096, "page_size": 1'),
    COMPACT.replace('"timer"', String.raw`"\u0074imer"`),
  ]) {
    const description = parseVmDescription(text);
    t.deepEqual([description.exact, description.pageSize, description.devices[0]?.name], [false, 4096, "timer"]);
  }
  t.end();
});

test("broken descriptions are refused with the offset", async (t) => {
  const rows: [string, string, number][] = [
    ["", "bad-description", 0],
    ["{", "bad-description", 1],
    ['{"a"}', "bad-description", 4],
    ['{"a": 1,}', "bad-description", 8],
    ["[1 2]", "bad-description", 3],
    ["[01]", "bad-description", 2],
    ["[-]", "bad-description", 1],
    ['["\u0001"]', "bad-description", 2],
    [String.raw`["\x"]`, "bad-description", 2],
    [String.raw`["\u12"]`, "bad-description", 2],
    ["[nul]", "bad-description", 1],
    ["{} {}", "bad-description", 3],
    ["[]", "bad-description", 0],
    ["{}", "bad-description", 0],
    ['{"page_size": "x"}', "bad-description", 1],
    ['{"page_size": -1, "devices": []}', "bad-description", 1],
    ['{"page_size": 9007199254740993, "devices": []}', "bad-description", 1],
    ['{"page_size": 1, "devices": {}}', "bad-description", 17],
    ['{"page_size": 1, "devices": [1]}', "bad-description", 17],
    ['{"page_size": 1, "devices": [{"name": "x"}]}', "bad-description", 29],
    ['{"page_size": 1, "devices": [{"name": "x", "instance_id": 0, "fields": [{"name": 1}]}]}', "bad-description", 73],
    [
      '{"page_size": 1, "devices": [{"name": "x", "instance_id": 0, "fields": [], "subsections": [{"fields": []}]}]}',
      "bad-description",
      91,
    ],
  ];
  for (const [text, code, offset] of rows) {
    const error = await refusal(() => parseVmDescription(text, { offset: 5000 }));
    t.deepEqual([error?.code, error?.offset], [code, 5000 + offset], JSON.stringify(text));
  }
  for (let length = 0; length < COMPACT.length; length++) {
    const error = await refusal(() => parseVmDescription(COMPACT.slice(0, length)));
    if (error === undefined) t.fail(`cut at ${length}`);
  }
  t.end();
});

test("hostile texts are bounded", async (t) => {
  const rows: [string, string, Parameters<typeof parseJson>[2]][] = [
    ["deep arrays", "[".repeat(1_000_000), {}],
    ["deep objects", '{"a":'.repeat(1_000_000), {}],
    ["many values", `[${"1,".repeat(1000)}1]`, { maxNodes: 1000 }],
    ["long", `["${"x".repeat(1000)}"]`, { maxLength: 1000 }],
  ];
  for (const [what, text, limits] of rows) {
    const error = await refusal(() => parseJson(text, 0, limits));
    t.equal(error?.code, "limit", what);
  }
  const depth = await refusal(() => parseJson("[[[", 10, { maxDepth: 2 }));
  t.deepEqual([depth?.code, depth?.offset], ["limit", 13], "the limit has a place");
  const names = Array.from({ length: 100_000 }, (_, i) => `{"name": "${i % 2}", "type": "uint8", "size": 1}`).join(
    ", ",
  );
  const spent = processorClock();
  parseVmDescription(`{"page_size": 1, "devices": [{"name": "x", "instance_id": 0, "fields": [${names}]}]}`);
  t.ok(spent() < 5000, "100,000 fields");
  t.end();
});

test("any JSON value is reproduced in both forms", (t) => {
  const { value } = fc.letrec<{ value: JsonValue }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom<JsonValue>(null, true, false),
      fc.string({ unit: "binary" }),
      fc.bigInt(-(2n ** 63n), 2n ** 64n).map((n) => new JsonNumber(String(n))),
      fc.array(tie("value"), { maxLength: 4 }),
      fc.array(fc.tuple(fc.string(), tie("value")), { maxLength: 4 }).map((members) => {
        const object = new JsonObject();
        for (const [key, item] of members) object.members.push({ key, value: item, offset: 0 });
        return object;
      }),
    ),
  }));
  fc.assert(
    fc.property(value, fc.constantFrom<JsonStyle>("compact"), (json, style) => {
      const text = printJson(json, style);
      return printJson(parseJson(text), style) === text && /^[\u0020-\u007e]*$/.test(text);
    }),
    { numRuns: 300 },
  );
  t.equal(printJson([], "spaced"), "[  ]", "empty, up to 5.2");
  t.equal(printJson(new JsonObject(), "compact"), "{}", "empty, from 6.0");
  t.end();
});

test("the position of a VMDESCRIPTION is found in a window of bytes", (t) => {
  const text = Buffer.from(COMPACT);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(text.length);
  const record = Buffer.concat([Buffer.from([0, 6]), length, text]);
  const noise = Buffer.from('{"{\u0000\u0006\u0000\u0000\u0000\u0009{"cut short\u0000\u0006{"', "latin1");
  const window = Buffer.concat([noise, record, noise]);
  const found = [...findVmDescription(window)];
  const at = noise.length + 1;
  t.deepEqual(
    found.filter(({ complete }) => complete),
    [{ position: at, start: at + 5, length: text.length, complete: true }],
    "where it is",
  );
  t.ok(parseVmDescription(latin1(window.subarray(at + 5, at + 5 + text.length))).exact, "and it is one");
  t.deepEqual(
    [...findVmDescription(window, at + 1)].filter(({ complete }) => complete),
    [],
    "not when begun after it",
  );
  const cut = [...findVmDescription(window.subarray(0, at + 100))].filter(({ position }) => position === at);
  t.deepEqual(cut, [{ position: at, start: at + 5, length: text.length, complete: false }], "cut off: not complete");
  t.deepEqual([...findVmDescription(record, 0, 10)], [], "longer than allowed");
  t.deepEqual([...findVmDescription(new Uint8Array(0))], [], "nothing in nothing");
  const spent = processorClock();
  t.equal([...findVmDescription(new Uint8Array(1 << 24).fill(0x7b))].length, 0, "16 MiB of braces");
  t.ok(spent() < 5000, "in one pass");
  t.end();
});
