import test from "tape";
import { QemuFileReader } from "../src/qemu-file/index.js";
import {
  decodeDevice,
  deviceFromPlain,
  deviceToPlain,
  encodeDevice,
  type DeviceDescription,
  type FieldDescription,
} from "../src/vmstate/index.js";
import { fromHex, refusal, toHex } from "./support/bytes.js";
import { device, field, struct, written } from "./support/devices.js";

interface Row {
  what: string;
  description: DeviceDescription;
  /** In the plain form. */
  fields: Record<string, unknown>;
  subsections?: Record<string, unknown>;
  hex: string;
}

const u32 = (name: string): FieldDescription => field(name, "uint32", 4);
const u64 = (name: string): FieldDescription => field(name, "uint64", 8);
const i32 = struct("test/i32", [field("i", "int32", 4)]);
/** Four pointers to structs, the second NULL: the bytes of row A10, as each era of QEMU describes them. */
const A10 = "00000000 30 00000002 00000003";
const A10_VALUES = { ar: [{ i: 0 }, null, { i: 2 }, { i: 3 }] };
const element = (more: Partial<FieldDescription> = {}): FieldDescription =>
  field("ar", "struct", 4, { struct: i32, ...more });
const eras: [string, FieldDescription[]][] = [
  ["7.2: NULL not mentioned", [element({ arrayLength: 4 })]],
  [
    "7.2: element by element",
    [
      element({ index: 0 }),
      field("ar", "struct", 1, { index: 1, struct: null }),
      element({ index: 2 }),
      element({ index: 3 }),
    ],
  ],
  ["10.0: first run claims all", [element({ arrayLength: 4 }), field("ar", "nullptr", 1), element({ arrayLength: 2 })]],
  [
    "10.0: element by element",
    [element({ index: 0 }), field("ar", "nullptr", 1, { arrayLength: 1 }), element({ index: 2 }), element()],
  ],
  [
    "10.0: a NULL that cannot be compressed claims the rest",
    [element({ index: 0 }), field("ar", "nullptr", 1, { arrayLength: 3 }), element({ index: 2 }), element()],
  ],
  ["11.1", [element({ arrayLength: 4 }), field("ar", "ptr-marker", 1), element({ arrayLength: 2 })]],
  ["11.1: not compressed", [element(), field("ar", "ptr-marker", 1), element(), element()]],
];

const ROWS: Row[] = [
  {
    what: "A1 simple/primitive",
    description: device([
      field("b_1", "bool", 1),
      field("b_2", "bool", 1),
      field("u8_1", "uint8", 1),
      field("u16_1", "uint16", 2),
      field("u32_1", "uint32", 4),
      field("u64_1", "uint64", 8),
      field("i8_1", "int8", 1),
      field("i8_2", "int8", 1),
      field("i16_1", "int16", 2),
      field("i16_2", "int16", 2),
      field("i32_1", "int32", 4),
      field("i32_2", "int32", 4),
      field("i64_1", "int64", 8),
      field("i64_2", "int64", 8),
    ]),
    fields: {
      b_1: true,
      b_2: false,
      u8_1: 130,
      u16_1: 512,
      u32_1: 70000,
      u64_1: "12121212",
      i8_1: 65,
      i8_2: -65,
      i16_1: 512,
      i16_2: -512,
      i32_1: 70000,
      i32_2: -70000,
      i64_1: 12121212,
      i64_2: "-12121212",
    },
    hex: "0100820200000111700000000000b8f47c41bf0200fe0000011170fffeee900000000000b8f47cffffffffff470b84 00",
  },
  {
    what: "A2 simple/array",
    description: device([field("u16_1", "uint16", 2, { arrayLength: 3 })]),
    fields: { u16_1: [0x42, 0x43, 0x44] },
    hex: "004200430044 00",
  },
  {
    what: "A3 versioned/load/v1",
    description: device([u32("a"), u32("c"), u64("d")]),
    fields: { a: 10, c: 30, d: 40 },
    hex: "0000000a0000001e0000000000000028 00",
  },
  {
    what: "A4, A7 versioned/load/v2, field_exists/load/noskip",
    description: device([u32("a"), u32("b"), u32("c"), u64("d"), u32("e"), u64("f")]),
    fields: { a: 10, b: 20, c: 30, d: 40, e: 50, f: 60 },
    hex: "0000000a000000140000001e000000000000002800000032000000000000003c 00",
  },
  {
    what: "A5 field_exists/save/noskip",
    description: device([u32("a"), u32("b"), u32("c"), u64("d"), u32("e"), u64("f")]),
    fields: { a: 1, b: 2, c: 3, d: 4, e: 5, f: 6 },
    hex: "0000000100000002000000030000000000000004000000050000000000000006",
  },
  {
    what: "A6 field_exists/save/skip",
    description: device([u32("a"), u32("b"), u64("d"), u64("f")]),
    fields: { a: 1, b: 2, d: 4, f: 6 },
    hex: "000000010000000200000000000000040000000000000006",
  },
  {
    what: "A8 field_exists/load/skip",
    description: device([u32("a"), u32("b"), u64("d"), u64("f")]),
    fields: { a: 10, b: 20, d: 40, f: 60 },
    hex: "0000000a000000140000000000000028000000000000003c 00",
  },
  {
    what: "A9 array/ptr/str/no0",
    description: device([element({ arrayLength: 4 })]),
    fields: { ar: [{ i: 0 }, { i: 1 }, { i: 2 }, { i: 3 }] },
    hex: "00000000000000010000000200000003 00",
  },
  ...eras.map(([era, fields]): Row => {
    return { what: `A10 array/ptr/str/0 (${era})`, description: device(fields), fields: A10_VALUES, hex: `${A10} 00` };
  }),
  {
    what: "A10 array/ptr/prim/0 (7.2)",
    description: device([field("ar", "int32", 4, { arrayLength: 4 })]),
    fields: { ar: [0, null, 2, 3] },
    hex: `${A10} 00`,
  },
  {
    what: "A15 tmp_struct",
    description: device([
      u32("a"),
      u64("d"),
      field("diff", "tmp", 8, { inlined: [struct("test/tmp", [field("diff", "int64", 8)])] }),
      u64("f"),
    ]),
    fields: { a: 2, d: 1, diff: { diff: 2 }, f: 8 },
    hex: "00000002000000000000000100000000000000020000000000000008 00",
  },
];

/** The bytes are worked out by hand from the grammar of the chapter. */
const BY_HAND: Row[] = [
  {
    what: "all integer types",
    description: device([
      field("a", "uint8 equal", 1),
      field("b", "uint16 equal", 2),
      field("c", "uint32 equal", 4),
      field("d", "int32 equal", 4),
      field("e", "int32 le", 4),
      field("f", "int64 equal", 8),
      field("g", "CPU_Double_U", 8),
      field("h", "timer", 8),
      field("i", "float64", 8),
    ]),
    fields: {
      a: 255,
      b: 65535,
      c: 4294967295,
      d: -1,
      e: -2147483648,
      f: "0xffffffffffffffff",
      g: "0x7ff0000000000001",
      h: "0xffffffffffffffff",
      i: "0x3ff0000000000000",
    },
    hex: "ff ffff ffffffff ffffffff 80000000 ffffffffffffffff 7ff0000000000001 ffffffffffffffff 3ff0000000000000",
  },
  {
    what: "a bool that is neither 0 nor 1",
    description: device([field("b", "bool", 1, { arrayLength: 3 })]),
    fields: { b: [true, 2, 255] },
    hex: "01 02 ff",
  },
  {
    what: "bytes",
    description: device([
      field("buf", "buffer", 3),
      field("unused", "unused_buffer", 2),
      field("empty", "buffer", 0),
      field("private", "a type of the future", 2),
    ]),
    fields: { buf: "0102ff", unused: "0000", empty: "", private: "beef" },
    hex: "0102ff 0000 beef",
  },
  {
    what: "bitmap, capability, fd",
    description: device([
      field("map", "bitmap", 16),
      field("cap", "capability", 5),
      field("fd", "fd", 1),
      field("exec", "fd", 4),
    ]),
    fields: { map: ["0x1", "0x8000000000000000"], cap: "xyzt", fd: 32, exec: 9 },
    hex: "0000000000000001 8000000000000000 04 78797a74 20 00000009",
  },
  {
    what: "names that repeat, and names that objects have",
    description: device([
      field("u[0]", "uint8", 1),
      field("__proto__", "uint8", 1),
      field("u[1]", "uint8", 1),
      field("toString", "uint8", 1),
      field("u[0]", "uint8", 1),
    ]),
    fields: JSON.parse('{"u[0]": 1, "__proto__": 2, "u[1]": 3, "toString": 4, "u[0]#2": 5}') as Record<string, unknown>,
    hex: "01 02 03 04 05",
  },
  {
    what: "subsections",
    description: device(
      [
        u32("a"),
        field("s", "struct", 15, {
          struct: struct("inner", [field("x", "uint8", 1)], [struct("inner/y", [field("y", "uint8", 1)])]),
        }),
      ],
      [struct("test/sub", [field("z", "uint16", 2)], [struct("test/sub/more", [])])],
    ),
    fields: { a: 1, s: { x: 2, subsections: { "inner/y": { y: 3 } } } },
    subsections: { "test/sub": { z: 4, subsections: { "test/sub/more": {} } } },
    hex:
      "00000001 02 05 07 696e6e65722f79 00000001 03" +
      "05 08 746573742f737562 00000001 0004" +
      "05 0d 746573742f7375622f6d6f7265 00000001",
  },
  {
    what: "vstruct",
    description: device([field("v", "vstruct", 1, { inlined: [struct("v", [field("x", "uint8", 1)])] })]),
    fields: { v: { x: 7 } },
    hex: "07",
  },
  {
    what: "queues, empty and not",
    description: device([
      field("none", "qtailq", 1),
      field("two", "qlist", 7, {
        inlined: [struct("e", [field("x", "uint16", 2)]), struct("e", [field("x", "uint16", 2)])],
      }),
    ]),
    fields: { none: [], two: [{ x: 1 }, { x: 2 }] },
    hex: "00 01 0001 01 0002 00",
  },
  {
    what: "trees with direct keys and with struct keys",
    description: device([
      field("direct", "gtree", 15, { inlined: [struct("v", [field("x", "uint8", 1)])] }),
      field("keys", "gtree", 8, {
        inlined: [struct("k", [field("k", "uint8", 1)]), struct("v", [field("x", "uint8", 1)])],
      }),
      field("none", "gtree", 5),
    ]),
    fields: { direct: [{ key: "0x5", value: { x: 6 } }], keys: [{ key: { k: 7 }, value: { x: 8 } }], none: [] },
    hex: "00000001 01 0000000000000005 06 00  00000001 01 07 08 00  00000000 00",
  },
  {
    what: "an array whose first pointer is NULL, up to 9.2",
    description: device([
      field("ar", "struct", 1, { arrayLength: 2, struct: null }),
      field("p", "uint32", 1, { arrayLength: 2 }),
    ]),
    fields: { ar: [null, null], p: [null, 0x30303030] },
    hex: "30 30 30 30303030",
  },
  {
    what: "NULL first (10.0 and 11.1)",
    description: device([
      field("ar", "nullptr", 1, { arrayLength: 2 }),
      field("ar", "uint16", 2, { arrayLength: 2 }),
      field("br", "ptr-marker", 1),
      field("br", "uint16", 2),
    ]),
    fields: { ar: [null, null, 1, 2], br: [null, 3] },
    hex: "30 30 0001 0002 30 0003",
  },
  {
    what: "auto alloc arrays: a marker before every element (11.1)",
    description: device([
      field("ar", "ptr-marker", 1),
      field("ar", "struct", 4, { struct: i32 }),
      field("ar", "ptr-marker", 1),
      field("ar", "ptr-marker", 1),
      field("ar", "struct", 4, { struct: i32 }),
    ]),
    fields: { ar: [{ i: 1 }, null, { i: 2 }] },
    hex: "31 00000001 30 31 00000002",
  },
  {
    what: "a queue in a compressed array: only the first element's is described",
    description: device([
      field("ar", "struct", 4, {
        arrayLength: 3,
        struct: struct("q", [
          field("list", "qtailq", 3, { inlined: [struct("e", [field("x", "uint8", 1)])] }),
          field("y", "uint8", 1),
        ]),
      }),
    ]),
    fields: {
      ar: [
        { list: [{ x: 1 }], y: 2 },
        { list: [], y: 3 },
        { list: [{ x: 4 }, { x: 5 }], y: 6 },
      ],
    },
    hex: "01 01 00 02  00 03  01 04 01 05 00 06",
  },
  {
    what: "an old-style handler",
    description: { name: "slirp", instanceId: 0, size: 3, fields: [field("data", "buffer", 3)] },
    fields: { data: "0badca" },
    hex: "0badca",
  },
  {
    what: "slirp, with one lease",
    description: { name: "slirp", instanceId: 0, size: 131, fields: [field("data", "buffer", 131)] },
    fields: {
      data: {
        ip_id: 5,
        bootp_clients: Array.from({ length: 16 }, (_, i) =>
          i === 0 ? { allocated: 1, macaddr: "525400123456" } : { allocated: 0, macaddr: "000000000000" },
        ),
      },
    },
    hex: `00 0005 0001 525400123456 ${"00".repeat(120)}`,
  },
  {
    what: "the s390 clock",
    description: { name: "todclock", instanceId: 0, size: 10, fields: [field("data", "buffer", 10)] },
    fields: { data: { high: 2, low: "0x3" } },
    hex: "01 02 0000000000000003",
  },
  {
    what: "s390 storage keys, two ranges",
    description: { name: "s390-skeys", instanceId: 0, size: 43, fields: [field("data", "buffer", 43)] },
    fields: {
      data: {
        ranges: [
          { address_and_flags: "0x2", count: "0x2", keys: "0610" },
          { address_and_flags: "0x10002", count: "0x1", keys: "00" },
        ],
      },
    },
    hex: "0000000000000002 0000000000000002 0610  0000000000010002 0000000000000001 00  0000000000000001",
  },
  {
    what: "PCI interrupt state and MSI-X",
    description: device([field("irq_state", "pci irq state", 16), field("msix", "msix state", 17)]),
    fields: {
      irq_state: { inta: 1, intb: 0, intc: 0, intd: 1 },
      msix: { table: [{ address: "0xfee00000", data: 0x41, control: 1 }], pending: "00" },
    },
    hex: "00000001 00000000 00000000 00000001  0000e0fe00000000 41000000 01000000 00",
  },
  {
    what: "a private codec whose bytes do not fit it stays named bytes",
    description: device([field("irq_state", "pci irq state", 3)]),
    fields: { irq_state: "010203" },
    hex: "010203",
  },
];

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

test("truncated device state is a typed error at the right place, as in QEMU's load tests and at every other length", async (t) => {
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

test("errors name the place", async (t) => {
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

test("memory and time are bounded however the description lies", async (t) => {
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
    const started = performance.now();
    const error = await refusal(() => decodeDevice(QemuFileReader.over(few), description, { maxValues: 100_000 }));
    t.equal(error?.code, code, what);
    t.ok(performance.now() - started < 2000, `${what}: soon`);
  }
  const nulls = device(
    Array.from({ length: 40 }, (_, i) =>
      field(`a${i}`, "struct", 2, { arrayLength: 8, struct: struct("e", [field("x", "uint16", 2)]) }),
    ),
  );
  const started = performance.now();
  const error = await refusal(() =>
    decodeDevice(QemuFileReader.over(new Uint8Array(640).fill(0x30)), nulls, { endsAt: () => false }),
  );
  t.equal(error?.code, "bad-description", "bytes that could be NULL markers everywhere");
  t.ok(performance.now() - started < 2000, "the number of readings tried is bounded");
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
    "as it stands it fits",
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
  t.equal(await from(plain), "fits", "as it stands it fits");
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
  t.equal(await from(edit({ b: 5 })), "fits", "but a byte that is no bool may stay");
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
    t.deepEqual(await from(wrong), ["does-not-fit", ""], `${JSON.stringify(wrong)} is no device`);
  }
  t.end();
});
