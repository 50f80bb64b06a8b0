/** One RAMBlock as the block list of the START chunk introduces it. */
export interface RamBlock {
  /** Place in the block list, from 0. */
  readonly index: number;
  /** Name, 1 to 255 bytes, one character a byte. */
  readonly idstr: string;
  /**
   * Bytes that migrate (QEMU: used_length), a multiple of the page size. Of a block that no list names: up to the end
   * of the last page so far.
   */
  readonly usedLength: number;
  /**
   * Page size of the backing memory in bytes; on the wire only with postcopy-ram and a backing that differs from the
   * host page (2.9).
   */
  readonly pageSize?: bigint;
  /** Address inside the parent region; on the wire for every block when x-ignore-shared is on (4.0). */
  readonly address?: bigint;
  /** Where the pages of a mapped-ram file are (9.0). */
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

/** Bytes that an unlisted block may grow to where there is no list at all. */
const MOST_UNLISTED = 2 ** 40;

/** What a RAM decoder or encoder must remember from record to record, across sections: one a channel. */
export class RamState {
  readonly blocks: RamBlock[] = [];
  private readonly names = new Map<string, RamBlock>();
  /** The block that CONTINUE stands for; undefined before the first named page. */
  current: RamBlock | undefined;

  /** Bytes of all listed blocks. */
  private listed = 0;
  private readonly unlisted = new Set<RamBlock>();

  /**
   * @param pageSize bytes a page of the target (4096 on x86)
   * @param maxBlocks blocks that there may be with those that no list names
   */
  constructor(
    public pageSize: number,
    readonly maxBlocks = 65_536,
  ) {}

  add(block: RamBlock): void {
    this.put(block);
    this.listed += block.usedLength;
  }

  /** A block that pages name but no list does (lenient mode). Its length is unknown, so it grows with its pages. */
  addUnlisted(idstr: string): RamBlock {
    const block: RamBlock = { index: this.blocks.length, idstr, usedLength: 0 };
    this.put(block);
    this.unlisted.add(block);
    return block;
  }

  /**
   * Makes an unlisted block long enough for a page that ends at `end`. False: it is a listed one, or would be longer
   * than all of those.
   */
  grow(block: RamBlock, end: number): boolean {
    if (!this.unlisted.has(block) || end > (this.listed === 0 ? MOST_UNLISTED : this.listed)) return false;
    (block as { usedLength: number }).usedLength = end;
    return true;
  }

  private put(block: RamBlock): void {
    this.blocks.push(block);
    if (!this.names.has(block.idstr)) this.names.set(block.idstr, block);
  }

  find(idstr: string): RamBlock | undefined {
    return this.names.get(idstr);
  }
}

/**
 * What follows the mapped-ram header of a block (its 28 bytes are part of the block list).
 *
 * | place                   | bytes                | field                                                                |
 * | ----------------------- | -------------------- | -------------------------------------------------------------------- |
 * | bitmap_offset           | 8 * ceil(pages / 64) | bitmap: bit i of byte i / 8 is page i (hosts that are little-endian) |
 * | after it                | to pages_offset      | hole                                                                 |
 * | pages_offset + i * page | page size            | page i, where its bit is set; otherwise a hole or a stale copy       |
 *
 * The offsets count from the start of the file. pages_offset is the next multiple of 1 MiB after the bitmap.
 *
 * Source: QEMU migration/ram.c mapped_ram_setup_ramblock, ram_save_file_bmap (9.0 to 11.1).
 */
export interface MappedBlock {
  block: RamBlock;
  bitmap: Uint8Array;
  /** Bytes between bitmap and pages. */
  gapLength: number;
  /** The bytes there; undefined: zeros, as QEMU leaves it. */
  gap: Uint8Array | undefined;
}
