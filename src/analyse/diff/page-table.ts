import { QevmError } from "../../bytes/errors.js";
import { RamFlag, type RamBatch } from "../../codec/ram/index.js";
import { DeltaChains } from "./delta-chains.js";

/** What holds the last content of a page. */
export const PageKind = {
  /** Nothing: the stream does not mention the page. */
  NONE: 0,
  /** Zeros: a ZERO record, or a page that a mapped-ram file has not. */
  ZERO: 1,
  /** A ZERO record with another byte (QEMU up to 1.4). */
  FILL: 2,
  PAGE: 3,
  COMPRESS_PAGE: 4,
  /** A page area of mapped-ram. */
  MAPPED: 5,
  XBZRLE: 6,
} as const;

/** Pages a piece; small, since a damaged stream may scatter its pages. */
export const PIECE_PAGES = 256;
const PIECE_BYTES = PIECE_PAGES * 9 + 300;
/** What XBZRLE takes: in a piece that has any, and a record. */
const DELTAS_BYTES = PIECE_PAGES * 4;
const DELTA_BYTES = 12;

/** Where the last contents of some pages of one block stand. */
export interface Piece {
  /** Absolute offset of the page's bytes for PAGE and MAPPED, else of the record. */
  readonly base: Float64Array;
  /** Of the last record that holds the page whole, see `PageKind`. */
  readonly kind: Uint8Array;
  /** Links of the chains of XBZRLE records since then, by page in the piece; 0: none. */
  deltas: Uint32Array | undefined;
}

/** The kind of page `at` of a piece. */
export function kindOf(piece: Piece | undefined, at: number): number {
  if (piece === undefined) return PageKind.NONE;
  return (piece.deltas?.[at] ?? 0) === 0 ? piece.kind[at]! : PageKind.XBZRLE;
}

/**
 * Where in a stream the last content of each page stands: 9 bytes of memory a page that it mentions, nothing of the pages. Later rounds
 * write over earlier ones.
 */
export class PageTable {
  private readonly blocks = new Map<string, Map<number, Piece>>();
  private readonly chains = new DeltaChains();
  private bytes = 0;

  /**
   * @param stream says how large pages are, once it knows
   * @param limit bytes of memory at most, asked when memory is taken
   */
  constructor(
    private readonly stream: { readonly ram: { readonly pageSize: number } },
    private readonly limit: () => number,
  ) {}

  /** Notes a batch of records. Errors: limit. */
  note(batch: RamBatch): void {
    const { pageSize } = this.stream.ram;
    for (let i = 0; i < batch.count; i++) {
      const block = batch.block[i];
      if (block === undefined) continue;
      const page = batch.offset[i]! / pageSize;
      const at = page % PIECE_PAGES;
      const position = batch.position[i]!;
      const piece = this.make(block.idstr, (page - at) / PIECE_PAGES, position);
      const flag = batch.flag[i]!;
      if (flag === RamFlag.XBZRLE) {
        this.take(piece.deltas === undefined ? DELTAS_BYTES + DELTA_BYTES : DELTA_BYTES, position);
        piece.deltas ??= new Uint32Array(PIECE_PAGES);
        piece.deltas[at] = this.chains.add(piece.deltas[at]!, position);
        continue;
      }
      if (piece.deltas !== undefined) piece.deltas[at] = 0;
      const head = flag !== RamFlag.PAGE || batch.area ? 0 : batch.continues[i] === 1 ? 8 : 9 + block.idstr.length;
      piece.base[at] = position + head;
      piece.kind[at] = batch.area && flag === RamFlag.PAGE ? PageKind.MAPPED : kindByFlag(flag, batch.fill[i]!);
    }
  }

  /** Whether the stream carries any page of a block. */
  has(block: string): boolean {
    return this.blocks.has(block);
  }

  piece(block: string, index: number): Piece | undefined {
    return this.blocks.get(block)?.get(index);
  }

  /** Numbers of the pieces of a block, in no order. */
  pieces(block: string): Iterable<number> {
    return this.blocks.get(block)?.keys() ?? [];
  }

  /** Absolute offsets of the XBZRLE records of a page, in stream order. */
  deltasOf(piece: Piece, at: number): readonly number[] {
    return this.chains.of(piece.deltas?.[at] ?? 0);
  }

  private make(block: string, index: number, position: number): Piece {
    let pieces = this.blocks.get(block);
    if (pieces === undefined) this.blocks.set(block, (pieces = new Map()));
    const found = pieces.get(index);
    if (found !== undefined) return found;
    this.take(PIECE_BYTES, position);
    const made: Piece = {
      base: new Float64Array(PIECE_PAGES),
      kind: new Uint8Array(PIECE_PAGES),
      deltas: undefined,
    };
    pieces.set(index, made);
    return made;
  }

  /** Counts memory that is taken for the record at `position`. */
  private take(bytes: number, position: number): void {
    this.bytes += bytes;
    if (this.bytes > this.limit()) {
      throw new QevmError("limit", "pages are scattered too far to remember their places", {
        offset: position,
        expected: `at most ${this.limit()} bytes of memory`,
      });
    }
  }
}

function kindByFlag(flag: number, fill: number): number {
  if (flag === RamFlag.PAGE) return PageKind.PAGE;
  if (flag === RamFlag.COMPRESS_PAGE) return PageKind.COMPRESS_PAGE;
  return fill === 0 ? PageKind.ZERO : PageKind.FILL;
}
