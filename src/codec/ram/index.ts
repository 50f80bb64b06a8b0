export { BATCH_RECORDS, RamBatch, RamRecord } from "./batch.js";
export {
  decodeBlockEntry,
  decodeBlockList,
  encodeBlockEntry,
  encodeBlockList,
  type BlockList,
  type BlockListOptions,
} from "./block-list.js";
export { PAGE_ENCODINGS, replaceInflated, type PageEncoding } from "./encodings.js";
export { compressBound, PAGE_FLAGS, RamFlag, type RamEncoding } from "./flags.js";
export { RecordWriter } from "./record-writer.js";
export { decodeRecords, encodeRecord, encodeRecords, type DecodeStatus } from "./records.js";
export { type MappedBlock, RamState, type MappedRamHeader, type RamBlock } from "./state.js";
export {
  findMappedPage,
  indexMappedRam,
  readMappedPage,
  type MappedRamIndex,
  type MappedRamStart,
} from "./mapped-access.js";
export {
  bitmapLength,
  decodeArea,
  decodeMappedBlock,
  encodeArea,
  encodeMappedBlock,
  FILLED_BELOW,
  hasPage,
  mappedEntryLength,
  mappedHeader,
  placedAt,
  setPage,
  skipMappedBlock,
  SKIPPED_FROM,
  unsetRun,
  writeZeros,
  type MappedLimits,
} from "./mapped-area.js";
