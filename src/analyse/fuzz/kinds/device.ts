import { strangeName, type DamageKind, type Work } from "../damage.js";
import { be, concat, str8 } from "../raw-bytes.js";
import { edge } from "../random.js";

/** Damage to device state: payloads of FULL sections, and the subsections in them. */
export const DEVICE_KINDS: readonly DamageKind[] = [
  {
    name: "device-byte",
    apply: (work) => device(work, (all) => void (all[work.random.below(all.length)] = work.random.u32()), "a byte"),
  },
  { name: "device-number", apply: (work) => device(work, (all, view) => number(work, all, view), "a number") },
  { name: "device-cut", apply: (work) => device(work, (all) => all.slice(0, work.random.below(all.length)), "cut") },
  {
    name: "device-long",
    apply: (work) => device(work, (all) => concat(all, work.random.bytes(1 + work.random.below(16))), "bytes more"),
  },
  { name: "device-middle", apply: (work) => device(work, (all) => middle(work, all), "a byte less in the middle") },
  { name: "device-other", apply: other },
  { name: "device-removed", apply: removed },
  { name: "device-twice", apply: (work) => twice(work) },
  { name: "subsection-name", apply: (work) => subsection(work, (all, at) => rename(work, all, at), "another name") },
  {
    name: "subsection-version",
    apply: (work) => subsection(work, (all, at) => version(work, all, at), "another version"),
  },
  { name: "subsection-removed", apply: (work) => subsection(work, (all, at) => all.slice(0, at), "cut off") },
  {
    name: "subsection-added",
    apply: (work) =>
      device(
        work,
        (all) => concat(all, [5], str8(strangeName(work.random)), be(1, 4), work.random.bytes(work.random.below(16))),
        "one more subsection",
      ),
  },
];

type Change = (all: Uint8Array, view: DataView) => Uint8Array | void;

function device(work: Work, change: Change, what: string): string | undefined {
  const index = work.any("device");
  if (index < 0) return undefined;
  work.change(index, change);
  return `${what}: ${work.label(index)}`;
}

/** An edge number at an aligned or any place. */
function number(work: Work, all: Uint8Array, view: DataView): void {
  const width = work.random.pick([2, 4, 8]);
  if (all.length < width) return;
  const at = work.random.below(all.length - width + 1);
  const value = edge(work.random, 8 * width);
  if (width === 8) view.setBigUint64(at, value);
  else if (width === 4) view.setUint32(at, Number(value));
  else view.setUint16(at, Number(value));
}

function middle(work: Work, all: Uint8Array): Uint8Array {
  const at = work.random.below(all.length);
  return concat(all.subarray(0, at), all.subarray(at + 1));
}

/** The payload of another device. */
function other(work: Work): string | undefined {
  const found = work.of("device");
  if (found.length < 2) return undefined;
  const [a, b] = [work.random.pick(found), work.random.pick(found)];
  work.replace(a, work.list[b]!.bytes);
  return `${work.label(a)} has the state of #${b}`;
}

/** A whole section: header, payload, footer. */
function removed(work: Work): string | undefined {
  const index = work.any("device");
  if (index < 1) return undefined;
  const label = work.label(index);
  const tail = work.list[index + 1]?.kind === "footer" ? 1 : 0;
  work.remove(index - 1, 2 + tail);
  return `without ${label}`;
}

function twice(work: Work): string | undefined {
  const index = work.any("device");
  if (index < 1) return undefined;
  const tail = work.list[index + 1]?.kind === "footer" ? 1 : 0;
  const copy = work.list.slice(index - 1, index + 1 + tail);
  const label = work.label(index);
  work.list.splice(work.border(), 0, ...copy);
  return `${label} twice`;
}

/** Places where a subsection seems to begin: 0x05, a length, a name with a slash. */
function subsections(bytes: Uint8Array): number[] {
  const found: number[] = [];
  for (let at = bytes.indexOf(5); at >= 0 && at + 4 < bytes.length; at = bytes.indexOf(5, at + 1)) {
    const name = bytes.subarray(at + 2, at + 2 + bytes[at + 1]!);
    if (name.length > 2 && name.includes(0x2f) && name.every((c) => c > 0x20 && c < 0x7f)) found.push(at);
  }
  return found;
}

function subsection(work: Work, change: (all: Uint8Array, at: number) => Uint8Array, what: string): string | undefined {
  const found = work.of("device").filter((i) => subsections(work.list[i]!.bytes).length > 0);
  if (found.length === 0) return undefined;
  const index = work.random.pick(found);
  work.change(index, (all) => change(all, work.random.pick(subsections(all))));
  return `a subsection with ${what}: ${work.label(index)}`;
}

function rename(work: Work, all: Uint8Array, at: number): Uint8Array {
  const length = all[at + 1]!;
  const name = work.random.once(2) ? strangeName(work.random) : `${"x".repeat(Math.max(0, length - 2))}/y`;
  return concat(all.subarray(0, at + 1), str8(name, work.repair ? name.length : length), all.subarray(at + 2 + length));
}

function version(work: Work, all: Uint8Array, at: number): Uint8Array {
  const from = at + 2 + all[at + 1]!;
  return concat(all.subarray(0, from), be(edge(work.random, 32), 4), all.subarray(from + 4));
}
