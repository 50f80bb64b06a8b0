import type { RamBlock } from "../../codec/ram/index.js";
import { PageBits } from "./page-bits.js";

/** Which pages of which block. */
export class PageSet {
  private readonly blocks = new Map<string, PageBits>();

  constructor(private readonly pageSize: number) {}

  /** True: the page was not in the set before. */
  add(block: RamBlock, offset: number): boolean {
    let bits = this.blocks.get(block.idstr);
    if (bits === undefined) this.blocks.set(block.idstr, (bits = new PageBits()));
    return bits.addNew(offset / this.pageSize);
  }

  has(block: RamBlock, offset: number): boolean {
    return this.blocks.get(block.idstr)?.has(offset / this.pageSize) === true;
  }

  /** How many pages of a block. */
  count(block: RamBlock): number {
    return this.blocks.get(block.idstr)?.size ?? 0;
  }

  /** Offsets of the pages of a block, ascending. */
  *offsets(block: RamBlock): Generator<number> {
    for (const page of this.blocks.get(block.idstr)?.pages() ?? []) yield page * this.pageSize;
  }
}
