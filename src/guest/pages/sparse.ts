/**
 * A table with an entry for each page (or byte) of a block, in pieces that are added when one of them is first noted.
 */
export class SparseTable<Piece> {
  private readonly pieces = new Map<number, Piece>();
  /** The piece that was asked for last: pages mostly follow each other. */
  private index = -1;
  private piece: Piece | undefined;

  /**
   * @param entries pages of one piece: few, since a damaged stream may scatter its pages over lengths that it only
   * states
   */
  constructor(readonly entries: number) {}

  /** The piece that has the entry of a page. */
  find(page: number): Piece | undefined {
    const index = Math.floor(page / this.entries);
    if (index !== this.index) {
      this.index = index;
      this.piece = this.pieces.get(index);
    }
    return this.piece;
  }

  /** Adds the piece that has the entry of a page, and returns it. */
  add(page: number, piece: Piece): Piece {
    this.index = Math.floor(page / this.entries);
    this.piece = piece;
    this.pieces.set(this.index, piece);
    return piece;
  }

  /** Every piece that there is with the number of its first page, ascending. */
  *[Symbol.iterator](): Generator<[first: number, piece: Piece]> {
    for (const index of [...this.pieces.keys()].toSorted((a, b) => a - b)) {
      yield [index * this.entries, this.pieces.get(index)!];
    }
  }
}
