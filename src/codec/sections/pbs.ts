import type { QemuFileReader } from "../../bytes/reader.js";
import type { QemuFileWriter } from "../../bytes/writer.js";
import type { ChunkPlace, RecordPlace, SectionCodec } from "./codec.js";

/**
 * Section "pbs-state", version 1: the state of a running backup job of Proxmox VE's backup library (dirty bitmaps). It
 * is one START section between the block list and the pages, without PART or END.
 *
 * | bytes | field  |                                    |
 * |-------|--------|------------------------------------|
 * | be64  | length | bytes of data                      |
 * |       | data   | opaque to QEMU: the library's own  |
 *
 * Source: Proxmox VE's patch of QEMU, migration/pbs-state.c pbs_state_load (5.1 to 11.0).
 */
export type PbsRecord = RecordPlace & { section: "pbs-state"; kind: "data"; data: Uint8Array };

async function decode(reader: QemuFileReader, place: ChunkPlace): Promise<PbsRecord> {
  const { offset } = reader;
  await reader.need(8, "length of the backup state");
  const length = reader.u64();
  if (length > BigInt(place.maxBytes)) {
    const where = { offset, expected: `at most ${place.maxBytes} bytes`, found: String(length) };
    throw reader.error("limit", "backup state", where);
  }
  await reader.needLarge(Number(length), "backup state");
  return { section: "pbs-state", offset, kind: "data", data: reader.view(Number(length)) };
}

/** Writes the record of a "pbs-state" section: the length in bytes, then the data. Accepts any data. */
export function encodePbsRecord(writer: QemuFileWriter, record: PbsRecord): void {
  writer.length64(record.data.length);
  writer.bytes(record.data);
}

export const pbsCodec: SectionCodec<PbsRecord> = { decode, ends: () => true };
