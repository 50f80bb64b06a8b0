import { QevmError, type Diagnostics } from "../../bytes/errors.js";
import { createInflater } from "../../engine/create.js";
import { readFully, type ByteSource, type Positioned } from "../../bytes/source.js";
import { findMappedPage, type RamBlock } from "../../codec/ram/index.js";
import { StreamReader, type StreamOptions } from "../../codec/stream/index.js";
import { readableAgain, type Again } from "../../io/transport/spool.js";
import type { CpuState } from "../cores/cpu-state.js";
import { noFacts, noteFacts, noteTables, statesOf, type DeviceFacts } from "../layout/facts.js";
import { findLayout } from "../layout/layout.js";
import type { Layout } from "../layout-types.js";
import { PagePlaces, type PageFinder } from "../pages/page-places.js";
import { ACPI_TABLES, MOST_TABLES } from "../layout/srat.js";
import { PageReader, type StreamBytes } from "../pages/page-reader.js";

/** Bytes read at a time where the RAM of a mapped-ram file is skipped: read unnecessarily between blocks. */
const SMALL_READ = 1 << 14;

/** A stream's RAM as it can be read page by page, without extracting it. */
export interface GuestPages {
  machine: string | undefined;
  pageSize: number;
  blocks: readonly { name: string; length: number }[];
  /** Undefined where only blocks were asked for. */
  facts: DeviceFacts | undefined;
  /** The CPUs; none where only blocks were asked for. */
  cpus: readonly CpuState[];
  /** pseries: the process table that the guest registered. */
  processTable: bigint | undefined;
  /** What was noticed, and what lenient mode replaced so far: `read` adds to it. */
  diagnostics: Diagnostics;
  /** Where records are; undefined for a mapped-ram file, whose pages have places of their own. */
  places: PagePlaces | undefined;
  /**
   * Puts the page that begins at an offset of a block into `into`; a page that the stream does not mention is zeros.
   */
  read: (this: void, block: string, offset: number, into: Uint8Array) => Promise<void>;
  /** Whether a page is known to be zeros without reading it; false where it must be read to know. */
  empty: (this: void, block: string, offset: number) => Promise<boolean>;
  /** Removes the temporary copy of a source that is not seekable. The source itself stays open. */
  close: () => void;
}

export interface ScanOptions extends StreamOptions {
  /** Also read the device state after the RAM, for the layout. */
  devices: boolean;
}

/**
 * Looks where the pages of a stream are. mapped-ram: the blocks' headers alone are read. Other streams: the records'
 * headers, up to the end of the RAM (a page may come again until there). A source that is not seekable is kept
 * in a temporary file as far as it was read. Errors: as `StreamReader`; unsupported, limit, io.
 */
export async function scanPages(source: ByteSource, options: ScanOptions): Promise<GuestPages> {
  const again = readableAgain(source);
  try {
    return await scan(again, options);
  } catch (error) {
    again.close();
    throw error;
  }
}

async function scan(again: Again, options: ScanOptions): Promise<GuestPages> {
  const { source } = again;
  again.rewind();
  const mapped = (await capabilities(source, options)).includes("mapped-ram");
  again.rewind();
  const how = mapped ? { skipMappedPages: true, bufferSize: SMALL_READ } : {};
  const stream = new StreamReader(source, { ...options, ...how });
  const facts: DeviceFacts = { ...noFacts(), states: [] };
  const places = mapped ? undefined : new PagePlaces(stream, source);
  let hasRam = false;
  for await (const item of stream) {
    noteFacts(item, facts);
    if (item.kind !== "section" || item.content.kind !== "ram") continue;
    hasRam = true;
    for await (const batch of item.records()) places?.note(batch);
    if (!options.devices && item.type === (mapped ? "start" : "end")) break;
  }
  if (!hasRam) throw new QevmError("unsupported", "the stream has no RAM section", { offset: stream.offset });
  const { pageSize, blocks } = stream.ram;
  const finder = places ?? mappedFinder(source, blocks, pageSize);
  const read = await pageReader(source, finder, pageSize, stream.diagnostics);
  const tables = blocks.find(({ idstr }) => idstr === ACPI_TABLES);
  if (options.devices && tables !== undefined && finder.has(ACPI_TABLES)) {
    await readTables(read, tables.usedLength, pageSize, facts);
  }
  return {
    machine: stream.machine,
    pageSize,
    blocks: blocks.map(({ idstr, usedLength }) => ({ name: idstr, length: usedLength })),
    facts: options.devices ? facts : undefined,
    cpus: statesOf(facts),
    processTable: facts.processTable,
    diagnostics: stream.diagnostics,
    places,
    read,
    empty: emptyPages(finder),
    close: () => again.close(),
  };
}

/** Notes which NUMA nodes main memory is made of: the ACPI tables say it. @param length bytes of their block */
export async function readTables(
  read: GuestPages["read"],
  length: number,
  pageSize: number,
  facts: DeviceFacts,
): Promise<void> {
  const bytes = new Uint8Array(Math.min(length, MOST_TABLES));
  for (let at = 0; at + pageSize <= bytes.length; at += pageSize) {
    await read(ACPI_TABLES, at, bytes.subarray(at, at + pageSize));
  }
  noteTables(bytes, facts);
}

/** The configuration section, by one small read. */
async function capabilities(source: ByteSource, options: StreamOptions): Promise<string[]> {
  const stream = new StreamReader(source, { ...options, bufferSize: SMALL_READ });
  for await (const item of stream) if (item.kind !== "header") break;
  return stream.capabilities;
}

/** Reads pages from the places that a finder gives. */
export async function pageReader(
  source: StreamBytes,
  finder: PageFinder,
  pageSize: number,
  diagnostics: Diagnostics,
): Promise<GuestPages["read"]> {
  const reader = new PageReader(source, finder, { inflater: await createInflater("page", { pageSize }), diagnostics });
  return async (block, offset, into) => {
    if (finder.has(block)) await reader.read(block, offset, into);
    else throw new QevmError("unsupported", `the stream carries no page of RAM block ${JSON.stringify(block)}`);
  };
}

/** Which pages are zeros as far as the finder says: a page that is not mentioned, or last was a ZERO record. */
export function emptyPages(finder: PageFinder): GuestPages["empty"] {
  return async (block, offset) => {
    if (!finder.has(block)) return false;
    const { plain, records } = await finder.find(block, offset);
    return plain === 0 && records.length === 0;
  };
}

/** The places in a mapped-ram file count from the first byte of the file, wherever the stream begins in it. */
function mappedFinder(source: StreamBytes, blocks: readonly RamBlock[], pageSize: number): PageFinder {
  const before = source.offset ?? 0;
  const file = withWindow({ readAt: (position, into) => source.readAt(position - before, into) });
  return {
    has: () => true,
    find: async (block, offset) => ({
      plain: await findMappedPage(
        file,
        blocks.find(({ idstr }) => idstr === block)!,
        offset,
        pageSize,
      ),
      records: [],
    }),
  };
}

/** Bytes that are read where one is wanted: bits of 4096 pages. */
const WINDOW_BYTES = 512;

/** Keeps the bytes around the last single one that was read: neighbouring pages have their bits there. */
function withWindow(file: Positioned): Positioned {
  let window: { start: number; bytes: Uint8Array } | undefined;
  return {
    readAt: async (position, into) => {
      if (into.length > 1) return await file.readAt(position, into);
      const start = position - (position % WINDOW_BYTES);
      let found = window?.start === start ? window : undefined;
      if (found === undefined) {
        const bytes = new Uint8Array(WINDOW_BYTES);
        found = { start, bytes: bytes.subarray(0, await readFully(file, start, bytes)) };
        window = found;
      }
      const byte = found.bytes[position - start];
      if (byte === undefined || into.length === 0) return 0;
      into[0] = byte;
      return 1;
    },
  };
}

/** The layout of what was scanned. Errors: as `findLayout`. */
export function layoutOf({ machine, blocks, facts }: GuestPages): Layout {
  return findLayout({ ...facts, machine, blocks });
}
