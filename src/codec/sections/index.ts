export { BLOCK_CHUNK, type BlockRecord } from "./block.js";
export type { RecordPlace } from "./codec.js";
export { type BitmapRecord } from "./dirty-bitmap.js";
export { type HtabRecord } from "./htab.js";
export { type PbsRecord } from "./pbs.js";
export {
  chunkDecoder,
  encodeSectionRecord,
  ownRecord,
  privateBytes,
  type ChunkDecoder,
  type SectionRecord,
} from "./record.js";
export { type StorageRecord } from "./storage.js";
export { type VfioRecord } from "./vfio.js";
