export { Diagnostics, QevmError, type ErrorCode, type ErrorPlace, type Warning } from "./bytes/errors.js";
export * from "./bytes/index.js";
export * from "./codec/ram/index.js";
export * from "./codec/multifd/index.js";
export * from "./codec/sections/index.js";
export * from "./codec/stream/index.js";
export * from "./codec/vmstate/index.js";
export { inspectStream, type Inspection } from "./analyse/inspect/inspect.js";
export {
  inspectRecording,
  verifyRecording,
  type FileVerification,
  type RecordingInspection,
  type RecordingVerification,
} from "./analyse/inspect/recording.js";
export {
  mergedSource,
  mergeRecording,
  roleOf,
  type ChannelRole,
  type RecordedChannel,
  type Recording,
} from "./io/recording/index.js";
export {
  explainStream,
  KNOWN_TEXTS,
  type Explanation,
  type ExplainOptions,
  type Finding,
  type Remedy,
} from "./analyse/explain/index.js";
export { openStream, Stream, type OpenOptions, type StreamInput } from "./open.js";
export { verifyStream, type Verification, type VerifyOptions } from "./analyse/inspect/verify.js";
