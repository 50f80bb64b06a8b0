export { loadStream, type Loaded, type LoadOptions } from "./load-stream.js";
export { FlatMemory, sinkOf } from "./sinks.js";
export type { LoadSink } from "../threads/load-sink.js";
