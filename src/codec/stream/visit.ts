import type { RamBatch } from "../ram/batch.js";
import type { SectionRecord } from "../sections/index.js";
import type { OpaqueItem, SectionItem, StreamItem, TrailingItem } from "./items.js";

/** Takes what it is interested in of a stream that is read once for all its visitors; the walk waits for promises. */
export interface StreamVisitor {
  /** An item, before its records and chunks are read. */
  item?(item: StreamItem): void | Promise<void>;
  /** Records of a "ram" section; valid until all visitors have returned. */
  batch?(batch: RamBatch, section: SectionItem): void | Promise<void>;
  /** A record of another section that consists of records. */
  record?(record: SectionRecord, section: SectionItem): void | Promise<void>;
  /** Bytes of an item that is not decoded; valid until all visitors have returned. */
  chunk?(chunk: Uint8Array, item: OpaqueItem | TrailingItem): void | Promise<void>;
  /** All of the item was read; its footer, if it has one, is an item of its own. */
  itemEnd?(item: StreamItem): void | Promise<void>;
}

/**
 * Reads items to their end and hands all that they hold to the visitors, to each in the order of the list. Errors:
 * those of the items' source and of the visitors.
 *
 * @param partly false: the error `limit` where bytes after the end of the stream would be left out
 */
export async function walkStream(
  items: AsyncIterable<StreamItem>,
  visitors: readonly StreamVisitor[],
  partly = true,
): Promise<void> {
  for await (const item of items) await walkItem(item, visitors, partly);
}

/** One item of `walkStream`. */
export async function walkItem(item: StreamItem, visitors: readonly StreamVisitor[], partly: boolean): Promise<void> {
  for (const visitor of visitors) await visitor.item?.(item);
  if (item.kind === "section" && item.content.kind === "ram") {
    for await (const batch of item.records()) for (const visitor of visitors) await visitor.batch?.(batch, item);
  } else if (item.kind === "section" && item.content.kind === "records") {
    for await (const record of item.content.entries())
      for (const visitor of visitors) await visitor.record?.(record, item);
  } else if (item.kind === "opaque" || item.kind === "trailing") {
    for await (const chunk of item.chunks(partly)) for (const visitor of visitors) await visitor.chunk?.(chunk, item);
  }
  for (const visitor of visitors) await visitor.itemEnd?.(item);
}
