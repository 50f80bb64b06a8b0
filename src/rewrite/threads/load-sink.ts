import type { PageStore } from "../../guest/pages/page-store.js";
import type { RamBlock } from "../../codec/ram/index.js";

/** Where pages go: a `PageStore` that may want to know its blocks first. */
export interface LoadSink extends PageStore {
  /** Called once a block, before its first page. */
  add?(block: RamBlock): void;
  /** The whole block's memory, where decompress threads may write pages into it by themselves. */
  memory?(block: RamBlock): SharedArrayBuffer | undefined;
  /** A thread is about to write these bytes of `memory`. */
  willWrite?(block: RamBlock, offset: number, length: number): void;
  /** Everything was written. */
  flush?(): void;
}
