import type { DamageKind, Work } from "../damage.js";
import { concat } from "../raw-bytes.js";
import { edge } from "../random.js";

/** Damage that knows nothing of the format. It works on any bytes, containers included. */
export const BYTE_KINDS: readonly DamageKind[] = [
  {
    name: "byte-flip",
    apply: (work) => bytes(work, (all, at) => void (all[at]! ^= 1 << work.random.below(8)), "a bit flipped"),
  },
  { name: "byte-set", apply: (work) => bytes(work, (all, at) => void (all[at] = work.random.u32()), "a byte set") },
  {
    name: "byte-number",
    apply: (work) =>
      bytes(
        work,
        (all, at) => {
          const width = work.random.pick([1, 2, 4, 8]);
          let value = edge(work.random, 8 * width);
          for (let i = width - 1; i >= 0; i--, value >>= 8n)
            if (at + i < all.length) all[at + i] = Number(value & 0xffn);
        },
        "an edge number written",
      ),
  },
  {
    name: "byte-noise",
    apply: (work) =>
      bytes(
        work,
        (all, at) => all.set(work.random.bytes(Math.min(1 + work.random.below(64), all.length - at)), at),
        "noise",
      ),
  },
  {
    name: "byte-remove",
    apply: (work) =>
      bytes(
        work,
        (all, at) => concat(all.subarray(0, at), all.subarray(at + 1 + work.random.below(16))),
        "bytes removed",
      ),
  },
  {
    name: "byte-insert",
    apply: (work) =>
      bytes(
        work,
        (all, at) => concat(all.subarray(0, at), work.random.bytes(1 + work.random.below(16)), all.subarray(at)),
        "bytes inserted",
      ),
  },
  {
    name: "byte-repeat",
    apply: (work) =>
      bytes(
        work,
        (all, at) => {
          const piece = all.slice(at, at + 1 + work.random.below(256));
          return concat(all.subarray(0, at), piece, piece, all.subarray(at + piece.length));
        },
        "bytes twice",
      ),
  },
  {
    name: "byte-fill",
    apply: (work) =>
      bytes(
        work,
        (all, at) => void all.fill(work.random.pick([0, 0xff]), at, at + 1 + work.random.below(64)),
        "bytes filled",
      ),
  },
  { name: "part-cut", apply: cut },
  { name: "part-remove", apply: remove },
  { name: "part-repeat", apply: repeat },
  { name: "part-swap", apply: swap },
];

/** A random part (all equally likely, so that short ones are hit as often as pages), and a place in it. */
function bytes(
  work: Work,
  change: (all: Uint8Array, at: number) => Uint8Array | void,
  what: string,
): string | undefined {
  if (work.list.length === 0) return undefined;
  const index = work.random.below(work.list.length);
  const at = work.random.below(work.list[index]!.bytes.length);
  const label = work.label(index);
  work.change(index, (all) => change(all, at));
  return `${what} at ${at} of ${label}`;
}

function cut(work: Work): string | undefined {
  if (work.list.length === 0) return undefined;
  const index = work.random.below(work.list.length);
  const part = work.list[index]!;
  const at = work.random.below(part.bytes.length + 1);
  work.list.length = index + 1;
  work.replace(index, part.bytes.subarray(0, at));
  return `cut at ${at} of ${work.label(index)}`;
}

function remove(work: Work): string | undefined {
  if (work.list.length === 0) return undefined;
  const index = work.random.below(work.list.length);
  const label = work.label(index);
  work.remove(index);
  return `removed ${label}`;
}

function repeat(work: Work): string | undefined {
  const part = work.list[work.random.below(work.list.length)];
  if (part === undefined) return undefined;
  const to = work.random.below(work.list.length + 1);
  work.list.splice(to, 0, part);
  return `again at #${to}: ${part.kind} ${JSON.stringify(part.name)}`;
}

function swap(work: Work): string | undefined {
  if (work.list.length < 2) return undefined;
  const a = work.random.below(work.list.length);
  const b = work.random.below(work.list.length);
  const [first, second] = [work.list[a]!, work.list[b]!];
  work.list[a] = second;
  work.list[b] = first;
  return `exchanged #${a} and #${b}`;
}
