import { hex } from "../errors.js";
import type { QemuFileReader } from "../qemu-file/reader.js";
import type { QemuFileWriter } from "../qemu-file/writer.js";

/**
 * The file header.
 *
 * | offset | size | field   | value                                                        |
 * |--------|------|---------|--------------------------------------------------------------|
 * | 0      | be32 | magic   | 0x5145564d, ASCII "QEVM"                                     |
 * | 4      | be32 | version | 3; 2 is the format of before 2009, which every loader refuses |
 *
 * Source: QEMU migration/savevm.c, migration/savevm.h (5.2 to 11.1).
 */
export interface StreamHeader {
  version: number;
}

export const STREAM_MAGIC = 0x5145564d;
/** What cpr-transfer (10.0) sends on a connection of its own. Source: QEMU migration/cpr.c. */
const CPR_MAGIC = 0x51435052;
export const STREAM_VERSION = 3;

/** Errors: truncated, bad-magic, unsupported-version. */
export async function decodeHeader(reader: QemuFileReader): Promise<StreamHeader> {
  const at = reader.offset;
  await reader.need(8, "header");
  const magic = reader.u32();
  if (magic !== STREAM_MAGIC) {
    throw reader.error("bad-magic", "not a QEMU migration stream", {
      offset: at,
      expected: `${hex(STREAM_MAGIC)} "QEVM"`,
      found: magic === CPR_MAGIC ? `${hex(magic)} "QCPR": CPR state, files that are handed over` : hex(magic),
    });
  }
  const version = reader.u32();
  if (version !== STREAM_VERSION) {
    throw reader.error("unsupported-version", "stream version", {
      offset: at + 4,
      expected: `${STREAM_VERSION}`,
      found: `${version}`,
    });
  }
  return { version };
}

/** The twin of `decodeHeader`: magic and version, 8 bytes. Errors: does-not-fit (a version of more than 32 bits). */
export function encodeHeader(writer: QemuFileWriter, header: StreamHeader): void {
  writer.u32(STREAM_MAGIC);
  writer.u32(header.version);
}
