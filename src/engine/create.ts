import {
  checkOptions,
  suitsPageEngine,
  type EngineKind,
  type EngineOptions,
  type PageDeflater,
  type PageInflater,
} from "./page-engine.js";
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
    return await exact();
  }
  if (kind === "fast") return await fast();
  if (suitsPageEngine(pageSize)) {
    const { WasmDeflater } = await import("./page-deflater.js");
    return new WasmDeflater(options.module ?? (await loadPageModule()), kind, options);
  }
  return hasFastEngine() ? await fast() : await exact();

  async function exact(): Promise<PageDeflater> {
    const { ExactDeflater } = await import("./exact.js");
    return new ExactDeflater(options);
  }
  async function fast(): Promise<PageDeflater> {
    const { FastDeflater } = await import("./fast.js");
    return new FastDeflater(options);
  }
}

/** Makes an engine that decompresses; the `page` kinds share one decoder. Pages of more than 4,096 bytes go as above. */
export async function createInflater(kind: EngineKind, options: CreateOptions = {}): Promise<PageInflater> {
  const { pageSize } = checkOptions(options);
  if (kind !== "exact" && kind !== "fast" && suitsPageEngine(pageSize)) {
    const { WasmInflater } = await import("./page-inflater.js");
    return new WasmInflater(options.module ?? (await loadPageModule()), options);
  }
  if (kind === "fast" || (kind !== "exact" && hasFastEngine())) {
    const { FastInflater } = await import("./fast.js");
    return new FastInflater(options);
  }
  const { ExactInflater } = await import("./exact.js");
  return new ExactInflater(options);
}
