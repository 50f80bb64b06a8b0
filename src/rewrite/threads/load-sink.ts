import type { PageStore } from "../../guest/pages/page-store.js";
import type { RamBlock } from "../../codec/ram/index.js";

/** The sink of a load: a `PageStore` that is told about blocks in advance. */
export interface LoadSink extends PageStore {
  /** Called once per block, before its first page. */
  add?(block: RamBlock): void;
  /** The whole block's memory, where decompress threads may write pages directly. */
  memory?(block: RamBlock): SharedArrayBuffer | undefined;
  /** Called before a thread writes these bytes of `memory`. */
  willWrite?(block: RamBlock, offset: number, length: number): void;
  /** Called when everything was written. */
  flush?(): void;
}
