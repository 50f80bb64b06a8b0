import { arrayOf, bytesOf, struct, u32be, u64be, type Field, type Layout } from "../../bytes/layout.js";
import { latin1 } from "../../bytes/reader.js";
import { fromLatin1 } from "../../bytes/writer.js";

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
  /** The stale bytes after the NUL; undefined where the 256 bytes contain no NUL. */
  idstrRest: Uint8Array | undefined;
  /** All P of them. */
  offsets: bigint[];
}

const NAME = 256;

/** P: the maximum number of pages in a packet. Page size in bytes. */
export function pagesPerPacket(pageSize: number): number {
  return 524_288 / pageSize;
}

/** Size of the head in bytes. */
export function ramPacketLength(pageSize: number): number {
  return 64 + NAME + 8 * pagesPerPacket(pageSize);
}

const FIXED = {
  magic: u32be,
  version: u32be,
  flags: u32be,
  pagesAlloc: u32be,
  normalPages: u32be,
  nextPacketSize: u32be,
  packetNum: u64be,
  zeroPages: u32be,
  unused: arrayOf(u32be, 7),
  name: bytesOf(NAME),
};

const layouts = new Map<number, Layout<typeof FIXED & { offsets: Field<bigint[]> }>>();

/** The head's layout for `pages` offsets. */
export function ramPacketLayout(pages: number): Layout<typeof FIXED & { offsets: Field<bigint[]> }> {
  let layout = layouts.get(pages);
  if (layout === undefined) {
    layout = struct({ ...FIXED, offsets: arrayOf(u64be, pages) });
    layouts.set(pages, layout);
  }
  return layout;
}

/** Decodes the head from its `ramPacketLength(pageSize)` bytes. The channel checks how the fields fit together. */
export function decodeRamPacket(bytes: Uint8Array, pageSize: number): RamPacket {
  const { name, ...fields } = ramPacketLayout(pagesPerPacket(pageSize)).decode(bytes);
  const { idstr, rest } = decodeName(name);
  return { ...fields, idstr, idstrRest: rest };
}

/** Encodes the head. Errors: does-not-fit. */
export function encodeRamPacket(packet: RamPacket): Uint8Array {
  const name = encodeName(packet.idstr, packet.idstrRest);
  return ramPacketLayout(packet.offsets.length).encode({ ...packet, name });
}

const fixed = struct(FIXED);

/**
 * The same for offsets that are numbers, zeros after them: a packet has up to 512, and bigints cost more than the rest.
 * Errors: does-not-fit.
 */
export function encodePlacedPacket(
  { idstr, idstrRest, ...fields }: Omit<RamPacket, "offsets">,
  offsets: readonly number[],
  pageSize: number,
): Uint8Array {
  const head = new Uint8Array(ramPacketLength(pageSize));
  fixed.encode({ ...fields, name: encodeName(idstr, idstrRest) }, head);
  const view = new DataView(head.buffer, fixed.size);
  for (const [k, offset] of offsets.entries()) {
    view.setUint32(8 * k, Math.floor(offset / 0x100000000));
    view.setUint32(8 * k + 4, offset >>> 0);
  }
  return head;
}

/** A name in 256 bytes: the characters, NUL, and the bytes after it. */
export function decodeName(bytes: Uint8Array): { idstr: string; rest: Uint8Array | undefined } {
  const end = bytes.indexOf(0);
  if (end < 0) return { idstr: latin1(bytes), rest: undefined };
  return { idstr: latin1(bytes.subarray(0, end)), rest: Uint8Array.from(bytes.subarray(end + 1)) };
}

/** The inverse of `decodeName`. */
export function encodeName(idstr: string, rest: Uint8Array | undefined): Uint8Array {
  const bytes = new Uint8Array(NAME);
  const name = fromLatin1(idstr, "name in a multifd packet");
  bytes.set(name.subarray(0, NAME));
  if (rest !== undefined) bytes.set(rest.subarray(0, Math.max(0, NAME - name.length - 1)), name.length + 1);
  return bytes;
}
