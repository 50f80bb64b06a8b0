/** Device state by hand: descriptions, values and bytes. */
import type { DeviceDescription, FieldDescription } from "../../src/codec/vmstate/index.js";
import { device, field, struct } from "./devices.js";

export interface Row {
  what: string;
  description: DeviceDescription;
  /** In the plain form. */
  fields: Record<string, unknown>;
  subsections?: Record<string, unknown>;
  hex: string;
}

export const u32 = (name: string): FieldDescription => field(name, "uint32", 4);
export const u64 = (name: string): FieldDescription => field(name, "uint64", 8);
export const i32 = struct("test/i32", [field("i", "int32", 4)]);
/** Four pointers to structs, the second NULL: the bytes of row A10, as each era of QEMU describes them. */
const A10 = "00000000 30 00000002 00000003";
const A10_VALUES = { ar: [{ i: 0 }, null, { i: 2 }, { i: 3 }] };
export const element = (more: Partial<FieldDescription> = {}): FieldDescription =>
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

export const ROWS: Row[] = [
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
export const BY_HAND: Row[] = [
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
