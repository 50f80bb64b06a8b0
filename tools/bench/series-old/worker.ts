/**
 * A compress thread without some parts of the series: `worker.js?state,buffer` names those it has. It fills slots with
 * records like our own threads, so that everything else of the save is the same.
 */
import { workerData } from "node:worker_threads";
import type { CompressSetup } from "../../../src/rewrite/threads/compress-work.js";
import { serve, type Slot, type WorkerStart } from "../../../src/io/threads/index.js";
import { pageCompressor } from "./compressor.js";

const COMPRESS_PAGE = 0x100;
const HEADER = 12;

const { ring, data } = workerData as WorkerStart<CompressSetup>;
const parts = new URL(import.meta.url).searchParams;
const compress = await pageCompressor(data.pageSize, { keptState: parts.has("state"), ownBuffer: parts.has("buffer") });
const memories = data.memories.map(({ buffer, start, length }) => new Uint8Array(buffer, start, length));

function run(slot: Slot): void {
  const { pageSize } = data;
  const memory = memories[slot.source]!;
  const out = new DataView(slot.output.buffer, slot.output.byteOffset);
  let at = 0;
  for (let i = 0; i < slot.count; i++) {
    const offset = slot.offset(i, pageSize);
    const payload = compress(memory.subarray(offset, offset + pageSize));
    out.setUint32(at, slot.words[i * 2 + 1]!);
    out.setUint32(at + 4, (slot.words[i * 2]! | COMPRESS_PAGE) >>> 0);
    out.setUint32(at + 8, payload.length);
    slot.output.set(payload, at + HEADER);
    slot.starts[i] = at;
    slot.lengths[i] = HEADER + payload.length;
    slot.flags[i] = 0;
    at += HEADER + payload.length;
  }
  slot.length = at;
}

await serve(ring, { run });
