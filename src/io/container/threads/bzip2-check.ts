import type { QemuFileReader } from "../../../bytes/reader.js";
import { bunzip2, combine, HEADER } from "../compressed/bzip2.js";
import { Mark } from "./pieces.js";

/** Follows the marks of bzip2's lanes: whether each block begins where the one before ended, and the streams' checksums. */
export class Bzip2Check {
  /** Bytes given of the block that has begun. */
  given = 0;
  private byte: number;
  private bit = 0;
  private combined = 0;

  /** @param start where the first stream begins in the file */
  constructor(
    start: number,
    private readonly limit: number,
  ) {
    this.byte = start + HEADER;
  }

  /** Takes a mark. False: it is not what comes next, and `goOn` knows what does. */
  takes(kind: number, byte: number, bit: number, sum: number): boolean {
    if (kind === Mark.BLOCK) return byte === this.byte && bit === this.bit && this.given === 0;
    if (kind === Mark.BLOCK_END) this.combined = combine(this.combined, sum);
    else if (sum === this.combined) this.combined = 0;
    else return false;
    this.byte = byte;
    this.bit = bit;
    this.given = 0;
    return true;
  }

  /** Decompresses what follows the last whole block. */
  async goOn(reader: QemuFileReader): Promise<AsyncGenerator<Uint8Array>> {
    await reader.discard(this.byte - reader.offset, "a bzip2 file");
    return bunzip2(reader, { bit: this.bit, limit: this.limit, combined: this.combined });
  }
}
