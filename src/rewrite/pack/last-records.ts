import type { RamBatch, RamBlock } from "../../codec/ram/index.js";

/** Pages a piece. */
const PIECE = 1 << 14;

/** The number of the last record of every page: which versions of a page are earlier ones. */
export class LastRecords {
  private readonly blocks = new Map<string, Map<number, Float64Array>>();
  private record = 0;

  note(batch: RamBatch, pageSize: number): void {
    for (let i = 0; i < batch.count; i++) {
      const record = this.record++;
      const block = batch.block[i];
      if (block === undefined) continue;
      const page = batch.offset[i]! / pageSize;
      let pieces = this.blocks.get(block.idstr);
      if (pieces === undefined) this.blocks.set(block.idstr, (pieces = new Map()));
      const piece = Math.floor(page / PIECE);
      let numbers = pieces.get(piece);
      if (numbers === undefined) pieces.set(piece, (numbers = new Float64Array(PIECE)));
      numbers[page % PIECE] = record;
    }
  }

  isLast(block: RamBlock, page: number, record: number): boolean {
    return this.blocks.get(block.idstr)?.get(Math.floor(page / PIECE))?.[page % PIECE] === record;
  }
}
