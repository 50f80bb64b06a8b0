import { Parser } from "binary-parser";
import { latin1 } from "../qemu-file/reader.js";
import { fromLatin1 } from "../qemu-file/writer.js";

/**
 * The head of a packet of pages: `320 + 8 * P` bytes, P = 524288 / page size, always whole. Big-endian:
 *
 * | offset | size  | field                                                                             |
 * | ------ | ----- | --------------------------------------------------------------------------------- |
 * | 0      | be32  | magic `0x11223344`                                                                |
 * | 4      | be32  | version 1                                                                         |
 * | 8      | be32  | flags, see `MultifdFlag`                                                          |
 * | 12     | be32  | pages_alloc: P; 0 in SYNC packets from 9.2 on                                     |
 * | 16     | be32  | normal_pages (until 6.x: pages_used): pages in the payload                        |
 * | 20     | be32  | next_packet_size: bytes of payload; stale where normal_pages is 0 (until 9.1)     |
 * | 24     | be64  | packet_num: one count over all channels                                           |
 * | 32     | be32  | zero_pages (9.0; before: 0)                                                       |
 * | 36     | 28    | zero                                                                              |
 * | 64     | 256   | name of the RAM block, NUL, stale bytes                                           |
 * | 320    | 8 * P | be64 offsets: those of the payload's pages, those of zero pages, stale ones       |
 *
 * The payload follows where normal_pages is not 0. Stale: until 9.1 QEMU does not clear the packet between uses.
 *
 * Source: QEMU migration/multifd.c (4.0 in migration/ram.c) MultiFDPacket_t, 4.0 to 11.1.
 */
export interface RamPacket {
  magic: number;
  version: number;
  flags: number;
  pagesAlloc: number;
  normalPages: number;
  nextPacketSize: number;
  packetNum: bigint;
  zeroPages: number;
  unused: number[];
  /** Up to its NUL, one character a byte. */
  idstr: string;
  /** What stands behind the NUL: stale; undefined where the 256 bytes hold no NUL. */
  idstrRest: Uint8Array | undefined;
  /** All P of them. */
  offsets: bigint[];
}

const NAME = 256;

/** P: pages that a packet has room for, at most. Page size in bytes. */
export function pagesPerPacket(pageSize: number): number {
  return 524_288 / pageSize;
}

/** Bytes of the head. */
export function ramPacketLength(pageSize: number): number {
  return 64 + NAME + 8 * pagesPerPacket(pageSize);
}

type Fields = Omit<RamPacket, "idstr" | "idstrRest"> & { name: Uint8Array };

const layouts = new Map<number, Parser>();

function layout(pages: number): Parser {
  let parser = layouts.get(pages);
  if (parser === undefined) {
    parser = new Parser()
      .endianness("big")
      .uint32("magic")
      .uint32("version")
      .uint32("flags")
      .uint32("pagesAlloc")
      .uint32("normalPages")
      .uint32("nextPacketSize")
      .uint64("packetNum")
      .uint32("zeroPages")
      .array("unused", { type: "uint32be", length: 7 })
      .buffer("name", { length: NAME })
      .array("offsets", { type: "uint64be", length: pages });
    layouts.set(pages, parser);
  }
  return parser;
}

/** Decodes the head; `bytes` are its `ramPacketLength(pageSize)`. What the fields mean together is checked by the channel. */
export function decodeRamPacket(bytes: Uint8Array, pageSize: number): RamPacket {
  const { name, ...fields } = layout(pagesPerPacket(pageSize)).parse<Fields>(bytes);
  const { idstr, rest } = decodeName(name);
  return { ...fields, idstr, idstrRest: rest };
}

/** Encodes the head. Errors: does-not-fit. */
export function encodeRamPacket(packet: RamPacket): Uint8Array {
  const bytes = new Uint8Array(64 + NAME + 8 * packet.offsets.length);
  const view = new DataView(bytes.buffer);
  const { magic, version, flags, pagesAlloc, normalPages, nextPacketSize } = packet;
  [magic, version, flags, pagesAlloc, normalPages, nextPacketSize].forEach((value, k) => view.setUint32(4 * k, value));
  view.setBigUint64(24, packet.packetNum);
  [packet.zeroPages, ...packet.unused].forEach((value, k) => view.setUint32(32 + 4 * k, value));
  encodeName(bytes.subarray(64, 64 + NAME), packet.idstr, packet.idstrRest);
  packet.offsets.forEach((offset, k) => view.setBigUint64(64 + NAME + 8 * k, offset));
  return bytes;
}

/** A name in 256 bytes: the characters, NUL, and what is left over behind it. */
export function decodeName(bytes: Uint8Array): { idstr: string; rest: Uint8Array | undefined } {
  const end = bytes.indexOf(0);
  if (end < 0) return { idstr: latin1(bytes), rest: undefined };
  return { idstr: latin1(bytes.subarray(0, end)), rest: Uint8Array.from(bytes.subarray(end + 1)) };
}

/** The twin of `decodeName`. */
export function encodeName(into: Uint8Array, idstr: string, rest: Uint8Array | undefined): void {
  const name = fromLatin1(idstr, "name in a multifd packet");
  into.set(name.subarray(0, into.length));
  if (rest !== undefined) into.set(rest.subarray(0, Math.max(0, into.length - name.length - 1)), name.length + 1);
}
