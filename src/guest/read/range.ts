import { hex, QevmError } from "../../bytes/errors.js";
import { didYouMean } from "../../bytes/nearest.js";
import type { GuestPages } from "./guest-memory.js";
import type { Layout, Segment } from "../layout-types.js";
import { VGA_WINDOW, VGA_WINDOW_LENGTH } from "../layout/vga-registers.js";
import { vgaWindow } from "../layout/vga-window.js";

/** What stands for the VGA window in a list of parts. */
export const WINDOW = "VGA window";

/** All that is memory in a layout: its segments by ascending address, then the VGA window where there is one. */
export function layoutParts({ segments, vga }: Layout): Segment[] {
  return vga === undefined
    ? segments
    : [...segments, { start: VGA_WINDOW, length: VGA_WINDOW_LENGTH, block: WINDOW, offset: 0 }];
}

/** The parts of RAM blocks that a guest-physical range is made of. Errors: usage (an address that is not memory). */
export function physicalRange(layout: Layout, from: number, length: number): Segment[] {
  const parts: Segment[] = [];
  let at = from;
  const end = from + length;
  const all = layoutParts(layout);
  while (at < end) {
    const segment = all.find(({ start, length: bytes }) => start <= at && at < start + bytes);
    if (segment === undefined) throw new QevmError("usage", `no memory at address ${hex(at)}`);
    const stop = Math.min(end, segment.start + segment.length);
    parts.push({ start: at, length: stop - at, block: segment.block, offset: segment.offset + at - segment.start });
    at = stop;
  }
  return parts;
}

/** A range of one block, by itself. Errors: usage (no such block, outside of it). */
export function blockRange(blocks: GuestPages["blocks"], name: string, offset: number, length: number): Segment[] {
  const block = blocks.find((one) => one.name === name);
  if (block === undefined) {
    const names = blocks.map((one) => one.name);
    const near = didYouMean(name, names) || `: there are ${names.map((one) => JSON.stringify(one)).join(", ")}`;
    throw new QevmError("usage", `no RAM block ${JSON.stringify(name)}${near}`);
  }
  if (offset + length > block.length) {
    throw new QevmError("usage", `RAM block ${JSON.stringify(name)} has ${hex(block.length)} bytes`);
  }
  return [{ start: offset, length, block: name, offset }];
}

/** What a CPU reads at the VGA window; of the adapter's memory the pages that it shows are read. */
async function readWindow(
  { pageSize, blocks, read }: Pick<GuestPages, "pageSize" | "read" | "blocks">,
  { registers, block }: NonNullable<Layout["vga"]>,
): Promise<Uint8Array> {
  const { length } = blocks.find(({ name }) => name === block)!;
  const pages = new Map<number, Uint8Array>();
  vgaWindow(registers, {
    length,
    at: (offset) => {
      const page = Math.floor(offset / pageSize);
      if (!pages.has(page)) pages.set(page, new Uint8Array(pageSize));
      return 0;
    },
  });
  for (const [page, bytes] of pages) await read(block, page * pageSize, bytes);
  return vgaWindow(registers, { length, at: (offset) => pages.get(Math.floor(offset / pageSize))![offset % pageSize] });
}

/** The bytes of the parts, a page or less at a time; each is valid until the next is asked for. */
export async function* readParts(
  pages: Pick<GuestPages, "pageSize" | "read" | "blocks">,
  parts: readonly Segment[],
  vga?: Layout["vga"],
): AsyncGenerator<Uint8Array> {
  const { pageSize } = pages;
  const page = new Uint8Array(pageSize);
  for (const { block, offset, length } of parts) {
    if (block === WINDOW && vga !== undefined) {
      yield (await readWindow(pages, vga)).subarray(offset, offset + length);
      continue;
    }
    for (let at = offset; at < offset + length;) {
      const start = at - (at % pageSize);
      const stop = Math.min(start + pageSize, offset + length);
      await pages.read(block, start, page);
      yield page.subarray(at - start, stop - start);
      at = stop;
    }
  }
}
