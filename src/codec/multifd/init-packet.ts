import { hex, QevmError } from "../../bytes/errors.js";
import { bytesOf, struct, u8, u32be } from "../../bytes/layout.js";

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
 * Source: QEMU migration/multifd.c (4.0 in migration/ram.c) MultiFDInit_t, 4.0 to 11.1. The experimental `x-multifd` of
 * 2.11 to 3.1 wrote 25 bytes. Nothing distinguishes the two forms, and the old one is not supported.
 */
export interface InitPacket {
  magic: number;
  version: number;
  uuid: Uint8Array;
  channel: number;
  unused: Uint8Array;
}

export const INIT_LAYOUT = struct({
  magic: u32be,
  version: u32be,
  uuid: bytesOf(16),
  channel: u8,
  unused: bytesOf(39),
});

/** Bytes of the packet that a channel begins with. */
export const INIT_LENGTH = INIT_LAYOUT.size;
/** First be32 of every multifd packet (QEMU migration/multifd.h, 4.0 to 11.1). */
export const MULTIFD_MAGIC = 0x11223344;
/** Version in every multifd packet. */
export const MULTIFD_VERSION = 1;

/** Decodes the packet from its 64 bytes. `offset` is for errors. Errors: bad-magic, unsupported-version. */
export function decodeInitPacket(bytes: Uint8Array, offset: number, path: readonly string[]): InitPacket {
  const init = INIT_LAYOUT.decode(bytes);
  checkMagic(init, offset, path);
  return init;
}

/** Encodes the packet. */
export function encodeInitPacket(init: InitPacket): Uint8Array {
  return INIT_LAYOUT.encode(init);
}

/** Checks magic and version, which begin every packet. */
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

/** Whether the bytes begin like a multifd channel. */
export function isMultifdChannel(head: Uint8Array): boolean {
  return head[0] === 0x11 && head[1] === 0x22 && head[2] === 0x33 && head[3] === 0x44;
}
