import type { QemuFileReader } from "../../bytes/reader.js";
import type { QemuFileWriter } from "../../bytes/writer.js";
import type { ChunkPlace, RecordPlace, SectionCodec } from "./codec.js";

/**
 * Section "spapr/htab", version 1: the hash page table of a pseries guest.
 *
 * | place            | kind    | fields                                                                          |
 * |------------------|---------|---------------------------------------------------------------------------------|
 * | START, or first  | table   | be32: log2 of the table's bytes, 0xffffffff without table (radix); ends the chunk |
 * | first otherwise  | begin   | be32 0                                                                          |
 * | after it         | entries | be32 index, be16 valid, be16 invalid, 16 bytes for each valid entry             |
 * | last             | end     | 8 bytes of zeros                                                                |
 *
 * Entries are in the guest's big-endian form. Invalid entries follow the valid ones and have no bytes.
 *
 * Source: QEMU hw/ppc/spapr.c htab_load (5.2 to 11.1).
 */
export type HtabRecord = RecordPlace & { section: "spapr/htab" } &
  /** `shift` undefined: there is no table. */
  (
    | { kind: "table"; shift: number | undefined }
    | { kind: "begin" }
    | { kind: "entries"; index: number; valid: number; invalid: number; entries: Uint8Array }
    | { kind: "end" }
  );

/** Size of one table entry in bytes. */
const ENTRY = 16;
const NO_TABLE = 0xffff_ffff;

async function decode(reader: QemuFileReader, place: ChunkPlace): Promise<HtabRecord> {
  const { offset } = reader;
  if (place.index === 0) {
    await reader.need(4, "hash page table");
    const shift = reader.u32();
    if (shift === 0 && place.type !== "start") return { section: "spapr/htab", offset, kind: "begin" };
    return { section: "spapr/htab", offset, kind: "table", shift: shift === NO_TABLE ? undefined : shift };
  }
  await reader.need(8, "hash page table entries");
  const index = reader.u32();
  const valid = reader.u16();
  const invalid = reader.u16();
  if (index === 0 && valid === 0 && invalid === 0) return { section: "spapr/htab", offset, kind: "end" };
  await reader.need(valid * ENTRY, "hash page table entries");
  const entries = reader.view(valid * ENTRY);
  return { section: "spapr/htab", offset, kind: "entries", index, valid, invalid, entries };
}

/**
 * Writes one record of a "spapr/htab" section: `index`, `valid` and `invalid` count entries of 16 bytes, and `entries`
 * holds the valid ones. Errors: does-not-fit (a number that its field cannot hold).
 */
export function encodeHtabRecord(writer: QemuFileWriter, record: HtabRecord): void {
  switch (record.kind) {
    case "table":
      writer.u32(record.shift ?? NO_TABLE);
      break;
    case "begin":
      writer.u32(0);
      break;
    case "entries":
      writer.u32(record.index);
      writer.u16(record.valid);
      writer.u16(record.invalid);
      writer.bytes(record.entries);
      break;
    case "end":
      writer.u32(0);
      writer.u32(0);
      break;
  }
}

export const htabCodec: SectionCodec<HtabRecord> = {
  decode,
  ends: ({ kind }) => kind === "table" || kind === "end",
};
