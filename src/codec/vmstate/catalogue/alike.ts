import type { Book, GroupData, Layout } from "./data.js";

/**
 * Origins that may have a layout which they were not seen to have, as bits: those with a layout of the same vmsd and
 * version that has the same fields but for some that one of both leaves out. Conditional fields go by machine type and
 * properties, and not all combinations were seen.
 */
export function mayHave(book: Book, layout: Layout): bigint {
  let table = known.get(book);
  if (table === undefined) known.set(book, (table = new Map()));
  let found = table.get(layout);
  if (found === undefined) {
    found = layout.from;
    for (const other of book.layouts) {
      if (other.name !== layout.name || other.version !== layout.version || layout.name === undefined) continue;
      if (isPartOf(layout.fields, other.fields) || isPartOf(other.fields, layout.fields)) found |= other.from;
    }
    table.set(layout, found);
  }
  return found;
}

const known = new WeakMap<Book, Map<Layout, bigint>>();

/** Whether a list of fields is another one without some of its fields. */
function isPartOf(some: readonly GroupData[], all: readonly GroupData[]): boolean {
  let at = 0;
  for (const { n, t } of all) if (at < some.length && some[at]!.n === n && some[at]!.t === t) at++;
  return at === some.length;
}
