import { QevmError } from "../../bytes/errors.js";
import type { MultifdMethod } from "./flags.js";
import { PageTableDecoder } from "./page-table.js";
import type { PayloadDecoder, PayloadEncoder } from "./payload-decoder.js";
import { ZlibStreamDecoder, ZlibStreamEncoder } from "./zlib-stream.js";
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
 */
export async function payloadDecoder(method: MultifdMethod, pageSize: number): Promise<PayloadDecoder | undefined> {
  switch (method) {
    case "none":
      return raw;
    case "zlib":
      return new ZlibStreamDecoder();
    case "zstd":
      return await ZstdStreamDecoder.create();
    case "qpl":
    case "uadk":
      return new PageTableDecoder(method, pageSize);
    default:
      return undefined;
  }
}

/** Methods that pages can be written in. */
export type WrittenMethod = Extract<MultifdMethod, "none" | "zlib" | "zstd">;

/**
 * The encoder for a method; undefined for none.
 *
 * @param level zlib: 0 to 9; zstd: 1 to 20; default 1
 *
 *   Errors: usage; io, where the WebAssembly file of zstd is missing; limit, where there is no memory for the level.
 */
export async function payloadEncoder(
  method: WrittenMethod,
  level: number | undefined,
  pageSize: number,
): Promise<PayloadEncoder | undefined> {
  if (method === "none") return undefined;
  return method === "zlib" ? new ZlibStreamEncoder(level, pageSize) : await ZstdStreamEncoder.create(level);
}

/** The largest payload for so many bytes of pages: the overhead of the worst method, rounded up. */
export function payloadBound(bytes: number): number {
  return bytes + (bytes >> 3) + (1 << 16);
}
