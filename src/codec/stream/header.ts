import { hex, type QevmError } from "../../bytes/errors.js";
import type { QemuFileReader } from "../../bytes/reader.js";
import type { QemuFileWriter } from "../../bytes/writer.js";
import { memorySize } from "../../bytes/text.js";
import { recognise, RECOGNISED_BY } from "./recognise.js";
import { findStreams, offsetText } from "./search.js";

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

/** First be32 of every stream: "QEVM". */
export const STREAM_MAGIC = 0x5145564d;
/** Version in the header of every stream since QEMU 0.10. */
export const STREAM_VERSION = 3;

/** Errors: truncated, bad-magic, unsupported-version. */
export async function decodeHeader(reader: QemuFileReader): Promise<StreamHeader> {
  const at = reader.offset;
  await reader.need(8, "header");
  if (peekMagic(reader) !== STREAM_MAGIC) throw await notAStream(reader);
  reader.skip(4);
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

function peekMagic(reader: QemuFileReader): number {
  return [0, 1, 2, 3].reduce((word, k) => word * 256 + reader.peek(k), 0);
}

/** Says what the bytes are instead, and where in them streams begin. Reads on in sources that are stored. */
async function notAStream(reader: QemuFileReader): Promise<QevmError> {
  const at = reader.offset;
  const magic = peekMagic(reader);
  const { stored } = reader.source;
  if (stored !== undefined) await reader.fill(RECOGNISED_BY);
  const known = recognise(
    reader.buffer.subarray(reader.position, Math.min(reader.end, reader.position + RECOGNISED_BY)),
  );
  let what = "not a QEMU migration stream";
  if (stored?.what !== undefined) what += `: ${stored.what}`;
  else if (known !== undefined) what += `: ${known.what}; ${known.advice}`;
  if (stored !== undefined && stored.what === undefined && known?.searchable !== false) what += await elsewhere(reader);
  const expected = `${hex(STREAM_MAGIC)} "QEVM"`;
  return reader.error("bad-magic", what, { offset: at, expected, found: hex(magic) });
}

async function elsewhere(reader: QemuFileReader): Promise<string> {
  const { offsets, whole, most } = await findStreams(reader);
  const [first] = offsets;
  if (first === undefined) {
    return `; no stream begins in ${whole ? "it" : `its first ${memorySize(most)}`}`;
  }
  if (offsets.length === 1) return `; a stream begins at byte ${hex(first)}: --stream-offset ${offsetText(first)}`;
  const all = offsets.map((offset) => hex(offset)).join(", ");
  return `; streams begin at bytes ${all}: --stream-offset ${offsetText(first)}, or another of these`;
}

/** The twin of `decodeHeader`: magic and version, 8 bytes. Errors: does-not-fit (a version of more than 32 bits). */
export function encodeHeader(writer: QemuFileWriter, header: StreamHeader): void {
  writer.u32(STREAM_MAGIC);
  writer.u32(header.version);
}
