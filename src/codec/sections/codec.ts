import type { QemuFileReader } from "../../bytes/reader.js";

/** Common fields of every record: its section's codec, its kind, and its offset. */
export interface RecordPlace {
  /** Absolute byte offset of the first byte; not encoded. */
  offset: number;
}

/** The position of a record in its chunk, which some decoders need. */
export interface ChunkPlace {
  /** Type of the chunk's section header. */
  readonly type: "start" | "part" | "end" | "full";
  /** Index of the record in its chunk, from 0. */
  readonly index: number;
  /** Maximum number of bytes that one record may state. */
  readonly maxBytes: number;
}

/**
 * The codec of one kind of section. A chunk is a list of records that ends without a length or count.
 *
 * Records hold views into the read buffer, valid until the next record is requested.
 */
export interface SectionCodec<R extends RecordPlace> {
  /** Reads one record. Errors: truncated, unknown-type, bad-value, bad-length, limit. */
  decode(reader: QemuFileReader, place: ChunkPlace): Promise<R>;
  /** Whether this record is the last of its chunk. */
  ends(record: R): boolean;
}
