import type { QemuFileReader } from "../../bytes/reader.js";

/** What every record of a section has: the name of its section's codec, its kind, and where it begins. */
export interface RecordPlace {
  /** Absolute byte offset of its first byte; not encoded. */
  offset: number;
}

/** Where a record stands: what a decoder needs beside the bytes. */
export interface ChunkPlace {
  /** Type of the section that the chunk is in. */
  readonly type: "start" | "part" | "end" | "full";
  /** Number of the record in its chunk, from 0. */
  readonly index: number;
  /** Most bytes that one record may state. */
  readonly maxBytes: number;
}

/**
 * The grammar of one kind of section: a chunk is a list of records that ends by itself.
 *
 * Records hold views into the read buffer, which live until the next record is asked for.
 */
export interface SectionCodec<R extends RecordPlace> {
  /** Reads one record. Errors: truncated, unknown-type, bad-value, bad-length, limit. */
  decode(reader: QemuFileReader, place: ChunkPlace): Promise<R>;
  /** Whether a chunk ends behind this record. */
  ends(record: R): boolean;
}
