import type * as NodeZlib from "node:zlib";
import { Inflate } from "pako";

/**
 * A raw deflate stream (RFC 1951) of at most `most` bytes, by node:zlib or, where there is none, by pako. Errors:
 * `Error` with zlib's text, and where there are more bytes.
 */
export function inflateRaw(packed: Uint8Array, most: number): Uint8Array<ArrayBuffer> {
  const zlib = globalThis.process?.getBuiltinModule?.("node:zlib") as typeof NodeZlib | undefined;
  if (zlib !== undefined) return new Uint8Array(zlib.inflateRawSync(packed, { maxOutputLength: most }));
  const plain = new Uint8Array(most);
  let length = 0;
  const inflate = new Inflate({ raw: true, chunkSize: most });
  inflate.onData = (chunk: Uint8Array): void => {
    if (length + chunk.length > most) throw new RangeError(`Cannot create a Buffer larger than ${most} bytes`);
    plain.set(chunk, length);
    length += chunk.length;
  };
  inflate.push(packed, true);
  if (inflate.err !== 0) throw new Error(inflate.msg === "" ? "unexpected end of file" : inflate.msg);
  return plain.subarray(0, length);
}
