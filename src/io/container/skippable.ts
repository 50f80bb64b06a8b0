import type { QemuFileReader } from "../../bytes/reader.js";
import { littleU32 } from "./little.js";

/** Bytes of a skippable frame before its content: magic and length. */
const HEADER = 8;

/** Whether this little-endian u32 is the magic of a skippable frame (zstd and lz4). */
export function isSkippable(magic: number): boolean {
  return (magic & 0xfffffff0) >>> 0 === 0x184d2a50;
}

/** Passes over the skippable frame that begins here. Errors: truncated. */
export async function skipFrame(reader: QemuFileReader, what: string): Promise<void> {
  await reader.need(HEADER, what);
  await reader.discard(littleU32(reader.view(HEADER), 4), what);
}
