import { QevmError } from "../../bytes/errors.js";
import { suitsPageEngine } from "../../engine/page-engine.js";
import { PageStreamDeflater } from "../../engine/page-stream.js";
import { PageStreamZstd } from "../../engine/page-zstd.js";
import type { MultifdMethod } from "./flags.js";
import { PageTableDecoder } from "./page-table.js";
import type { PayloadDecoder, PayloadEncoder } from "./payload-decoder.js";
import { FastZlibStreamDecoder, ZlibStreamDecoder, ZlibStreamEncoder } from "./zlib-stream.js";
import { ZstdStreamDecoder, ZstdStreamEncoder } from "./zstd-stream.js";

const raw: PayloadDecoder = {
  decode: (payload, into) => {
    if (payload.length === into.length) return payload;
    throw new QevmError("bad-length", "plain payload of a multifd packet", {
      expected: `${into.length} bytes`,
      found: `${payload.length}`,
    });
  },
};

/**
 * The decoder for a method; undefined where there is none (qatzip: a proprietary container of Intel's hardware). Errors:
 * io, where the WebAssembly file of zstd is missing.
 *
 * @param module the compiled page engine, where it is at hand
 */
export async function payloadDecoder(
  method: MultifdMethod,
  pageSize: number,
  module?: WebAssembly.Module,
): Promise<PayloadDecoder | undefined> {
  switch (method) {
    case "none":
      return raw;
    case "zlib":
      return await FastZlibStreamDecoder.create(module).catch(() => new ZlibStreamDecoder());
    case "zstd":
      return await ZstdStreamDecoder.create(module);
    case "qpl":
    case "uadk":
      return new PageTableDecoder(method, pageSize);
    default:
      return undefined;
  }
}

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
 * The encoder for a method; undefined for none.
 *
 * Errors: usage; io, where a WebAssembly file is missing; limit, where there is no memory for the level.
 */
export async function payloadEncoder(options: PayloadOptions): Promise<PayloadEncoder | undefined> {
  const { method = "none", level = 1, exact = false, pageSize = 4096, module } = options;
  if (method === "none") return undefined;
  if (method === "zstd")
    return level === 1 && !exact ? await PageStreamZstd.create(module) : await ZstdStreamEncoder.create(level);
  if (exact || level !== 1 || !suitsPageEngine(pageSize)) return new ZlibStreamEncoder(level, pageSize);
  return await PageStreamDeflater.create(pageSize, module);
}

/** The largest payload for so many bytes of pages: the overhead of the worst method, rounded up. */
export function payloadBound(bytes: number): number {
  return bytes + (bytes >> 3) + (1 << 16);
}
