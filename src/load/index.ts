export { DecompressThreads, type DecompressOptions } from "./decompress-threads.js";
export { loadStream, type Loaded, type LoadOptions, type LoadSink } from "./load-stream.js";
export { FlatMemory, sinkOf } from "./sinks.js";
