import { ExactDeflater, ExactInflater } from "./exact.js";
import { FastDeflater, FastInflater } from "./fast.js";
import type { EngineKind, EngineOptions, PageDeflater, PageInflater } from "./page-engine.js";

/** True where `fast` can be made: in Node. */
export function hasFastEngine(): boolean {
  return globalThis.process?.getBuiltinModule?.("node:zlib") !== undefined;
}

/** Makes an engine that compresses. One engine belongs to one thread and is kept for as long as there are pages. */
export async function createDeflater(kind: EngineKind, options: EngineOptions = {}): Promise<PageDeflater> {
  if (kind === "exact") return new ExactDeflater(options);
  return new FastDeflater(options);
}

/** Makes an engine that decompresses; the `page` kinds share one decoder. */
export async function createInflater(kind: EngineKind, options: EngineOptions = {}): Promise<PageInflater> {
  if (kind === "exact") return new ExactInflater(options);
  return new FastInflater(options);
}
