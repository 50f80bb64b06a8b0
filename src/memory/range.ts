import { hex, QevmError } from "../errors.js";
import type { GuestPages } from "./guest-memory.js";
import type { Layout, Segment } from "./layout.js";

/** The parts of RAM blocks that a guest-physical range is made of. Errors: usage (an address that is no memory). */
export function physicalRange({ segments }: Layout, from: number, length: number): Segment[] {
  const parts: Segment[] = [];
  let at = from;
  const end = from + length;
  while (at < end) {
    const segment = segments.find(({ start, length: bytes }) => start <= at && at < start + bytes);
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
    const names = blocks.map((one) => JSON.stringify(one.name)).join(", ");
    throw new QevmError("usage", `no RAM block ${JSON.stringify(name)}: there are ${names}`);
  }
  if (offset + length > block.length) {
    throw new QevmError("usage", `RAM block ${JSON.stringify(name)} has ${hex(block.length)} bytes`);
  }
  return [{ start: offset, length, block: name, offset }];
}

/** The bytes of the parts, a page or less at a time; each is valid until the next is asked for. */
export async function* readParts(
  pages: Pick<GuestPages, "pageSize" | "read">,
  parts: readonly Segment[],
): AsyncGenerator<Uint8Array> {
  const { pageSize } = pages;
  const page = new Uint8Array(pageSize);
  for (const { block, offset, length } of parts) {
    for (let at = offset; at < offset + length;) {
      const start = at - (at % pageSize);
      const stop = Math.min(start + pageSize, offset + length);
      await pages.read(block, start, page);
      yield page.subarray(at - start, stop - start);
      at = stop;
    }
  }
}
