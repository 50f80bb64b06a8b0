import { QevmError } from "../../bytes/errors.js";
import { latin1, type QemuFileReader } from "../../bytes/reader.js";
import type { RamBatch } from "../ram/index.js";
import { parseVmDescription, type VmDescription } from "../vmstate/index.js";
import type { OpaqueItem, TrailingItem, VmDescriptionItem } from "./items.js";
import { descriptionLimits, type StreamLimits } from "./limits.js";
import { DESCRIPTION_HEADER, TypeByte } from "./types.js";

const PIECE = 1 << 20;

/**
 * All that is left of a stream from the reader's position; what the consumer leaves is skipped, since how a stream ends
 * is known at its end only. Whether it ends like a whole stream is reported to `stream`.
 */
export async function* restOfStream(
  stream: { complete: boolean; footers: boolean | undefined },
  reader: QemuFileReader,
  reason: string,
): AsyncGenerator<OpaqueItem> {
  const tail: number[] = [];
  const endsInEof = (): boolean =>
    tail.at(-1) === TypeByte.EOF && (stream.footers === false || tail.at(-6) === TypeByte.SECTION_FOOTER);
  async function* chunks(): AsyncGenerator<Uint8Array> {
    for await (const chunk of remaining(reader)) {
      tail.push(...chunk.subarray(Math.max(0, chunk.length - 6)));
      tail.splice(0, tail.length - 6);
      yield chunk;
    }
    stream.complete = reason !== ENDS_INSIDE && endsInEof();
  }
  yield { kind: "opaque", offset: reader.offset, reason, endsInEof, chunks };
  for await (const _ of chunks());
}

/**
 * All that is left of a package, which is in the buffer. What the consumer leaves is skipped: the stream goes on after
 * the package.
 */
export function* restOfPackage(reader: QemuFileReader, end: number, reason: string): Generator<OpaqueItem> {
  yield {
    kind: "opaque",
    offset: reader.offset,
    reason,
    endsInEof: () => false,
    async *chunks() {
      while (reader.offset < end) yield reader.view(Math.min(end - reader.offset, PIECE));
    },
  };
  reader.skip(end - reader.offset);
}

/** What follows EOF: the VMDESCRIPTION, and what follows the end of the stream. */
export async function* endOfStream(
  reader: QemuFileReader,
  limits: StreamLimits,
  devices: { descriptionOf(text: string): VmDescription | undefined },
  trailing: string,
): AsyncGenerator<VmDescriptionItem | TrailingItem> {
  const { offset } = reader;
  if (!(await reader.fill(1))) return;
  if (reader.peek() === TypeByte.VMDESCRIPTION) {
    await reader.need(DESCRIPTION_HEADER, "VMDESCRIPTION");
    reader.skip(1);
    const length = reader.u32();
    if (length > limits.descriptionBytes) {
      throw reader.error("limit", "VMDESCRIPTION", {
        offset: offset + 1,
        expected: `at most ${limits.descriptionBytes} bytes`,
        found: `${length}`,
      });
    }
    await reader.needLarge(length, "VMDESCRIPTION");
    const payloadOffset = reader.offset;
    const text = latin1(reader.view(length));
    const known = devices.descriptionOf(text);
    const description = known ?? parseVmDescription(text, { offset: payloadOffset, ...descriptionLimits(limits) });
    yield { kind: "vmdescription", offset, payloadOffset, text, description };
  }
  if (await reader.fill(1)) {
    yield* trailingBytes(reader, limits.tailBytes, trailing);
  }
}

/** What follows the end of the stream; of an input whose length is known, not more than `most` bytes are read. */
async function* trailingBytes(reader: QemuFileReader, most: number, what: string): AsyncGenerator<TrailingItem> {
  const { offset, source } = reader;
  const length = source.length === undefined ? 0 : source.length + reader.origin - offset;
  async function* chunks(partly = false): AsyncGenerator<Uint8Array> {
    if (length > most && !partly) {
      const place = { offset, expected: `at most ${most} bytes (tailBytes)`, found: `${length}` };
      throw reader.error("limit", "bytes after the end of the stream", place);
    }
    const end = length > most ? offset + most : Infinity;
    for (let left = end - reader.offset; left > 0 && (await reader.fill(1)); left = end - reader.offset) {
      yield reader.view(Math.min(reader.available, PIECE, left));
    }
  }
  yield { kind: "trailing", offset, what, unread: Math.max(0, length - most), chunks };
  await reader.discardRest();
}

/** Bytes of the input that were not decoded, since reading ended before them. */
export interface Unfinished {
  offset: number;
  length: number;
  reason: string;
}

/** What is after a stream, where nothing more is known of it. */
export const BEHIND = "bytes after the end of the stream";

/** Why what is left of a broken connection is not understood. */
export const BROKEN = "what the connection broke in";
/** Why what a cut input ends with is not. */
export const ENDS_INSIDE = "truncated final record";
/** Why bytes after an error are not decoded. */
export const BEHIND_ERROR = "at or after what could not be decoded";

/** An error for a caller that wants the whole stream and got a cut one. */
export function incomplete(offset: number): QevmError {
  return new QevmError("truncated", "the stream ends before its EOF", { offset });
}

/** The same parts for a consumer that may leave them: what it leaves can still be read, or skipped. */
export async function* leavable<T>(parts: AsyncGenerator<T>): AsyncGenerator<T> {
  for (let next = await parts.next(); next.done !== true; next = await parts.next()) yield next.value;
}

/** Reads on to the end to count what follows `offset`. Undefined: nothing. Errors: io. */
export async function countRest(
  reader: QemuFileReader,
  offset: number,
  reason: string,
): Promise<Unfinished | undefined> {
  try {
    await reader.discardRest();
  } catch (error) {
    // A damaged container gives no more bytes.
    if (!(error instanceof QevmError) || error.code === "io") throw error;
  }
  const length = reader.offset - offset;
  return length > 0 ? { offset, length, reason } : undefined;
}

/** Everything that is left, a buffer at a time. */
async function* remaining(reader: QemuFileReader): AsyncGenerator<Uint8Array> {
  while (await reader.fill(1)) yield reader.view(Math.min(reader.available, PIECE));
}

/** The records of sections other than "ram". */
export async function* noRecords(): AsyncGenerator<RamBatch> {
  // There are none.
}
