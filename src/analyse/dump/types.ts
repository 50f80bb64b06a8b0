/** One field on the wire. */
export interface DumpField {
  /** For example "section_id", "env.regs[3]" or "page". */
  field: string;
  /** Absolute offset and length in bytes. */
  streamOffset: number;
  length: number;
  /** The decoded value as text; undefined where it is bytes only. */
  value?: string | undefined;
}

/** A stretch of the stream that is decoded at once: a header, a record, the state of a device. They follow one another. */
export interface DumpUnit {
  /** The part of the stream, for example `section 2 "ram" (start)`. */
  part: string;
  /** Name of the section; undefined outside of sections. */
  section?: string | undefined;
  /** What of the part: "header", `record 812: normal of "pc.ram" at 0x1000`, "device state". */
  unit: string;
  streamOffset: number;
  length: number;
  /** A RAM record. */
  record?: DumpRecord | undefined;
  /** Why this is not decoded: damage, or no codec. */
  reason?: string | undefined;
  /** Its fields in their order; they cover all of its bytes. */
  fields: () => DumpField[];
  /** The field at an absolute offset, where that is quicker than all of them. */
  fieldAt?: (at: number) => DumpField | undefined;
}

/** A RAM record, or an entry of the block list. */
interface DumpRecord {
  /** Number in its section. */
  recordIndex: number;
  /** zero, normal, compressed, xbzrle, blocks, eos, ... */
  kind: string;
  block: string | undefined;
  /** Bytes from the block's start. */
  blockOffset: number | undefined;
}
