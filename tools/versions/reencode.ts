/** A stream decoded into fields and written again from nothing but these. */
import { MemorySink, MemorySource } from "../../src/bytes/index.js";
import { ExactWriter, StreamReader, type StreamOptions } from "../../src/codec/stream/index.js";

/** The stream again, and how many of its bytes were passed on without being understood. Errors: as `StreamReader`. */
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
