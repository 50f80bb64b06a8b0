import { QevmError } from "../../bytes/errors.js";
import { isZero } from "../../bytes/zero.js";
import { Turns } from "../../io/transport/turns.js";
import type { Layout, Segment } from "../layout-types.js";
import type { GuestPages } from "./guest-memory.js";
import { blockRange, layoutParts, readParts, WINDOW } from "./range.js";

/** What is at a range of addresses: no memory, memory that is known to be zeros without reading it, other memory. */
type ExtentKind = "hole" | "zero" | "data";

/** A range of addresses of one kind. */
interface Extent {
  /** Bytes. */
  length: number;
  kind: ExtentKind;
}

/** A part of a range: of a RAM block, of the VGA window (`WINDOW`), or without memory. */
export interface SpacePart extends Omit<Segment, "block" | "device"> {
  block: string | undefined;
}

/**
 * Guest memory as one range of bytes from 0 on, with holes: guest-physical memory, or one RAM block. Any part of it can
 * be read at any time; reads take turns.
 */
export class MemorySpace {
  private turn: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly pages: GuestPages,
    /** Ascending, not overlapping. */
    private readonly parts: readonly Segment[],
    private readonly vga: Layout["vga"],
  ) {}

  /**
   * Guest-physical memory. @param devices also the memory of devices above main memory; default: it ends with main
   * memory, as a raw file does
   */
  static physical(pages: GuestPages, layout: Layout, { devices = false } = {}): MemorySpace {
    const top = devices ? undefined : layout.segments.findLast(({ device }) => device !== true);
    const parts: Segment[] = [];
    let end = 0;
    for (const part of layoutParts(layout).toSorted((a, b) => a.start - b.start)) {
      if (top !== undefined && part.start > top.start) break;
      const cut = Math.max(0, end - part.start);
      if (cut >= part.length) continue;
      parts.push({ ...part, start: part.start + cut, offset: part.offset + cut, length: part.length - cut });
      end = part.start + part.length;
    }
    return new MemorySpace(pages, parts, layout.vga);
  }

  /** One RAM block. Errors: usage (no such block). */
  static block(pages: GuestPages, name: string): MemorySpace {
    const [part] = blockRange(pages.blocks, name, 0, 0);
    const { length } = pages.blocks.find((one) => one.name === name)!;
    return new MemorySpace(pages, length === 0 ? [] : [{ ...part!, length }], undefined);
  }

  /** Bytes from 0 to the end of the last memory. */
  get size(): number {
    const last = this.parts.at(-1);
    return last === undefined ? 0 : last.start + last.length;
  }

  /** Target page size in bytes. */
  get pageSize(): number {
    return this.pages.pageSize;
  }

  /** Bytes from `from` on that are memory, at most `length`; 0 where there is none. */
  memoryAt(from: number, length: number): number {
    let at = from;
    for (let k = this.partAt(from); at < from + length; k++) {
      const part = this.parts[k];
      if (part === undefined || part.start > at) break;
      at = part.start + part.length;
    }
    return Math.min(length, at - from);
  }

  /** Fills `into` with the bytes from `from` on; zeros where there is no memory. Errors: those of page payloads, io. */
  async read(from: number, into: Uint8Array): Promise<void> {
    await this.inTurn(async () => {
      for (const part of this.between(from, into.length)) {
        let at = part.start - from;
        if (part.block === undefined) {
          into.fill(0, at, at + part.length);
          continue;
        }
        for await (const piece of readParts(this.pages, [part as Segment], this.vga)) {
          into.set(piece, at);
          at += piece.length;
        }
      }
    });
  }

  /** What is known of a range without reading it, in runs, from `from` on: as much as fits into so many pages and runs. */
  async extents(from: number, length: number, most: { pages: number; runs: number }): Promise<Extent[]> {
    const found: Extent[] = [];
    const turns = new Turns();
    let left = most.pages;
    const add = (kind: ExtentKind, bytes: number): boolean => {
      const last = found.at(-1);
      if (last?.kind === kind) last.length += bytes;
      else if (found.length === most.runs) return false;
      else found.push({ kind, length: bytes });
      return true;
    };
    for (const { block, offset, length: bytes } of this.between(from, length)) {
      if (block === undefined || block === WINDOW) {
        if (!add(block === undefined ? "hole" : "data", bytes)) return found;
        continue;
      }
      for (let at = offset; at < offset + bytes;) {
        if (left-- === 0) return found;
        const page = at - (at % this.pageSize);
        const stop = Math.min(page + this.pageSize, offset + bytes);
        if (!add((await this.pages.empty(block, page)) ? "zero" : "data", stop - at)) return found;
        at = stop;
        await turns.due();
      }
    }
    return found;
  }

  /** Runs of whole pages that are zeros or not in bytes that were read; the first page begins at `from`. */
  zeroRuns(from: number, bytes: Uint8Array): { zero: boolean; length: number }[] {
    const runs: { zero: boolean; length: number }[] = [];
    for (let at = 0; at < bytes.length;) {
      const stop = Math.min(bytes.length, at + this.pageSize - ((from + at) % this.pageSize));
      const zero = isZero(bytes.subarray(at, stop));
      const last = runs.at(-1);
      if (last?.zero === zero) last.length += stop - at;
      else runs.push({ zero, length: stop - at });
      at = stop;
    }
    return runs;
  }

  /**
   * The parts of a range by ascending address, those without memory (no block) among them. Errors: usage (a range that
   * is not whole numbers).
   */
  *between(from: number, length: number): Generator<SpacePart> {
    const end = from + length;
    if (!Number.isSafeInteger(end) || from < 0) throw new QevmError("usage", "a range outside of all memory");
    let at = from;
    for (let k = this.partAt(from); at < end; k++) {
      const part = this.parts[k];
      const start = Math.min(part?.start ?? end, end);
      if (start > at) yield { start: at, length: start - at, block: undefined, offset: 0 };
      at = Math.max(at, start);
      if (part === undefined || at === end) break;
      const stop = Math.min(end, part.start + part.length);
      yield { start: at, length: stop - at, block: part.block, offset: part.offset + at - part.start };
      at = stop;
    }
  }

  /** The first part that ends after an address. */
  private partAt(address: number): number {
    let low = 0;
    let high = this.parts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const { start, length } = this.parts[middle]!;
      if (start + length > address) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  private async inTurn(work: () => Promise<void>): Promise<void> {
    const mine = this.turn.then(work);
    this.turn = mine.catch(() => undefined);
    await mine;
  }
}
