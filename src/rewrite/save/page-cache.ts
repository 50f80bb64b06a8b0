import { QevmError } from "../../bytes/errors.js";

/**
 * QEMU's XBZRLE cache: direct-mapped, keyed by address, with an age (migration/page_cache.c). An entry used within the
 * last two generations (dirty-bitmap syncs) is not replaced by another page.
 */
export class PageCache {
  private readonly keys: Float64Array;
  private readonly ages: Int32Array;
  private readonly pages: Uint8Array;

  /** @param size bytes, a power of two; QEMU's `xbzrle-cache-size`, where the default is 64 MiB */
  constructor(
    readonly size: number,
    private readonly pageSize: number,
  ) {
    const slots = size / pageSize;
    if (!Number.isInteger(Math.log2(slots))) {
      throw new QevmError("usage", "xbzrle-cache-size", { expected: "a power of two of pages", found: String(size) });
    }
    this.keys = new Float64Array(slots).fill(-1);
    this.ages = new Int32Array(slots);
    this.pages = new Uint8Array(size);
  }

  /** The destination's content of the page at `address`, marked as used; undefined on a miss. */
  lookup(address: number, generation: number): Uint8Array | undefined {
    const slot = this.slot(address);
    if (this.keys[slot] !== address) return undefined;
    this.ages[slot] = generation;
    return this.slotBytes(slot);
  }

  /** Stores a copy of the page. False where the slot holds another page that is still young. */
  insert(address: number, page: Uint8Array, generation: number): boolean {
    const slot = this.slot(address);
    const key = this.keys[slot]!;
    if (key !== -1 && key !== address && this.ages[slot]! + LIFETIME > generation) return false;
    this.keys[slot] = address;
    this.ages[slot] = generation;
    this.slotBytes(slot).set(page);
    return true;
  }

  /** Drops a page that was sent in another encoding. */
  forget(address: number): void {
    const slot = this.slot(address);
    if (this.keys[slot] === address) this.keys[slot] = -1;
  }

  private slot(address: number): number {
    return (address / this.pageSize) % this.keys.length;
  }

  private slotBytes(slot: number): Uint8Array {
    return this.pages.subarray(slot * this.pageSize, (slot + 1) * this.pageSize);
  }
}

/** Number of generations for which an entry cannot be replaced. */
const LIFETIME = 2;
