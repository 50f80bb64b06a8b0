import type * as NodeZlib from "node:zlib";
import { isStreamHead } from "../../codec/stream/search.js";

/** Number of bytes to decompress as a test: brotli has no magic. */
const TRIED = 1 << 16;

/** A message for bytes that are a brotli file with a stream in it; undefined if they are not, and where
 * there is no Node. */
export function brotliNote(head: Uint8Array): string | undefined {
  const zlib = globalThis.process?.getBuiltinModule?.("node:zlib") as typeof NodeZlib | undefined;
  if (zlib === undefined) return undefined;
  const { brotliDecompressSync, constants } = zlib;
  try {
    const options = { finishFlush: constants.BROTLI_OPERATION_FLUSH, maxOutputLength: 1 << 25 };
    const plain = brotliDecompressSync(head.subarray(0, TRIED), options);
    return isStreamHead(plain) ? "a brotli file; give it as brotli -dc FILE | qevm COMMAND -" : undefined;
  } catch {
    return undefined;
  }
}
