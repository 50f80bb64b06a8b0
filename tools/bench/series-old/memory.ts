import type { GuestBlock } from "../../../src/rewrite/save/index.js";
import { fillMemory } from "../../guest/fill-memory.js";

const PAGE = 4096;
/** Pages per block. */
const PAGES = 64;
/** Number of blocks with separate memory; the others repeat it. */
const DIFFERENT = 256;

/** A block of 64 non-zero pages in a shared memory. */
class SmallBlock implements GuestBlock {
  readonly usedLength = PAGES * PAGE;
  readonly log = new Int32Array(PAGES / 32);
  readonly idstr: string;
  readonly shared: { buffer: SharedArrayBuffer; start: number; length: number };
  private readonly bytes: Uint8Array;

  constructor(
    readonly index: number,
    buffer: SharedArrayBuffer,
  ) {
    const start = (index % DIFFERENT) * PAGES * PAGE;
    this.idstr = `block${index}`;
    this.shared = { buffer, start, length: this.usedLength };
    this.bytes = new Uint8Array(buffer, start, this.usedLength);
  }

  isZero(): boolean {
    return false;
  }

  page(offset: number): Uint8Array {
    return this.bytes.subarray(offset, offset + PAGE);
  }
}

/** `count` small blocks over 64 MiB of guest-like memory. */
export function smallBlocks(count: number): GuestBlock[] {
  const buffer = new SharedArrayBuffer(DIFFERENT * PAGES * PAGE);
  fillMemory(new Uint8Array(buffer), 7);
  return Array.from({ length: count }, (_, index) => new SmallBlock(index, buffer));
}

/** The hook of the workload: two pages of three are not dirty. */
export function everyThird(_: GuestBlock, offset: number): boolean {
  return (offset / PAGE) % 3 !== 0;
}
