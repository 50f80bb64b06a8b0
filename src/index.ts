export { Diagnostics, QevmError, type ErrorCode, type ErrorPlace, type Warning } from "./errors.js";
export * from "./qemu-file/index.js";
export * from "./ram/index.js";
export * from "./multifd/index.js";
export * from "./sections/index.js";
export * from "./stream/index.js";
export * from "./vmstate/index.js";
export { inspectStream, type Inspection } from "./inspect/inspect.js";
export {
  inspectRecording,
  verifyRecording,
  type FileVerification,
  type RecordingInspection,
  type RecordingVerification,
} from "./inspect/recording.js";
export {
  mergedSource,
  mergeRecording,
  roleOf,
  type ChannelRole,
  type RecordedChannel,
  type Recording,
} from "./recording/index.js";
export {
  explainStream,
  KNOWN_TEXTS,
  type Explanation,
  type ExplainOptions,
  type Finding,
  type Remedy,
} from "./explain/index.js";
export { openStream, Stream, type OpenOptions, type StreamInput } from "./open.js";
export { verifyStream, type Verification, type VerifyOptions } from "./inspect/verify.js";
