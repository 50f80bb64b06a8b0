import { deflateSync } from "node:zlib";
import { createDeflater } from "../../../src/engine/index.js";

/**
 * Compresses one page to one zlib stream at level 1, with or without parts of the series. The engine is node:zlib in
 * all of them.
 */
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
