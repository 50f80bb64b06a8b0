/** Guest-physical memory that page tables are read from. `GuestMemory` is one. */
export interface PhysicalMemory {
  /** Errors: usage where the address is not memory. */
  readPhysical(address: number, length: number): Promise<Uint8Array>;
}

/** One table that a translation passed through. */
export interface WalkStep {
  /** Name of the level as the architecture's manual has it: "PML4", "PD", "level 2", "segment table". */
  level: string;
  /** Guest-physical address of the table. */
  table: bigint;
  /** Number of the entry in the table. */
  index: number;
  /** Guest-physical address of the entry. */
  at: bigint;
  /** The entry; undefined where it is not in the guest's memory. */
  entry: bigint | undefined;
  /** What the entry says: "table at 0x3000, writable", "page of 2 MiB at 0x200000, read-only", "not present". */
  meaning: string;
}

/** What the tables allow on a page. They are shown and never judged: reading a saved guest needs no permission. */
export interface PageRights {
  writable?: boolean;
  /** User mode may use it. */
  user?: boolean;
  executable?: boolean;
}

/** A mapped address. */
export interface Mapped extends PageRights {
  physical: bigint;
  /** Size of the page in bytes; 0 without translation, where there are no pages. */
  pageSize: number;
  /** Bytes from this address on that lie in one piece in physical memory, at most 1 GiB. */
  length: number;
  steps: WalkStep[];
  fault?: undefined;
}

/** An address that is not mapped. */
export interface Fault {
  /** At which level the translation ended and why. */
  fault: string;
  steps: WalkStep[];
  physical?: undefined;
}

/** Where a virtual address is. */
export type Translation = Mapped | Fault;

/** Virtual addresses that are mapped to consecutive physical ones with the same rights. */
export interface MappedRange extends PageRights {
  virtual: bigint;
  physical: bigint;
  length: bigint;
}

/** One level of page tables. */
export interface Level {
  name: string;
  /** Lowest bit of the virtual address in the index. */
  shift: number;
  /** Bits of the index. */
  bits: number;
  /** Bytes of an entry. */
  bytes: 4 | 8;
  little: boolean;
  /** Entries that exist, where they are not all. */
  first?: number;
  last?: number;
}

/** A table at a guest-physical address. */
export interface TableAt {
  level: Level;
  address: bigint;
  /** Of a first table: bytes from the region's first address on that it can map. Default: the whole region. */
  covers?: bigint;
}

/** An entry's meaning. */
export type Decoded =
  | ({ kind: "table"; next: TableAt; words: string } & PageRights)
  | ({
      kind: "page";
      physical: bigint;
      /** Bits of the offset in the page. */ bits: number;
      words: string;
    } & PageRights)
  | { kind: "invalid"; why: string };

/** Addresses that are translated alike: by the tables under one root, or without tables. */
export interface Region {
  /** First and last virtual address. */
  first: bigint;
  last: bigint;
  /** Physical minus virtual address; for a region without tables. */
  linear?: bigint;
  /** The first table. Steps before it (a process table) are appended to `steps`; a text says why there is none. */
  root?: (steps: WalkStep[]) => TableAt | string | Promise<TableAt | string>;
}

/** How one CPU translates virtual addresses, made by `addressSpaceOf`. */
export interface AddressSpace {
  /** For example "x86, 4 levels" or "riscv, Sv39". */
  mode: string;
  memory: PhysicalMemory;
  /** Byte order of the numbers that the CPU reads. */
  littleEndian: boolean;
  /** By ascending address; addresses outside them are not mapped. @internal */
  regions: readonly Region[];
  /** Why addresses outside the regions are not mapped. @internal */
  outside: string;
  /** The address that the CPU uses for this one: wrapped at 32 bits, without its tag. Default: the same. @internal */
  effective?: (address: bigint) => bigint;
  /** Meaning of an entry of a table, with the rights that the tables above it left. @internal */
  decode: (entry: bigint, level: Level, rights: PageRights) => Decoded;
  /** Real to absolute address, and up to where the difference is the same (s390x prefixing, x86 A20). @internal */
  absolute?: (real: bigint) => { physical: bigint; left: bigint };
}

/** `decode` of an address space without tables. */
export function noTables(): Decoded {
  return { kind: "invalid", why: "there are no tables" };
}

/** Facts about the machine that translations depend on. */
export interface MachineFacts {
  /** pseries: the process table that the guest registered (PATE1), 0 or undefined for the hash MMU. */
  processTable?: bigint | undefined;
}
