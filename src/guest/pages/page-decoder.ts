import { QevmError, type Diagnostics } from "../../bytes/errors.js";
import { createInflater } from "../../engine/create.js";
import { ExactInflater } from "../../engine/exact.js";
import type { PageInflater } from "../../engine/page-engine.js";
import { PAGE_ENCODINGS, RamFlag, type PageEncoding, type RamBatch, type RamBlock } from "../../codec/ram/index.js";
import type { PageStore } from "./page-store.js";

/** Returns the content of a page before the record. */
export type PageBefore = Pick<PageStore, "read">;

/** Where a page record is, for errors. */
interface PageAddress {
  /** Absolute stream offset of the record. */
  position: number;
  block: string;
  /** Offset of the page in its block, in bytes. */
  offset: number;
  /** All steps to the record. */
  path: readonly string[];
}

interface PageDecoderOptions {
  /** Steps to the section, for errors; default `['section "ram"']`. */
  path?: readonly string[];
  /** Default: damage is refused. */
  diagnostics?: Diagnostics | undefined;
  /** Default: the engine that `prepare` loads, and without it the exact one. */
  inflater?: PageInflater | undefined;
}

/**
 * Gives the page of any page record, in whatever encoding (`PAGE_ENCODINGS`).
 *
 * With lenient `diagnostics` a damaged page is replaced: a compressed page by what was inflated before the damage and
 * zeros, an XBZRLE page by what it was before. Each is reported to `diagnostics`.
 */
export class PageDecoder {
  /** Steps to the section, for errors. */
  path: readonly string[];
  private readonly diagnostics: Diagnostics | undefined;
  private readonly page: Uint8Array;
  private inflater: PageInflater | undefined;
  private readonly engine = () => (this.inflater ??= new ExactInflater({ pageSize: this.pageSize }));

  constructor(
    readonly pageSize: number,
    { path = ['section "ram"'], diagnostics, inflater }: PageDecoderOptions = {},
  ) {
    this.path = path;
    this.diagnostics = diagnostics;
    this.inflater = inflater;
    this.page = new Uint8Array(pageSize);
  }

  /** Loads the fast engine when the first compressed page comes; where it cannot be loaded the exact one does it. */
  async prepare(batch: RamBatch): Promise<void> {
    if (this.inflater === undefined && batch.has(RamFlag.COMPRESS_PAGE)) await this.load();
  }

  /** Loads the fast engine, if none is there. */
  async load(): Promise<void> {
    const { pageSize } = this;
    this.inflater ??= await createInflater("page", { pageSize }).catch(() => new ExactInflater({ pageSize }));
  }

  /**
   * The page of record `i`, which is a page; valid until the next call or the next batch.
   * Errors: bad-compressed-data and bad-xbzrle; usage for a delta without `before`.
   */
  pageOf(batch: RamBatch, i: number, before: PageBefore | undefined): Uint8Array {
    const flag = batch.flag[i]!;
    if (flag === RamFlag.PAGE) return batch.body(i);
    if (flag === RamFlag.ZERO) return this.page.fill(batch.fill[i]!);
    const encoding = PAGE_ENCODINGS.get(flag)!;
    if (encoding.delta) {
      if (before === undefined) throw noMemory(addressOf(batch, i, this.path));
      before.read(batch.block[i]!, batch.offset[i]!, this.page);
    }
    try {
      this.decode(this.page, encoding, batch.body(i));
    } catch (error) {
      this.damaged(error, this.page, encoding, addressOf(batch, i, this.path));
    }
    return this.page;
  }

  /**
   * Applies record `i`, which is a page, to a memory, and returns the page; undefined: zeros.
   * @param memory undefined: pages are not kept
   */
  applyTo(
    memory: PageStore | undefined,
    batch: RamBatch,
    i: number,
    before: PageBefore | undefined = memory,
  ): Uint8Array | undefined {
    const block = batch.block[i]!;
    const offset = batch.offset[i]!;
    if (batch.flag[i] === RamFlag.ZERO && batch.fill[i] === 0) {
      memory?.zero(block, offset, this.pageSize);
      return undefined;
    }
    const page = this.pageOf(batch, i, before);
    memory?.write(block, offset, page);
    return page;
  }

  /** Makes the page of a body; `page` holds what it was before. Errors: those of the encoding, without an address. */
  decode(page: Uint8Array, encoding: PageEncoding, body: Uint8Array): void {
    encoding.decode(page, body, this.engine);
  }

  /** After `decode` threw: gives the error its address and throws it, or replaces the page and reports it. */
  damaged(error: unknown, page: Uint8Array, encoding: PageEncoding, address: PageAddress): void {
    if (!(error instanceof QevmError)) throw error;
    const located = pageError(error, address);
    if (this.diagnostics === undefined) throw located;
    const by = encoding.replace(page, this.engine);
    this.diagnostics.anomaly(located, { block: address.block, blockOffset: address.offset, by });
  }
}

/** What pages were before, of which the last one read is kept: for a caller that encodes a delta again. */
export class KeptBefore implements PageBefore {
  readonly page: Uint8Array;

  constructor(
    private readonly memory: PageBefore,
    pageSize: number,
  ) {
    this.page = new Uint8Array(pageSize);
  }

  read(block: RamBlock, offset: number, into: Uint8Array): void {
    this.memory.read(block, offset, this.page);
    into.set(this.page);
  }
}

/** The steps to a page record, for errors. @param path those to its section */
export function pagePath(path: readonly string[], record: number, block: string, offset: number): string[] {
  return [...path, `record ${record}`, pageStep(block, offset)];
}

/** The step to a page, for errors. */
export function pageStep(block: string, offset: number): string {
  return `page of ${JSON.stringify(block)} at 0x${offset.toString(16)}`;
}

function addressOf(batch: RamBatch, i: number, path: readonly string[]): PageAddress {
  const block = batch.block[i]!.idstr;
  const offset = batch.offset[i]!;
  return { position: batch.position[i]!, block, offset, path: pagePath(path, batch.firstRecord + i, block, offset) };
}

function noMemory(address: PageAddress): QevmError {
  return pageError(new QevmError("usage", "an XBZRLE page, but guest memory was not kept"), address);
}

/** Gives an error of a page codec its address in the stream. */
function pageError(cause: QevmError, { position, path }: PageAddress): QevmError {
  const { code, what, expected, found } = cause;
  return new QevmError(code, what, { offset: position, path, expected, found, cause });
}
