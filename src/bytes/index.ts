export { IterableSource, MemorySink, MemorySource, traitsOf, type ByteSink, type ByteSource } from "./source.js";
export { DEFAULT_BUFFER_SIZE, latin1, QemuFileReader } from "./reader.js";
export { fromLatin1, QemuFileWriter } from "./writer.js";
