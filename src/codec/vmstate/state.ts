import type { DeviceDescription, StructDescription } from "./description.js";

/**
 * Decoded device state: typed values under the names of the stream, with the schema to encode them again. Values may be
 * changed in place; encoding uses only these values and the schema.
 */
export interface StructState {
  readonly description: StructDescription;
  /** In wire order, under the names of the stream (`env.eip`). No prototype, so any name is safe. */
  fields: Record<string, FieldValue>;
  /** The subsections in the stream, in order. */
  subsections: StructState[];
}

/** The decoded state of one device section. */
export interface DeviceState extends StructState {
  readonly description: DeviceDescription;
  /** How many bytes of the payload were decoded. Filled by decoding. */
  bytes: ByteCounts;
}

/** Bytes of a device by how they are understood. */
export interface ByteCounts {
  /** Decoded to typed fields (including framing of subsections and lists). */
  typed: number;
  /** Kept as bytes of a named field whose codec is private to the device. */
  named: number;
  /** Not decoded. */
  opaque: number;
}

/**
 * | kind of field                              | value                                                              |
 * |--------------------------------------------|--------------------------------------------------------------------|
 * | integers of up to 32 bits, `fd`            | number                                                             |
 * | 64-bit integers, timers, `CPU_Double_U`    | bigint (a double's bit pattern: NaN payloads survive)              |
 * | `bool`                                     | boolean; a byte other than 0 and 1 stays a number                  |
 * | buffers, unused space, private codecs      | Uint8Array (private ones that are known: {@link RecordValue})      |
 * | `bitmap`                                   | array of bigint words                                              |
 * | `capability`                               | string                                                             |
 * | `struct`, `vstruct`, `tmp`                 | {@link StructState}                                                |
 * | arrays, `qtailq`, `qlist`                  | array                                                              |
 * | `gtree`                                    | array of {@link TreeNode}                                          |
 * | NULL pointers                              | null                                                               |
 */
export type FieldValue =
  null | boolean | number | bigint | string | Uint8Array | StructState | TreeNode | RecordValue | FieldValue[];

/** One node of a `gtree`: its key is a 64-bit value or a struct. */
export interface TreeNode {
  key: bigint | StructState;
  value: StructState;
}

/** Named values of a supported private codec. */
export interface RecordValue {
  record: Record<string, FieldValue>;
}

/** An object that is safe with any key. */
export function emptyRecord<T>(): Record<string, T> {
  return Object.create(null) as Record<string, T>;
}

/** Whether a value is a nested struct, by its members. */
export function isStructState(value: unknown): value is StructState {
  return typeof value === "object" && value !== null && "description" in value && "fields" in value;
}

/** Whether a value is a record of a private codec. */
export function isRecordValue(value: unknown): value is RecordValue {
  return typeof value === "object" && value !== null && "record" in value;
}

/** Whether a value is a node of a tree. */
export function isTreeNode(value: unknown): value is TreeNode {
  return typeof value === "object" && value !== null && "key" in value && "value" in value;
}
