import test from "tape";
import { QemuFileReader } from "../src/bytes/index.js";
import {
  decodeDevice,
  deviceFromPlain,
  deviceToPlain,
  encodeDevice,
  isRecordValue,
  type DeviceState,
} from "../src/codec/vmstate/index.js";
import { listCorpus } from "../tools/corpus.js";
import { fromHex, refusal, toHex } from "./support/bytes.js";
import { describe, device, deviceSections, field, written } from "./support/devices.js";

const zeros = (count: number): string => "00".repeat(count);
const name = (text: string): string => text.length.toString(16).padStart(2, "0") + Buffer.from(text).toString("hex");

/** A virtio device of one queue on MMIO, by hand from the layout in the chapter. */
const MMIO =
  // transport; status, isr, queue_sel, features; config
  "00000000 00000001 0000000c  0f 00 0001 30000000  00000002 abcd" +
  // one queue: num, align, desc, last_avail_idx; device part: one byte that no codec here claims
  "00000001  00000008 00001000 0000000000001000 0005  00" +
  `05 ${name("virtio/64bit_features")} 00000001 0000000130000000` +
  `05 ${name("virtio/virtqueues")} 00000001 0000000000002000 0000000000003000 ${zeros(16 * 1023)}` +
  `05 ${name("virtio/ringsize")} 00000001 00000400 ${zeros(4)} 00000040 ${zeros(4 * 1021)}` +
  `05 ${name("virtio/broken")} 00000001 01` +
  `05 ${name("virtio/device_endian")} 00000001 01` +
  `05 ${name("virtio/packed_virtqueues")} 00000001 0001 01 0002 00 00000003 ${zeros(10 * 1023)}` +
  `05 ${name("virtio/extra_state")} 00000001` +
  `05 ${name("virtio_mmio/state")} 00000001 00000001 00000002` +
  `0008 01 00001000 00000000 00002000 00000000 00003000 00000000 ${zeros(27 * 1023)}`;

const MMIO_VALUES = {
  pci: null,
  mmio: { host_features_sel: 0, guest_features_sel: 1, guest_page_shift: 12 },
  status: 15,
  isr: 0,
  queue_sel: 1,
  guest_features_lo: 0x30000000,
  config_len: 2,
  config: "abcd",
  queue_count: 1,
  queues: [{ num: 8, align: 4096, desc: "0x1000", last_avail_idx: 5 }],
  device: "00",
  subsections: [
    { name: "virtio/64bit_features", version: 1, guest_features: "0x130000000" },
    { name: "virtio/virtqueues", version: 1, vq: [{ avail: "0x2000", used: "0x3000" }] },
    { name: "virtio/ringsize", version: 1, vq: [{ num_default: 1024 }, { num_default: 0 }, { num_default: 64 }] },
    { name: "virtio/broken", version: 1, value: 1 },
    { name: "virtio/device_endian", version: 1, device_endian: 1 },
    {
      name: "virtio/packed_virtqueues",
      version: 1,
      vq: [{ last_avail_idx: 1, last_avail_wrap_counter: 1, used_idx: 2, used_wrap_counter: 0, inuse: 3 }],
    },
    { name: "virtio/extra_state", version: 1 },
    {
      name: "virtio_mmio/state",
      version: 1,
      "guest_features[0]": 1,
      "guest_features[1]": 2,
      vqs: [
        {
          num: 8,
          enabled: 1,
          "desc[0]": 0x1000,
          "desc[1]": 0,
          "avail[0]": 0x2000,
          "avail[1]": 0,
          "used[0]": 0x3000,
          "used[1]": 0,
        },
      ],
    },
  ],
};

const bytesOf = (state: DeviceState): string =>
  toHex(
    written((writer) => {
      encodeDevice(writer, state);
    }),
  );

test("a virtio device on MMIO in four directions", (t) => {
  const bytes = fromHex(MMIO);
  const description = device([field("virtio", "virtio", bytes.length)]);
  const state = decodeDevice(QemuFileReader.over(bytes), description);
  const plain = JSON.parse(JSON.stringify(deviceToPlain(state))) as unknown;
  t.deepEqual(plain, { fields: { virtio: { ...MMIO_VALUES, ccw: null } }, subsections: {} }, "decode");
  // Without the key "ccw", as an earlier version wrote it.
  const made = deviceFromPlain(description, { fields: { virtio: MMIO_VALUES }, subsections: {} });
  t.ok(bytesOf(made) === toHex(bytes), "encode");
  t.ok(bytesOf(state) === toHex(bytes), "encode(decode)");
  t.deepEqual(
    decodeDevice(QemuFileReader.over(fromHex(bytesOf(made))), description).fields,
    state.fields,
    "decode(encode)",
  );
  t.deepEqual(
    state.bytes,
    { typed: bytes.length - 1, named: 1, opaque: 0 },
    "the device part of an unknown kind is only named",
  );
  t.end();
});

/** A subchannel of virtio's css, by hand from the layout in ccw.ts. */
const SUBCHANNEL =
  "fe 00 0001 0002 00" +
  `00000003 0001 0002 80 00 00 80 0000 ff 80 00 ${zeros(7)} 00000000` +
  `0000 0000 00000000 00 00 0000 ${zeros(8)} ${zeros(4)} ${zeros(32)} ${zeros(8)}` +
  `e4 20 0006 00001000 01 ff 3832 02 0000 00 00 ${zeros(4 * 62)} 01 00`;
const INDICATORS = `00000002 0000000000003000 ${zeros(12)} ${zeros(12)} ffff 0000000000000007`;
const LATER = "03 00000001 0f 00 0001 30000000  00000000 00000000";
const OLD_CCW = `${SUBCHANNEL} ${INDICATORS} ${LATER}`;
const NEW_CCW =
  `${SUBCHANNEL} 05 ${name("s390_subch_dev/orb")} 00000001 00000009 0001 80 00 00002000` +
  `${INDICATORS} 05 ${name("s390_adapter_info/summary_offset")} 00000001 00000005 ${LATER}`;

test("small private fields, and virtio on channel devices, are taken apart and written again", (t) => {
  const rows: [string, string, RegExp][] = [
    [
      "usb-redir-bufpq",
      "00000001 00000002 ffffffff abcd",
      /"count":1,"bufpq":\[\{"len":2,"status":-1,"data":"abcd"\}\]/u,
    ],
    ["usb-redir-packet-id-q", "00000001 0000000000000102", /"ids":\[\{"id":"0x102"\}\]/u],
    ["usb-redir-parser", "00000000", /"len":0,"state":""/u],
    ["cpu/altivec/vscr", "00010001", /"value":65537/u],
    ["rampD", "07", /"value":7/u],
    ["virtio", OLD_CCW, /"schid":1,"devno":2,.*"orb":null\},"indicators":\{"len":2,.*"adapter":null,"thinint_isc":3/u],
    ["virtio", NEW_CCW, /"orb":\{"intparm":9,.*"cpa":8192\}.*"adapter":\{"summary_offset":5\}/u],
  ];
  for (const [type, hex, expected] of rows) {
    const bytes = fromHex(hex);
    const description = device([field("x", type, bytes.length)]);
    const state = decodeDevice(QemuFileReader.over(bytes), description);
    const plain = deviceToPlain(state);
    t.match(JSON.stringify(plain), expected, `${type} of ${bytes.length} bytes`);
    t.equal(bytesOf(state), toHex(bytes), "encode(decode)");
    t.equal(bytesOf(deviceFromPlain(description, plain)), toHex(bytes), "by the plain form");
    t.deepEqual([state.bytes.named, state.bytes.opaque], [0, 0], "every byte is typed");
  }
  t.end();
});

test("bytes that a private codec does not support stay named bytes, and are reproduced", (t) => {
  const good = fromHex(MMIO);
  const rows: [string, string, Uint8Array][] = [
    ["virtio", "cut off", good.subarray(0, good.length - 1)],
    ["virtio", "one byte more", Uint8Array.of(...good, 5)],
    ["virtio", "another subsection", fromHex(MMIO.replace(name("virtio/broken"), name("virtio/brokeN")))],
    [
      "virtio",
      "another version",
      fromHex(MMIO.replace(`${name("virtio/broken")} 00000001`, `${name("virtio/broken")} 00000002`)),
    ],
    ["virtio", "a queue count beyond the bytes", fromHex(MMIO.replace("00000001  00000008", "ffffffff  00000008"))],
    ["virtio", "nothing", new Uint8Array(0)],
    ["virtio", "PCI of four bytes", fromHex("00000002 f41a 0010")],
    ["pci config", "too short", new Uint8Array(63)],
    ["msix state", "too short", new Uint8Array(16)],
    ["scsi-requests", "a request in flight", fromHex("0100")],
  ];
  for (const [type, what, bytes] of rows) {
    const description = device([field("x", type, bytes.length)]);
    const state = decodeDevice(QemuFileReader.over(bytes), description);
    t.ok(state.fields["x"] instanceof Uint8Array || type === "msix state", `${type}, ${what}: bytes`);
    t.equal(bytesOf(state), toHex(bytes), `${type}, ${what}: the same again`);
    t.equal(
      bytesOf(deviceFromPlain(description, deviceToPlain(state))),
      toHex(bytes),
      `${type}, ${what}: by the plain form`,
    );
  }
  t.end();
});

test("edits of a private field are refused where they do not fit", async (t) => {
  const bytes = fromHex(MMIO);
  const description = device([field("virtio", "virtio", bytes.length)]);
  const edited = async (change: Record<string, unknown>): Promise<unknown> => {
    const virtio = { ...MMIO_VALUES, ...change };
    const error = await refusal(() => bytesOf(deviceFromPlain(description, { fields: { virtio }, subsections: {} })));
    return error === undefined ? "fits" : [error.code, error.path.slice(1).join(" > ").replace("fields > ", "")];
  };
  const { mmio, queues } = MMIO_VALUES;
  t.equal(await edited({ status: 7 }), "fits");
  t.deepEqual(await edited({ status: 256 }), ["does-not-fit", "virtio > status"]);
  t.deepEqual(await edited({ config: "ab" }), ["does-not-fit", "virtio > config"], "config_len says 2");
  t.deepEqual(await edited({ queues: [] }), ["does-not-fit", "virtio > queues"], "queue_count says 1");
  t.deepEqual(
    await edited({ queue_count: 0, queues: [] }),
    ["does-not-fit", "virtio"],
    "then it is shorter than described",
  );
  t.deepEqual(await edited({ queues: [{ ...queues[0], desc: "x" }] }), ["does-not-fit", "virtio > queues > desc"]);
  t.deepEqual(await edited({ mmio: { ...mmio, extra: 1 } }), ["bad-description", "virtio > mmio"]);
  t.deepEqual(await edited({ mmio: null }), ["does-not-fit", "virtio > mmio"]);
  t.deepEqual(await edited({ device: 1 }), ["does-not-fit", "virtio > device"]);
  t.deepEqual(await edited({ subsections: [{ name: 1, version: 1 }] }), [
    "does-not-fit",
    "virtio > subsections > name",
  ]);
  t.deepEqual(await edited({ subsections: [{ name: "virtio/x", version: 1 }] }), [
    "unsupported",
    "virtio > subsections",
  ]);
  t.deepEqual(
    await edited({
      subsections: [
        { name: "virtio/ringsize", version: 1, vq: Array.from({ length: 1025 }, () => ({ num_default: 1 })) },
      ],
    }),
    ["does-not-fit", "virtio > subsections > vq"],
  );
  const state = deviceFromPlain(description, { fields: { virtio: MMIO_VALUES }, subsections: {} });
  const value = state.fields["virtio"];
  if (!isRecordValue(value)) throw new Error("not a record");
  const { record } = value;
  const typed = async (change: Record<string, unknown>): Promise<unknown> => {
    state.fields["virtio"] = { record: { ...record, ...(change as typeof record) } };
    const error = await refusal(() => bytesOf(state));
    return error === undefined ? "fits" : [error.code, error.path.slice(1).join(" > ")];
  };
  t.equal(await typed({}), "fits", "typed values");
  t.deepEqual(await typed({ status: -1 }), ["does-not-fit", "virtio > status"]);
  t.deepEqual(await typed({ status: undefined }), ["does-not-fit", "virtio > status"]);
  t.deepEqual(await typed({ config: "abcd" }), ["does-not-fit", "virtio > config"]);
  t.deepEqual(await typed({ device: 5 }), ["does-not-fit", "virtio > device"]);
  t.deepEqual(await typed({ queues: [1] }), ["does-not-fit", "virtio > queues > [0]"]);
  t.deepEqual(await typed({ queues: [{ record: { num: 1, align: 1, desc: 1, last_avail_idx: 1 } }] }), [
    "does-not-fit",
    "virtio > queues > [0] > desc",
  ]);
  t.deepEqual(await typed({ subsections: 1 }), ["does-not-fit", "virtio > subsections"]);
  t.deepEqual(await typed({ extra: 1 }), ["does-not-fit", "virtio"], "a value that the codec does not know");
  t.end();
});

/** PCI devices by what QEMU gives them: vendor and device number. */
const NUMBERS: [RegExp, number, number][] = [
  [/I440FX$/u, 0x8086, 0x1237],
  [/PIIX3$/u, 0x8086, 0x7000],
  [/piix4_pm$/u, 0x8086, 0x7113],
  [/mch$/u, 0x8086, 0x29c0],
  [/ICH9LPC$/u, 0x8086, 0x2918],
  [/e1000$/u, 0x8086, 0x100e],
  [/e1000e$/u, 0x8086, 0x10d3],
  [/\/vga$/u, 0x1234, 0x1111],
  [/\/cirrus_vga$/u, 0x1013, 0x00b8],
  [/\/vmware_vga$/u, 0x15ad, 0x0405],
];

test("PCI configuration spaces of real devices have their vendor and device numbers", (t) => {
  let seen = 0;
  for (const entry of listCorpus()) {
    const stream = entry.open();
    const described = describe(stream);
    if (described === undefined) continue;
    for (const { description, state } of deviceSections(stream, described.description, described.position)) {
      const text = JSON.stringify(deviceToPlain(state));
      const numbers = /"vendor_id":(\d+),"device_id":(\d+)/u.exec(text);
      const known = NUMBERS.find(([pattern]) => pattern.test(description.name));
      if (numbers === null || known === undefined) continue;
      seen++;
      const found = [Number(numbers[1]), Number(numbers[2])];
      if (found[0] !== known[1] || found[1] !== known[2])
        t.fail(`${entry.name} ${description.name}: ${found.join(":")}`);
    }
  }
  if (seen === 0) t.skip("no capture with such a device in this checkout");
  else t.pass(`${seen} devices`);
  t.end();
});
