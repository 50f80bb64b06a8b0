import { hex, QevmError } from "../../bytes/errors.js";
import type { AddressSpace, Decoded, MappedRange, PageRights, TableAt, Translation, WalkStep } from "./types.js";

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
  for await (const range of pages(space, { from: 0n, to: LAST, mostTables: MOST_TABLES, ...options })) {
    if (pending !== undefined && continues(pending, range)) {
      pending.length += range.length;
      continue;
    }
    if (pending !== undefined) yield pending;
    pending = range;
  }
  if (pending !== undefined) yield pending;
}

function continues(one: MappedRange, next: MappedRange): boolean {
  return (
    one.virtual + one.length === next.virtual &&
    one.physical + one.length === next.physical &&
    one.writable === next.writable &&
    one.user === next.user &&
    one.executable === next.executable
  );
}

async function* pages(space: AddressSpace, limits: Required<RangeOptions>): AsyncGenerator<MappedRange> {
  const budget = { left: limits.mostTables };
  for (const region of space.regions) {
    const first = region.first > limits.from ? region.first : limits.from;
    const last = region.last < limits.to ? region.last : limits.to;
    if (first > last) continue;
    if (region.linear !== undefined) {
      yield* pieces(space, { virtual: first, physical: first + region.linear, length: last - first + 1n });
      continue;
    }
    const table = await region.root!([]);
    if (typeof table !== "string") yield* under(space, table, { first, last, rights: {}, depth: 1, budget });
  }
}

interface Under {
  first: bigint;
  last: bigint;
  rights: PageRights;
  depth: number;
  budget: { left: number };
}

/** The pages under a table, for the virtual addresses from `first` to `last`. */
async function* under(space: AddressSpace, table: TableAt, limits: Under): AsyncGenerator<MappedRange> {
  const { level, address } = table;
  const { depth, budget } = limits;
  const { shift, bits, bytes, little, first = 0, last = 2 ** bits - 1 } = level;
  const span = 1n << BigInt(shift);
  const base = limits.first & ~((1n << BigInt(shift + bits)) - 1n);
  const from = Math.max(first, Number((limits.first - base) >> BigInt(shift)));
  const end = (limits.last - base) >> BigInt(shift);
  const to = end < BigInt(last) ? Number(end) : last;
  let piece: Uint8Array | undefined;
  let start = -1;
  for (let index = from; index <= to; index++) {
    const at = index * bytes;
    if (at - (at % PIECE) !== start) {
      start = at - (at % PIECE);
      if (budget.left-- <= 0) throw new QevmError("limit", "the page tables are too many: see mostTables");
      piece = await readTable(space.memory, address + BigInt(start), Math.min(PIECE, 2 ** bits * bytes - start));
    }
    if (piece === undefined) {
      index = (start + PIECE) / bytes - 1;
      continue;
    }
    const decoded = space.decode(entryAt(piece, at - start, bytes, little), level, limits.rights);
    if (decoded.kind === "invalid") continue;
    const { writable, user, executable } = decoded;
    const rights = below(limits.rights, { writable, user, executable });
    const virtual = base + BigInt(index) * span;
    const low = virtual > limits.first ? virtual : limits.first;
    const high = virtual + span - 1n < limits.last ? virtual + span - 1n : limits.last;
    if (decoded.kind === "page") {
      const within = low & ((1n << BigInt(decoded.bits)) - 1n);
      yield* pieces(space, { virtual: low, physical: decoded.physical + within, length: high - low + 1n, ...rights });
    } else if (depth < MOST_LEVELS) {
      yield* under(space, decoded.next, { first: low, last: high, rights, depth: depth + 1, budget });
    }
  }
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
