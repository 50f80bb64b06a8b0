export { BlobSource } from "./blob-source.js";
export {
  IterableSource,
  MemorySink,
  MemorySource,
  isRandom,
  type ByteSink,
  type ByteSource,
  type RandomSource,
} from "./source.js";
export { latin1, QemuFileReader } from "./reader.js";
export { fromLatin1, QemuFileWriter } from "./writer.js";
