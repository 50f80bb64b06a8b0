import { hex, QevmError } from "../../bytes/errors.js";
import type { AddressSpace, Decoded, Level, MappedRange, PageRights, TableAt, Translation, WalkStep } from "./types.js";

const LAST = (1n << 64n) - 1n;
/** Tables that a walk passes at most: x86 has 5 levels, ppc64 at most 8. */
const MOST_LEVELS = 8;
/** Bytes in one piece that a translation promises at most. */
const MOST_LENGTH = 1n << 30n;

/**
 * Translates a virtual address as the CPU of `space` would for a read. Rights, reserved bits and accessed flags are not
 * judged. Errors: usage (not a 64-bit address); those of page payloads, where a table is on a page that is damaged.
 */
export async function translate(space: AddressSpace, address: bigint): Promise<Translation> {
  if (address < 0n || address > LAST) throw new QevmError("usage", `${address} is not an address of 64 bits`);
  const virtual = space.effective?.(address) ?? address;
  const steps: WalkStep[] = [];
  const region = space.regions.find(({ first, last }) => first <= virtual && virtual <= last);
  if (region === undefined) return { fault: space.outside, steps };
  if (region.linear !== undefined) {
    const real = virtual + region.linear;
    return located(space, real, region.last - virtual + 1n, 0, {}, steps);
  }
  let table = await region.root!(steps);
  if (typeof table !== "string" && table.covers !== undefined && virtual - region.first >= table.covers)
    return { fault: `the address is above the ${hex(table.covers)} bytes that the tables cover`, steps };
  let rights: PageRights = {};
  for (let depth = 0; depth < MOST_LEVELS; depth++) {
    if (typeof table === "string") return { fault: table, steps };
    const index = indexOf(table, virtual);
    if (typeof index === "string") return { fault: index, steps };
    const { level } = table;
    const step = await readEntry(space, table, index);
    steps.push(step);
    if (step.entry === undefined) return { fault: `${level.name} entry ${index}: ${step.meaning}`, steps };
    const decoded = space.decode(step.entry, level, rights);
    step.meaning = meaningOf(decoded);
    if (decoded.kind === "invalid") {
      return { fault: `${level.name} entry ${index} at ${hex(step.at)} is ${hex(step.entry)}: ${decoded.why}`, steps };
    }
    const { writable, user, executable } = decoded;
    rights = below(rights, { writable, user, executable });
    if (decoded.kind === "page") {
      const size = 1n << BigInt(decoded.bits);
      const within = virtual & (size - 1n);
      return located(space, decoded.physical + within, size - within, Number(size), rights, steps);
    }
    table = decoded.next;
  }
  return { fault: `the walk has more than ${MOST_LEVELS} levels`, steps };
}

function located(
  { absolute }: AddressSpace,
  real: bigint,
  left: bigint,
  pageSize: number,
  rights: PageRights,
  steps: WalkStep[],
): Translation {
  const found = absolute?.(real) ?? { physical: real, left };
  const length = [left, found.left, MOST_LENGTH].reduce((least, one) => (one < least ? one : least));
  return { physical: found.physical, pageSize, length: Number(length), ...rights, steps };
}

/** Rights under an entry: what it does not say stays as above. */
function below(above: PageRights, own: { [K in keyof PageRights]: boolean | undefined }): PageRights {
  return { ...above, ...Object.fromEntries(Object.entries(own).filter(([, value]) => value !== undefined)) };
}

/** The number of the entry for an address, or why there is none. */
function indexOf({ level }: TableAt, virtual: bigint): number | string {
  const { name, shift, bits, first = 0, last = 2 ** bits - 1 } = level;
  const index = Number((virtual >> BigInt(shift)) & ((1n << BigInt(bits)) - 1n));
  return index < first || index > last ? `${name} has the entries ${first} to ${last}, not ${index}` : index;
}

async function readEntry({ memory }: AddressSpace, { level, address }: TableAt, index: number): Promise<WalkStep> {
  const { bytes, little, name } = level;
  const at = address + BigInt(index * bytes);
  const read = await readTable(memory, at, bytes);
  const step = { level: name, table: address, index, at };
  if (read === undefined) return { ...step, entry: undefined, meaning: `${hex(at)} is not memory` };
  return { ...step, entry: entryAt(read, 0, bytes, little), meaning: "" };
}

/** Bytes of a table; undefined where the guest has no memory. */
export async function readTable(
  memory: AddressSpace["memory"],
  address: bigint,
  length: number,
): Promise<Uint8Array | undefined> {
  if (address + BigInt(length) > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
  try {
    return await memory.readPhysical(Number(address), length);
  } catch (error) {
    if (error instanceof QevmError && error.code === "usage") return undefined;
    throw error;
  }
}

/** An entry of 4 or 8 bytes. */
export function entryAt(table: Uint8Array, at: number, bytes: 4 | 8, little: boolean): bigint {
  const view = new DataView(table.buffer, table.byteOffset, table.length);
  return bytes === 4 ? BigInt(view.getUint32(at, little)) : view.getBigUint64(at, little);
}

function meaningOf(decoded: Decoded): string {
  if (decoded.kind === "invalid") return decoded.why;
  const words = decoded.words === "" ? "" : `, ${decoded.words}`;
  if (decoded.kind === "table") return `${decoded.next.level.name} at ${hex(decoded.next.address)}${words}`;
  return `page of ${sizeOf(decoded.bits)} at ${hex(decoded.physical)}${words}`;
}

/** "4 KiB" for 12 bits. */
function sizeOf(bits: number): string {
  const unit = Math.floor(bits / 10);
  return `${2 ** (bits - 10 * unit)} ${["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"][unit]}`;
}

/** Limits of `mappedRanges`. */
export interface RangeOptions {
  /** First and last virtual address of interest; default: all. */
  from?: bigint;
  to?: bigint;
  /** Pieces of tables, of up to 4 KiB each, that are read at most; default 2^18, which is 1 GiB of tables. */
  mostTables?: number;
}

/** Bytes of a table that are read at a time. */
const PIECE = 4096;
const MOST_TABLES = 1 << 18;

/**
 * All mapped ranges by ascending virtual address. Neighbours that are contiguous and have the same rights are one range.
 * Tables outside the guest's memory map nothing. Tables that point at themselves are followed as a CPU would: as deep
 * as there are levels. Errors: limit (`mostTables`); those of page payloads.
 */
export async function* mappedRanges(space: AddressSpace, options: RangeOptions = {}): AsyncGenerator<MappedRange> {
  let pending: MappedRange | undefined;
  for await (const ranges of pages(space, { from: 0n, to: LAST, mostTables: MOST_TABLES, ...options })) {
    for (const range of ranges) {
      if (pending !== undefined && continues(pending, range)) {
        pending.length += range.length;
        continue;
      }
      if (pending !== undefined) yield pending;
      pending = range;
    }
  }
  if (pending !== undefined) yield pending;
}

function continues(one: MappedRange, next: MappedRange): boolean {
  return (
    one.virtual + one.length === next.virtual && one.physical + one.length === next.physical && sameRights(one, next)
  );
}

function sameRights(one: PageRights, next: PageRights): boolean {
  return one.writable === next.writable && one.user === next.user && one.executable === next.executable;
}

async function* pages(space: AddressSpace, limits: Required<RangeOptions>): AsyncGenerator<MappedRange[]> {
  const tables = new Tables(space, limits.mostTables);
  for (const region of space.regions) {
    const first = region.first > limits.from ? region.first : limits.from;
    const last = region.last < limits.to ? region.last : limits.to;
    if (first > last) continue;
    if (region.linear !== undefined) {
      yield [...pieces(space, { virtual: first, physical: first + region.linear, length: last - first + 1n })];
      continue;
    }
    const table = await region.root!([]);
    if (typeof table === "string") continue;
    for await (const ranges of under(tables, table, { first, last, rights: {}, depth: 1 })) {
      if (space.absolute === undefined) yield ranges;
      else for (const range of ranges) yield [...pieces(space, range)];
    }
  }
}

/** Entries of a table that are pages in one piece, or one that is another table. */
type Entries = PageRights & { index: number; count: number } & ({ physical: bigint } | { next: TableAt });

/** Decoded pieces of tables that are kept: tables that point at each other are decoded once. */
const MOST_KEPT = 1 << 10;

/** Tables as they are read for all mapped ranges. */
class Tables {
  private readonly kept = new Map<string, readonly Entries[]>();

  constructor(
    readonly space: AddressSpace,
    private left: number,
  ) {}

  /** Entries from one at the start of a piece on; none where there is no memory. Errors: limit. */
  async entries(table: TableAt, first: number, rights: PageRights): Promise<readonly Entries[]> {
    if (this.left-- <= 0) throw new QevmError("limit", "the page tables are too many: see mostTables");
    const { level, address } = table;
    const start = first * level.bytes;
    const { writable, user, executable } = rights;
    const key = [level.name, level.shift, level.bits, address + BigInt(start), writable, user, executable].join(" ");
    let found = this.kept.get(key);
    if (found === undefined) {
      const length = Math.min(PIECE, 2 ** level.bits * level.bytes - start);
      const piece = await readTable(this.space.memory, address + BigInt(start), length);
      found = piece === undefined ? [] : this.decoded(piece, level, first, rights);
      if (this.kept.size >= MOST_KEPT) this.kept.clear();
      this.kept.set(key, found);
    }
    return found;
  }

  private decoded(piece: Uint8Array, level: Level, first: number, above: PageRights): Entries[] {
    const found: Entries[] = [];
    const span = 1n << BigInt(level.shift);
    for (let at = 0; at < piece.length; at += level.bytes) {
      const entry = this.space.decode(entryAt(piece, at, level.bytes, level.little), level, above);
      if (entry.kind === "invalid") continue;
      const { writable, user, executable } = entry;
      const rights = below(above, { writable, user, executable });
      const index = first + at / level.bytes;
      if (entry.kind === "table") {
        found.push({ ...rights, index, count: 1, next: entry.next });
        continue;
      }
      // A page may be larger than an entry: it takes several.
      const virtual = BigInt(index) * span;
      const physical = entry.physical + (virtual & ((1n << BigInt(entry.bits)) - 1n));
      const last = found.at(-1);
      if (
        last !== undefined &&
        "physical" in last &&
        last.index + last.count === index &&
        last.physical + BigInt(last.count) * span === physical &&
        sameRights(last, rights)
      )
        last.count++;
      else found.push({ ...rights, index, count: 1, physical });
    }
    return found;
  }
}

interface Under {
  first: bigint;
  last: bigint;
  rights: PageRights;
  depth: number;
}

/** The pages under a table, for the virtual addresses from `first` to `last`. */
async function* under(tables: Tables, table: TableAt, limits: Under): AsyncGenerator<MappedRange[]> {
  const { shift, bits, bytes, first = 0, last = 2 ** bits - 1 } = table.level;
  const span = 1n << BigInt(shift);
  const base = limits.first & ~((1n << BigInt(shift + bits)) - 1n);
  const from = Math.max(first, Number((limits.first - base) >> BigInt(shift)));
  const end = (limits.last - base) >> BigInt(shift);
  const to = end < BigInt(last) ? Number(end) : last;
  const each = PIECE / bytes;
  let found: MappedRange[] = [];
  for (let piece = from - (from % each); piece <= to; piece += each) {
    for (const entries of await tables.entries(table, piece, limits.rights)) {
      const { index, count, writable, user, executable } = entries;
      if (index + count <= from || index > to) continue;
      const rights = below({}, { writable, user, executable });
      const virtual = base + BigInt(index) * span;
      const [start, stop] = [base + BigInt(Math.max(index, from)) * span, virtual + BigInt(count) * span - 1n];
      const low = start > limits.first ? start : limits.first;
      const high = stop < limits.last ? stop : limits.last;
      if ("physical" in entries) {
        const physical = entries.physical + low - virtual;
        found.push({ virtual: low, physical, length: high - low + 1n, ...rights });
      } else if (limits.depth < MOST_LEVELS) {
        if (found.length > 0) yield found;
        found = [];
        yield* under(tables, entries.next, { first: low, last: high, rights, depth: limits.depth + 1 });
      }
    }
  }
  if (found.length > 0) yield found;
}

/** A range in absolute addresses. */
function* pieces({ absolute }: AddressSpace, range: MappedRange): Generator<MappedRange> {
  if (absolute === undefined) {
    yield range;
    return;
  }
  for (let done = 0n; done < range.length;) {
    const { physical, left } = absolute(range.physical + done);
    const length = left < range.length - done ? left : range.length - done;
    yield { ...range, virtual: range.virtual + done, physical, length };
    done += length;
  }
}
