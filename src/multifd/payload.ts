import { QevmError } from "../errors.js";
import type { MultifdMethod } from "./flags.js";
import { PageTableDecoder } from "./page-table.js";
import { ZlibStreamDecoder } from "./zlib-stream.js";
import { ZstdStreamDecoder } from "./zstd-stream.js";

/** Opens the payloads of one channel in their order; zlib and zstd remember what came before. */
export interface PayloadDecoder {
  /** The pages, filling `into` or where they stand in the payload. Errors: bad-compressed-data, bad-length, limit; no place in them. */
  decode(payload: Uint8Array, into: Uint8Array): Uint8Array;
}

const raw: PayloadDecoder = {
  decode: (payload, into) => {
    if (payload.length === into.length) return payload;
    throw new QevmError("bad-length", "plain payload of a multifd packet", {
      expected: `${into.length} bytes`,
      found: `${payload.length}`,
    });
  },
};

/** What opens a method's payloads; undefined: nothing here does (qatzip: a container of Intel's hardware). */
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

/** Largest payload that packets of so many bytes of pages can have: what the worst of the methods adds, with room to spare. */
export function payloadBound(bytes: number): number {
  return bytes + (bytes >> 3) + (1 << 16);
}
