import { MemorySink, MemorySource } from "../../src/bytes/index.js";
import type { SectionRecord } from "../../src/codec/sections/index.js";
import { ExactWriter, StreamReader } from "../../src/codec/stream/index.js";

/** The stream, with the records of its sections that have some as `change` returns them. */
export async function changedRecords(
  stream: Uint8Array,
  change: (record: SectionRecord) => SectionRecord,
): Promise<Uint8Array> {
  const sink = new MemorySink();
  const writer = new ExactWriter(sink);
  for await (const item of new StreamReader(new MemorySource(stream))) {
    if (item.kind !== "section" || item.content.kind !== "records") {
      await writer.item(item);
      continue;
    }
    const { entries } = item.content;
    const changed = async function* (): AsyncGenerator<SectionRecord> {
      for await (const record of entries()) yield change(record);
    };
    await writer.item({ ...item, content: { kind: "records", entries: changed } });
  }
  await writer.finish();
  return sink.bytes();
}
