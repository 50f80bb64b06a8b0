import { QevmError } from "../../bytes/errors.js";
import type { ByteSource } from "../../bytes/source.js";
import { RamFlag } from "../../codec/ram/index.js";
import { StreamReader, type StreamOptions } from "../../codec/stream/index.js";
import { standsBetween } from "./between.js";

/**
 * Whether a stream holds XBZRLE pages: read ahead where the source can go back (pages are passed over, which costs a
 * twentieth of inflating them), "may be" where it cannot. What is wrong with the stream is left to the reading proper.
 */
export async function mayHoldXbzrle(source: ByteSource, options: StreamOptions): Promise<boolean> {
  const { length } = source;
  if (source.readAt === undefined || length === undefined) return true;
  let position = 0;
  const ahead: ByteSource = {
    length,
    read: (into) => {
      const got = source.readAt!(position, into);
      if (typeof got === "number") {
        position += got;
        return got;
      }
      return got.then((n) => {
        position += n;
        return n;
      });
    },
  };
  try {
    for await (const item of new StreamReader(ahead, options)) {
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
