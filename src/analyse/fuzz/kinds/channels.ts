import { strangeName, type DamageKind, type Work } from "../damage.js";
import { be, concat } from "../raw-bytes.js";
import { edge } from "../random.js";

/** Damage to the other channels of a recording: multifd packets, and messages of the return path. */
export const CHANNEL_KINDS: readonly DamageKind[] = [
  { name: "init-magic", apply: (work) => field(work, "init", 0, 4, "magic") },
  { name: "init-version", apply: (work) => field(work, "init", 4, 4, "version") },
  { name: "init-id", apply: (work) => field(work, "init", 24, 1, "channel id") },
  { name: "packet-magic", apply: (work) => field(work, "packet", 0, 4, "magic") },
  { name: "packet-flags", apply: flags },
  { name: "packet-alloc", apply: (work) => field(work, "packet", 12, 4, "pages_alloc") },
  { name: "packet-normal", apply: (work) => field(work, "packet", 16, 4, "normal_pages") },
  { name: "packet-size", apply: (work) => field(work, "packet", 20, 4, "next_packet_size") },
  { name: "packet-number", apply: (work) => field(work, "packet", 24, 8, "packet_num") },
  { name: "packet-zero", apply: (work) => field(work, "packet", 32, 4, "zero_pages") },
  { name: "packet-name", apply: name },
  { name: "packet-offset", apply: (work) => field(work, "packet", 320 + 8 * work.random.below(128), 8, "an offset") },
  { name: "packet-order", apply: order },
  { name: "packet-twice", apply: twice },
  {
    name: "payload-flip",
    apply: (work) =>
      payload(work, (all) => void (all[work.random.below(all.length)]! ^= 1 << work.random.below(8)), "a bit"),
  },
  { name: "payload-cut", apply: (work) => payload(work, (all) => all.slice(0, work.random.below(all.length)), "cut") },
  {
    name: "payload-long",
    apply: (work) => payload(work, (all) => concat(all, work.random.bytes(1 + work.random.below(40))), "bytes more"),
  },
  {
    name: "payload-noise",
    apply: (work) => payload(work, (all) => work.random.bytes(Math.min(all.length, 2000)), "noise"),
  },
  { name: "message-type", apply: (work) => field(work, "message", 0, 2, "type") },
  { name: "message-length", apply: (work) => field(work, "message", 2, 2, "length") },
  { name: "message-value", apply: (work) => field(work, "message", 4 + 4 * work.random.below(4), 4, "a value") },
  { name: "message-added", apply: message },
  { name: "channel-empty", apply: emptied },
];

/** Another number in a field of fixed place. */
function field(
  work: Work,
  kind: "init" | "packet" | "message",
  at: number,
  width: number,
  what: string,
): string | undefined {
  const index = work.any(kind);
  if (index < 0 || work.list[index]!.bytes.length < at + width) return undefined;
  const label = work.label(index);
  let now = 0n;
  work.change(index, (all) => {
    let old = 0n;
    for (let i = 0; i < width; i++) old = (old << 8n) | BigInt(all[at + i]!);
    now = edge(work.random, 8 * width, old);
    all.set(be(now, width), at);
  });
  return `${what} ${now} in ${label}`;
}

function flags(work: Work): string | undefined {
  const index = work.any("packet");
  if (index < 0 || work.list[index]!.bytes.length < 12) return undefined;
  const value = work.random.pick([0, 1, 2, 3, 4, 5, 6, 8, 16, 0x40, 0x41, 0x80, 0xffffffff]);
  work.change(index, (_, view) => {
    view.setUint32(8, value);
  });
  return `flags 0x${value.toString(16)} in ${work.label(index)}`;
}

function name(work: Work): string | undefined {
  const index = work.any("packet");
  if (index < 0 || work.list[index]!.bytes.length < 320) return undefined;
  const text = strangeName(work.random);
  work.change(index, (all) => {
    for (let i = 0; i < 256; i++) all[64 + i] = i < text.length ? text.charCodeAt(i) : work.repair ? 0 : 0x41;
  });
  return `block ${JSON.stringify(text.slice(0, 20))} in packet #${index}`;
}

/** Packets of whichever channels change places, with their payloads or without. */
function order(work: Work): string | undefined {
  const found = work.of("packet");
  if (found.length < 2) return undefined;
  const [a, b] = [work.random.pick(found), work.random.pick(found)];
  const [first, second] = [work.list[a]!, work.list[b]!];
  work.list[a] = { ...second, file: first.file };
  work.list[b] = { ...first, file: second.file };
  return `packets #${a} and #${b} exchanged`;
}

function twice(work: Work): string | undefined {
  const index = work.any("packet");
  if (index < 0) return undefined;
  const count = work.list[index + 1]?.kind === "payload" ? 2 : 1;
  const label = work.label(index);
  work.list.splice(index, 0, ...work.list.slice(index, index + count));
  return `${label} twice`;
}

/** Another payload; next_packet_size in the head before it is adjusted if the damage is repaired. */
function payload(work: Work, change: (all: Uint8Array) => Uint8Array | void, what: string): string | undefined {
  const index = work.any("payload");
  if (index < 1 || work.list[index]!.bytes.length === 0) return undefined;
  const label = work.label(index);
  work.change(index, change);
  const head = work.list[index - 1]!;
  if (work.repair && head.kind === "packet" && head.bytes.length >= 24) {
    const { length } = work.list[index]!.bytes;
    work.change(index - 1, (_, view) => {
      view.setUint32(20, length);
    });
  }
  return `${what}: ${label}`;
}

function message(work: Work): string | undefined {
  const index = work.any("message");
  if (index < 0) return undefined;
  const type = work.random.below(9);
  const length = work.random.pick([0, 4, 12, 14, 255]);
  work.insert(
    index,
    "message",
    concat(be(type, 2), be(work.repair ? length : edge(work.random, 16), 2), work.random.bytes(length)),
  );
  return `message ${type} of ${length} bytes at #${index}`;
}

/** An empty channel. */
function emptied(work: Work): string | undefined {
  const files = [...new Set(work.list.flatMap(({ file }) => (file === undefined ? [] : [file])))];
  if (files.length === 0) return undefined;
  const file = work.random.pick(files);
  work.list = work.list.map((part) =>
    part.file === file ? Object.assign({ ...part }, { bytes: new Uint8Array(0) }) : part,
  );
  return `nothing in ${file}`;
}
