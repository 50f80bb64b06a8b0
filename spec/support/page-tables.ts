/** Page tables of every architecture, written by the tests: only the manuals are shared with what reads them. */

/** Guest memory that tables are written into, from an address on. */
export interface TableRoom {
  ram: Uint8Array;
  /** Guest-physical address of the first byte of `ram`. */
  base: number;
  /** Offset in `ram` of the next free table. */
  next: number;
}

/** One level: an index of `bits` bits of the address from bit `shift` on. */
interface TableLevel {
  shift: number;
  bits: number;
}

/** How one mode writes its tables. */
export interface TableFormat {
  levels: readonly TableLevel[];
  bytes: 4 | 8;
  little: boolean;
  /** Entry for the table of level `k + 1` at an address. */
  table: (address: bigint, k: number) => bigint;
  /** Entry for a page at level `k`; absent: that level has no pages. */
  page: (physical: bigint, k: number, random: () => number) => bigint | undefined;
  /** An entry of a new table that maps nothing. */
  empty?: (k: number) => bigint;
  /** Smallest alignment of a table, in bytes. */
  align?: number;
}

/** One set of tables under one root. */
export class PageTables {
  readonly root: number;

  constructor(
    private readonly room: TableRoom,
    private readonly format: TableFormat,
  ) {
    this.root = this.make(0);
  }

  /** Maps the page at level `k` that contains `virtual`. False where the address is already mapped otherwise. */
  map(virtual: bigint, physical: bigint, k: number, random: () => number): boolean {
    const { levels } = this.format;
    let table = this.root;
    for (let depth = 0; depth < k; depth++) {
      const at = table + this.offset(virtual, depth);
      const entry = this.read(at);
      const known = this.tables.get(at);
      if (known !== undefined) {
        table = known;
        continue;
      }
      if (entry !== (this.format.empty?.(depth) ?? 0n)) return false;
      table = this.make(depth + 1);
      this.tables.set(at, table);
      this.write(at, this.format.table(BigInt(table), depth));
    }
    const at = table + this.offset(virtual, k);
    const entry = this.format.page((physical >> BigInt(levels[k]!.shift)) << BigInt(levels[k]!.shift), k, random);
    if (entry === undefined || this.read(at) !== (this.format.empty?.(k) ?? 0n)) return false;
    this.write(at, entry);
    return true;
  }

  /** Tables by the addresses of their entries. */
  private readonly tables = new Map<number, number>();

  private offset(virtual: bigint, k: number): number {
    const { shift, bits } = this.format.levels[k]!;
    return Number((virtual >> BigInt(shift)) & ((1n << BigInt(bits)) - 1n)) * this.format.bytes;
  }

  private make(k: number): number {
    const { room, format } = this;
    const { bits } = format.levels[k]!;
    const size = 2 ** bits * format.bytes;
    const align = Math.max(size, format.align ?? 4096);
    room.next = Math.ceil(room.next / align) * align;
    const table = room.base + room.next;
    room.next += size;
    if (room.next > room.ram.length) throw new Error("no room for tables");
    const empty = format.empty?.(k) ?? 0n;
    for (let at = 0; at < size; at += format.bytes) this.write(table + at, empty);
    return table;
  }

  private view(): DataView {
    const { ram } = this.room;
    return new DataView(ram.buffer, ram.byteOffset, ram.length);
  }

  private read(at: number): bigint {
    const { bytes, little } = this.format;
    const offset = at - this.room.base;
    return bytes === 4 ? BigInt(this.view().getUint32(offset, little)) : this.view().getBigUint64(offset, little);
  }

  private write(at: number, entry: bigint): void {
    const { bytes, little } = this.format;
    const offset = at - this.room.base;
    if (bytes === 4) this.view().setUint32(offset, Number(entry), little);
    else this.view().setBigUint64(offset, entry, little);
  }
}

/** Levels with indexes of `stride` bits above pages of `page` bits, for `size` bits of address. */
function levelsFor(page: number, stride: number, size: number): TableLevel[] {
  const levels: TableLevel[] = [];
  for (let shift = page; shift < size; shift += stride) levels.unshift({ shift, bits: Math.min(stride, size - shift) });
  return levels;
}

function pick(random: () => number, ...bits: bigint[]): bigint {
  return bits.reduce((all, bit) => (random() < 0.5 ? all | bit : all), 0n);
}

/** x86: 4-byte entries (with 4 MiB pages by PSE), PAE, 4 and 5 levels. */
export function x86Tables(kind: "32" | "pae" | "4" | "5"): TableFormat {
  if (kind === "32") {
    return {
      levels: levelsFor(12, 10, 32),
      bytes: 4,
      little: true,
      table: (address) => address | 0x27n,
      page: (physical, k, random) => {
        const low = physical & 0xffff_f000n;
        const high = k === 0 ? ((physical >> 32n) & 0xffn) << 13n : 0n;
        return low | high | (k === 0 ? 0x80n : 0n) | 1n | pick(random, 2n, 4n, 0x20n, 0x40n, 0x100n);
      },
    };
  }
  const levels = kind === "pae" ? levelsFor(12, 9, 32) : levelsFor(12, 9, kind === "4" ? 48 : 57);
  const pd = levels.length - 2;
  return {
    levels,
    bytes: 8,
    little: true,
    align: kind === "pae" ? 4096 : 4096,
    table: (address, k) => address | (kind === "pae" && k === 0 ? 1n : 0x27n),
    page: (physical, k, random) => {
      if (k < pd - (kind === "pae" ? 0 : 1)) return undefined;
      return (
        physical | (k === levels.length - 1 ? 0n : 0x80n) | 1n | pick(random, 2n, 4n, 0x20n, 0x40n, 0x100n, 1n << 63n)
      );
    },
  };
}

/** aarch64: pages of `page` bits; `wide`: output addresses of 52 bits, as 64 KiB pages or TCR.DS have them. */
export function armTables(page: number, size: number, wide: "no" | "64k" | "ds" = "no"): TableFormat {
  const levels = levelsFor(page, page - 3, size);
  const last = levels.length - 1;
  const blocks = (page === 12 ? 2 : 1) + (wide === "no" ? 0 : 1);
  const address = (physical: bigint): bigint => {
    const low = physical & 0xffff_ffff_ffffn;
    const top = physical >> 48n;
    if (wide === "no") return low;
    return wide === "64k" ? low | (top << 12n) : low | ((top & 3n) << 48n) | ((top >> 2n) << 8n);
  };
  return {
    levels,
    bytes: 8,
    little: true,
    align: 4096,
    table: (at) => address(at) | 3n,
    page: (physical, k, random) => {
      if (last - k > blocks) return undefined;
      const shareable = wide === "ds" ? 0n : 0x300n;
      return (
        address(physical) |
        (k === last ? 3n : 1n) |
        0x400n |
        shareable |
        pick(random, 0x40n, 0x80n, 1n << 53n, 1n << 54n)
      );
    },
  };
}

/** RISC-V: Sv39, Sv48, Sv57. */
export function riscvTables(size: number): TableFormat {
  const rights = [2n, 6n, 8n, 10n, 14n];
  return {
    levels: levelsFor(12, 9, size),
    bytes: 8,
    little: true,
    table: (address) => ((address >> 12n) << 10n) | 1n,
    page: (physical, _k, random) =>
      ((physical >> 12n) << 10n) |
      1n |
      rights[Math.floor(random() * rights.length)]! |
      0xc0n |
      pick(random, 0x10n, 0x20n),
  };
}

/** s390x: from a table of type 3 (region first) to 0 (segment) down; entries that map nothing are invalid. `large`: EDAT. */
export function s390Tables(type: number, large = true): TableFormat {
  const levels = [53, 42, 31, 20].slice(3 - type).map((shift) => ({ shift, bits: 11 }));
  levels.push({ shift: 12, bits: 8 });
  const typeAt = (k: number): bigint => BigInt(type - k);
  const isPage = (k: number): boolean => k === levels.length - 1;
  return {
    levels,
    bytes: 8,
    little: false,
    align: 2048,
    table: (address, k) => address | (typeAt(k) << 2n) | (typeAt(k) === 0n ? 0n : 3n),
    page: (physical, k, random) => {
      if (isPage(k)) return physical | pick(random, 0x200n);
      return !large || typeAt(k) > 1n ? undefined : physical | 0x400n | (typeAt(k) << 2n) | pick(random, 0x200n);
    },
    empty: (k) => (isPage(k) ? 0x400n : 0x20n | (typeAt(k) << 2n)),
  };
}

/** ppc64: a radix tree of 52 bits (13, 9, 9, 9 and 12 bits of offset). */
export function radixTables(): TableFormat {
  const levels = levelsFor(12, 9, 39);
  levels.unshift({ shift: 39, bits: 13 });
  return {
    levels,
    bytes: 8,
    little: false,
    table: (address) => (1n << 63n) | address | 9n,
    page: (physical, k, random) => {
      if (k === 0) return undefined;
      return (3n << 62n) | physical | 4n | pick(random, 1n, 2n, 8n, 0x80n, 0x100n);
    },
  };
}
