import { deflateSync } from "node:zlib";
import { createDeflater } from "../../../src/engine/index.js";

/** One page to one zlib stream at level 1, with or without the series' parts. Engine: node:zlib in every way. */
export async function pageCompressor(
  pageSize: number,
  { keptState, ownBuffer }: { keptState: boolean; ownBuffer: boolean },
): Promise<(page: Uint8Array) => Uint8Array> {
  const own = new Uint8Array(pageSize);
  const copied = (page: Uint8Array): Uint8Array => {
    if (!ownBuffer) return page;
    own.set(page);
    return own;
  };
  if (!keptState) return (page) => deflateSync(copied(page), { level: 1 });
  const kept = await createDeflater("fast", { level: 1, pageSize });
  return (page) => kept.deflate(copied(page));
}
