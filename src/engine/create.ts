import { ExactDeflater, ExactInflater } from "./exact.js";
import { FastDeflater, FastInflater } from "./fast.js";
import { suitsPageEngine, WasmDeflater } from "./page-deflater.js";
import {
  checkOptions,
  type EngineKind,
  type EngineOptions,
  type PageDeflater,
  type PageInflater,
} from "./page-engine.js";
import { WasmInflater } from "./page-inflater.js";
import { loadPageModule } from "./page-module.js";

/** What the factories take beside the engine's own options. */
export interface CreateOptions extends EngineOptions {
  /** The page engine, compiled: given by `loadPageModule`, for example in another thread. Loaded where it is needed if left out. */
  module?: WebAssembly.Module | undefined;
}

/** True where `fast` can be made: in Node. */
export function hasFastEngine(): boolean {
  return globalThis.process?.getBuiltinModule?.("node:zlib") !== undefined;
}

/**
 * Makes an engine that compresses. One engine belongs to one thread and is kept for as long as there are pages.
 *
 * Look at `kind` of what you get: where the page engine does not suit, another that keeps the promise of the bytes takes its
 * place. `page-exact` at another level than 1, or with pages of more than 4,096 bytes, is `exact`; `page` with such pages
 * is `fast` in Node and `exact` elsewhere.
 */
export async function createDeflater(kind: EngineKind, options: CreateOptions = {}): Promise<PageDeflater> {
  const { level, pageSize } = checkOptions(options);
  if (kind === "exact" || (kind === "page-exact" && (level !== 1 || !suitsPageEngine(pageSize)))) {
    return new ExactDeflater(options);
  }
  if (kind === "fast") return new FastDeflater(options);
  if (suitsPageEngine(pageSize)) return new WasmDeflater(options.module ?? (await loadPageModule()), kind, options);
  return hasFastEngine() ? new FastDeflater(options) : new ExactDeflater(options);
}

/** Makes an engine that decompresses; the `page` kinds share one decoder. Pages of more than 4,096 bytes go as above. */
export async function createInflater(kind: EngineKind, options: CreateOptions = {}): Promise<PageInflater> {
  const { pageSize } = checkOptions(options);
  if (kind === "exact") return new ExactInflater(options);
  if (kind !== "fast" && suitsPageEngine(pageSize)) {
    return new WasmInflater(options.module ?? (await loadPageModule()), options);
  }
  return kind === "fast" || hasFastEngine() ? new FastInflater(options) : new ExactInflater(options);
}
