import { RamFlag } from "../../src/codec/ram/index.js";
import type { ByteSource } from "../../src/bytes/source.js";
import { StreamReader } from "../../src/codec/stream/index.js";

/** A page as it is in a stream: plain or compressed. */
interface CapturedPage {
  compressed: boolean;
  /** A copy of the record's body. */
  body: Uint8Array;
}

/** A copy of every PAGE and COMPRESS_PAGE body of a stream, in stream order. */
export async function* capturedPages(source: ByteSource): AsyncGenerator<CapturedPage> {
  for await (const item of new StreamReader(source)) {
    if (item.kind !== "section" || item.content.kind !== "ram") continue;
    for await (const batch of item.records()) {
      for (let i = 0; i < batch.count; i++) {
        const flag = batch.flag[i];
        if (flag !== RamFlag.PAGE && flag !== RamFlag.COMPRESS_PAGE) continue;
        yield { compressed: flag === RamFlag.COMPRESS_PAGE, body: batch.body(i).slice() };
      }
    }
  }
}
