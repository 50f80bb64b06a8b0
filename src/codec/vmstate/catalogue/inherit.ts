import type { CatalogueData } from "./data.js";
import { originsOf, type Origin } from "./origins.js";

/**
 * Origins of each layout, as bits: those that were seen to have it and, for subsections, later releases of the same
 * target that have the vmsd and were not seen to have the subsection. Subsections are rare, and QEMU keeps what an older
 * release may send.
 */
export function inheritedOrigins({ origins: names, layouts, subsections }: CatalogueData): bigint[] {
  const from = layouts.map((layout) => BigInt(`0x${layout.from}`));
  const origins = originsOf(names);
  for (const [vmsd, ids] of Object.entries(subsections)) {
    let has = 0n;
    for (const [id, { name }] of layouts.entries()) if (name === vmsd) has |= from[id]!;
    for (const name of new Set(ids.map((id) => layouts[id]!.name))) {
      const forms = ids.filter((id) => layouts[id]!.name === name);
      const seen = forms.reduce((bits, id) => bits | from[id]!, 0n);
      for (const origin of origins) {
        if ((has & origin.bit) === 0n || (seen & origin.bit) !== 0n) continue;
        const heir = latestBefore(origins, origin, seen);
        if (heir === undefined) continue;
        for (const id of forms) if ((from[id]! & heir.bit) !== 0n) give(layouts, from, id, heir.bit, origin.bit);
      }
    }
  }
  return from;
}

/** The latest release of the same target before this one that is one of those given. */
function latestBefore(origins: readonly Origin[], { target, release }: Origin, given: bigint): Origin | undefined {
  if (release === undefined) return undefined;
  return origins
    .filter((one) => one.target === target && (one.release ?? Infinity) < release && (one.bit & given) !== 0n)
    .toSorted((a, b) => b.release! - a.release!)[0];
}

/** Gives a layout, and what is in it, to an origin that follows the one that has them. */
function give(layouts: CatalogueData["layouts"], from: bigint[], id: number, of: bigint, to: bigint): void {
  if ((from[id]! & of) === 0n || (from[id]! & to) !== 0n) return;
  from[id]! |= to;
  for (const group of layouts[id]!.fields) {
    for (const one of [group, ...(group.e ?? [])]) {
      for (const inner of [...(one.l ?? []), ...(one.k ?? [])]) give(layouts, from, inner, of, to);
    }
  }
}
