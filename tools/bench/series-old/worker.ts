/** A compress thread as it was before the series, or with parts of it: a state a page, or one that is kept. */
import { deflateSync } from "node:zlib";
import { workerData } from "node:worker_threads";
import { createDeflater, type PageDeflater } from "../../../src/engine/index.js";
import { serve, type Slot, type WorkerStart } from "../../../src/threads/index.js";

/** Which parts of the series are there. */
export interface SeriesSetup {
  memory: SharedArrayBuffer;
  pageSize: number;
  /** One deflate state a thread, reset a page; otherwise a new one each page. */
  keptState: boolean;
  /** The page is copied to the thread's own buffer first. */
  ownBuffer: boolean;
}

/** One page to one zlib stream, with or without the series' parts. */
export async function pageCompressor(setup: SeriesSetup): Promise<(offset: number) => Uint8Array> {
  const { pageSize, keptState, ownBuffer } = setup;
  const bytes = new Uint8Array(setup.memory);
  const own = new Uint8Array(pageSize);
  const kept: PageDeflater | undefined = keptState ? await createDeflater("fast", { level: 1, pageSize }) : undefined;
  return (offset) => {
    let page: Uint8Array = bytes.subarray(offset, offset + pageSize);
    if (ownBuffer) {
      own.set(page);
      page = own;
    }
    return kept === undefined ? deflateSync(page, { level: 1 }) : kept.deflate(page);
  };
}

/** Compresses the pages of a slot, one behind the other. */
export function runSlot(slot: Slot, compress: (offset: number) => Uint8Array, pageSize: number): void {
  let at = 0;
  for (let i = 0; i < slot.count; i++) {
    const payload = compress(slot.offset(i, pageSize));
    slot.output.set(payload, at);
    slot.lengths[i] = payload.length;
    at += payload.length;
  }
  slot.length = at;
}

if (workerData !== null) {
  const { ring, data } = workerData as WorkerStart<SeriesSetup>;
  const compress = await pageCompressor(data);
  serve(ring, { run: (slot) => runSlot(slot, compress, data.pageSize) });
}
