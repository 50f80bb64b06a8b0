import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { QevmError } from "../../../bytes/errors.js";
import type { QemuFileReader } from "../../../bytes/reader.js";

/**
 * gzip (RFC 1952), one or more members, by node:zlib, which checks CRC-32 and length. Bytes after the last member are
 * ignored, as in gzip. Memory: 1 MiB in, 256 KiB out. Errors: truncated, bad-compressed-data, at the current offset in
 * the compressed file.
 */
export async function* gunzip(reader: QemuFileReader): AsyncGenerator<Uint8Array> {
  const start = reader.offset;
  const inflate = createGunzip({ chunkSize: 1 << 18 });
  const feeding = pipeline(Readable.from(pieces(reader), { objectMode: true, highWaterMark: 1 }), inflate);
  // The iterator reports this error too; without the handler it would be an unhandled rejection.
  feeding.catch(() => undefined);
  try {
    for await (const chunk of inflate as AsyncIterable<Uint8Array>) yield chunk;
    await feeding;
  } catch (error) {
    if (error instanceof QevmError) throw error;
    const message = error instanceof Error ? error.message : String(error);
    const code = message === "unexpected end of file" ? "truncated" : "bad-compressed-data";
    const offset = start + inflate.bytesWritten;
    throw new QevmError(code, `gzip: ${message}`, { offset, path: [...reader.path], cause: error });
  } finally {
    inflate.destroy();
  }
}

async function* pieces(reader: QemuFileReader): AsyncGenerator<Uint8Array> {
  while (await reader.fill(1)) yield reader.view(Math.min(reader.available, 1 << 20)).slice();
}
