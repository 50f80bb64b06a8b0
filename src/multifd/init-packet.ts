import { Parser } from "binary-parser";
import { hex, QevmError } from "../errors.js";

/**
 * The first 64 bytes of every multifd channel, all integers big-endian:
 *
 * | offset | size | field                                                 |
 * | ------ | ---- | ----------------------------------------------------- |
 * | 0      | be32 | magic `0x11223344`                                    |
 * | 4      | be32 | version 1                                             |
 * | 8      | 16   | UUID of the VM, zeros where it has none               |
 * | 24     | u8   | channel id, from 0                                    |
 * | 25     | 39   | zero                                                  |
 *
 * Source: QEMU migration/multifd.c (4.0 in migration/ram.c) MultiFDInit_t, 4.0 to 11.1. The experimental `x-multifd` of 2.11 to 3.1
 * wrote 25 bytes; nothing tells them apart and they are not read here.
 */
export interface InitPacket {
  magic: number;
  version: number;
  uuid: Uint8Array;
  channel: number;
  unused: Uint8Array;
}

export const INIT_LENGTH = 64;
export const MULTIFD_MAGIC = 0x11223344;
export const MULTIFD_VERSION = 1;

const layout = new Parser()
  .endianness("big")
  .uint32("magic")
  .uint32("version")
  .buffer("uuid", { length: 16 })
  .uint8("channel")
  .buffer("unused", { length: 39 });

/** Decodes the packet at `offset`; `bytes` are its 64. Errors: bad-magic, unsupported-version. */
export function decodeInitPacket(bytes: Uint8Array, offset: number, path: readonly string[]): InitPacket {
  const { uuid, unused, ...fields } = layout.parse<InitPacket>(bytes);
  checkMagic(fields, offset, path);
  return { ...fields, uuid: Uint8Array.from(uuid), unused: Uint8Array.from(unused) };
}

/** Encodes the packet. */
export function encodeInitPacket(init: InitPacket): Uint8Array {
  const bytes = new Uint8Array(INIT_LENGTH);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, init.magic);
  view.setUint32(4, init.version);
  bytes.set(init.uuid.subarray(0, 16), 8);
  bytes[24] = init.channel;
  bytes.set(init.unused.subarray(0, 39), 25);
  return bytes;
}

/** Magic and version stand at the head of every packet. */
export function checkMagic(
  { magic, version }: { magic: number; version: number },
  offset: number,
  path: readonly string[],
): void {
  if (magic !== MULTIFD_MAGIC) {
    throw new QevmError("bad-magic", "no multifd packet", {
      offset,
      path,
      expected: hex(MULTIFD_MAGIC),
      found: hex(magic),
    });
  }
  if (version !== MULTIFD_VERSION) {
    const place = { offset: offset + 4, path, expected: `${MULTIFD_VERSION}`, found: `${version}` };
    throw new QevmError("unsupported-version", "version of a multifd packet", place);
  }
}

/** Whether bytes begin as a multifd channel does. */
export function isMultifdChannel(head: Uint8Array): boolean {
  return head[0] === 0x11 && head[1] === 0x22 && head[2] === 0x33 && head[3] === 0x44;
}
