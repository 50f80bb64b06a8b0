import { Diagnostics, hex, QevmError } from "../../bytes/errors.js";
import { random, type ByteSource, type RandomSource } from "../../bytes/source.js";
import { emptyPages, layoutOf, pageReader, scanPages, type GuestPages, type ScanOptions } from "./guest-memory.js";
import type { StreamOptions } from "../../codec/stream/index.js";
import type { Layout } from "../layout-types.js";
import { PageIndex, stampFile, writeIndex, type FileStamp } from "./page-index.js";
import { isSameFile } from "../../io/transport/same-file.js";
import type { PagePlaces } from "../pages/page-places.js";

interface IndexOptions extends ScanOptions {
  /** The file that people hold. */
  file: string;
  /** Where its index is, or is to be. */
  index: string;
  /** See `variantOf`. */
  variant: string;
  /** Called with the reason why an index is made. */
  say: (line: string) => void;
}

export interface IndexedPages {
  pages: GuestPages;
  layout: Layout | undefined;
  index: "made" | "used" | null;
}

/**
 * What of a file an index is about: the same file holds other pages as another snapshot, or read with other options.
 */
export function variantOf(
  containers: readonly object[],
  options: StreamOptions,
  schemas: readonly string[] = [],
): string {
  const kinds = containers.map((one) => ({
    kind: "kind" in one && one.kind,
    snapshot: "snapshot" in one && one.snapshot,
    ...("kind" in one && one.kind === "foreign" && "length" in one ? { offset: one.length } : {}),
  }));
  return JSON.stringify([kinds, options.lenient ?? false, options.pageSize ?? null, schemas]);
}

/**
 * A stream's pages by an index next to it. An index that is not there, belongs to another file, or is damaged, is
 * rebuilt by one scan. A mapped-ram file needs none. Errors: as `scanPages`.
 */
export async function indexedPages(source: ByteSource, options: IndexOptions): Promise<IndexedPages> {
  const { file, index, variant, say } = options;
  if (isSameFile(index, file)) throw new QevmError("usage", "--index names the stream itself");
  const stamp = stampFile(file);
  const opened = PageIndex.open(index, stamp, variant);
  if (typeof opened !== "string") {
    const pages = await pagesOf(random(source), opened, options, stamp);
    return { pages, layout: opened.head.layout ?? undefined, index: "used" };
  }
  const pages = await scanPages(source, { ...options, devices: true });
  if (pages.places === undefined) {
    say("a mapped-ram file needs no index: none is made");
    return { pages, layout: undefined, index: null };
  }
  say(`index ${index}: ${opened}; made now`);
  return { pages, layout: keep(pages, pages.places, options, stamp), index: "made" };
}

/** Writes the index of what was scanned. */
function keep(
  pages: GuestPages,
  places: PagePlaces,
  { index, variant }: IndexOptions,
  stamp: FileStamp,
): Layout | undefined {
  const layout = attemptLayout(pages);
  const { machine = null, pageSize, blocks } = pages;
  const named = blocks.map(({ name, length }) => ({ name, length }));
  const processTable = pages.processTable === undefined ? null : hex(pages.processTable);
  const cpus = { cpus: pages.cpus, processTable };
  writeIndex(index, { stamp, variant, pageSize, machine, blocks: named, layout: layout ?? null, ...cpus }, places);
  return layout;
}

/** A stream may have no main memory: its blocks can be read all the same. */
function attemptLayout(pages: GuestPages): Layout | undefined {
  try {
    return layoutOf(pages);
  } catch (error) {
    if (error instanceof QevmError && error.code === "unsupported") return undefined;
    throw error;
  }
}

async function pagesOf(
  source: RandomSource,
  index: PageIndex,
  options: IndexOptions,
  stamp: FileStamp,
): Promise<GuestPages> {
  const { machine, pageSize, blocks, cpus, processTable } = index.head;
  const diagnostics = new Diagnostics({ lenient: options.lenient ?? false });
  let read = await pageReader(source, index, pageSize, diagnostics);
  let empty = emptyPages(index);
  let scanned = false;
  return {
    machine: machine ?? undefined,
    pageSize,
    blocks,
    facts: undefined,
    cpus,
    processTable: processTable === null ? undefined : BigInt(processTable),
    diagnostics,
    places: undefined,
    close: () => index.close(),
    // Where the index is damaged, reading the page finds that out.
    empty: async (block, offset) => {
      try {
        return await empty(block, offset);
      } catch (error) {
        if (error instanceof QevmError) return false;
        throw error;
      }
    },
    // A chunk that does not fit the head, or a place with another record: a scan finds the right one.
    read: async (block, offset, into) => {
      try {
        await read(block, offset, into);
      } catch (error) {
        if (scanned || !(error instanceof QevmError) || error.code !== "bad-value") throw error;
        scanned = true;
        options.say(`index ${options.index}: ${error.what}; rebuilt`);
        const pages = await scanPages(source, { ...options, devices: true });
        if (pages.places !== undefined) keep(pages, pages.places, options, stamp);
        ({ read, empty } = pages);
        await read(block, offset, into);
      }
    },
  };
}
