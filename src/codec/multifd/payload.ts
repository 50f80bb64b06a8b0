import { QevmError } from "../../bytes/errors.js";
import type { MultifdMethod } from "./flags.js";
import { PageTableDecoder } from "./page-table.js";
import type { PayloadDecoder } from "./payload-decoder.js";
import { ZlibStreamDecoder } from "./zlib-stream.js";
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

/** The decoder for a method; undefined where there is none (qatzip: a proprietary container of Intel's hardware). */
export function payloadDecoder(method: MultifdMethod, pageSize: number): PayloadDecoder | undefined {
  switch (method) {
    case "none":
      return raw;
    case "zlib":
      return new ZlibStreamDecoder();
    case "zstd":
      return new ZstdStreamDecoder();
    case "qpl":
    case "uadk":
      return new PageTableDecoder(method, pageSize);
    default:
      return undefined;
  }
}

/** The largest payload for so many bytes of pages: the overhead of the worst method, rounded up. */
export function payloadBound(bytes: number): number {
  return bytes + (bytes >> 3) + (1 << 16);
}
