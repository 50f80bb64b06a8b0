import type { RamBatch, RamBlock } from "../../codec/ram/index.js";
import { PageBits } from "../../guest/pages/page-bits.js";

/** Pages a piece. */
const PIECE = 1 << 14;
/** Pages of a piece that are kept one by one; then it gets a number for each, 128 KiB. */
const LISTED = 2048;

/** The last record of some pages, by page in the piece. */
type Piece = Map<number, number> | Float64Array;

/** What came of one block. */
interface Block {
  readonly seen: PageBits;
  /** The last record of each page that came more than once. */
  readonly again: Map<number, Piece>;
}

/**
 * The number of the last record of every page: which versions of a page are earlier ones. Takes a bit for a page that comes once, and 8
 * bytes more for one that comes again (64 where such pages are scattered).
 */
export class LastRecords {
  private readonly blocks = new Map<string, Block>();
  private record = 0;

  note(batch: RamBatch, pageSize: number): void {
    for (let i = 0; i < batch.count; i++) {
      const record = this.record++;
      const block = batch.block[i];
      if (block === undefined) continue;
      const page = batch.offset[i]! / pageSize;
      let known = this.blocks.get(block.idstr);
      if (known === undefined) this.blocks.set(block.idstr, (known = { seen: new PageBits(), again: new Map() }));
      if (!known.seen.addNew(page)) put(known.again, page, record);
    }
  }

  isLast(block: RamBlock, page: number, record: number): boolean {
    const piece = this.blocks.get(block.idstr)?.again.get(Math.floor(page / PIECE));
    const last = piece instanceof Map ? piece.get(page % PIECE) : piece?.[page % PIECE];
    // Record 0 is no page that came again.
    return (last ?? 0) === 0 || last === record;
  }
}

function put(pieces: Map<number, Piece>, page: number, record: number): void {
  const index = Math.floor(page / PIECE);
  let piece = pieces.get(index);
  if (piece === undefined) pieces.set(index, (piece = new Map()));
  if (piece instanceof Map && piece.size === LISTED) {
    const numbers = new Float64Array(PIECE);
    for (const [at, number] of piece) numbers[at] = number;
    pieces.set(index, (piece = numbers));
  }
  if (piece instanceof Map) piece.set(page % PIECE, record);
  else piece[page % PIECE] = record;
}
