import type { PageDeflater } from "../../src/engine/index.js";
import type { ByteSink, ByteSource } from "../../src/bytes/source.js";
import { RamBatch, RamFlag } from "../../src/codec/ram/index.js";
import { ExactWriter, StreamReader, type StreamItem } from "../../src/codec/stream/index.js";

/** Copies a stream and compresses every plain page. Returns the number of pages. */
export async function compressStream(source: ByteSource, sink: ByteSink, deflater: PageDeflater): Promise<number> {
  const writer = new ExactWriter(sink);
  const made = { pages: 0 };
  for await (const item of new StreamReader(source)) await writer.item(compressed(item, deflater, made));
  await writer.finish();
  return made.pages;
}

function compressed(item: StreamItem, deflater: PageDeflater, made: { pages: number }): StreamItem {
  if (item.kind !== "section" || item.content.kind !== "ram") return item;
  return {
    ...item,
    async *records() {
      for await (const batch of item.records()) yield compressBatch(batch, deflater, made);
    },
  };
}

function compressBatch(from: RamBatch, deflater: PageDeflater, made: { pages: number }): RamBatch {
  const to = new RamBatch();
  const payloads: Uint8Array[] = [];
  let at = 0;
  to.count = from.count;
  to.blockList = from.blockList;
  for (let i = 0; i < from.count; i++) {
    to.flag[i] = from.flag[i]!;
    to.continues[i] = from.continues[i]!;
    to.block[i] = from.block[i];
    to.offset[i] = from.offset[i]!;
    to.fill[i] = from.fill[i]!;
    if (from.flag[i] !== RamFlag.PAGE) continue;
    const payload = deflater.deflate(from.body(i)).slice();
    made.pages++;
    payloads.push(payload);
    to.flag[i] = RamFlag.COMPRESS_PAGE;
    to.bodyStart[i] = at;
    to.bodyLength[i] = payload.length;
    at += payload.length;
  }
  to.buffer = Buffer.concat(payloads);
  return to;
}
