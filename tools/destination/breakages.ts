/**
 * Ways to break a small `-machine none` stream. A real QEMU refuses each with a different error text. Positions are
 * found by byte patterns without code of `src`, because the damage must not depend on the code under test.
 */
import { QevmError } from "../../src/bytes/errors.js";

/** One way to break a stream. */
export interface Breakage {
  /** A short, stable name for tables and tests. */
  readonly name: string;
  /** Returns a broken copy of a `-machine none` stream with configuration section and footers. */
  readonly apply: (stream: Buffer) => Buffer;
  /** Capabilities that the destination needs to reach the fault. */
  readonly capabilities?: readonly string[];
}

/** Offset of the first occurrence. Throws `QevmError` (usage) when the stream is not of the expected kind. */
function find(stream: Buffer, bytes: string | Buffer, from = 0): number {
  const at = stream.indexOf(bytes, from, "latin1");
  if (at < 0) throw new QevmError("usage", `no ${String(bytes)} in a stream that should be of -machine none`);
  return at;
}

/** START of the RAM section: type, id, name, instance, version, then the block list. */
const ramStart = (stream: Buffer): number => find(stream, "\u0003ram") - 5;
const blockList = (stream: Buffer): number => ramStart(stream) + 17;
/** The first page record: after the list, its end, the footer, and PART with its id. */
const firstPage = (stream: Buffer): number => find(stream, Buffer.from([0x7e]), blockList(stream)) + 10;
/** FULL of the timer section. */
const timer = (stream: Buffer): number => find(stream, "\u0005timer") - 5;

function change(at: (stream: Buffer) => number, ...bytes: readonly number[]): (stream: Buffer) => Buffer {
  return (stream) => {
    const out = Buffer.from(stream);
    out.set(bytes, at(stream));
    return out;
  };
}

function insert(at: (stream: Buffer) => number, bytes: Buffer): (stream: Buffer) => Buffer {
  return (stream) => Buffer.concat([stream.subarray(0, at(stream)), bytes, stream.subarray(at(stream))]);
}

function cut(at: (stream: Buffer) => number): (stream: Buffer) => Buffer {
  return (stream) => Buffer.from(stream.subarray(0, at(stream)));
}

const command = (kind: number, ...body: readonly number[]): Buffer =>
  Buffer.from([0x08, 0x00, kind, body.length >> 8, body.length & 0xff, ...body]);

/** A be64 of a number that fits 32 bits. */
const quad = (value: number): number[] => [
  0,
  0,
  0,
  0,
  value >>> 24,
  (value >> 16) & 255,
  (value >> 8) & 255,
  value & 255,
];

/** Every breakage, in the order of the stream. */
export const breakages: readonly Breakage[] = [
  { name: "magic", apply: change(() => 0, 0x51, 0x46) },
  { name: "version 2", apply: change(() => 7, 2) },
  { name: "version 4", apply: change(() => 7, 4) },
  { name: "nothing after the header", apply: cut(() => 8) },
  { name: "machine", apply: change(() => 13, 0x4e) },
  { name: "unknown section type", apply: change(ramStart, 0x55) },
  { name: "unknown section name", apply: change((stream) => ramStart(stream) + 6, 0x78) },
  { name: "unknown section instance", apply: change((stream) => ramStart(stream) + 12, 9) },
  { name: "section version too new", apply: change((stream) => ramStart(stream) + 16, 9) },
  { name: "section version too old", apply: change((stream) => ramStart(stream) + 16, 3) },
  { name: "unknown block", apply: change((stream) => blockList(stream) + 9, 0x78) },
  { name: "block length", apply: changeLength },
  { name: "footer of another section", apply: change((stream) => firstPage(stream) - 6, 0x77) },
  { name: "no footer", apply: change((stream) => firstPage(stream) - 10, 0x7f) },
  { name: "unknown section id", apply: change((stream) => firstPage(stream) - 1, 0x77) },
  { name: "page of unknown block", apply: change((stream) => firstPage(stream) + 9, 0x78) },
  { name: "page outside its block", apply: change((stream) => firstPage(stream) + 2, 0x77) },
  { name: "page of no block", apply: change((stream) => firstPage(stream) + 7, 0x22) },
  { name: "unknown page flags", apply: change((stream) => firstPage(stream) + 6, 0x04) },
  { name: "page flags together", apply: change((stream) => firstPage(stream) + 7, 0x0a) },
  { name: "compressed page", apply: change((stream) => firstPage(stream) + 6, 0x01, 0x00) },
  { name: "compressed page of wrong length", apply: longCompressed, capabilities: ["compress"] },
  { name: "xbzrle page with wrong header", apply: change((stream) => firstPage(stream) + 7, 0x40) },
  { name: "fill byte other than zero", apply: change((stream) => firstPage(stream) + 12, 0x41) },
  { name: "device version too new", apply: change((stream) => timer(stream) + 18, 9) },
  { name: "device shorter than its fields", apply: shorterDevice },
  {
    name: "unknown subsection",
    apply: insert((stream) => timer(stream) + 43, Buffer.from("\u0005\u0007timer/x\0\0\0\u0001", "latin1")),
  },
  { name: "device twice", apply: twice },
  { name: "command without number", apply: insert(ramStart, command(0)) },
  { name: "unknown command", apply: insert(ramStart, command(0x7f)) },
  { name: "command of wrong length", apply: insert(ramStart, command(2, 1, 2)) },
  {
    name: "page sizes of postcopy",
    apply: insert(ramStart, command(3, ...quad(0x2000), ...quad(4096))),
    capabilities: ["postcopy-ram"],
  },
  {
    name: "target page size of postcopy",
    apply: insert(ramStart, command(3, ...quad(4096), ...quad(8192))),
    capabilities: ["postcopy-ram"],
  },
  { name: "postcopy without its capability", apply: insert(ramStart, command(3, ...quad(4096), ...quad(4096))) },
  { name: "ends inside a page record", apply: cut((stream) => firstPage(stream) + 5) },
  { name: "ends inside a device", apply: cut((stream) => timer(stream) + 25) },
  { name: "ends before EOF", apply: cut((stream) => stream.lastIndexOf(Buffer.from([0x7e, 0, 0, 0])) + 5) },
];

/** Halves the block's length consistently. */
function changeLength(stream: Buffer): Buffer {
  const out = Buffer.from(stream);
  const at = blockList(stream);
  const length = out.readBigUInt64BE(at + 12) / 2n;
  out.writeBigUInt64BE(length | 4n, at);
  out.writeBigUInt64BE(length, at + 12);
  return out;
}

/** The first page as COMPRESS_PAGE with a length above deflate's maximum for a page. */
function longCompressed(stream: Buffer): Buffer {
  const at = firstPage(stream);
  const record = Buffer.concat([
    Buffer.from([...quad(0x100)]),
    stream.subarray(at + 8, at + 12),
    Buffer.from([0, 0, 0x40, 0]),
  ]);
  return Buffer.concat([stream.subarray(0, at), record, Buffer.alloc(0x4000), stream.subarray(at + 13)]);
}

/** One byte less before the footer of the timer section. */
function shorterDevice(stream: Buffer): Buffer {
  const at = timer(stream) + 30;
  return Buffer.concat([stream.subarray(0, at), stream.subarray(at + 1)]);
}

/** A second copy of the timer section. It is accepted, since a FULL section only has to name a known device. */
function twice(stream: Buffer): Buffer {
  const at = timer(stream);
  const section = stream.subarray(at, at + 48);
  return Buffer.concat([stream.subarray(0, at), section, stream.subarray(at)]);
}
