import { closeSync, fstatSync } from "node:fs";
import { QevmError } from "../../bytes/errors.js";
import { readAll } from "../../io/transport/attempt.js";
import { openBelow } from "../../io/transport/below.js";

const WINDOW = 1 << 18;

/** The file of one RAM block, read a page at a time mostly in order. */
export class RamFile {
  private readonly fd: number;
  private readonly window = new Uint8Array(WINDOW);
  private start = 0;
  private end = 0;
  /** Bytes of the disk that it takes: less than `length` where it has holes. */
  readonly allocated: number;

  /** Errors: io (missing), bad-value (no plain file), bad-description (another length than the block's). */
  constructor(
    folder: string,
    readonly file: string,
    readonly length: number,
  ) {
    this.fd = openBelow(folder, file);
    const { size, blocks } = fstatSync(this.fd);
    this.allocated = Math.min(size, blocks * 512);
    if (size === length) return;
    closeSync(this.fd);
    throw new QevmError("bad-description", `${file}: a RAM block's file has another length than the block`, {
      expected: `${length} bytes`,
      found: `${size}`,
    });
  }

  /** A view of `length` bytes at `offset`, valid until the next call; zeros beyond the end. */
  view(offset: number, length: number): Uint8Array {
    if (offset < this.start || offset + length > this.end) this.load(offset);
    return this.window.subarray(offset - this.start, offset - this.start + length);
  }

  close(): void {
    closeSync(this.fd);
  }

  private load(offset: number): void {
    this.window.fill(0, readAll(this.file, this.fd, this.window, offset));
    this.start = offset;
    this.end = offset + WINDOW;
  }
}
