/**
 * `qevm/node`: what needs files, sockets or threads: containers and recordings, guest memory and registers, streams written
 * again, the save and load path with compress threads, live migrations, comparison, reports, fuzzing.
 *
 * The names are listed one by one, here and in `spec/public-names.txt`: what is public is a decision.
 */

// Files, containers, recordings.
export { openInput, type StreamInput } from "./io/container/input.js";
export type { Container, Input, InputOptions, SnapshotSummary } from "./io/container/types.js";
export type { Compression } from "./io/container/detect.js";
export type { LibvirtData, LibvirtHeader } from "./io/container/libvirt/header.js";
export { libvirtImage, type KeptImage, type LibvirtImage } from "./io/container/libvirt/write.js";
export { loadCatalogue } from "./io/catalogue/load.js";
export { openRecording } from "./io/container/recording.js";
export type { RecordingOptions } from "./io/container/recorded-files.js";
export type { GatheredRecording } from "./io/recording/gather.js";
export { mergeRecording, type MergeOptions, type MergeReport } from "./io/recording/merge.js";
export type { RecordedChannel, Recording } from "./io/recording/recording.js";
export type { ChannelRole } from "./codec/stream/roles.js";
export {
  inspectRecording,
  verifyRecording,
  type FileVerification,
  type RecordingInspection,
  type RecordingVerification,
} from "./analyse/inspect/recording.js";
export type { ChannelSummary } from "./analyse/inspect/channel.js";
export type { CheckOptions } from "./analyse/inspect/verify.js";
export { AtomicFile, FileSource, openSource } from "./io/transport/file.js";

// Guest memory and registers.
export { GuestMemory, openMemory, type MemoryOptions } from "./guest/read/open-memory.js";
export type { Layout, Segment, VgaRegisters } from "./guest/layout-types.js";
export { extractBlocks, type ExtractedBlocks, type ExtractOptions } from "./guest/files/extract-blocks.js";
export type { BlockFileEntry } from "./guest/files/block-files.js";
export { extractPhysical, type ExtractedPhysical, type PhysicalOptions } from "./guest/files/extract-physical.js";
export type { Architecture, CpuState } from "./guest/cores/cpu-state.js";
export {
  mappedRanges,
  readString,
  readVirtual,
  translate,
  type AddressSpace,
  type Fault,
  type Mapped,
  type MappedRange,
  type PageRights,
  type PhysicalMemory,
  type RangeOptions,
  type Translation,
  type WalkStep,
} from "./guest/walk/index.js";
export { cpuRegisters, type CpuRegisters, type SegmentRegister } from "./guest/cores/cpu.js";
export { registerLines } from "./guest/cores/register-lines.js";
export { MemoryPages, type PageStore } from "./guest/pages/page-store.js";

// Streams written again, taken apart, made.
export { convertToFile } from "./rewrite/convert/convert-file.js";
export { convertStream } from "./rewrite/convert/convert.js";
export { convertToRecording, type RecordingFolderReport } from "./rewrite/convert/recording-folder.js";
export type { ToRecordingOptions, ToRecordingReport } from "./rewrite/convert/to-recording.js";
export type { DeviceValues, NotSet } from "./rewrite/convert/device-changes.js";
export type {
  ConvertEngine,
  ConvertOptions,
  ConvertReport,
  PageTally,
  RamTarget,
  UncertainDevices,
} from "./rewrite/convert/types.js";
export type {
  Manifest,
  ManifestBlock,
  ManifestItem,
  ManifestRam,
  ManifestSubsection,
} from "./rewrite/pack/manifest.js";
export type { RamEdits } from "./rewrite/pack/pack-ram.js";
export { packFolder, type PackReport } from "./rewrite/pack/pack.js";
export { unpackStream, type UnpackOptions } from "./rewrite/pack/unpack.js";
export { fileFill, namedFill, type Fill } from "./rewrite/generate/fill.js";
export { generateNone, type NoneOptions, type PageEncoding } from "./rewrite/generate/none.js";
export { generateFromTemplate, type Image, type TemplateOptions } from "./rewrite/generate/template.js";

// A saved guest in the form that another QEMU takes.
export { adaptToFile, checkAdapt, type AdaptOptions } from "./rewrite/adapt/adapt-file.js";
export { askPattern, type AskedPattern } from "./rewrite/adapt/ask.js";
export type { AdaptReport, Change, PatternFacts, PlacedSetting, Weight } from "./rewrite/adapt/types.js";

// The save and load path of the RAM, with threads.
export { loadStream, type Loaded, type LoadOptions } from "./rewrite/load/load-stream.js";
export { FlatMemory, sinkOf } from "./rewrite/load/sinks.js";
export { markDirty, SharedBlock, type GuestBlock } from "./rewrite/save/guest-memory.js";
export type { SavePageHook } from "./rewrite/save/page-strategy.js";
export { RamSave, type SaveOptions, type SaveParameters } from "./rewrite/save/ram-save.js";
export type { SaveMultifd } from "./rewrite/save/save-channels.js";
export { saveStream } from "./rewrite/save/save-stream.js";
export type { MigrationStatistics } from "./rewrite/save/statistics.js";
export type { SharedMemory } from "./rewrite/threads/compress-work.js";
export type { LoadSink } from "./rewrite/threads/load-sink.js";
export { createDeflater, createInflater, hasFastEngine, type CreateOptions } from "./engine/create.js";
export {
  payloadBound,
  type DeflateBatch,
  type EngineKind,
  type EngineOptions,
  type InflateBatch,
  type PageDeflater,
  type PageInflater,
} from "./engine/page-engine.js";
export { isZeroPage } from "./engine/zero.js";

// Live migrations.
export type { Refused } from "./io/transport/connection.js";
export type { LiveOptions } from "./live/receive/live-main.js";
export { receiveInto, type Received, type ReceiveOptions } from "./live/receive/receive.js";
export type { ChannelFact } from "./live/receive/recorder.js";
export type { RecordOptions } from "./live/relay/record.js";
export { relay, type Relayed, type RelayOptions } from "./live/relay/index.js";
export type { RelayAdapt } from "./live/relay/types.js";
export type { PassingOptions } from "./rewrite/adapt/live.js";
export { openDestination, type Destination, type TakeAnswers } from "./io/transport/destination-uri.js";
export { QmpClient, type Json, type JsonObject, type QmpEvent } from "./io/transport/qmp.js";
export { tlsConnector, TlsConnector } from "./io/transport/tls/connector.js";
export { tlsListener, type TlsFacts, TlsListener } from "./io/transport/tls/listener.js";
export { sendStream, type SendOptions } from "./io/transport/send.js";

// Two streams compared; everything about one as a page.
export { diffStreams, type DiffOptions } from "./analyse/diff/diff.js";
export { sideOf } from "./analyse/diff/side.js";
export type {
  BlockDiff,
  ByteRange,
  DeviceDiff,
  FieldDifference,
  FieldPlace,
  PageRange,
  PageTotals,
  Pair,
  PartDifference,
  PartValue,
  RamDiff,
  Side,
  StreamDiff,
  StreamSummary,
  Verdict,
} from "./analyse/diff/types.js";
export { reportStream } from "./analyse/report/report.js";
export type { Progress, ReportOptions, StreamReport } from "./analyse/report/types.js";

// Wrong streams, for decoders.
export { kindsNamed, KINDS, makeCase, type CaseOptions, type FuzzCase } from "./analyse/fuzz/cases.js";
export type { DamageKind } from "./analyse/fuzz/damage.js";
export { decodeCase, type DecodeOutcome, type FindKind } from "./analyse/fuzz/decode-case.js";
export type { Find } from "./analyse/fuzz/decode-thread.js";
export { minimise, type Judge, type Minimised, type MinimiseOptions } from "./analyse/fuzz/minimise.js";
export { takeApart, type Part, type PartKind, type Parts } from "./analyse/fuzz/parts.js";
export { tryQemu, type QemuCaseOptions, type QemuOutcome } from "./analyse/fuzz/qemu-case.js";
export { runDecode, type DecodeRun, type DecodeRunOptions } from "./analyse/fuzz/run-decode.js";
export type { Outcomes } from "./analyse/fuzz/tally.js";
