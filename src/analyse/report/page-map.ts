import { RamFlag, type RamBatch, type RamBlock } from "../../codec/ram/index.js";

/** How the last content of a page came; NEVER: the stream does not mention the page. */
export const PageKind = { NEVER: 0, ZERO: 1, DATA: 2, COMPRESSED: 3, XBZRLE: 4 } as const;

/** Kinds that there are. */
export const KINDS = 5;

/** Pages of one piece of the table. */
const PIECE = 1 << 16;
/** Pieces that are kept: 64 MiB, the pages of 512 GiB of memory. */
const MOST_PIECES = 2048;
/** Half of a piece's byte a page. */
const PIECE_BYTES = PIECE / 2;

/** Where the last record of each page was of which kind, half a byte a page. It takes 64 MiB at most, whatever the stream. */
export class PageMap {
  private readonly blocks = new Map<RamBlock, Map<number, Uint8Array>>();
  /** Blocks of which pages were left out since the table was full. */
  private readonly partial = new Set<RamBlock>();
  private left: number;

  /** @param most pieces of 65,536 pages that are kept */
  constructor(
    private readonly ram: { readonly pageSize: number },
    most = MOST_PIECES,
  ) {
    this.left = most;
  }

  note(batch: RamBatch): void {
    const { pageSize } = this.ram;
    let block: RamBlock | undefined;
    let pieces: Map<number, Uint8Array> | undefined;
    let pages = 0;
    let index = -1;
    let piece: Uint8Array | undefined;
    for (let i = 0; i < batch.count; i++) {
      const of = batch.block[i];
      if (of === undefined) continue;
      const kind = kindOf(batch, i);
      if (kind === PageKind.NEVER) continue;
      if (of !== block || pieces === undefined) {
        block = of;
        pages = Math.ceil(of.usedLength / pageSize);
        pieces = this.blocks.get(of);
        if (pieces === undefined) this.blocks.set(of, (pieces = new Map()));
        index = -1;
      }
      const page = Math.floor(batch.offset[i]! / pageSize);
      // Outside its block: damage that was passed over.
      if (page >= pages) continue;
      const wanted = Math.floor(page / PIECE);
      if (wanted !== index) {
        index = wanted;
        piece = pieces.get(wanted) ?? this.add(pieces, wanted);
        if (piece === undefined) this.partial.add(of);
      }
      if (piece === undefined) continue;
      const at = page - wanted * PIECE;
      const byte = piece[at >> 1]!;
      piece[at >> 1] = (at & 1) === 0 ? (byte & 0xf0) | kind : (byte & 0x0f) | (kind << 4);
    }
  }

  /** A block as `cells` runs of pages of (nearly) one length: in each, how many pages of which kind there are, by {@link PageKind}. */
  strip(block: RamBlock, cells: number): BlockStrip {
    const pages = Math.ceil(block.usedLength / this.ram.pageSize);
    const count = Math.min(cells, pages);
    const starts = Array.from({ length: count + 1 }, (_, cell) => Math.ceil((cell * pages) / count));
    const counts = Array.from({ length: count }, () => new Float64Array(KINDS));
    for (const [index, piece] of this.blocks.get(block) ?? []) tally(piece, index * PIECE, { pages, starts, counts });
    const totals = new Float64Array(KINDS);
    counts.forEach((cell, k) => {
      cell[PageKind.NEVER] = starts[k + 1]! - starts[k]! - cell.reduce((sum, n) => sum + n, 0);
      cell.forEach((n, kind) => (totals[kind]! += n));
    });
    return { pages, cells: counts, totals, partial: this.partial.has(block) };
  }

  private add(pieces: Map<number, Uint8Array>, index: number): Uint8Array | undefined {
    if (this.left === 0) return undefined;
    this.left--;
    const piece = new Uint8Array(PIECE_BYTES);
    pieces.set(index, piece);
    return piece;
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

function tally(
  piece: Uint8Array,
  first: number,
  { pages, starts, counts }: { pages: number; starts: readonly number[]; counts: readonly Float64Array[] },
): void {
  let cell = Math.floor((first * counts.length) / pages);
  const end = Math.min(PIECE, pages - first);
  for (let at = 0; at < end; at++) {
    while (first + at >= starts[cell + 1]!) cell++;
    const kind = (at & 1) === 0 ? piece[at >> 1]! & 0x0f : piece[at >> 1]! >> 4;
    if (kind !== PageKind.NEVER) counts[cell]![kind]!++;
  }
}
