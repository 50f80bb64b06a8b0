import {
  Z_BUF_ERROR,
  Z_NO_FLUSH,
  Z_OK,
  Z_STREAM_END,
  zlibInflate,
  zlibInflateInit2,
  zlibInflateReset,
  ZStream,
} from "pako";
import { QemuFileReader } from "../../../bytes/reader.js";
import { isRandom, readingFrom, type ByteSource, type RandomSource } from "../../../bytes/source.js";
import { giveInput, giveOutput } from "../../../engine/pako-buffers.js";
import { withoutFirst } from "./progress.js";

/** Bytes that are given at a time. */
const PIECE = 1 << 16;
const CHUNK = 1 << 18;
/** zlib's window of 32 KiB, with gzip's header and trailer. */
const GZIP = 15 + 16;
/** First byte of a member. */
const MEMBER = 0x1f;

/**
 * gzip where there is no Node: by `DecompressionStream`, two to three times as fast as pako. It knows neither a second
 * member nor where it failed; there pako goes on, which has zlib's texts, for what it gave already is decompressed
 * again. A source without random access is pako's from its first byte. Errors: as `gunzip`.
 */
export async function* gunzipAnywhere(reader: QemuFileReader): AsyncGenerator<Uint8Array> {
  const { source } = reader;
  if (!isRandom(source) || globalThis.DecompressionStream === undefined) {
    yield* gunzipByPako(reader);
    return;
  }
  const start = reader.offset - (source.offset ?? 0);
  let given = 0;
  try {
    for await (const chunk of throughStream(reader)) {
      given += chunk.length;
      yield chunk;
    }
    return;
  } catch (error) {
    // `TypeError`: of the decompressor. What the source says is passed on.
    if (!(error instanceof TypeError)) throw error;
  }
  yield* gunzipAgain(reader, source, start, given);
}

/**
 * From the position `start` of a source on by pako, without the first `given` bytes: other decompressors throw away what
 * they had decompressed when they come to damage, and do not say where it is.
 */
export async function* gunzipAgain(
  reader: QemuFileReader,
  source: RandomSource,
  start: number,
  given: number,
): AsyncGenerator<Uint8Array> {
  const again: ByteSource = { ...readingFrom(source, start), offset: (source.offset ?? 0) + start };
  const second = new QemuFileReader(again, { bufferSize: PIECE });
  second.path.push(...reader.path);
  yield* withoutFirst(gunzipByPako(second), given);
}

/** Errors: `TypeError` for what it does not decompress; those of the source. */
async function* throughStream(reader: QemuFileReader): AsyncGenerator<Uint8Array> {
  const { readable, writable } = new DecompressionStream("gzip");
  const writer = writable.getWriter();
  const plain = readable.getReader();
  let trouble: unknown;
  const feed = async (): Promise<void> => {
    try {
      while (await reader.fill(1)) {
        const piece = reader.view(Math.min(reader.available, PIECE)).slice();
        await writer.write(piece);
      }
      await writer.close();
    } catch (error) {
      trouble = error;
      await writer.abort(error).catch(() => undefined);
    }
  };
  const fed = feed();
  try {
    for (;;) {
      const { done, value } = await plain.read();
      if (done) break;
      yield value;
    }
    await fed;
  } catch (error) {
    await fed;
    throw trouble ?? error;
  } finally {
    await plain.cancel().catch(() => undefined);
  }
}

/** Errors: truncated, bad-compressed-data, at the offset in the compressed file. */
async function* gunzipByPako(reader: QemuFileReader): AsyncGenerator<Uint8Array> {
  const stream = new ZStream();
  zlibInflateInit2(stream, GZIP);
  let between = false;
  for (;;) {
    if (!(await reader.fill(1))) {
      if (between) return;
      throw reader.error("truncated", "gzip: unexpected end of file");
    }
    if (between) {
      // Bytes after the last member.
      if (reader.buffer[reader.position] !== MEMBER) return;
      zlibInflateReset(stream);
      between = false;
    }
    const piece = reader.buffer.subarray(reader.position, reader.position + Math.min(reader.available, PIECE));
    giveInput(stream, piece);
    do {
      const space = new Uint8Array(CHUNK);
      giveOutput(stream, space);
      const status = zlibInflate(stream, Z_NO_FLUSH);
      if (stream.next_out > 0) yield space.subarray(0, stream.next_out);
      if (status === Z_STREAM_END) {
        between = true;
        break;
      }
      if (status !== Z_OK && status !== Z_BUF_ERROR) {
        reader.view(stream.next_in);
        throw reader.error("bad-compressed-data", `gzip: ${stream.msg}`);
      }
    } while (stream.avail_out === 0 || stream.avail_in > 0);
    reader.view(stream.next_in);
  }
}
