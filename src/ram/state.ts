/** One RAMBlock as the block list of the START chunk introduces it. */
export interface RamBlock {
  /** Place in the block list, from 0. */
  readonly index: number;
  /** Name, 1 to 255 bytes, one character a byte. */
  readonly idstr: string;
  /** Bytes that migrate (QEMU: used_length), a multiple of the page size. */
  readonly usedLength: number;
  /** Page size of the backing memory in bytes; on the wire only with postcopy-ram and a backing that differs from the host page (2.9). */
  readonly pageSize?: bigint;
  /** Address inside the parent region; on the wire for every block when x-ignore-shared is on (4.0). */
  readonly address?: bigint;
  /** Where the pages of a mapped-ram file lie (9.0). */
  readonly mapped?: MappedRamHeader | undefined;
}

/** The mapped-ram header that follows a block's length in the block list (QEMU migration/ram.c, 9.0). */
export interface MappedRamHeader {
  readonly version: number;
  /** Target page size in bytes. */
  readonly pageSize: bigint;
  /** Absolute file offset of the bitmap of pages present. */
  readonly bitmapOffset: bigint;
  /** Absolute file offset of the page area. */
  readonly pagesOffset: bigint;
}

/** What a RAM decoder or encoder must remember from record to record, across sections: one a channel. */
export class RamState {
  readonly blocks: RamBlock[] = [];
  private readonly names = new Map<string, RamBlock>();
  /** The block that CONTINUE stands for; undefined before the first named page. */
  current: RamBlock | undefined;

  /** @param pageSize bytes a page of the target (4096 on x86) */
  constructor(public pageSize: number) {}

  add(block: RamBlock): void {
    this.blocks.push(block);
    if (!this.names.has(block.idstr)) this.names.set(block.idstr, block);
  }

  find(idstr: string): RamBlock | undefined {
    return this.names.get(idstr);
  }
}
