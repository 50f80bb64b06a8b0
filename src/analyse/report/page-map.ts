import { RamFlag, type RamBatch, type RamBlock } from "../../codec/ram/index.js";
import { SparseTable } from "../../guest/pages/sparse.js";

/** The encoding of the last content of a page; NEVER: the stream does not mention the page. */
export const PageKind = { NEVER: 0, ZERO: 1, DATA: 2, COMPRESSED: 3, XBZRLE: 4 } as const;

/** Kinds that there are. */
export const KINDS = 5;

/** Pages of one piece of the table: half a byte each. */
const PAGES = 4096;
/** Pages that are kept: 64 MiB, the pages of 512 GiB of memory. */
const MOST_PAGES = 1 << 27;

/**
 * Where the last record of each page was of which kind, half a byte a page. It takes 64 MiB at most, whatever the
 * stream.
 */
export class PageMap {
  private readonly blocks = new Map<RamBlock, SparseTable<Uint8Array>>();
  /** Blocks of which pages were left out since the table was full. */
  private readonly partial = new Set<RamBlock>();
  /** The page of the last record. */
  last: { block: string; offset: number } | undefined;

  /** @param left pages that there is room for, in pieces of 4096 */
  constructor(
    private readonly ram: { readonly pageSize: number },
    private left = MOST_PAGES,
  ) {}

  note(batch: RamBatch): void {
    const { pageSize } = this.ram;
    for (let i = 0; i < batch.count; i++) {
      const block = batch.block[i];
      const kind = kindOf(batch, i);
      // Outside its block: damage that was skipped.
      if (block === undefined || kind === PageKind.NEVER || batch.offset[i]! >= block.usedLength) continue;
      const page = Math.floor(batch.offset[i]! / pageSize);
      if (i + 1 === batch.count) this.last = { block: block.idstr, offset: batch.offset[i]! };
      const piece = this.piece(block, page);
      if (piece === undefined) {
        this.partial.add(block);
        continue;
      }
      const at = page % PAGES;
      const byte = piece[at >> 1]!;
      piece[at >> 1] = (at & 1) === 0 ? (byte & 0xf0) | kind : (byte & 0x0f) | (kind << 4);
    }
  }

  /**
   * A block as `cells` runs of pages of (nearly) one length: in each, how many pages of which kind there are, by {@link
   * PageKind}.
   */
  strip(block: RamBlock, cells: number): BlockStrip {
    return this.part(block, { from: 0, to: Infinity }, cells).strip;
  }

  /** The same for the pages of a block from `from` to before `to`, as far as there are any. */
  part(
    block: RamBlock,
    { from, to }: { from: number; to: number },
    cells: number,
  ): { first: number; end: number; strip: BlockStrip } {
    const all = Math.ceil(block.usedLength / this.ram.pageSize);
    const first = Math.max(0, Math.min(from, all));
    const end = Math.max(first, Math.min(to, all));
    const pages = end - first;
    const count = Math.min(cells, pages);
    const starts = Array.from({ length: count + 1 }, (_, cell) => first + Math.ceil((cell * pages) / count));
    const counts = Array.from({ length: count }, () => new Float64Array(KINDS));
    for (const [at, piece] of this.blocks.get(block) ?? []) {
      if (at < end && at + PAGES > first) tally(piece, at, { first, end, starts, counts });
    }
    const totals = new Float64Array(KINDS);
    counts.forEach((cell, k) => {
      cell[PageKind.NEVER] = starts[k + 1]! - starts[k]! - cell.reduce((sum, n) => sum + n, 0);
      cell.forEach((n, kind) => (totals[kind]! += n));
    });
    return { first, end, strip: { pages, cells: counts, totals, partial: this.partial.has(block) } };
  }

  /** Undefined: there is no room for it. */
  private piece(block: RamBlock, page: number): Uint8Array | undefined {
    let table = this.blocks.get(block);
    if (table === undefined) this.blocks.set(block, (table = new SparseTable(PAGES)));
    const found = table.find(page);
    if (found !== undefined || this.left < PAGES) return found;
    this.left -= PAGES;
    return table.add(page, new Uint8Array(PAGES / 2));
  }
}

/** A block downsampled. */
export interface BlockStrip {
  /** Pages of the block. */
  pages: number;
  cells: Float64Array[];
  /** Pages of the whole block by kind. */
  totals: Float64Array;
  /** The table was full: some pages that were sent are counted as never sent. */
  partial: boolean;
}

function kindOf(batch: RamBatch, i: number): number {
  switch (batch.flag[i]) {
    case RamFlag.PAGE:
      return PageKind.DATA;
    case RamFlag.ZERO:
      // A page that a mapped-ram file does not hold.
      return batch.area ? PageKind.NEVER : PageKind.ZERO;
    case RamFlag.COMPRESS_PAGE:
      return PageKind.COMPRESSED;
    case RamFlag.XBZRLE:
      return PageKind.XBZRLE;
    default:
      return PageKind.NEVER;
  }
}

interface Part {
  first: number;
  end: number;
  starts: readonly number[];
  counts: readonly Float64Array[];
}

function tally(piece: Uint8Array, at: number, { first, end, starts, counts }: Part): void {
  const from = Math.max(0, first - at);
  let cell = Math.floor(((at + from - first) * counts.length) / (end - first));
  const stop = Math.min(PAGES, end - at);
  for (let k = from; k < stop; k++) {
    while (at + k >= starts[cell + 1]!) cell++;
    const kind = (k & 1) === 0 ? piece[k >> 1]! & 0x0f : piece[k >> 1]! >> 4;
    if (kind !== PageKind.NEVER) counts[cell]![kind]!++;
  }
}
