import { brotliDecompressSync, constants } from "node:zlib";
import { isStreamHead } from "../../codec/stream/search.js";

/** Bytes that are tried: brotli has no magic. */
const TRIED = 1 << 16;

/** What to say of bytes that are a brotli file with a stream in it; undefined: they are not. */
export function brotliNote(head: Uint8Array): string | undefined {
  try {
    const options = { finishFlush: constants.BROTLI_OPERATION_FLUSH, maxOutputLength: 1 << 25 };
    const plain = brotliDecompressSync(head.subarray(0, TRIED), options);
    return isStreamHead(plain) ? "a brotli file; give it as brotli -dc FILE | qevm COMMAND -" : undefined;
  } catch {
    return undefined;
  }
}
