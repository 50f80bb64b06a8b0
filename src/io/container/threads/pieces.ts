import { copyShared, type Slot } from "../../threads/index.js";

/**
 * What a lane (a thread that decompresses) hands over in a slot: up to `count` entries, plain bytes or marks.
 *
 * | of entry i    | plain bytes                                     | mark                     |
 * | ------------- | ----------------------------------------------- | ------------------------ |
 * | `flags`       | 0                                               | its {@link Mark}         |
 * | `words`       | offset in the file that the decompressor is at  | a byte offset            |
 * | `starts`      | bytes of the same piece in later slots          | and a bit of it (0 to 7) |
 * | `lengths`     | bytes in `output`, one entry after the other    | a checksum               |
 */
export interface Piece {
  bytes: Uint8Array;
  /** Offset in the compressed file: as the reader of a decompressor in this thread has it after the piece. */
  offset: number;
  mark?: { kind: number; bit: number; sum: number };
}

/** What bzip2's lanes say beside the bytes: a block begins, it is whole, a stream is whole. */
export const Mark = { BLOCK: 1, BLOCK_END: 2, STREAM_END: 3 } as const;

/** What comes after a slot (its `source`). */
export const After = { MORE: 0, NEXT_UNIT: 1, NOTHING: 2 } as const;

/** The end of a unit, which a lane decompresses by itself. */
export const UNIT_END = Symbol("end of a unit");

/** Entries of a slot. */
export const ENTRIES = 64;
/** Plain bytes of a slot. */
export const LOAD = 1 << 18;

/** Fills slots with what a generator gives. */
export class LaneWork {
  private piece: Piece | undefined;
  private used = 0;
  private trouble: unknown;

  constructor(private readonly pieces: AsyncGenerator<Piece | typeof UNIT_END>) {}

  /** Errors: those of the generator, after the pieces before. */
  async run(slot: Slot): Promise<void> {
    if (this.trouble !== undefined) throw this.trouble;
    slot.count = 0;
    slot.source = After.MORE;
    try {
      for (let filled = 0; slot.count < ENTRIES && filled < LOAD;) {
        if (this.piece === undefined) {
          const { done, value } = await this.pieces.next();
          if (done === true || value === UNIT_END) {
            slot.source = done === true ? After.NOTHING : After.NEXT_UNIT;
            return;
          }
          this.piece = value;
          this.used = 0;
        }
        filled += this.put(slot, this.piece, filled);
      }
    } catch (error) {
      if (slot.count === 0) throw error;
      this.trouble = error;
    }
  }

  /** Where another lane's slot is next, or none. */
  wakes(slot: Slot): boolean {
    return slot.source !== After.MORE;
  }

  private put(slot: Slot, { bytes, offset, mark }: Piece, filled: number): number {
    const i = slot.count++;
    slot.setWord(i, offset, 0);
    slot.flags[i] = mark?.kind ?? 0;
    const n = Math.min(bytes.length - this.used, LOAD - filled);
    if (n > 0) copyShared(slot.output, bytes.subarray(this.used, this.used + n), filled);
    this.used += n;
    slot.starts[i] = mark?.bit ?? bytes.length - this.used;
    slot.lengths[i] = mark?.sum ?? n;
    if (this.used === bytes.length) this.piece = undefined;
    return n;
  }
}
