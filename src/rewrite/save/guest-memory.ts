import { QevmError } from "../../bytes/errors.js";
import { isZero } from "../../bytes/zero.js";
import type { RamBlock } from "../../codec/ram/index.js";
import type { SharedMemory } from "../threads/compress-work.js";

/** One RAMBlock of a source whose memory may change while it is saved. */
export interface GuestBlock extends RamBlock {
  /** The memory, where threads can read it directly. */
  readonly shared?: SharedMemory | undefined;
  /** Pages written since they were last taken: one bit per page, set by the writer after writing the page. */
  readonly log: Int32Array;
  /** True where the page is all zero at the moment. */
  isZero(offset: number): boolean;
  /** The current page: a view that is valid until the next call. It may change while it is read. */
  page(offset: number): Uint8Array;
}

/** Number of words in a log or bitmap for `usedLength` bytes of memory. */
export function bitmapWords(usedLength: number, pageSize: number): number {
  return Math.ceil(usedLength / pageSize / 32);
}

/** Marks a page as written. Call it after the write. */
export function markDirty(log: Int32Array, page: number): void {
  Atomics.or(log, page >>> 5, 1 << (page & 31));
}

/** A block in a `SharedArrayBuffer` that other threads may write at any time. */
export class SharedBlock implements GuestBlock {
  readonly shared: SharedMemory;
  readonly bytes: Uint8Array;
  readonly log: Int32Array;
  readonly usedLength: number;

  /** @param log the dirty log in shared memory; created if omitted */
  constructor(
    readonly index: number,
    readonly idstr: string,
    readonly buffer: SharedArrayBuffer,
    private readonly size = 4096,
    log?: Int32Array,
  ) {
    this.usedLength = buffer.byteLength;
    if (this.usedLength % size !== 0 || this.usedLength === 0) {
      throw new QevmError("usage", `RAM block ${idstr} is not made of whole pages`);
    }
    this.bytes = new Uint8Array(buffer);
    this.shared = { buffer, start: 0, length: this.usedLength };
    this.log = log ?? new Int32Array(new SharedArrayBuffer(bitmapWords(this.usedLength, size) * 4));
  }

  isZero(offset: number): boolean {
    return isZero(this.bytes, offset, offset + this.size);
  }

  page(offset: number): Uint8Array {
    return this.bytes.subarray(offset, offset + this.size);
  }
}
