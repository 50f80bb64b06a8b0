/** Checks every fixed layout against binary-parser with a separate description, on captured and random bytes. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Parser } from "binary-parser";
import test from "tape";
import { LIBVIRT_LAYOUTS } from "../src/io/container/libvirt/header.js";
import { VERSION_2_LAYOUT, VERSION_3_LAYOUT } from "../src/io/container/qcow2/header.js";
import { SNAPSHOT_LAYOUT } from "../src/io/container/qcow2/snapshots.js";
import { DEVICE_PACKET_LAYOUT } from "../src/codec/multifd/device-packet.js";
import { INIT_LAYOUT } from "../src/codec/multifd/init-packet.js";
import { ramPacketLayout } from "../src/codec/multifd/ram-packet.js";
import { arrayOf, bytesOf, struct, u16be, u32le, u8 } from "../src/bytes/layout.js";
import { projectRoot } from "../tools/corpus.js";
import { recordingNamed } from "../tools/recording/corpus.js";
import { image } from "./support/container-bytes.js";

type Plain = Record<string, unknown>;

interface Held {
  name: string;
  layout: { size: number; decode(bytes: Uint8Array, at?: number): Plain; encode(values: never): Uint8Array };
  parser: () => Parser;
  size: number;
  /** Bytes written by QEMU or libvirt. */
  captured?: () => Uint8Array;
}

const big = (): Parser => new Parser().endianness("big");

const words = (parser: Parser, names: string): Parser =>
  names.split(" ").reduce((all, name) => all.uint32(name), parser);

function libvirtParser(order: "little" | "big"): Parser {
  const magic = new Parser().endianness(order).buffer("magic", { length: 16 });
  return words(magic, "version dataLength wasRunning format cookieOffset").array("unused", {
    type: order === "little" ? "uint32le" : "uint32be",
    length: 14,
  });
}

function ramPacketParser(pages: number): Parser {
  return words(big(), "magic version flags pagesAlloc normalPages nextPacketSize")
    .uint64("packetNum")
    .uint32("zeroPages")
    .array("unused", { type: "uint32be", length: 7 })
    .buffer("name", { length: 256 })
    .array("offsets", { type: "uint64be", length: pages });
}

/** The first channel of a recording of QEMU 7.2. */
function channel(): Uint8Array {
  const recording = recordingNamed("recording-7.2-none");
  return recording.open(recording.files.find((file) => file.startsWith("multifd-")) ?? "");
}

const qcow2 = (): Uint8Array => readFileSync(join(projectRoot(), "corpus", "field", "savevm-mapped-ram.bin"));

const HELD: readonly Held[] = [
  {
    name: "multifd: first packet",
    layout: INIT_LAYOUT,
    size: 64,
    parser: () =>
      words(big(), "magic version").buffer("uuid", { length: 16 }).uint8("channel").buffer("unused", { length: 39 }),
    captured: channel,
  },
  {
    name: "multifd: packet of pages",
    layout: ramPacketLayout(128),
    size: 1344,
    parser: () => ramPacketParser(128),
    captured: () => channel().subarray(64),
  },
  { name: "multifd: packet of 8 pages", layout: ramPacketLayout(8), size: 384, parser: () => ramPacketParser(8) },
  {
    name: "multifd: packet of device state",
    layout: DEVICE_PACKET_LAYOUT,
    size: 276,
    parser: () => {
      const named = words(big(), "magic version flags").buffer("name", { length: 256 });
      return words(named, "instanceId nextPacketSize");
    },
  },
  {
    name: "libvirt, little-endian",
    layout: LIBVIRT_LAYOUTS.little,
    size: 92,
    parser: () => libvirtParser("little"),
    captured: () => image("raw"),
  },
  { name: "libvirt, big-endian", layout: LIBVIRT_LAYOUTS.big, size: 92, parser: () => libvirtParser("big") },
  {
    name: "qcow2, version 2",
    layout: VERSION_2_LAYOUT,
    size: 72,
    parser: () => {
      const backing = words(words(big(), "magic version").uint64("backingFileOffset"), "backingFileSize clusterBits");
      const tables = words(backing.uint64("size"), "encryption l1Size").uint64("l1TableOffset");
      const counts = words(tables.uint64("refcountTableOffset"), "refcountTableClusters snapshots");
      return counts.uint64("snapshotsOffset");
    },
    captured: qcow2,
  },
  {
    name: "qcow2, version 3",
    layout: VERSION_3_LAYOUT,
    size: 32,
    parser: () => {
      const features = big().uint64("incompatibleFeatures").uint64("compatibleFeatures").uint64("autoclearFeatures");
      return words(features, "refcountOrder headerLength");
    },
    captured: () => qcow2().subarray(72),
  },
  {
    name: "qcow2: snapshot",
    layout: SNAPSHOT_LAYOUT,
    size: 40,
    parser: () => {
      const lengths = words(big().uint64("l1TableOffset"), "l1Size").uint16("idLength").uint16("nameLength");
      const dates = words(lengths, "dateSeconds dateNanoseconds").uint64("clockNanoseconds");
      return words(dates, "vmStateSize32 extraLength");
    },
    captured: () => {
      const bytes = qcow2();
      const view = new DataView(bytes.buffer, bytes.byteOffset);
      return bytes.subarray(Number(view.getBigUint64(64)));
    },
  },
];

/** Typed arrays and buffers as plain arrays, so that only their bytes are compared. */
function plain(values: Plain): Plain {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, value instanceof Uint8Array ? [...value] : value]),
  );
}

/** Bytes by a seed. */
function random(length: number, seed: number): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 24;
  });
}

for (const { name, layout, parser, size, captured } of HELD) {
  test(`two readers of one layout: ${name}`, (t) => {
    t.equal(layout.size, size, "size");
    const second = parser();
    const samples = Array.from({ length: 20 }, (_, k) => random(size, k + 1));
    samples.push(new Uint8Array(size), new Uint8Array(size).fill(0xff));
    if (captured !== undefined) samples.push(captured().slice(0, size));
    for (const [k, bytes] of samples.entries()) {
      const values = layout.decode(bytes);
      t.deepEqual(plain(values), plain(second.parse<Plain>(bytes)), `sample ${k}`);
      t.deepEqual([...layout.encode(values as never)], [...bytes], `sample ${k} encoded again`);
    }
    t.end();
  });
}

test("a layout at an offset, of values that do not fill their fields", (t) => {
  const layout = struct({ a: u8, b: u16be, c: bytesOf(3), d: arrayOf(u32le, 2) });
  t.equal(layout.size, 14);
  const into = new Uint8Array(20);
  layout.encode({ a: 1, b: 0x0203, c: Uint8Array.of(4), d: [0x08070605] }, into, 2);
  t.deepEqual([...into], [0, 0, 1, 2, 3, 4, 0, 0, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
  const { c, ...rest } = layout.decode(into, 2);
  t.deepEqual(rest, { a: 1, b: 0x0203, d: [0x08070605, 0] });
  into.fill(0xff);
  t.deepEqual([...c], [4, 0, 0], "bytes are copies");
  t.throws(() => layout.decode(into, 7), RangeError);
  t.end();
});
