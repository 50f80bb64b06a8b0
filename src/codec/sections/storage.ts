import { hex } from "../../bytes/errors.js";
import type { QemuFileReader } from "../../bytes/reader.js";
import type { QemuFileWriter } from "../../bytes/writer.js";
import type { ChunkPlace, RecordPlace, SectionCodec } from "./codec.js";

/**
 * s390 data per page: "s390-storage_attributes" (version 0, iterative) and "s390-skeys" (version 1, one FULL section).
 *
 * A record is a be64 whose low 12 bits are one flag:
 *
 * | flag | kind   | upper bits        | body                                      |
 * |------|--------|-------------------|-------------------------------------------|
 * | 0x02 | values | address of a page | be64 count, then a byte for each page on  |
 * | 0x04 | error  | 0                 | none; the loader fails                    |
 * | 0x08 | done   | 0                 | none (attributes alone)                   |
 * | 0x01 | end    | 0                 | none; ends the chunk                      |
 *
 * Source: QEMU hw/s390x/s390-stattrib.c cmma_load, hw/s390x/s390-skeys.c s390_storage_keys_load (5.2 to 11.1).
 */
export type StorageRecord = RecordPlace & { section: "s390-storage" } & (
    | { kind: "values"; address: bigint; values: Uint8Array }
    /** QEMU writes 0 as `address`. */
    | { kind: "error" | "done" | "end"; address: bigint }
  );

const KINDS = new Map<bigint, StorageRecord["kind"]>([
  [1n, "end"],
  [2n, "values"],
  [4n, "error"],
  [8n, "done"],
]);
const FLAGS = { end: 1n, values: 2n, error: 4n, done: 8n } as const;
const LOW = 0xfffn;

async function decode(reader: QemuFileReader, place: ChunkPlace): Promise<StorageRecord> {
  const { offset } = reader;
  await reader.need(8, "storage attributes or keys");
  const value = reader.u64();
  const address = value & ~LOW;
  const kind = KINDS.get(value & LOW);
  if (kind === undefined) {
    throw reader.error("unknown-type", "unknown flag of storage attributes", { offset, found: hex(value & LOW) });
  }
  if (kind !== "values") return { section: "s390-storage", offset, kind, address };
  await reader.need(8, "count of storage attributes");
  const at = reader.offset;
  const count = reader.u64();
  if (count > BigInt(place.maxBytes)) {
    const where = { offset: at, expected: `at most ${place.maxBytes}`, found: String(count) };
    throw reader.error("limit", "storage attributes", where);
  }
  await reader.needLarge(Number(count), "storage attributes");
  return { section: "s390-storage", offset, kind, address, values: reader.view(Number(count)) };
}

/**
 * Writes one record of an s390 storage section: the flag with the guest address in bytes, then the count and the values
 * if any. Errors: does-not-fit (more than 64 bits).
 */
export function encodeStorageRecord(writer: QemuFileWriter, record: StorageRecord): void {
  writer.u64(record.address | FLAGS[record.kind]);
  if (record.kind !== "values") return;
  writer.length64(record.values.length);
  writer.bytes(record.values);
}

export const storageCodec: SectionCodec<StorageRecord> = {
  decode,
  ends: ({ kind }) => kind === "end",
};
