import { QevmError } from "../../bytes/errors.js";
import { RamFlag, type RamBatch } from "../../codec/ram/index.js";

/** Pages a piece. Small, because a damaged stream may scatter its pages over lengths that it only states. */
const PIECE_PAGES = 256;
/** Bytes of memory that a piece takes, roughly. */
const PIECE_BYTES = PIECE_PAGES * 8 + 200;

/** Answers where the records of a page stand. */
export interface PageFinder {
  /** Whether the stream carries any page of a block. */
  has(block: string): boolean;
  /** Absolute stream offsets: the last record that holds the page whole, and the XBZRLE records behind it, in stream order. */
  positions(block: string, offset: number): readonly number[] | Promise<readonly number[]>;
}

/** Where the records of some pages of one block stand. */
interface Piece {
  /** The last PAGE, ZERO or COMPRESS_PAGE record of each page; 0: none. */
  readonly base: Float64Array;
  /** XBZRLE records since then, by page in the piece. */
  deltas: Map<number, number[]> | undefined;
}

/** One page with its records. */
export interface PlacedPage {
  block: string;
  offset: number;
  /** The record that holds it whole; 0: none. */
  base: number;
  deltas: readonly number[];
}

/**
 * Where in the stream the content of each page stands: 8 bytes of memory a page that the stream mentions. Nothing of the
 * pages is kept.
 */
export class PagePlaces implements PageFinder {
  private readonly blocks = new Map<string, Map<number, Piece>>();
  private bytes = 0;

  /** @param limit bytes of memory at most; a stream whose pages stand side by side needs less than its length */
  constructor(
    private readonly pageSize: number,
    private readonly limit: number,
  ) {}

  /** Notes a batch of records; the last one of a page counts. Errors: limit. */
  note(batch: RamBatch): void {
    const { pageSize } = this;
    for (let i = 0; i < batch.count; i++) {
      const block = batch.block[i];
      if (block === undefined) continue;
      const page = batch.offset[i]! / pageSize;
      const at = page % PIECE_PAGES;
      const position = batch.position[i]!;
      const piece = this.piece(block.idstr, (page - at) / PIECE_PAGES, position);
      if (batch.flag[i] === RamFlag.XBZRLE) {
        piece.deltas ??= new Map();
        const deltas = piece.deltas.get(at);
        if (deltas === undefined) piece.deltas.set(at, [position]);
        else deltas.push(position);
      } else {
        piece.base[at] = position;
        piece.deltas?.delete(at);
      }
    }
  }

  has(block: string): boolean {
    return this.blocks.has(block);
  }

  positions(block: string, offset: number): readonly number[] {
    const page = offset / this.pageSize;
    const at = page % PIECE_PAGES;
    const piece = this.blocks.get(block)?.get((page - at) / PIECE_PAGES);
    if (piece === undefined) return [];
    const base = piece.base[at]!;
    return [...(base === 0 ? [] : [base]), ...(piece.deltas?.get(at) ?? [])];
  }

  /** Every page that the stream mentions, by block, ascending. */
  *pages(): Generator<PlacedPage> {
    for (const [block, pieces] of this.blocks) {
      for (const index of [...pieces.keys()].toSorted((a, b) => a - b)) {
        const { base, deltas } = pieces.get(index)!;
        for (let at = 0; at < PIECE_PAGES; at++) {
          const later = deltas?.get(at) ?? [];
          if (base[at] === 0 && later.length === 0) continue;
          yield { block, offset: (index * PIECE_PAGES + at) * this.pageSize, base: base[at]!, deltas: later };
        }
      }
    }
  }

  private piece(block: string, index: number, position: number): Piece {
    let pieces = this.blocks.get(block);
    if (pieces === undefined) this.blocks.set(block, (pieces = new Map()));
    const found = pieces.get(index);
    if (found !== undefined) return found;
    this.bytes += PIECE_BYTES;
    if (this.bytes > this.limit) {
      throw new QevmError("limit", "pages are scattered too far to remember their places", {
        offset: position,
        expected: `at most ${this.limit} bytes of memory`,
      });
    }
    const made: Piece = { base: new Float64Array(PIECE_PAGES), deltas: undefined };
    pieces.set(index, made);
    return made;
  }
}
