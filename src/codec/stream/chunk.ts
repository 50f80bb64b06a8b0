import type { QemuFileReader } from "../../bytes/reader.js";
import { latin1 } from "../../bytes/reader.js";
import { chunkDecoder, ownRecord, type ChunkDecoder, type SectionRecord } from "../sections/index.js";
import type { StreamLimits } from "./limits.js";

/** The reader of the FULL section whose header comes next, if it needs no VMDESCRIPTION. */
export async function fullDecoder(reader: QemuFileReader): Promise<ChunkDecoder | undefined> {
  await reader.need(6, "section header");
  const length = reader.peek(5);
  await reader.need(6 + length, "section header");
  const at = reader.position + 6;
  return chunkDecoder(latin1(reader.buffer.subarray(at, at + length)), "full");
}

/**
 * The records of a FULL section, read at once, so that they can be held back (as the content of a package is) and read
 * again.
 * Errors: as the decoder; limit.
 */
export async function wholeChunk(
  decoder: ChunkDecoder,
  reader: QemuFileReader,
  limits: StreamLimits,
): Promise<() => AsyncGenerator<SectionRecord>> {
  const start = reader.offset;
  const records: SectionRecord[] = [];
  for await (const record of decoder(reader, limits.sectionRecordBytes)) {
    records.push(ownRecord(record));
    if (reader.offset - start > limits.deviceBytes) {
      throw reader.error("limit", "the section", { offset: start, expected: `at most ${limits.deviceBytes} bytes` });
    }
  }
  return async function* entries() {
    yield* records;
  };
}
