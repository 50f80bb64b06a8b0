/**
 * Device state: VMDESCRIPTION schema -> typed values -> the same bytes again.
 *
 * `parseVmDescription` parses the schema at the end of a stream. `decodeDevice` decodes the payload of one FULL section
 * by it, and `encodeDevice` encodes it again. `deviceToPlain` and `deviceFromPlain` convert to and from editable JSON.
 * Everything is synchronous and works on bytes in memory. Memory is bounded by options.
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
export { JsonNumber, JsonObject, parseJson, type JsonLimits, type JsonStyle, type JsonValue } from "./json.js";
export { printJson } from "./json-print.js";
export { fieldGroups, type FieldGroup } from "./groups.js";
export { measureStruct, measureValue } from "./measure.js";
export { deviceFromPlain, deviceToPlain, type PlainDevice } from "./plain.js";
export { plainPaths, setPlainValue } from "./plain-paths.js";
export type { PlainValue } from "./plain-values.js";
export { Schema, type LentSection } from "./schema.js";
export { deviceSpans, pathOf, valueAt, type Span } from "./spans.js";
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
