/** The postcopy recordings of the corpus: small machines with known memory. */
import { direct, mebi } from "../capture/entries/parts.js";
import { firmwareAround } from "../guest/listing.js";
import { dirtyGuest, readingGuest, type Region } from "../guest/patterns.js";
import type { PostcopyRecipe } from "./record.js";

const READ: readonly Region[] = [{ start: mebi, end: 1.5 * mebi }];
const DIRTIED: readonly Region[] = [{ start: mebi, end: 1.25 * mebi }];

/** A guest that only reads: it runs on in the destination and requests missing pages. */
export function reading(name: string, qemu: string, shows: string, more: Partial<PostcopyRecipe> = {}): PostcopyRecipe {
  return {
    name,
    shows,
    qemu,
    args: direct("pc", 2),
    files: { "bios.img": firmwareAround(readingGuest(READ)) },
    capabilities: [],
    parameters: { "max-postcopy-bandwidth": 1 << 19 },
    rounds: 0,
    runs: true,
    ...more,
  };
}

/**
 * A guest that dirties memory until the switch and is stopped in the destination: pages that were sent are discarded.
 */
export function dirtying(name: string, qemu: string, shows: string): PostcopyRecipe {
  const files = { "bios.img": firmwareAround(dirtyGuest(DIRTIED)) };
  return { ...reading(name, qemu, shows), args: direct("pc", 4), files, parameters: {}, rounds: 2, runs: false };
}

export const recipes: readonly PostcopyRecipe[] = [
  reading("postcopy-7.2", "7.2", "postcopy: a package, pages that the running guest asked for"),
  reading("postcopy-7.2-preempt", "7.2", "postcopy with a channel of its own for pages that were asked for", {
    capabilities: ["postcopy-preempt"],
  }),
  dirtying("postcopy-7.2-dirty", "7.2", "postcopy behind two rounds: pages that were sent are discarded"),
  reading("postcopy-7.2-recovered", "7.2", "postcopy over a connection that breaks, and another that goes on", {
    parameters: { "max-postcopy-bandwidth": 1 << 18 },
    breaks: true,
  }),
  reading("postcopy-10.0-preempt", "10.0", "postcopy of 10.0 with a channel of its own, made at the switch", {
    capabilities: ["postcopy-preempt"],
  }),
  reading("postcopy-11.1", "11.1", "postcopy of 11.1: PING 0x42 in the package"),
];
