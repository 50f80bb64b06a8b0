/** Decodes a stream into fields and re-encodes it from these only. */
import { MemorySink, MemorySource } from "../../src/bytes/index.js";
import { ExactWriter, StreamReader, type StreamOptions } from "../../src/codec/stream/index.js";

/** The re-encoded stream, and the number of bytes that were copied without being decoded. Errors: as `StreamReader`. */
export async function reencode(
  stream: Uint8Array,
  options: StreamOptions = {},
): Promise<{ bytes: Uint8Array; opaque: number }> {
  const sink = new MemorySink();
  const writer = new ExactWriter(sink);
  let opaque = 0;
  for await (const item of new StreamReader(new MemorySource(stream), options)) {
    const before = writer.offset;
    await writer.item(item);
    if (item.kind === "opaque" || (item.kind === "section" && item.content.kind === "opaque")) {
      opaque += writer.offset - before;
    }
  }
  await writer.finish();
  return { bytes: sink.bytes(), opaque };
}
