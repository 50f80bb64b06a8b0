import { QevmError } from "../../bytes/errors.js";
import { isRandom, readingFrom, type ByteSource } from "../../bytes/source.js";
import { RamFlag } from "../../codec/ram/index.js";
import { StreamReader, type StreamOptions } from "../../codec/stream/index.js";
import { standsBetween } from "./between.js";

/**
 * Whether a stream holds XBZRLE pages: read ahead where the source can go back (pages are skipped, which costs a
 * twentieth of inflating them), "may be" where it cannot. What is wrong with the stream is left to the reading proper.
 */
export async function mayHoldXbzrle(source: ByteSource, options: StreamOptions): Promise<boolean> {
  if (!isRandom(source)) return true;
  try {
    for await (const item of new StreamReader(readingFrom(source, 0), options)) {
      if (item.kind !== "section") continue;
      if (standsBetween(item)) continue;
      if (item.type === "full" || item.content.kind !== "ram") return false;
      for await (const batch of item.records()) if (batch.has(RamFlag.XBZRLE)) return true;
    }
  } catch (error) {
    if (!(error instanceof QevmError)) throw error;
    return false;
  }
  return false;
}
