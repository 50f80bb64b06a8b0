import { inflate, inflateRaw } from "pako";
import { QevmError } from "../../bytes/errors.js";
import type { PayloadDecoder } from "./payload-decoder.js";

/**
 * Payloads of the accelerators qpl and uadk (9.1): a table of be32 lengths, one per page, then the pages. A length of
 * the page size means a raw page. Otherwise the page is its own raw deflate stream (qpl) or zlib stream (uadk).
 *
 * Source: QEMU migration/multifd-qpl.c, multifd-uadk.c (9.1 to 11.1). There is no capture of them here, since they need
 * special hardware.
 */
export class PageTableDecoder implements PayloadDecoder {
  constructor(
    private readonly method: "qpl" | "uadk",
    private readonly pageSize: number,
  ) {}

  decode(payload: Uint8Array, into: Uint8Array): Uint8Array {
    const { method, pageSize } = this;
    const lengths = decodePageTable(payload, into.length / pageSize);
    const longest = Math.max(...lengths);
    if (longest > pageSize) {
      const place = { expected: `at most ${pageSize} bytes`, found: `${longest}` };
      throw new QevmError("bad-length", `compressed page in a ${method} payload`, place);
    }
    let at = 4 * lengths.length;
    lengths.forEach((length, k) => {
      const page = payload.subarray(at, at + length);
      into.set(length === pageSize ? page : this.inflate(page, k), k * pageSize);
      at += length;
    });
    return into;
  }

  private inflate(bytes: Uint8Array, index: number): Uint8Array {
    const { method, pageSize } = this;
    let page: Uint8Array | undefined;
    let cause: unknown;
    try {
      // The output is at most 1032 times the input.
      page = method === "qpl" ? inflateRaw(bytes) : inflate(bytes);
    } catch (error) {
      cause = error;
    }
    if (page?.length === pageSize) return page;
    throw new QevmError("bad-compressed-data", `page ${index} of a ${method} payload`, {
      expected: `${pageSize} bytes`,
      found: page === undefined ? "no deflate data" : `${page.length}`,
      cause,
    });
  }
}

/** The lengths. Errors: bad-length where table and payload do not match. */
export function decodePageTable(payload: Uint8Array, pages: number): number[] {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  if (payload.length < 4 * pages) throw disagree(4 * pages, payload.length);
  const lengths = Array.from({ length: pages }, (_, k) => view.getUint32(4 * k));
  const sum = lengths.reduce((all, length) => all + length, 4 * pages);
  if (sum !== payload.length) throw disagree(sum, payload.length);
  return lengths;
}

/** Encodes a payload of compressed pages: the inverse of `decodePageTable`. */
export function encodePageTable(pages: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(pages.reduce((sum, page) => sum + 4 + page.length, 0));
  const view = new DataView(bytes.buffer);
  let at = 4 * pages.length;
  pages.forEach((page, k) => {
    view.setUint32(4 * k, page.length);
    bytes.set(page, at);
    at += page.length;
  });
  return bytes;
}

function disagree(expected: number, found: number): QevmError {
  return new QevmError("bad-length", "table of page lengths in a multifd payload", {
    expected: `${expected} bytes`,
    found: `${found}`,
  });
}
