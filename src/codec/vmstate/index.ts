/**
 * Device state: VMDESCRIPTION schema -> typed values -> the same bytes again.
 *
 * `parseVmDescription` reads the schema that a stream carries behind its end, `decodeDevice` reads the payload of one
 * FULL section by it, `encodeDevice` writes it again, `deviceToPlain` and `deviceFromPlain` are the form for people.
 * Everything is synchronous and works on bytes that are in memory; memory is bounded by named options.
 */
export { decodeDevice, encodeDevice, type DecodeDeviceOptions } from "./device.js";
export {
  parseVmDescription,
  printVmDescription,
  type DeviceDescription,
  type FieldDescription,
  type ParseDescriptionOptions,
  type StructDescription,
  type VmDescription,
} from "./description.js";
export { findVmDescription, type VmDescriptionCandidate } from "./find.js";
export {
  JsonNumber,
  JsonObject,
  parseJson,
  printJson,
  type JsonLimits,
  type JsonMember,
  type JsonStyle,
  type JsonValue,
} from "./json.js";
export { fieldGroups, type FieldGroup } from "./groups.js";
export { measureStruct, measureValue } from "./measure.js";
export { deviceFromPlain, deviceToPlain, type PlainDevice } from "./plain.js";
export type { PlainValue } from "./plain-values.js";
export { Schema, type LentSection } from "./schema.js";
export {
  isRecordValue,
  isStructState,
  isTreeNode,
  type ByteCounts,
  type DeviceState,
  type FieldValue,
  type RecordValue,
  type StructState,
  type TreeNode,
} from "./state.js";
