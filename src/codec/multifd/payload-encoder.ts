import { suitsPageEngine } from "../../engine/page-engine.js";
import { PageStreamDeflater } from "../../engine/page-stream.js";
import { PageStreamZstd } from "../../engine/page-zstd.js";
import type { MultifdMethod } from "./flags.js";
import type { PayloadEncoder } from "./payload-decoder.js";

/** Methods that pages can be written in. */
export type WrittenMethod = Extract<MultifdMethod, "none" | "zlib" | "zstd">;

/** How the payloads of a channel are made. */
export interface PayloadOptions {
  /** Default none. */
  method?: WrittenMethod | undefined;
  /** zlib: 0 to 9; zstd: 1 to 20. Default 1. */
  level?: number | undefined;
  /**
   * zlib: the bytes of QEMU's zlib, as with any other level than 1 and pages of more than 4096 bytes; zstd: the zstd
   * library also at level 1. Default: the page engine, which is several times as fast.
   */
  exact?: boolean | undefined;
  /** Target page size in bytes. Default 4096. */
  pageSize?: number | undefined;
  /** @internal The compiled page engine, where it is at hand. */
  module?: WebAssembly.Module | undefined;
}

/**
 * The encoder for a method; undefined for none. Threads load this module: encoders that are seldom asked for come when
 * they are.
 *
 * Errors: usage; io, where a WebAssembly file is missing; limit, where there is no memory for the level.
 */
export async function payloadEncoder(options: PayloadOptions): Promise<PayloadEncoder | undefined> {
  const { method = "none", level = 1, exact = false, pageSize = 4096, module } = options;
  if (method === "none") return undefined;
  const fast = level === 1 && !exact;
  if (method === "zstd") {
    if (fast) return await PageStreamZstd.create(module);
    const { ZstdStreamEncoder } = await import("./zstd-stream.js");
    return await ZstdStreamEncoder.create(level);
  }
  if (fast && suitsPageEngine(pageSize)) return await PageStreamDeflater.create(pageSize, module);
  const { ZlibStreamEncoder } = await import("./zlib-stream.js");
  return new ZlibStreamEncoder(level, pageSize);
}

/** The largest payload for so many bytes of pages: the overhead of the worst method, rounded up. */
export function payloadBound(bytes: number): number {
  return bytes + (bytes >> 3) + (1 << 16);
}
