export { BLOCK_CHUNK, encodeBlockRecord, type BlockRecord } from "./block.js";
export type { ChunkPlace, RecordPlace } from "./codec.js";
export { encodeBitmapRecord, type BitmapRecord } from "./dirty-bitmap.js";
export { encodeHtabRecord, type HtabRecord } from "./htab.js";
export { encodePbsRecord, type PbsRecord } from "./pbs.js";
export {
  chunkDecoder,
  encodeSectionRecord,
  ownRecord,
  privateBytes,
  type ChunkDecoder,
  type SectionRecord,
} from "./record.js";
export { encodeStorageRecord, type StorageRecord } from "./storage.js";
export { encodeVfioRecord, type VfioRecord } from "./vfio.js";
