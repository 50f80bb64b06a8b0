import type { QemuFileReader } from "../../bytes/reader.js";
import type { QemuFileWriter } from "../../bytes/writer.js";
import { blockCodec, encodeBlockRecord, type BlockRecord } from "./block.js";
import type { ChunkPlace, SectionCodec } from "./codec.js";
import { bitmapCodec, encodeBitmapRecord, type BitmapRecord } from "./dirty-bitmap.js";
import { encodeHtabRecord, htabCodec, type HtabRecord } from "./htab.js";
import { encodePbsRecord, pbsCodec, type PbsRecord } from "./pbs.js";
import { encodeStorageRecord, storageCodec, type StorageRecord } from "./storage.js";
import { encodeVfioRecord, vfioCodec, type VfioRecord } from "./vfio.js";

/** One record of a section that is neither "ram" nor described by the VMDESCRIPTION. `section` says whose it is, `kind` what. */
export type SectionRecord = BlockRecord | BitmapRecord | HtabRecord | StorageRecord | VfioRecord | PbsRecord;

/** The records of one chunk, with their codec bound. */
export type ChunkDecoder = (reader: QemuFileReader, maxBytes: number) => AsyncGenerator<SectionRecord>;

/**
 * What reads the chunks of a section; undefined: nothing here knows it. FULL sections have a codec of their own where no
 * VMDESCRIPTION is needed for them.
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
      // Asked before the consumer has it.
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

/** The record with bytes of its own: the reader's buffer may move on. */
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

/** Bytes of a record that only the device or library they belong to can read. */
export function privateBytes(record: SectionRecord): number {
  const own = record.section === "vfio" || record.section === "pbs-state";
  return own && record.kind === "data" ? record.data.length : 0;
}
