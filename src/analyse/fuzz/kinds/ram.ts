import { deflate } from "pako";
import { RamFlag } from "../../../codec/ram/index.js";
import { strangeName, type DamageKind, type Work } from "../damage.js";
import { be, concat, str8 } from "../raw-bytes.js";
import { edge } from "../random.js";

/** Damage to the records of the "ram" section and to its block list. */
export const RAM_KINDS: readonly DamageKind[] = [
  {
    name: "record-flags-unknown",
    apply: (work) => flags(work, () => work.random.pick([0x001, 0x400, 0x800, 0xc00, 0x000]), "unknown flags"),
  },
  {
    name: "record-flags-combined",
    apply: (work) =>
      flags(work, (old) => old | work.random.pick([2, 4, 8, 0x10, 0x40, 0x80, 0x100, 0x200]), "flags together"),
  },
  {
    name: "record-flags-other",
    apply: (work) => flags(work, () => work.random.pick([2, 4, 8, 0x10, 0x40, 0x80, 0x100, 0x200]), "another flag"),
  },
  { name: "record-continue", apply: (work) => flags(work, (old) => old ^ RamFlag.CONTINUE, "CONTINUE turned over") },
  { name: "record-offset", apply: offset },
  { name: "record-name", apply: blockName },
  { name: "record-order", apply: order },
  { name: "record-eos", apply: (work) => insertRecord(work, RamFlag.EOS, [], "EOS") },
  { name: "record-hook", apply: (work) => insertRecord(work, RamFlag.HOOK, [], "HOOK") },
  { name: "record-flush", apply: (work) => insertRecord(work, RamFlag.MULTIFD_FLUSH, [], "MULTIFD_FLUSH") },
  { name: "record-eos-missing", apply: noEos },
  { name: "record-continue-first", apply: continueFirst },
  { name: "zero-fill", apply: (work) => body(work, RamFlag.ZERO, () => [work.random.u32() & 0xff], "fill byte") },
  { name: "compressed-flip", apply: (work) => compressed(work, (zlib) => flip(work, zlib), "a bit of the payload") },
  {
    name: "compressed-short",
    apply: (work) => compressed(work, (zlib) => zlib.subarray(0, work.random.below(zlib.length)), "payload cut"),
  },
  {
    name: "compressed-long",
    apply: (work) =>
      compressed(work, (zlib) => concat(zlib, work.random.bytes(1 + work.random.below(32))), "bytes after the payload"),
  },
  { name: "compressed-length", apply: compressedLength },
  {
    name: "compressed-bomb",
    apply: (work) =>
      compressed(
        work,
        () => deflate(new Uint8Array(work.random.pick([4095, 4097, 8192, 1 << 20])), { level: 9 }),
        "a payload of another length than a page",
      ),
  },
  {
    name: "compressed-noise",
    apply: (work) => compressed(work, () => work.random.bytes(work.random.below(300)), "noise as payload"),
  },
  { name: "xbzrle-noise", apply: (work) => xbzrle(work, work.random.bytes(work.random.below(80)), "noise as delta") },
  { name: "xbzrle-runs", apply: (work) => xbzrle(work, runs(work), "runs that do not fit the page") },
  { name: "xbzrle-length", apply: (work) => xbzrle(work, work.random.bytes(10), "a wrong length", true) },
  {
    name: "xbzrle-header",
    apply: (work) => xbzrle(work, runs(work), "another header byte", false, work.random.u32() & 0xff),
  },
  {
    name: "blocks-total",
    apply: (work) =>
      blocks(
        work,
        (_, view) => {
          view.setBigUint64(0, (edge(work.random, 64, view.getBigUint64(0)) & ~0xfffn) | 4n);
        },
        "total",
      ),
  },
  { name: "blocks-name", apply: blocksName },
  { name: "blocks-length", apply: (work) => blocks(work, (all, view) => blockLength(work, all, view), "used_length") },
  { name: "blocks-again", apply: blocksAgain },
  { name: "blocks-many", apply: blocksMany },
];

type Change = (all: Uint8Array, view: DataView) => Uint8Array | void;

function flags(work: Work, change: (old: number) => number, what: string): string | undefined {
  const index = work.any("record");
  if (index < 0 || work.list[index]!.bytes.length < 8) return undefined;
  const label = work.label(index);
  const mask = work.base.pageSize - 1;
  let now = 0;
  work.change(index, (_, view) => {
    const low = view.getUint32(4);
    now = change(low & mask) & mask;
    view.setUint32(4, ((low & ~mask) | now) >>> 0);
  });
  return `${what} (0x${now.toString(16)}) in ${label}`;
}

function offset(work: Work): string | undefined {
  const pages = work.of("record").filter((i) => work.list[i]!.name !== "" && work.list[i]!.bytes.length >= 8);
  if (pages.length === 0) return undefined;
  const index = work.random.pick(pages);
  const mask = BigInt(work.base.pageSize - 1);
  let now = 0n;
  work.change(index, (_, view) => {
    const old = view.getBigUint64(0);
    now = edge(work.random, 64, old & ~mask) & ~mask;
    view.setBigUint64(0, now | (old & mask));
  });
  return `offset 0x${now.toString(16)} in ${work.label(index)}`;
}

/** Whether a record carries its block's name. */
function named(part: { bytes: Uint8Array; name: string }): boolean {
  return part.name !== "" && part.bytes.length > 9 && (part.bytes[7]! & RamFlag.CONTINUE) === 0;
}

function blockName(work: Work): string | undefined {
  const found = work.of("record").filter((i) => named(work.list[i]!));
  if (found.length === 0) return undefined;
  const index = work.random.pick(found);
  const name = strangeName(work.random);
  const label = work.label(index);
  work.change(index, (all) => {
    const length = all[8]!;
    return concat(all.subarray(0, 8), str8(name, work.repair ? name.length : length), all.subarray(9 + length));
  });
  return `block ${JSON.stringify(name.slice(0, 20))} in ${label}`;
}

function order(work: Work): string | undefined {
  const found = work.of("record");
  if (found.length < 2) return undefined;
  const [a, b] = [work.random.pick(found), work.random.pick(found)];
  const [first, second] = [work.list[a]!, work.list[b]!];
  work.list[a] = second;
  work.list[b] = first;
  return `records #${a} and #${b} exchanged`;
}

function insertRecord(
  work: Work,
  flag: number,
  rest: readonly number[] | Uint8Array,
  what: string,
): string | undefined {
  const index = work.any("record");
  if (index < 0) return undefined;
  const upper = work.random.once(4) ? edge(work.random, 52) << 12n : 0n;
  work.insert(index, "record", concat(be(upper | BigInt(flag), 8), rest));
  return `${what} at #${index}`;
}

function noEos(work: Work): string | undefined {
  const index = work.any("record", RamFlag.EOS);
  if (index < 0) return undefined;
  work.remove(index);
  return `without the EOS at #${index}`;
}

/** A page that continues a block before any block was named. */
function continueFirst(work: Work): string | undefined {
  const index = work.list.findIndex(({ kind, flag }) => kind === "record" && flag !== RamFlag.EOS);
  if (index < 0) return undefined;
  work.insert(index, "record", concat(be(RamFlag.ZERO | RamFlag.CONTINUE, 8), [0]));
  return `CONTINUE at #${index}, before any block`;
}

/** Where the body of a page record begins. */
function bodyStart(part: { bytes: Uint8Array; name: string }): number {
  return named(part) ? 9 + part.bytes[8]! : 8;
}

function body(work: Work, flag: number, make: () => readonly number[], what: string): string | undefined {
  const index = work.any("record", flag);
  if (index < 0) return undefined;
  const part = work.list[index]!;
  work.replace(index, concat(part.bytes.subarray(0, bodyStart(part)), make()));
  return `${what} of ${work.label(index)}`;
}

function flip(work: Work, payload: Uint8Array): Uint8Array {
  const copy = payload.slice();
  const at = work.random.below(copy.length);
  if (copy.length > 0) copy[at]! ^= 1 << work.random.below(8);
  return copy;
}

/** A random page record as COMPRESS_PAGE: its own payload where it is one, otherwise its page compressed. */
function asCompressed(work: Work): { index: number; head: Uint8Array; payload: Uint8Array } | undefined {
  let index = work.any("record", RamFlag.COMPRESS_PAGE);
  const own = index >= 0;
  if (!own) index = work.any("record", RamFlag.PAGE);
  if (index < 0) index = work.any("record", RamFlag.ZERO);
  if (index < 0) return undefined;
  const part = work.list[index]!;
  const start = bodyStart(part);
  const head = part.bytes.slice(0, start);
  if (own) return { index, head, payload: part.bytes.subarray(start + 4) };
  setFlag(head, RamFlag.COMPRESS_PAGE);
  const page = part.flag === RamFlag.PAGE ? part.bytes.subarray(start) : new Uint8Array(work.base.pageSize);
  return { index, head, payload: deflate(page, { level: 1 }) };
}

/** Puts a page flag in the place of another. */
function setFlag(head: Uint8Array, flag: number): void {
  const low = (head[6]! << 8) | head[7]!;
  const now = (low & ~0x3df) | flag;
  head[6] = now >> 8;
  head[7] = now & 0xff;
}

function compressed(work: Work, change: (payload: Uint8Array) => Uint8Array, what: string): string | undefined {
  const found = asCompressed(work);
  if (found === undefined) return undefined;
  const payload = change(found.payload);
  const length = work.repair ? payload.length : found.payload.length;
  work.replace(found.index, concat(found.head, be(length, 4), payload), RamFlag.COMPRESS_PAGE);
  return `${what} of ${work.label(found.index)}`;
}

function compressedLength(work: Work): string | undefined {
  const found = asCompressed(work);
  if (found === undefined) return undefined;
  const length = edge(work.random, 32, BigInt(found.payload.length));
  work.replace(found.index, concat(found.head, be(length, 4), found.payload), RamFlag.COMPRESS_PAGE);
  return `length ${length} of ${work.label(found.index)}`;
}

/** Pairs of lengths, some of them beyond the page, some in more bytes than they need. */
function runs(work: Work): Uint8Array {
  const { random } = work;
  const pieces: Uint8Array[] = [];
  for (let i = 0; i < 1 + random.below(6); i++) {
    const skip = random.pick([0, 1, 127, 128, 4095, 4096, 5000, 16383]);
    const take = random.pick([0, 1, 2, 100, 4096]);
    for (const n of [skip, take])
      pieces.push(n < 128 ? Uint8Array.of(n) : Uint8Array.of((n & 0x7f) | 0x80, (n >> 7) & 0xff));
    pieces.push(random.bytes(Math.min(take, random.below(200))));
  }
  return concat(...pieces);
}

function xbzrle(work: Work, delta: Uint8Array, what: string, wrong = false, lead = 1): string | undefined {
  let index = work.any("record", RamFlag.XBZRLE);
  if (index < 0) index = work.any("record", RamFlag.PAGE);
  if (index < 0) index = work.any("record", RamFlag.ZERO);
  if (index < 0) return undefined;
  const part = work.list[index]!;
  const head = part.bytes.slice(0, bodyStart(part));
  setFlag(head, RamFlag.XBZRLE);
  const length = wrong ? edge(work.random, 16, BigInt(delta.length)) : BigInt(delta.length);
  work.replace(index, concat(head, [lead], be(length, 2), delta), RamFlag.XBZRLE);
  return `${what} in ${work.label(index)}`;
}

function blocks(work: Work, change: Change, what: string): string | undefined {
  const index = work.any("blocks");
  if (index < 0 || work.list[index]!.bytes.length < 18) return undefined;
  work.change(index, change);
  return `${what} of the block list`;
}

/** Another length for the first block; the total follows where it is repaired. */
function blockLength(work: Work, all: Uint8Array, view: DataView): void {
  const at = 9 + all[8]!;
  if (at + 8 > all.length) return;
  const old = view.getBigUint64(at);
  const now = edge(work.random, 64, old);
  view.setBigUint64(at, now);
  if (work.repair) view.setBigUint64(0, BigInt.asUintN(64, view.getBigUint64(0) - old + (now & ~0xfffn)));
}

function blocksName(work: Work): string | undefined {
  const name = strangeName(work.random);
  return blocks(
    work,
    (all) => {
      const length = all[8]!;
      return concat(all.subarray(0, 8), str8(name, work.repair ? name.length : length), all.subarray(9 + length));
    },
    `name ${JSON.stringify(name.slice(0, 20))}`,
  );
}

function blocksAgain(work: Work): string | undefined {
  const index = work.any("blocks");
  const to = work.any("record");
  if (index < 0 || to < 0) return undefined;
  work.list.splice(to, 0, work.list[index]!);
  return `the block list again at #${to}`;
}

function blocksMany(work: Work): string | undefined {
  const index = work.any("blocks");
  if (index < 0) return undefined;
  const many = work.random.once(20) ? 70_000 : work.random.pick([2, 10, 300]);
  const one = (i: number): Uint8Array => concat(str8(`b${i}`), be(work.base.pageSize, 8));
  const total = BigInt(many) * BigInt(work.base.pageSize);
  work.replace(index, concat(be(total | 4n, 8), ...Array.from({ length: many }, (_, i) => one(i))));
  return `a list of ${many} blocks`;
}
