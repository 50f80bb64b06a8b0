import { QevmError } from "../../bytes/errors.js";
import type { ByteSource } from "../../bytes/source.js";
import { RamFlag, type RamBatch } from "../../codec/ram/index.js";
import { DeltaChains } from "./delta-chains.js";
import { SparseTable } from "./sparse.js";

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

/** Added to the kind of a page whose record names its block. */
const NAMED = 0x80;

/** What a page is made from. */
export interface PageParts {
  /** Absolute offset where the stream holds its bytes as they are; 0: it begins as zeros. */
  readonly plain: number;
  /** Absolute offsets of the records that are then applied to it, in stream order. */
  readonly records: readonly number[];
}

/** Says where pages are. */
export interface PageFinder {
  /** Whether the stream carries any page of a block. */
  has(block: string): boolean;
  /** What the page at an offset of a block is made from. */
  find(block: string, offset: number): PageParts | Promise<PageParts>;
}

/** One page with its records. */
interface PlacedPage {
  block: string;
  offset: number;
  /** Absolute offset of the last record that holds it whole; 0: none. */
  base: number;
  /** Whether that record says that the page is zeros. */
  zero: boolean;
  /** Absolute offsets of the XBZRLE records since then, in stream order. */
  deltas: readonly number[];
}

/** Pages a piece: few, since a damaged stream may scatter its pages over lengths that it only states. */
const PAGES = 64;
/** Bytes of memory: of a piece, of the XBZRLE chains in a piece that has any, of an XBZRLE record. */
const PIECE_BYTES = PAGES * 9 + 300;
const DELTAS_BYTES = PAGES * 4;
const DELTA_BYTES = 12;
/** Bytes that the places of pages may take whatever the stream's length. */
const LEAST_LIMIT = 64 << 20;

/** Where the last contents of some pages of one block are. */
interface Piece {
  /** Absolute offset of the last record that holds the page whole; mapped-ram: of the page. 0: none. */
  readonly base: Float64Array;
  /** Of that record, see `PageKind`. */
  readonly kind: Uint8Array;
  /** Links of the chains of XBZRLE records since then, by page in the piece; 0: none. */
  deltas: Uint32Array | undefined;
}

const ZEROS: PageParts = { plain: 0, records: [] };

/**
 * Where in a stream the last content of each page is: 14 bytes of memory a page that it mentions and 12 an XBZRLE
 * record, nothing of the pages; 64 MiB and twice the stream's length at most. Later records of a page replace earlier
 * ones.
 */
export class PagePlaces implements PageFinder {
  private readonly blocks = new Map<string, SparseTable<Piece>>();
  private readonly chains = new DeltaChains();
  private bytes = 0;

  /**
   * @param stream gives the page size, once known, and the position
   * @param source gives the length of the stream, if known
   */
  constructor(
    private readonly stream: {
      readonly ram: { readonly pageSize: number };
      readonly start: number;
      readonly offset: number;
    },
    private readonly source: Pick<ByteSource, "length">,
  ) {}

  /** Notes a batch of records. Errors: limit. */
  note(batch: RamBatch): void {
    const { pageSize } = this.stream.ram;
    for (let i = 0; i < batch.count; i++) {
      const block = batch.block[i];
      if (block === undefined) continue;
      const page = batch.offset[i]! / pageSize;
      const at = page % PAGES;
      const position = batch.position[i]!;
      const piece = this.piece(block.idstr, page, position);
      const flag = batch.flag[i]!;
      if (flag === RamFlag.XBZRLE) {
        this.take(piece.deltas === undefined ? DELTAS_BYTES + DELTA_BYTES : DELTA_BYTES, position);
        piece.deltas ??= new Uint32Array(PAGES);
        piece.deltas[at] = this.chains.add(piece.deltas[at]!, position);
        continue;
      }
      if (piece.deltas !== undefined) piece.deltas[at] = 0;
      piece.base[at] = position;
      piece.kind[at] = kindOf(batch, i) + (batch.continues[i] === 1 ? 0 : NAMED);
    }
  }

  has(block: string): boolean {
    return this.blocks.has(block);
  }

  find(block: string, offset: number): PageParts {
    const page = offset / this.stream.ram.pageSize;
    const piece = this.blocks.get(block)?.find(page);
    if (piece === undefined) return ZEROS;
    const at = page % PAGES;
    const base = piece.base[at]!;
    const kind = piece.kind[at]!;
    const link = piece.deltas?.[at] ?? 0;
    const deltas = link === 0 ? ZEROS.records : this.chains.of(link);
    switch (kind & ~NAMED) {
      case PageKind.PAGE:
        return { plain: base + ((kind & NAMED) === 0 ? 8 : 9 + block.length), records: deltas };
      case PageKind.MAPPED:
        return { plain: base, records: deltas };
      case PageKind.COMPRESS_PAGE:
      case PageKind.FILL:
        return { plain: 0, records: [base, ...deltas] };
      default:
        return { plain: 0, records: deltas };
    }
  }

  /** The kind of a page, see `PageKind`. */
  kind(block: string, page: number): number {
    const piece = this.blocks.get(block)?.find(page);
    if (piece === undefined) return PageKind.NONE;
    const at = page % PAGES;
    return (piece.deltas?.[at] ?? 0) === 0 ? piece.kind[at]! & ~NAMED : PageKind.XBZRLE;
  }

  /** Absolute offset of the last record of a page; 0: none. */
  last(block: string, page: number): number {
    const piece = this.blocks.get(block)?.find(page);
    const link = piece?.deltas?.[page % PAGES] ?? 0;
    return link === 0 ? (piece?.base[page % PAGES] ?? 0) : this.chains.last(link);
  }

  /** Runs of pages of a block in which all that the stream mentions are: the first of each, and how many; ascending. */
  *runs(block: string): Generator<[first: number, count: number]> {
    for (const [first] of this.blocks.get(block) ?? []) yield [first, PAGES];
  }

  /** Every page that the stream mentions, by block, ascending. */
  *pages(): Generator<PlacedPage> {
    const { pageSize } = this.stream.ram;
    for (const [block, table] of this.blocks) {
      for (const [first, { base, kind, deltas }] of table) {
        for (let at = 0; at < PAGES; at++) {
          const later = this.chains.of(deltas?.[at] ?? 0);
          if (base[at] === 0 && later.length === 0) continue;
          const zero = (kind[at]! & ~NAMED) === PageKind.ZERO;
          yield { block, offset: (first + at) * pageSize, base: base[at]!, zero, deltas: later };
        }
      }
    }
  }

  private piece(block: string, page: number, position: number): Piece {
    let table = this.blocks.get(block);
    if (table === undefined) this.blocks.set(block, (table = new SparseTable(PAGES)));
    const found = table.find(page);
    if (found !== undefined) return found;
    this.take(PIECE_BYTES, position);
    return table.add(page, { base: new Float64Array(PAGES), kind: new Uint8Array(PAGES), deltas: undefined });
  }

  /** Counts memory that is taken for the record at `position`. */
  private take(bytes: number, position: number): void {
    this.bytes += bytes;
    const { start, offset } = this.stream;
    const limit = LEAST_LIMIT + 2 * (this.source.length ?? offset - start);
    if (this.bytes <= limit) return;
    throw new QevmError("limit", "pages are scattered too far to remember their places", {
      offset: position,
      expected: `at most ${limit} bytes of memory`,
    });
  }
}

/** The kind of a record that holds its page whole. */
function kindOf(batch: RamBatch, i: number): number {
  switch (batch.flag[i]) {
    case RamFlag.PAGE:
      return batch.area ? PageKind.MAPPED : PageKind.PAGE;
    case RamFlag.COMPRESS_PAGE:
      return PageKind.COMPRESS_PAGE;
    default:
      return batch.fill[i] === 0 ? PageKind.ZERO : PageKind.FILL;
  }
}
