import test from "tape";
import { QemuFileReader } from "../src/bytes/index.js";
import {
  decodeDevice,
  deviceFromPlain,
  deviceToPlain,
  encodeDevice,
  type DeviceDescription,
  type FieldDescription,
} from "../src/codec/vmstate/index.js";
import { fromHex, refusal, toHex } from "./support/bytes.js";
import { device, field, struct, written } from "./support/devices.js";
import { ROWS, BY_HAND, u32, u64, type Row } from "./support/vmstate-rows.js";
import { processorClock } from "./support/processor-time.js";

function decode(row: Row): ReturnType<typeof decodeDevice> {
  const bytes = fromHex(row.hex);
  const reader = QemuFileReader.over(bytes, 1000);
  const end = 1000 + bytes.length - (row.hex.endsWith(" 00") && row.what.startsWith("A") ? 1 : 0);
  return decodeDevice(reader, row.description, { endsAt: (at) => at === end });
}

const plainOf = (row: Row): unknown => ({ fields: row.fields, subsections: row.subsections ?? {} });
const bytesOf = (row: Row): string => {
  const hex = row.hex.replaceAll(" ", "");
  return row.what.startsWith("A") && row.hex.endsWith(" 00") ? hex.slice(0, -2) : hex;
};

test("device state in four directions", (t) => {
  for (const row of [...ROWS, ...BY_HAND]) {
    const wanted = deviceFromPlain(row.description, plainOf(row));
    const encoded = written((writer) => {
      encodeDevice(writer, wanted);
    });
    t.equal(toHex(encoded), bytesOf(row), `${row.what}: encode`);
    const state = decode(row);
    t.deepEqual(state.fields, wanted.fields, `${row.what}: decode`);
    t.deepEqual(state.subsections, wanted.subsections, `${row.what}: decode, subsections`);
    const again = decodeDevice(QemuFileReader.over(encoded), row.description, {
      endsAt: (at) => at === encoded.length,
    });
    t.deepEqual(deviceToPlain(again), deviceToPlain(wanted), `${row.what}: decode(encode)`);
    const back = written((writer) => {
      encodeDevice(writer, state);
    });
    t.equal(toHex(back), bytesOf(row), `${row.what}: encode(decode)`);
    const { typed, named, opaque } = state.bytes;
    t.equal(typed + named + opaque, encoded.length, `${row.what}: every byte is counted`);
  }
  t.end();
});

test("truncated device state is a typed error at the right offset, for every length", async (t) => {
  for (const row of [...ROWS, ...BY_HAND]) {
    const whole = fromHex(bytesOf(row));
    for (let length = 0; length < whole.length; length++) {
      const reader = QemuFileReader.over(whole.subarray(0, length), 1000);
      const error = await refusal(() =>
        decodeDevice(reader, row.description, { endsAt: (at) => at === 1000 + whole.length }),
      );
      if (error === undefined || error.offset === undefined || error.offset < 1000 || error.offset > 1000 + length) {
        t.fail(`${row.what}, ${length} bytes: ${error?.message ?? "no error"}`);
      }
      if (reader.position !== 0 || reader.path.length > 0) t.fail(`${row.what}: the reader was left elsewhere`);
    }
    const second = whole.subarray(Math.ceil(whole.length / 2));
    const half = await refusal(() =>
      decodeDevice(QemuFileReader.over(second), row.description, { endsAt: (at) => at === second.length }),
    );
    if (half === undefined) t.fail(`${row.what}: the second half alone must not load`);
  }
  t.pass("every prefix and every second half is refused");
  t.end();
});

test("named bytes are counted as such", (t) => {
  const row = BY_HAND.find(({ what }) => what === "bytes")!;
  t.deepEqual(decode(row).bytes, { typed: 5, named: 2, opaque: 0 }, "an unknown type");
  t.deepEqual(decode(BY_HAND.find(({ what }) => what === "an old-style handler")!).bytes, {
    typed: 0,
    named: 3,
    opaque: 0,
  });
  t.end();
});

test("errors have offset and path", async (t) => {
  const nested = device([
    u32("a"),
    field("s", "struct", 2, {
      arrayLength: 2,
      struct: struct("s", [field("x", "nullptr", 1), field("y", "uint8", 1)]),
    }),
  ]);
  const error = await refusal(() => decodeDevice(QemuFileReader.over(fromHex("00000000 30 01 31 01"), 16), nested));
  t.deepEqual(
    [error?.code, error?.offset, error?.path, error?.expected, error?.found],
    ["bad-value", 22, ['device "test"/0', "s", "[1]", "x"], "0x30", "0x31"],
    "a wrong NULL marker",
  );
  const wrong = await refusal(() =>
    decodeDevice(QemuFileReader.over(new Uint8Array(4)), device([field("a", "uint32", 3)])),
  );
  t.deepEqual(
    [wrong?.code, wrong?.offset, wrong?.expected],
    ["bad-description", 0, "3 bytes"],
    "a size that is not true",
  );
  const sub = device([], [struct("test/a", [])]);
  const at = async (hex: string): Promise<unknown[]> => {
    const found = await refusal(() => decodeDevice(QemuFileReader.over(fromHex(hex)), sub));
    return [found?.code, found?.offset, found?.path.at(-1)];
  };
  t.deepEqual(await at("7e"), ["bad-value", 0, 'subsection "test/a"'], "no subsection");
  t.deepEqual(await at("05 06 746573742f62 00000001"), ["bad-value", 1, 'subsection "test/a"'], "another subsection");
  t.deepEqual(await at("05 06 746573742f61 00000002"), ["bad-value", 8, 'subsection "test/a"'], "another version");
  const end = await refusal(() =>
    decodeDevice(QemuFileReader.over(fromHex("00000001 99")), device([u32("a")]), { endsAt: () => false }),
  );
  t.deepEqual([end?.code, end?.offset, end?.found], ["bad-description", 4, "0x99"], "no footer where the device ends");
  t.end();
});

/** Fields without bytes. */
function empty(count: number): FieldDescription[] {
  return Array.from({ length: count }, (_, i) => field(`f${i}`, "buffer", 0));
}

test("memory and time are bounded for any description", async (t) => {
  const few = new Uint8Array(64);
  const cases: [string, DeviceDescription, string][] = [
    ["an array longer than the input", device([field("a", "uint32", 4, { arrayLength: 2 ** 50 })]), "truncated"],
    [
      "structs without bytes",
      device([field("a", "struct", 0, { arrayLength: 2 ** 50, struct: struct("e", []) })]),
      "limit",
    ],
    ["a buffer longer than the input", device([field("a", "buffer", 2 ** 50)]), "truncated"],
    ["a bitmap longer than the input", device([field("a", "bitmap", 2 ** 50)]), "truncated"],
    ["a private field longer than the input", device([field("a", "pci config", 2 ** 50)]), "truncated"],
    [
      "few structs without bytes, but many fields",
      device([field("a", "struct", 0, { arrayLength: 64, struct: struct("e", empty(1000)) })]),
      "limit",
    ],
    [
      "a byte a struct, and fields without any beside it",
      device([
        field("a", "struct", 1, { arrayLength: 64, struct: struct("e", [field("x", "uint8", 1), ...empty(200)]) }),
      ]),
      "limit",
    ],
    ["more elements without bytes than any device has", device([field("a", "buffer", 0, { arrayLength: 8 })]), "limit"],
  ];
  let deep = struct("e", []);
  for (let i = 0; i < 30; i++) deep = struct("e", [field("a", "struct", 0, { arrayLength: 1000, struct: deep })]);
  cases.push(["empty arrays in empty arrays", device(deep.fields), "limit"]);
  for (const [what, description, code] of cases) {
    const spent = processorClock();
    const error = await refusal(() => decodeDevice(QemuFileReader.over(few), description, { maxValues: 100_000 }));
    t.equal(error?.code, code, what);
    t.ok(spent() < 10_000, `${what}: soon`);
  }
  const nulls = device(
    Array.from({ length: 40 }, (_, i) =>
      field(`a${i}`, "struct", 2, { arrayLength: 8, struct: struct("e", [field("x", "uint16", 2)]) }),
    ),
  );
  const spent = processorClock();
  const error = await refusal(() =>
    decodeDevice(QemuFileReader.over(new Uint8Array(640).fill(0x30)), nulls, { endsAt: () => false }),
  );
  t.equal(error?.code, "bad-description", "bytes that could be NULL markers everywhere");
  t.ok(spent() < 10_000, "the number of readings tried is bounded");
  let readings = 0;
  const barren = device([...nulls.fields.slice(0, 1), ...empty(1000)]);
  const options = { maxWork: 5000, endsAt: () => ++readings < 0 };
  await refusal(() => decodeDevice(QemuFileReader.over(new Uint8Array(16).fill(0x30)), barren, options));
  t.ok(readings > 0 && readings < 8, `${readings} readings: fields without bytes are work too`);
  t.end();
});

test("encoding refuses what its description cannot hold", async (t) => {
  const description = device([
    u32("a"),
    field("b", "bool", 1),
    field("c", "uint64", 8),
    field("d", "buffer", 2),
    field("e", "uint8", 1, { arrayLength: 2 }),
    field("q", "qlist", 1),
    field("m", "bitmap", 8),
  ]);
  const good = { a: 1, b: true, c: 1n, d: new Uint8Array(2), e: [1, 2], q: [], m: [1n] };
  const state = (change: Record<string, unknown>): Parameters<typeof encodeDevice>[1] => ({
    description,
    fields: { ...good, ...(change as typeof good) },
    subsections: [],
    bytes: { typed: 0, named: 0, opaque: 0 },
  });
  const bad: [string, Record<string, unknown>, string][] = [
    ["too large", { a: 2 ** 32 }, "a"],
    ["negative", { a: -1 }, "a"],
    ["not whole", { a: 1.5 }, "a"],
    ["NaN", { a: Number.NaN }, "a"],
    ["null", { a: null }, "a"],
    ["a bool as 1", { b: 1 }, "b"],
    ["a number for 64 bits", { c: 1 }, "c"],
    ["65 bits", { c: 1n << 64n }, "c"],
    ["too few bytes", { d: new Uint8Array(1) }, "d"],
    ["no bytes", { d: "00" }, "d"],
    ["a short array", { e: [1] }, "e"],
    ["NULL in it", { e: [null, 1] }, "e"],
    ["a value in a list", { q: [1] }, "q"],
    ["words", { m: [1] }, "m"],
  ];
  t.equal(
    written((writer) => {
      encodeDevice(writer, state({}));
    }).length,
    4 + 1 + 8 + 2 + 2 + 1 + 8,
    "unchanged, it fits",
  );
  for (const [what, change, key] of bad) {
    const error = await refusal(() =>
      written((writer) => {
        encodeDevice(writer, state(change));
      }),
    );
    t.deepEqual([error?.code, error?.path[1]], ["does-not-fit", key], what);
  }
  const extra = await refusal(() =>
    written((writer) => {
      encodeDevice(writer, state({ z: 1 }));
    }),
  );
  t.deepEqual([extra?.code, extra?.found], ["does-not-fit", "z"], "a value that the description does not know");
  t.end();
});

test("the plain form refuses edits that do not fit, by the path of keys", async (t) => {
  const description = device(
    [
      u32("a"),
      field("b", "bool", 1),
      u64("c"),
      field("d", "buffer", 2),
      field("e", "struct", 1, { arrayLength: 2, struct: struct("e", [field("x", "int8", 1)]) }),
      field("i", "pci irq state", 16),
    ],
    [struct("test/s", [field("y", "uint8", 1)])],
  );
  const irq = { inta: 0, intb: 0, intc: 0, intd: 0 };
  const fields = { a: 1, b: true, c: "0x10", d: "00ff", e: [{ x: -128 }, { x: 127 }], i: irq };
  const plain = { fields, subsections: { "test/s": { y: 1 } } };
  const from = (value: unknown): Promise<unknown> =>
    refusal(() => deviceFromPlain(description, value)).then((error) =>
      error === undefined ? "fits" : [error.code, error.path.slice(1).join(" > ")],
    );
  const edit = (change: Record<string, unknown>): unknown => ({ ...plain, fields: { ...fields, ...change } });
  t.equal(await from(plain), "fits", "unchanged, it fits");
  for (const c of [16, 16n, "16", "0x10", "0X10", "18446744073709551615"])
    t.equal(await from(edit({ c })), "fits", `c ${typeof c} ${c}`);
  for (const c of [
    -1,
    1.5,
    "-1",
    "0x10000000000000000",
    "18446744073709551616",
    "",
    " 1",
    "1e3",
    "x",
    null,
    [],
    true,
    2 ** 60,
  ]) {
    t.deepEqual(await from(edit({ c })), ["does-not-fit", "fields > c"], `c = ${JSON.stringify(c)}`);
  }
  t.deepEqual(await from(edit({ a: 2 ** 32 })), ["does-not-fit", "fields > a"], "33 bits");
  t.deepEqual(await from(edit({ b: 1 })), ["does-not-fit", "fields > b"], "1 is not a bool");
  t.equal(await from(edit({ b: 5 })), "fits", "but a byte that is not a bool may stay");
  t.deepEqual(await from(edit({ d: "00f" })), ["does-not-fit", "fields > d"], "half a byte");
  t.deepEqual(await from(edit({ d: "00ff00" })), ["does-not-fit", "fields > d"], "too many bytes");
  t.deepEqual(await from(edit({ d: "zz00" })), ["does-not-fit", "fields > d"], "no hex");
  t.deepEqual(await from(edit({ e: [{ x: 1 }] })), ["does-not-fit", "fields > e"], "short array");
  t.deepEqual(await from(edit({ e: [{ x: 1 }, { x: 128 }] })), ["does-not-fit", "fields > e > [1] > x"], "in an array");
  t.deepEqual(
    await from(edit({ e: [{ x: 1 }, {}] })),
    ["bad-description", "fields > e > [1]"],
    "missing key in an array",
  );
  t.deepEqual(
    await from(edit({ e: [{ x: 1 }, { x: 1, z: 1 }] })),
    ["bad-description", "fields > e > [1]"],
    "unknown key",
  );
  t.deepEqual(
    await from(edit({ i: { ...irq, inta: -1 } })),
    ["does-not-fit", "fields > i > inta"],
    "in a private codec",
  );
  t.deepEqual(await from(edit({ i: { inta: 0 } })), ["bad-description", "fields > i"], "missing in a private codec");
  t.deepEqual(
    await from(edit({ i: { ...irq, x: 0 } })),
    ["bad-description", "fields > i"],
    "unknown in a private codec",
  );
  t.equal(await from(edit({ i: "00".repeat(16) })), "fits", "named bytes do for a private codec");
  t.deepEqual(await from(edit({ z: 1 })), ["bad-description", "fields"], "unknown field");
  t.deepEqual(await from({ fields }), ["bad-description", ""], "missing subsections");
  t.deepEqual(await from({ ...plain, more: 1 }), ["bad-description", ""], "unknown at the top");
  t.deepEqual(await from({ ...plain, subsections: {} }), ["bad-description", "subsections"], "missing subsection");
  t.deepEqual(await from({ ...plain, subsections: { "test/s": { y: 256 } } }), [
    "does-not-fit",
    "subsections > test/s > y",
  ]);
  for (const wrong of [null, [], "x", 1, undefined]) {
    t.deepEqual(await from(wrong), ["does-not-fit", ""], `${JSON.stringify(wrong)} is not a device`);
  }
  t.end();
});
