import { hex, type Diagnostics } from "../../bytes/errors.js";
import type { QemuFileReader } from "../../bytes/reader.js";
import type { QemuFileWriter } from "../../bytes/writer.js";
import { isZero } from "../../bytes/zero.js";
import type { RamBatch } from "./batch.js";
import { encodeBlockEntry } from "./block-list.js";
import { RamFlag } from "./flags.js";
import type { MappedBlock, MappedRamHeader, RamBlock } from "./state.js";

/** Bytes of a 64-bit host's bitmap for so many pages. */
export function bitmapLength(pages: number): number {
  return 8 * Math.ceil(pages / 64);
}

/** Whether page `i` is in the page area. */
export function hasPage(bitmap: Uint8Array, i: number): boolean {
  return (bitmap[Math.floor(i / 8)]! & (1 << (i % 8))) !== 0;
}

/** Bytes of pages without a bit that are skipped in one piece; shorter runs between two pages are read with them. */
export const SKIPPED_FROM = 4 << 20;

/**
 * The first run of at least `least` pages without a bit, from page `first` on; `start` is `pages` where there is none.
 */
export function unsetRun(
  bitmap: Uint8Array,
  first: number,
  pages: number,
  least: number,
): { start: number; end: number } {
  for (let at = first; at < pages;) {
    const start = runEnd(bitmap, at, pages, true);
    const end = runEnd(bitmap, start, pages, false);
    if (end - start >= least) return { start, end };
    at = end;
  }
  return { start: pages, end: pages };
}

/** The first page from `first` on whose bit is not `set`; at most `pages`. */
function runEnd(bitmap: Uint8Array, first: number, pages: number, set: boolean): number {
  const whole = set ? 0xff : 0;
  let at = first;
  while (at < pages) {
    if (at % 8 === 0 && bitmap[at / 8] === whole) at += 8;
    else if (hasPage(bitmap, at) === set) at++;
    else break;
  }
  return Math.min(at, pages);
}

/** Says that page `i` is in the page area. */
export function setPage(bitmap: Uint8Array, i: number): void {
  bitmap[Math.floor(i / 8)]! |= 1 << (i % 8);
}

/**
 * Blocks below this size may hold what a destination has put there itself before it loads: ACPI tables, firmware,
 * option ROMs, which another version fills otherwise. QEMU's loader leaves a page without a bit as it is, so pages of
 * zeros that a stream sends for such blocks get their bit. In larger ones, guest memory, absent pages are zeros
 * already.
 */
export const FILLED_BELOW = 8 << 20;

/** Alignment of pages_offset as QEMU writes it. */
const PAGES_ALIGNMENT = 0x100000;

/** The header of a block whose bitmap will be at `bitmapOffset`. */
export function mappedHeader(bitmapOffset: number, usedLength: number, pageSize: number): MappedRamHeader {
  const end = bitmapOffset + bitmapLength(usedLength / pageSize);
  return {
    version: 1,
    pageSize: BigInt(pageSize),
    bitmapOffset: BigInt(bitmapOffset),
    pagesOffset: BigInt(Math.ceil(end / PAGES_ALIGNMENT) * PAGES_ALIGNMENT),
  };
}

/** Bytes of a block's entry in the list, mapped-ram header included. */
export function mappedEntryLength(block: Pick<RamBlock, "idstr" | "address">): number {
  return 1 + block.idstr.length + 8 + (block.address === undefined ? 0 : 8) + 28;
}

/**
 * A block whose entry is written at byte `at` of a file: as it is where its places hold there, else with new ones. The
 * pages follow in both cases.
 */
export function placedAt(mapped: MappedBlock, at: number): MappedBlock {
  const { block, bitmap } = mapped;
  const old = block.mapped!;
  const bitmapOffset = at + mappedEntryLength(block);
  if (old.bitmapOffset === BigInt(bitmapOffset)) return mapped;
  const header = mappedHeader(bitmapOffset, block.usedLength, Number(old.pageSize));
  const gapLength = Number(header.pagesOffset) - bitmapOffset - bitmap.length;
  return { block: { ...block, mapped: header }, bitmap, gapLength, gap: undefined };
}

/** Bounds that the decoder of a mapped-ram block enforces before it takes memory. */
export interface MappedLimits {
  /** Bytes of one block's bitmap. */
  bitmapBytes: number;
  /** Bytes between a bitmap and its pages. */
  gapBytes: number;
}

/** Reads the bitmap and the hole after it. Errors: bad-offset, limit, unsupported, truncated. */
export async function decodeMappedBlock(
  reader: QemuFileReader,
  block: RamBlock,
  mapped: MappedRamHeader,
  pageSize: number,
  limits: MappedLimits,
  diagnostics: Diagnostics,
): Promise<MappedBlock> {
  const { length, gapLength } = checkPlaces(reader, block, mapped, pageSize, limits, diagnostics);
  await reader.needLarge(length, "mapped-ram bitmap");
  const bitmap = reader.bytes(length);
  await reader.needLarge(gapLength, "the hole after a mapped-ram bitmap");
  const hole = reader.view(gapLength);
  return { block, bitmap, gapLength, gap: isZero(hole) ? undefined : hole.slice() };
}

/**
 * Passes over bitmap, hole and pages, without reading them where the source can seek. Errors: as `decodeMappedBlock`.
 */
export async function skipMappedBlock(
  reader: QemuFileReader,
  block: RamBlock,
  mapped: MappedRamHeader,
  pageSize: number,
  limits: MappedLimits,
  diagnostics: Diagnostics,
): Promise<void> {
  const { length, gapLength } = checkPlaces(reader, block, mapped, pageSize, limits, diagnostics);
  await reader.discard(length + gapLength + block.usedLength, `page area of RAM block "${block.idstr}"`);
}

/** Bytes of the bitmap, which begins here, and of the hole after it. */
function checkPlaces(
  reader: QemuFileReader,
  block: RamBlock,
  mapped: MappedRamHeader,
  pageSize: number,
  limits: MappedLimits,
  diagnostics: Diagnostics,
): { length: number; gapLength: number } {
  if (mapped.pageSize !== BigInt(pageSize)) {
    throw reader.error("bad-value", "page size of the mapped-ram header", {
      expected: `${pageSize}`,
      found: `${mapped.pageSize}`,
    });
  }
  if (mapped.bitmapOffset !== BigInt(reader.offset)) {
    // A file that was copied to another place: the distances still hold.
    diagnostics.anomaly(
      reader.error("bad-offset", "bitmap offset of the mapped-ram header", {
        expected: hex(reader.offset),
        found: `0x${mapped.bitmapOffset.toString(16)}`,
      }),
    );
  }
  const length = bitmapLength(Math.ceil(block.usedLength / pageSize));
  if (length > limits.bitmapBytes) {
    throw reader.error("limit", `bitmap of RAM block "${block.idstr}"`, {
      expected: `at most ${limits.bitmapBytes} bytes`,
      found: `${length}`,
    });
  }
  const gap = mapped.pagesOffset - mapped.bitmapOffset - BigInt(length);
  if (gap < 0n || gap > BigInt(limits.gapBytes)) {
    throw reader.error("bad-offset", "pages offset of the mapped-ram header", {
      expected: `0 to ${limits.gapBytes} bytes after the bitmap`,
      found: `0x${mapped.pagesOffset.toString(16)}`,
    });
  }
  return { length, gapLength: Number(gap) };
}

/** The twin of `decodeMappedBlock`, the block's entry in the list with its header included. */
export function encodeMappedBlock(writer: QemuFileWriter, { block, bitmap, gapLength, gap }: MappedBlock): void {
  encodeBlockEntry(writer, block);
  writer.bytes(bitmap);
  if (gap === undefined) writeZeros(writer, gapLength);
  else writer.bytes(gap);
}

/**
 * Puts the pages at hand, from page `first` on, into the batch: PAGE where the bit is set; ZERO where not, whose body
 * is empty unless bytes of an earlier round are left there. At most up to before page `end`. Returns how many.
 */
export function decodeArea(
  reader: QemuFileReader,
  mapped: MappedBlock,
  first: number,
  batch: RamBatch,
  pageSize: number,
  end = mapped.block.usedLength / pageSize,
): number {
  const n = Math.min(end - first, Math.floor(reader.available / pageSize), batch.capacity);
  const base = reader.offset - reader.position;
  for (let i = 0; i < n; i++) {
    const at = reader.position;
    const present = hasPage(mapped.bitmap, first + i);
    batch.flag[i] = present ? RamFlag.PAGE : RamFlag.ZERO;
    batch.continues[i] = 1;
    batch.block[i] = mapped.block;
    batch.offset[i] = (first + i) * pageSize;
    batch.position[i] = base + at;
    batch.fill[i] = 0;
    batch.bodyStart[i] = at;
    batch.bodyLength[i] = present || !isZero(reader.buffer, at, at + pageSize) ? pageSize : 0;
    reader.position = at + pageSize;
  }
  batch.count = n;
  batch.area = true;
  return n;
}

/** The twin of `decodeArea`. @param from,to only pages [from, to) of the batch */
export function encodeArea(writer: QemuFileWriter, batch: RamBatch, from = 0, to = batch.count): void {
  for (let i = from; i < to; i++) {
    if (batch.bodyLength[i] === 0) writeZeros(writer, Number(batch.block[i]!.mapped!.pageSize));
    else writer.bytes(batch.body(i));
  }
}

const ZEROS = new Uint8Array(65_536);

/** Zeros, where QEMU leaves a hole. */
export function writeZeros(writer: QemuFileWriter, length: number): void {
  for (let left = length; left > 0; left -= ZEROS.length) writer.bytes(ZEROS.subarray(0, Math.min(left, ZEROS.length)));
}
