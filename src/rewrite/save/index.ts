export { CompressThreads } from "../threads/compress-threads.js";
export type { SharedMemory } from "../threads/compress-work.js";
export { markDirty, SharedBlock, type GuestBlock } from "./guest-memory.js";
export { PageStrategy, type SavePageHook } from "./page-strategy.js";
export { RamSave, type SaveOptions, type SaveParameters } from "./ram-save.js";
export { type MigrationStatistics } from "./statistics.js";
export { saveStream } from "./save-stream.js";
