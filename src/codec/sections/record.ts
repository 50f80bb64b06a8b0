import type { QemuFileReader } from "../../bytes/reader.js";
import type { QemuFileWriter } from "../../bytes/writer.js";
import { blockCodec, encodeBlockRecord, type BlockRecord } from "./block.js";
import type { ChunkPlace, SectionCodec } from "./codec.js";
import { bitmapCodec, encodeBitmapRecord, type BitmapRecord } from "./dirty-bitmap.js";
import { encodeHtabRecord, htabCodec, type HtabRecord } from "./htab.js";
import { encodePbsRecord, pbsCodec, type PbsRecord } from "./pbs.js";
import { encodeStorageRecord, storageCodec, type StorageRecord } from "./storage.js";
import { encodeVfioRecord, vfioCodec, type VfioRecord } from "./vfio.js";

/**
 * One record of a section that is neither "ram" nor described by the VMDESCRIPTION. `section` names the codec, `kind`
 * the record.
 */
export type SectionRecord = BlockRecord | BitmapRecord | HtabRecord | StorageRecord | VfioRecord | PbsRecord;

/** Decodes the records of one chunk, with the section's codec bound. */
export type ChunkDecoder = (reader: QemuFileReader, maxBytes: number) => AsyncGenerator<SectionRecord>;

/**
 * The decoder for a section's chunks; undefined where there is no codec. FULL sections have a codec only where they
 * need no VMDESCRIPTION.
 */
export function chunkDecoder(idstr: string, type: ChunkPlace["type"]): ChunkDecoder | undefined {
  if (type === "full") return idstr === "s390-skeys" ? chunk(storageCodec, type) : undefined;
  switch (idstr) {
    case "block":
      return chunk(blockCodec, type);
    case "dirty-bitmap":
      return chunk(bitmapCodec, type);
    case "spapr/htab":
      return chunk(htabCodec, type);
    case "s390-storage_attributes":
      return chunk(storageCodec, type);
    case "pbs-state":
      return chunk(pbsCodec, type);
    default:
      return idstr === "vfio" || idstr.endsWith("/vfio") ? chunk(vfioCodec, type) : undefined;
  }
}

function chunk<R extends SectionRecord>(codec: SectionCodec<R>, type: ChunkPlace["type"]): ChunkDecoder {
  return async function* records(reader, maxBytes) {
    for (let index = 0; ; index++) {
      reader.path.push(`record ${index}`);
      const record = await codec.decode(reader, { type, index, maxBytes });
      reader.path.pop();
      // Evaluated before the consumer can change the record.
      const last = codec.ends(record);
      yield record;
      if (last) return;
    }
  };
}

/** Writes one record from its fields. Errors: does-not-fit. */
export function encodeSectionRecord(writer: QemuFileWriter, record: SectionRecord): void {
  switch (record.section) {
    case "block":
      encodeBlockRecord(writer, record);
      break;
    case "dirty-bitmap":
      encodeBitmapRecord(writer, record);
      break;
    case "spapr/htab":
      encodeHtabRecord(writer, record);
      break;
    case "s390-storage":
      encodeStorageRecord(writer, record);
      break;
    case "vfio":
      encodeVfioRecord(writer, record);
      break;
    case "pbs-state":
      encodePbsRecord(writer, record);
      break;
  }
}

/** A copy of the record that does not depend on the reader's buffer. */
export function ownRecord(record: SectionRecord): SectionRecord {
  if (record.section === "spapr/htab" && record.kind === "entries") {
    return { ...record, entries: record.entries.slice() };
  }
  if (record.section === "s390-storage" && record.kind === "values") {
    return { ...record, values: record.values.slice() };
  }
  if (record.section === "dirty-bitmap" && record.kind === "bits") return { ...record, bits: record.bits?.slice() };
  const { section } = record;
  if ((section === "block" || section === "vfio" || section === "pbs-state") && record.kind === "data") {
    return { ...record, data: record.data.slice() };
  }
  return record;
}

/** Number of bytes in a record that only its device or library can interpret. */
export function privateBytes(record: SectionRecord): number {
  const own = record.section === "vfio" || record.section === "pbs-state";
  return own && record.kind === "data" ? record.data.length : 0;
}
