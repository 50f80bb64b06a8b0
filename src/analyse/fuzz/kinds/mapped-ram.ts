import type { DamageKind, Work } from "../damage.js";
import { be, concat, str8 } from "../raw-bytes.js";
import { edge } from "../random.js";

/** Damage to a mapped-ram file: the headers whose offsets point into the file, the bitmaps, the page areas. */
export const MAPPED_RAM_KINDS: readonly DamageKind[] = [
  { name: "mapped-version", apply: (work) => header(work, 0, 4, "version") },
  { name: "mapped-page-size", apply: (work) => header(work, 4, 8, "page size") },
  { name: "mapped-bitmap-offset", apply: (work) => header(work, 12, 8, "bitmap offset") },
  { name: "mapped-pages-offset", apply: (work) => header(work, 20, 8, "pages offset") },
  { name: "mapped-overlap", apply: overlap },
  { name: "mapped-bitmap", apply: bitmap },
  { name: "mapped-announced", apply: announced },
  { name: "mapped-area", apply: area },
];

/** Parts that hold a block's entry, header and bitmap: those in a stream that has page areas. */
function entries(work: Work): number[] {
  return work.of("area").length === 0 ? [] : work.of("blocks");
}

/** Where the header of a block begins in its part: after the total (the first one alone), the name and the length. */
function headerAt(bytes: Uint8Array): number {
  for (const lead of [8, 0]) {
    const at = lead + 1 + (bytes[lead] ?? 0) + 8;
    if (bytes.length >= at + 28 && bytes[at + 3] === 1 && bytes[at] === 0) return at;
  }
  return -1;
}

function header(work: Work, from: number, width: number, what: string): string | undefined {
  const found = entries(work);
  if (found.length === 0) return undefined;
  const index = work.random.pick(found);
  let done = false;
  work.change(index, (all) => {
    const at = headerAt(all);
    if (at < 0) return;
    let old = 0n;
    for (let i = 0; i < width; i++) old = (old << 8n) | BigInt(all[at + from + i]!);
    all.set(be(edge(work.random, 8 * width, old), width), at + from);
    done = true;
  });
  return done ? `${what} of the mapped-ram header in #${index}` : undefined;
}

/** The offsets of one block in the header of another. */
function overlap(work: Work): string | undefined {
  const found = entries(work).filter((i) => headerAt(work.list[i]!.bytes) >= 0);
  if (found.length < 2) return undefined;
  const [a, b] = [work.random.pick(found), work.random.pick(found)];
  const from = work.list[b]!.bytes;
  const at = headerAt(from);
  work.change(a, (all) => all.set(from.subarray(at + 12, at + 28), headerAt(all) + 12));
  return `#${a} is where #${b} is`;
}

function bitmap(work: Work): string | undefined {
  const found = entries(work).filter((i) => work.list[i]!.bytes.length > headerAt(work.list[i]!.bytes) + 28);
  if (found.length === 0) return undefined;
  const index = work.random.pick(found);
  work.change(index, (all) => {
    const start = headerAt(all) + 28;
    const at = start + work.random.below(Math.min(64, all.length - start));
    all[at] = work.random.u32();
  });
  return `bitmap in #${index}`;
}

/** A stream that announces mapped-ram and is none. */
function announced(work: Work): string | undefined {
  const index = work.any("configuration");
  if (index < 0) return undefined;
  const { bytes } = work.list[index]!;
  work.replace(index, concat(bytes, [5], str8("configuration/capabilities"), be(1, 4), be(1, 4), str8("mapped-ram")));
  return "mapped-ram announced";
}

function area(work: Work): string | undefined {
  const index = work.any("area");
  if (index < 0) return undefined;
  work.remove(index, 1 + work.random.below(3));
  return `page area shorter at #${index}`;
}
