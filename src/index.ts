/**
 * `qevm`: QEMU's migration stream read, checked, explained and written. Nothing here needs Node: what reads files, sockets
 * or threads is in `qevm/node`, the codecs one by one are in `qevm/codec`.
 *
 * The names are listed one by one, here and in `spec/public-names.txt`: what is public is a decision.
 */

// A stream opened and walked.
export { openStream, Stream } from "./open.js";
export type { OpenOptions, StreamInput } from "./io/container/input.js";
export type { RecordedFile, RecordedFiles } from "./io/container/is-recorded.js";
export type { Container } from "./io/container/types.js";
export type { XenDomain, XenRecords } from "./io/container/xen/records.js";
export type {
  CatalogueMark,
  CommandItem,
  ConfigurationItem,
  EofItem,
  FooterItem,
  HeaderItem,
  OpaqueItem,
  PackageEndItem,
  SectionContent,
  SectionItem,
  StreamItem,
  TrailingItem,
  UncertainFields,
  VmDescriptionItem,
} from "./codec/stream/items.js";
export type { Command } from "./codec/stream/command.js";
export type { StreamLimits } from "./codec/stream/limits.js";
export type { CatalogueOption } from "./codec/stream/device-part.js";
export type { StreamOptions } from "./codec/stream/options.js";

// What its sections hold: RAM records, device state, other records.
export { RamBatch, RamRecord } from "./codec/ram/batch.js";
export { RamFlag, type RamEncoding } from "./codec/ram/flags.js";
export type { RamBlock } from "./codec/ram/state.js";
export type { SectionRecord } from "./codec/sections/record.js";
export type { VmDescription } from "./codec/vmstate/description.js";
export { deviceFromPlain, deviceToPlain, type PlainDevice } from "./codec/vmstate/plain.js";
export type { DeviceState, FieldValue, StructState } from "./codec/vmstate/state.js";

// What a stream is, whether it was understood, and why a QEMU refuses it.
export {
  inspectStream,
  type DeviceId,
  type Inspection,
  type PageCounts,
  type SectionSummary,
} from "./analyse/inspect/inspect.js";
export { verifyStream, type Verification, type VerifyOptions } from "./analyse/inspect/verify.js";
export { explainStream, type ExplainOptions } from "./analyse/explain/explain.js";
export type {
  About,
  AdaptReach,
  Damage,
  Destination,
  Explanation,
  Finding,
  LikelyDevice,
  Remedy,
  VersionRule,
} from "./analyse/explain/types.js";

// A stream written.
export {
  createStreamWriter,
  RamWriter,
  StreamWriter,
  type StreamWriterOptions,
  type WrittenDevice,
} from "./codec/stream/stream-writer.js";
export { decodeXbzrle, encodeXbzrle, XBZRLE_OVERFLOW } from "./codec/ram/xbzrle.js";

// Bytes in and out, errors.
export { MemorySink, MemorySource, type ByteSink, type ByteSource } from "./bytes/source.js";
export { QevmError, type ErrorCode, type Warning } from "./bytes/errors.js";
