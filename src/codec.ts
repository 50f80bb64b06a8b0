/**
 * `qevm/codec`: the codecs one by one, for those who take streams apart or make them structure by structure: the reader
 * and writer over any source, the "ram" section with XBZRLE and mapped-ram, multifd packets, other sections, device state,
 * and the stream around them. Nothing here needs Node.
 *
 * The names are listed one by one, here and in `spec/public-names.txt`: what is public is a decision.
 */

// Bytes in and out, errors.
export {
  Diagnostics,
  QevmError,
  type ErrorCode,
  type ErrorPlace,
  type Replaced,
  type Warning,
} from "./bytes/errors.js";
export { QemuFileReader } from "./bytes/reader.js";
export { BlobSource } from "./bytes/blob-source.js";
export {
  isRandom,
  IterableSource,
  MemorySink,
  MemorySource,
  type ByteSink,
  type ByteSource,
  type Positioned,
  type RandomSource,
  type Wrapping,
} from "./bytes/source.js";
export { QemuFileWriter } from "./bytes/writer.js";

// The "ram" section.
export { RamBatch, RamRecord } from "./codec/ram/batch.js";
export { decodeBlockList, encodeBlockList, type BlockList, type BlockListOptions } from "./codec/ram/block-list.js";
export { compressBound, RamFlag, type RamEncoding } from "./codec/ram/flags.js";
export {
  decodeRecords,
  encodePageBody,
  encodeRecord,
  encodeRecordHeader,
  encodeRecords,
  type DecodeStatus,
} from "./codec/ram/records.js";
export { RecordWriter } from "./codec/ram/record-writer.js";
export { RamState, type MappedBlock, type MappedRamHeader, type RamBlock } from "./codec/ram/state.js";
export { decodeXbzrle, encodeXbzrle, XBZRLE_OVERFLOW } from "./codec/ram/xbzrle.js";
export { indexMappedRam, readMappedPage, type MappedRamIndex, type MappedRamStart } from "./codec/ram/mapped-access.js";
export {
  decodeArea,
  decodeMappedBlock,
  encodeArea,
  encodeMappedBlock,
  mappedHeader,
  type MappedLimits,
} from "./codec/ram/mapped-area.js";

// multifd channels.
export { ChannelEncoder, type ChannelEncoderOptions, type WrittenPages } from "./codec/multifd/channel-encoder.js";
export { ChannelPages, type PacketPages } from "./codec/multifd/channel-pages.js";
export { ChannelReader, type ChannelItem, type ChannelOptions } from "./codec/multifd/channel-reader.js";
export { encodeChannelItem } from "./codec/multifd/channel-writer.js";
export { decodeDevicePacket, encodeDevicePacket, type DevicePacket } from "./codec/multifd/device-packet.js";
export { flagOf, methodOf, MultifdFlag, type MultifdMethod } from "./codec/multifd/flags.js";
export {
  decodeInitPacket,
  encodeInitPacket,
  isMultifdChannel,
  MULTIFD_MAGIC,
  MULTIFD_VERSION,
  type InitPacket,
} from "./codec/multifd/init-packet.js";
export type { WrittenMethod } from "./codec/multifd/payload-encoder.js";
export type { PayloadDecoder } from "./codec/multifd/payload-decoder.js";
export { decodePageTable, encodePageTable } from "./codec/multifd/page-table.js";
export {
  decodeRamPacket,
  encodeRamPacket,
  pagesPerPacket,
  ramPacketLength,
  type RamPacket,
} from "./codec/multifd/ram-packet.js";
export { ZlibStreamDecoder, ZlibStreamEncoder } from "./codec/multifd/zlib-stream.js";
export { ZstdStreamDecoder, ZstdStreamEncoder } from "./codec/multifd/zstd-stream.js";

// Other sections with a grammar of their own.
export type { RecordPlace } from "./codec/sections/codec.js";
export type { BlockRecord } from "./codec/sections/block.js";
export type { BitmapRecord } from "./codec/sections/dirty-bitmap.js";
export type { HtabRecord } from "./codec/sections/htab.js";
export type { PbsRecord } from "./codec/sections/pbs.js";
export { encodeSectionRecord, type SectionRecord } from "./codec/sections/record.js";
export type { StorageRecord } from "./codec/sections/storage.js";
export type { VfioRecord } from "./codec/sections/vfio.js";

// Device state.
export {
  parseVmDescription,
  printVmDescription,
  type DeviceDescription,
  type FieldDescription,
  type ParseDescriptionOptions,
  type StructDescription,
  type VmDescription,
} from "./codec/vmstate/description.js";
export { decodeDevice, encodeDevice, type DecodeDeviceOptions } from "./codec/vmstate/device.js";
export { findVmDescription, type VmDescriptionCandidate } from "./codec/vmstate/find.js";
export type { JsonLimits, JsonStyle } from "./codec/vmstate/json.js";
export { deviceFromPlain, deviceToPlain, type PlainDevice } from "./codec/vmstate/plain.js";
export type { PlainValue } from "./codec/vmstate/plain-values.js";
export { Schema, type LentSection } from "./codec/vmstate/schema.js";
export { Catalogue } from "./codec/vmstate/catalogue/catalogue.js";
export { parseCatalogue, type CatalogueData, type GroupData, type LayoutData } from "./codec/vmstate/catalogue/data.js";
export type { CatalogueFit, Fits } from "./codec/vmstate/catalogue/fit.js";
export { Learner } from "./codec/vmstate/catalogue/learn.js";
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
} from "./codec/vmstate/state.js";

// The stream around them.
export {
  CommandNumber,
  commandName,
  commandToPlain,
  decodeCommand,
  encodeCommand,
  type BareCommand,
  type Command,
  type DiscardRange,
  type PlainCommand,
  type PostcopyPageSizes,
} from "./codec/stream/command.js";
export {
  capabilitiesOf,
  decodeConfiguration,
  encodeConfiguration,
  type Configuration,
  type ConfigurationSubsection,
} from "./codec/stream/configuration.js";
export type { CatalogueOption } from "./codec/stream/device-part.js";
export { descriptionOf } from "./codec/stream/description-of.js";
export { decodeHeader, encodeHeader, STREAM_MAGIC, STREAM_VERSION, type StreamHeader } from "./codec/stream/header.js";
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
export { DEFAULT_LIMITS, type StreamLimits } from "./codec/stream/limits.js";
export type { Continued, StreamOptions } from "./codec/stream/options.js";
export { StreamReader } from "./codec/stream/reader.js";
export {
  decodeReturnMessage,
  encodeReturnMessage,
  isReturnPath,
  type ReturnMessage,
} from "./codec/stream/return-path.js";
export {
  ReturnPathReader,
  returnMessageToPlain,
  type ReturnPathItem,
  type ReturnPathOptions,
} from "./codec/stream/return-path-reader.js";
export {
  decodeFooter,
  decodeFullHeader,
  decodePartHeader,
  encodeFooter,
  encodeSectionHeader,
  type SectionHeader,
} from "./codec/stream/section.js";
export {
  createStreamWriter,
  describedConfiguration,
  RamWriter,
  StreamWriter,
  type StreamWriterOptions,
  type WrittenDevice,
} from "./codec/stream/stream-writer.js";
export type { Unfinished } from "./codec/stream/rest.js";
export { TypeByte, type SectionType } from "./codec/stream/types.js";
export { ExactWriter } from "./codec/stream/writer.js";
export { walkStream, type StreamVisitor } from "./codec/stream/visit.js";
