import {
  checkOptions,
  suitsPageEngine,
  type EngineKind,
  type EngineOptions,
  type PageDeflater,
  type PageInflater,
} from "./page-engine.js";
import { loadPageModule } from "./page-module.js";

/** Options of the factories. */
export interface CreateOptions extends EngineOptions {
  /** The compiled page engine from `loadPageModule`, for example from another thread. Loaded on demand if omitted. */
  module?: WebAssembly.Module | undefined;
}

/** True where the `fast` engine is available: in Node. */
export function hasFastEngine(): boolean {
  return globalThis.process?.getBuiltinModule?.("node:zlib") !== undefined;
}

/**
 * Creates an engine that compresses. An engine belongs to one thread and is meant to be reused for all pages.
 *
 * Check `kind` of the result: where the page engine does not fit, another engine with the same guarantee about the
 * bytes is returned. `page-exact` at a level other than 1, or with pages larger than 4,096 bytes, becomes `exact`.
 * `page` with such pages becomes `fast` in Node and `exact` elsewhere.
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

/**
 * Creates an engine that decompresses. The `page` kinds share one decoder. Pages larger than 4,096 bytes are handled as
 * above.
 */
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
