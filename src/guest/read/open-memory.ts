import { QevmError, type Warning } from "../../bytes/errors.js";
import { isRandom, type ByteSource } from "../../bytes/source.js";
import {
  isSource,
  openInput,
  openingOf,
  readingOf,
  type OpenOptions,
  type StreamInput,
} from "../../io/container/input.js";
import type { Layout, Segment } from "../layout-types.js";
import type { CpuState } from "../cores/cpu-state.js";
import { addressSpaceOf, readVirtual, type AddressSpace } from "../walk/index.js";
import { layoutOf, scanPages, type ScanOptions } from "./guest-memory.js";
import { indexedPages, variantOf, type IndexedPages } from "./indexed-pages.js";
import { blockRange, physicalRange, readParts } from "./range.js";

/** Where an index of the pages is kept next to a file. */
interface IndexPlace {
  /** The file that the stream is in. */
  file: string;
  /** The index, made where it is not there or does not fit. */
  index: string;
  /** What of the file it is about, by `variantOf`. */
  variant: string;
  /** Called with what becomes of the index. */
  say: (line: string) => void;
}

/**
 * The pages of a stream, by an index or one scan. Errors: as `scanPages`; usage for an index of an input that can be
 * read only once.
 */
export async function openPages(source: ByteSource, options: ScanOptions, place?: IndexPlace): Promise<IndexedPages> {
  if (place === undefined) return { pages: await scanPages(source, options), layout: undefined, index: null };
  if (!isRandom(source) || source.seek === undefined) {
    throw new QevmError("usage", "an index is for files that can be read anywhere");
  }
  return await indexedPages(source, { ...options, ...place });
}

/** How guest memory is opened. */
export interface MemoryOptions extends OpenOptions {
  /** Path of an index that is kept next to the file, so that it is scanned once; only for paths of files. */
  index?: string;
}

/**
 * Opens the guest's memory in a stream, to read some bytes of it without extracting all. A seekable input is
 * scanned once; pipes, compressed files and recordings are kept in a temporary file until `close`.
 *
 * Errors: as `openInput` and `StreamReader`; unsupported where the stream has no RAM; usage for an index of
 * what is not a file, or with a schema.
 * @example
 * const memory = await openMemory("vm.mig");
 * const bootSector = await memory.readPhysical(0x7c00, 512);
 * await memory.close();
 */
export async function openMemory(input: StreamInput, options: MemoryOptions = {}): Promise<GuestMemory> {
  const { index, ...opening } = options;
  const source = await openInput(input, openingOf(opening));
  const close = async (): Promise<void> => {
    if (!isSource(input)) await source.close?.();
  };
  try {
    const scan = { ...readingOf(opening), devices: true };
    let place: IndexPlace | undefined;
    if (index !== undefined) {
      if (typeof input !== "string") throw new QevmError("usage", "an index needs a file: give its path");
      if (scan.schema !== undefined)
        throw new QevmError("usage", "an index is not kept for a stream read with a schema");
      place = { file: input, index, variant: variantOf(source.containers, scan), say: () => undefined };
    }
    return new GuestMemory(await openPages(source, scan, place), close);
  } catch (error) {
    await close();
    throw error;
  }
}

/** The guest's memory in a stream, made by {@link openMemory}: bytes by guest-physical address or by RAM block. */
export class GuestMemory {
  private known: Layout | undefined;

  /** @internal */
  constructor(
    private readonly opened: IndexedPages,
    private readonly closeSource: () => Promise<void>,
  ) {
    this.known = opened.layout;
  }

  /** Machine type; undefined where the stream has no configuration. */
  get machine(): string | undefined {
    return this.opened.pages.machine;
  }

  /** Target page size in bytes. */
  get pageSize(): number {
    return this.opened.pages.pageSize;
  }

  /** RAM blocks with their lengths in bytes. */
  get blocks(): readonly { name: string; length: number }[] {
    return this.opened.pages.blocks;
  }

  /** What was noticed, and what lenient mode replaced in the pages read so far. */
  get warnings(): readonly Warning[] {
    return this.opened.pages.diagnostics.warnings;
  }

  /** Which RAM block is at which guest-physical address. Errors: unsupported, where no block is main memory. */
  get layout(): Layout {
    this.known ??= layoutOf(this.opened.pages);
    return this.known;
  }

  /**
   * Bytes at a guest-physical address; a page that the stream does not mention is zeros.
   * Errors: usage (an address that is not memory); unsupported (no layout); those of page payloads.
   */
  async readPhysical(address: number, length: number): Promise<Uint8Array> {
    return await this.gather(physicalRange(this.layout, address, length), length, this.layout.vga);
  }

  /** Bytes of a RAM block from an offset on. Errors: usage (no such block, outside of it); those of page payloads. */
  async readBlock(name: string, offset: number, length: number): Promise<Uint8Array> {
    return await this.gather(blockRange(this.blocks, name, offset, length), length);
  }

  /** The CPUs with all their saved fields, by their sections in the stream. */
  get cpus(): readonly CpuState[] {
    return this.opened.pages.cpus;
  }

  /**
   * The virtual addresses of a CPU, for `translate` and `readVirtual`. Default: the first CPU.
   * Errors: usage (no such CPU); unsupported (an MMU that is not known).
   * @example
   * const memory = await openMemory("vm.mig");
   * const found = await translate(memory.addressSpace(0), 0xffffffff81000000n);
   * if (found.physical !== undefined) console.log(await memory.readPhysical(Number(found.physical), 16));
   */
  addressSpace(cpu?: number): AddressSpace {
    const { cpus, processTable } = this.opened.pages;
    return addressSpaceOf(cpuNumbered(cpus, cpu), this, { processTable });
  }

  /**
   * Bytes at a virtual address of a CPU (default: the first), over the borders of pages.
   * Errors: usage (no such CPU; not mapped, with the level; mapped to what is not memory); unsupported (an MMU that is
   * not known); those of page payloads.
   */
  async readVirtual(address: bigint, length: number, cpu?: number): Promise<Uint8Array> {
    return await readVirtual(this.addressSpace(cpu), address, length);
  }

  /** Closes what was opened for it; a source passed in stays open. */
  async close(): Promise<void> {
    this.opened.pages.close();
    await this.closeSource();
  }

  private async gather(parts: readonly Segment[], length: number, vga?: Layout["vga"]): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    let at = 0;
    for await (const piece of readParts(this.opened.pages, parts, vga)) {
      bytes.set(piece, at);
      at += piece.length;
    }
    return bytes;
  }
}

/** The CPU of that number, or the first. Errors: usage, with the numbers that there are. */
function cpuNumbered(cpus: readonly CpuState[], number: number | undefined): CpuState {
  const found = number === undefined ? cpus[0] : cpus.find(({ instance }) => instance === number);
  if (found !== undefined) return found;
  if (cpus.length === 0) throw new QevmError("unsupported", "the stream has no CPU whose registers are known");
  const there = cpus.map(({ instance }) => instance).join(", ");
  throw new QevmError("usage", `no CPU ${number}: there are ${there}`);
}
