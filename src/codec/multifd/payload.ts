import { QevmError } from "../../bytes/errors.js";
import type { MultifdMethod } from "./flags.js";
import { PageTableDecoder } from "./page-table.js";
import type { PayloadDecoder } from "./payload-decoder.js";
import { FastZlibStreamDecoder, ZlibStreamDecoder } from "./zlib-stream.js";
import { ZstdStreamDecoder } from "./zstd-stream.js";

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
