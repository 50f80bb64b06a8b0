import { MemorySink, MemorySource } from "../../src/bytes/index.js";
import { ExactWriter, StreamReader, type StreamItem } from "../../src/codec/stream/index.js";

/**
 * Rewrites a stream item by item: `change` returns the replacement (the item itself, changed in place or not; nothing;
 * several).
 */
export async function rewrite(
  bytes: Uint8Array,
  change: (item: StreamItem) => StreamItem | readonly StreamItem[],
): Promise<Uint8Array> {
  const sink = new MemorySink();
  const writer = new ExactWriter(sink);
  for await (const item of new StreamReader(new MemorySource(bytes))) {
    for (const one of [change(item)].flat()) await writer.item(one);
  }
  await writer.finish();
  return sink.bytes();
}
