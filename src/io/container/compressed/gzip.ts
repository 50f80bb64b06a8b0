import { QevmError } from "../../../bytes/errors.js";
import type { QemuFileReader } from "../../../bytes/reader.js";
import { isRandom } from "../../../bytes/source.js";
import { gunzipAgain, gunzipAnywhere } from "./gunzip.js";

/**
 * gzip (RFC 1952), one or more members, by node:zlib, which checks CRC-32 and length; where there is no Node by
 * `gunzipAnywhere`. Bytes after the last member are ignored, as in gzip. Where it is damaged and can be read again, pako
 * does so: node:zlib throws away up to 256 KiB before the damage. Memory: 1 MiB in, 256 KiB out. Errors: truncated,
 * bad-compressed-data, at the current offset in the compressed file.
 */
export async function* gunzip(reader: QemuFileReader): AsyncGenerator<Uint8Array> {
  const { process: node } = globalThis;
  if (node?.getBuiltinModule === undefined) {
    yield* gunzipAnywhere(reader);
    return;
  }
  // Loaded at run time so that bundlers for the browser do not see their names.
  const zlib = node.getBuiltinModule("node:zlib");
  const { promises, Readable } = node.getBuiltinModule("node:stream");
  const start = reader.offset;
  let given = 0;
  const inflate = zlib.createGunzip({ chunkSize: 1 << 18 });
  const feeding = promises.pipeline(Readable.from(pieces(reader), { objectMode: true, highWaterMark: 1 }), inflate);
  // The iterator reports this error too; without the handler it would be an unhandled rejection.
  feeding.catch(() => undefined);
  try {
    for await (const chunk of inflate as AsyncIterable<Uint8Array>) {
      given += chunk.length;
      yield chunk;
    }
    await feeding;
  } catch (error) {
    if (error instanceof QevmError) throw error;
    const message = error instanceof Error ? error.message : String(error);
    const code = message === "unexpected end of file" ? "truncated" : "bad-compressed-data";
    const { source } = reader;
    if (code === "bad-compressed-data" && isRandom(source)) {
      yield* gunzipAgain(reader, source, start - (source.offset ?? 0), given);
      return;
    }
    const offset = start + inflate.bytesWritten;
    throw new QevmError(code, `gzip: ${message}`, { offset, path: [...reader.path], cause: error });
  } finally {
    inflate.destroy();
  }
}

async function* pieces(reader: QemuFileReader): AsyncGenerator<Uint8Array> {
  while (await reader.fill(1)) yield reader.view(Math.min(reader.available, 1 << 20)).slice();
}
