import type { QemuFileReader } from "../qemu-file/reader.js";
import type { OpaqueItem } from "./items.js";
import { TypeByte } from "./types.js";

const PIECE = 1 << 20;

/** All that is left of a stream from where the reader stands. Whether it ends like a whole stream is told to `stream`. */
export function restOfStream(stream: { complete: boolean }, reader: QemuFileReader, reason: string): OpaqueItem {
  const tail: number[] = [];
  const endsInEof = (): boolean => tail.length === 6 && tail[0] === TypeByte.SECTION_FOOTER && tail[5] === TypeByte.EOF;
  const pieces = remaining(reader);
  return {
    kind: "opaque",
    offset: reader.offset,
    reason,
    endsInEof,
    async *chunks() {
      for await (const chunk of pieces) {
        tail.push(...chunk.subarray(Math.max(0, chunk.length - 6)));
        tail.splice(0, tail.length - 6);
        yield chunk;
      }
      stream.complete = endsInEof();
    },
  };
}

/** All that is left of a package, which is in the buffer. What the consumer leaves is passed over: the stream goes on behind. */
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

/** Everything that is left, a buffer at a time. */
export async function* remaining(reader: QemuFileReader): AsyncGenerator<Uint8Array> {
  while (await reader.fill(1)) yield reader.view(Math.min(reader.available, PIECE));
}
