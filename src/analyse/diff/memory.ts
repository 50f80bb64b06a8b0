import { createInflater } from "../../engine/create.js";
import type { PageCounts } from "../inspect/inspect.js";
import { differsAt } from "../../bytes/difference.js";
import { hexDigits } from "./bytes.js";
import { GuestAddresses } from "./guest-addresses.js";
import { PageKind } from "../../guest/pages/page-places.js";
import { PageViews } from "./page-views.js";
import type { Scanned } from "./scan.js";
import type { BlockDiff, PageRange, PageTotals, Pair, RamDiff } from "./types.js";

/** Ranges of a block whose first differing byte is reported. */
const FIRSTS = 16;
/** Bytes of it. */
const FIRST_BYTES = 16;

/**
 * Compares the last content of every page of the blocks that both streams have. `alike`: the streams have the same
 * bytes, so that nothing is read. Errors: those of the pages that are read, with the side.
 */
export async function compareMemory(a: Scanned, b: Scanned, alike: boolean): Promise<RamDiff> {
  const diff: RamDiff = {
    notCompared: null,
    layout: null,
    compared: noTotals(),
    differentBytes: 0,
    blocks: [],
    ranges: [],
  };
  const { pageSize } = a.inspection;
  if (a.blocks.length === 0 || b.blocks.length === 0) {
    return { ...diff, notCompared: a.blocks.length + b.blocks.length === 0 ? "no RAM" : "RAM in one only" };
  }
  if (pageSize !== b.inspection.pageSize) return { ...diff, notCompared: "pages of different sizes" };
  const inflater = await createInflater("page", { pageSize });
  const readers = {
    a: new PageViews("a", a.source, a.pages, inflater, a.diagnostics),
    b: new PageViews("b", b.source, b.pages, inflater, b.diagnostics),
  };
  const addresses = await GuestAddresses.of(a, readers.a);
  diff.layout = addresses.how;
  for (const { idstr } of a.blocks) {
    const blocks = { a: blockOf(a, idstr), b: blockOf(b, idstr) };
    if (blocks.a === undefined || blocks.b === undefined || diff.blocks.some(({ block: name }) => name === idstr))
      continue;
    const length = { a: blocks.a.blockLength, b: blocks.b.blockLength };
    const records = { a: countsOf(blocks.a), b: countsOf(blocks.b) };
    const block: BlockDiff = {
      block: idstr,
      blockLength: length,
      compared: noTotals(),
      differentBytes: 0,
      recordCounts: records,
    };
    diff.blocks.push(block);
    const scanned = { a, b };
    await new BlockComparison(block, scanned, readers, pageSize, addresses, diff.ranges).run(alike);
    for (const key of Object.keys(block.compared) as (keyof PageTotals)[]) diff.compared[key] += block.compared[key];
    diff.differentBytes += block.differentBytes;
  }
  return diff;
}

class BlockComparison {
  private readonly name: string;
  private readonly shared: number;
  private firsts = 0;

  constructor(
    private readonly block: BlockDiff,
    private readonly scanned: Pair<Scanned>,
    private readonly readers: Pair<PageViews>,
    private readonly pageSize: number,
    private readonly addresses: GuestAddresses,
    private readonly ranges: PageRange[],
  ) {
    this.name = block.block;
    this.shared = Math.min(block.blockLength.a, block.blockLength.b);
  }

  async run(alike: boolean): Promise<void> {
    const { name } = this;
    const { a, b } = this.scanned;
    const runs = new Map([...a.pages.runs(name), ...b.pages.runs(name)]);
    for (const [first, count] of [...runs].toSorted(([x], [y]) => x - y)) {
      for (let page = first; page < first + count; page++) {
        const kinds = { a: a.pages.kind(name, page), b: b.pages.kind(name, page) };
        if (kinds.a === PageKind.NONE && kinds.b === PageKind.NONE) continue;
        if (alike || (isZero(kinds.a) && isZero(kinds.b))) this.same(kinds);
        else await this.page(page * this.pageSize, kinds);
      }
    }
  }

  private same(kinds: Pair<number>): void {
    const { compared: pages } = this.block;
    pages.same++;
    // A page that one stream does not mention has no encoding.
    const both = kinds.a !== PageKind.NONE && kinds.b !== PageKind.NONE;
    if (both && kinds.a !== kinds.b) pages.otherEncoding++;
  }

  private async page(offset: number, kinds: Pair<number>): Promise<void> {
    const { name: block, readers } = this;
    let a = readers.a.view(block, offset);
    if (!(a instanceof Uint8Array)) a = await a;
    let b = readers.b.view(block, offset);
    if (!(b instanceof Uint8Array)) b = await b;
    const first = differsAt(a, b);
    if (first === undefined) {
      this.same(kinds);
      return;
    }
    const { compared: pages } = this.block;
    const outside = offset >= this.shared;
    if (kinds.b === PageKind.NONE || (outside && offset >= this.block.blockLength.b)) pages.onlyA++;
    else if (kinds.a === PageKind.NONE || outside) pages.onlyB++;
    else {
      pages.different++;
      for (let i = first; i < a.length; i++) if (a[i] !== b[i]) this.block.differentBytes++;
      this.note(offset, first, a, b);
    }
  }

  /** Puts a page that differs to the range before it, where they are side by side in the block and in the guest. */
  private note(offset: number, first: number, a: Uint8Array, b: Uint8Array): void {
    const { ranges, name: block, pageSize } = this;
    const physical = this.addresses.of(block, offset);
    const last = ranges.at(-1);
    const follows = last?.block === block && last.blockOffset + last.length === offset;
    if (follows && physical === (last.physical === null ? null : last.physical + last.length)) {
      last.length += pageSize;
      return;
    }
    const range: PageRange = { block, blockOffset: offset, length: pageSize, physical };
    if (this.firsts++ < FIRSTS) {
      const end = Math.min(first + FIRST_BYTES, pageSize);
      range.first = { blockOffset: offset + first, a: hexDigits(a, first, end), b: hexDigits(b, first, end) };
    }
    ranges.push(range);
  }
}

function isZero(kind: number): boolean {
  return kind === PageKind.NONE || kind === PageKind.ZERO;
}

function noTotals(): PageTotals {
  return { same: 0, otherEncoding: 0, different: 0, onlyA: 0, onlyB: 0 };
}

type CountedBlock = Scanned["inspection"]["ram"]["blocks"][number];

function blockOf({ inspection }: Scanned, name: string): CountedBlock | undefined {
  return inspection.ram.blocks.find((block) => block.block === name);
}

function countsOf({ normal, zero, compressed, xbzrle, multifd, mapped }: CountedBlock): PageCounts {
  return { normal, zero, compressed, xbzrle, multifd, mapped };
}
