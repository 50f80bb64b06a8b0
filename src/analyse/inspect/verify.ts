import type { Diagnostics } from "../../bytes/errors.js";
import { KeptBefore, PageDecoder } from "../../guest/pages/page-decoder.js";
import { MemoryPages, type PageStore } from "../../guest/pages/page-store.js";
import { withInput, type OpenOptions, type StreamInput } from "../../io/container/input.js";
import { containerName } from "../../io/container/types.js";
import type { ByteSource } from "../../bytes/source.js";
import { RamFlag, type RamBatch } from "../../codec/ram/index.js";
import { encodeXbzrle } from "../../codec/ram/xbzrle.js";
import { ExactWriter, StreamReader, type SectionItem, type StreamOptions } from "../../codec/stream/index.js";
import { walkStream, type StreamVisitor } from "../../codec/stream/visit.js";
import { Tap } from "./compare.js";
import { Tally, type Inspection } from "./inspect.js";
import { Recompressor } from "./recompress.js";

/** What `qevm verify` reports; the first keys are fixed. */
export interface Verification {
  /**
   * Encoding the decoded fields again gave the same bytes; bytes without a field are not covered
   * (`opaqueBytes`).
   */
  identical: boolean;
  streamLength: number;
  /** Bytes that no field explains: carried along, not understood. */
  opaqueBytes: number;
  /** Bytes of device-private codecs that are kept by name. */
  namedBytes: number;
  /** Bytes left over where a mapped-ram file has no page: earlier copies, which no reader looks at. */
  staleBytes: number;
  /**
   * COMPRESS_PAGE payloads, and how many were identical when their page was compressed again at the level found.
   */
  recompressed: { pageCount: number; identicalCount: number; levels: number[] };
  /** XBZRLE payloads, and how many were identical when encoded again from the old and the new page. */
  deltas: { pageCount: number; identicalCount: number };
  /** Offset of the first byte that differs; null: none. */
  firstDifference: number | null;
  complete: boolean;
  inspection: Inspection;
}

/** How a source, or each channel of a recording, is read and verified. */
export interface CheckOptions extends StreamOptions {
  /**
   * Where guest memory is kept while XBZRLE deltas are applied, or how to make that for a page size in bytes. Default:
   * in this process's memory, which then holds the guest's.
   */
  memory?: PageStore | ((pageSize: number) => PageStore);
  /** False: guest memory is not kept; right only for a stream known to hold no XBZRLE page. */
  keepMemory?: boolean;
}

/** How a stream is opened, read and verified. */
export type VerifyOptions = OpenOptions & Omit<CheckOptions, keyof StreamOptions>;

/**
 * Proves that a stream was understood: decodes it, encodes the fields again, compares every byte; compresses every
 * compressed page again, and encodes every XBZRLE delta again from the old and the new page. Offsets and lengths are in
 * bytes. A recording (a folder) is verified as one stream; `verifyRecording` takes every channel by itself.
 *
 * Errors: as `openStream` and `StreamReader`, and bad-compressed-data, bad-xbzrle with the record's address; with
 * `lenient` a damaged page is a warning, which says what was put in its place. A source that was given stays open.
 * @example
 * const { identical, firstDifference, opaqueBytes } = await verifyStream(bytes);
 * console.log(identical ? "every field came back" : `differs at byte ${firstDifference}`, opaqueBytes);
 */
export async function verifyStream(input: StreamInput, options: VerifyOptions = {}): Promise<Verification> {
  return await withInput(input, options, async (source, reading) => {
    const verified = await verifySource(source, reading);
    verified.inspection.container = containerName(source.containers);
    return verified;
  });
}

/** The same for a source whose containers are already opened. */
export async function verifySource(source: ByteSource, options: CheckOptions = {}): Promise<Verification> {
  const tap = new Tap(source);
  const reader = new StreamReader(tap, { ...options, skipUnsetPages: false });
  const writer = new ExactWriter(tap.sink);
  tap.writer = writer.file;
  const tally = new Tally(reader, true);
  const pages = new PageChecks(
    reader.ram,
    options.keepMemory === false ? undefined : (options.memory ?? new MemoryPages()),
    reader.diagnostics,
  );
  await walkStream(reader, [tally, pages, writer.visitor], false);
  await writer.finish();
  const inspection = await tally.result();
  const { difference } = tap;
  const differs = difference ?? (tap.pending > 0 ? tap.compared : undefined);
  return {
    identical: difference === undefined && tap.pending === 0,
    streamLength: inspection.streamLength,
    opaqueBytes: inspection.opaqueBytes,
    namedBytes: inspection.namedBytes,
    staleBytes: inspection.staleBytes,
    recompressed: pages.recompressed,
    deltas: pages.xbzrle,
    firstDifference: differs === undefined ? null : (tap.offset ?? 0) + differs,
    complete: inspection.complete,
    inspection,
  };
}

/** Decodes what is inside page records and encodes it again. */
class PageChecks implements StreamVisitor {
  readonly xbzrle = { pageCount: 0, identicalCount: 0 };
  private recompressor: Recompressor | undefined;
  private scratch: { decoder: PageDecoder; old: KeptBefore | undefined; payload: Uint8Array } | undefined;
  private memory: PageStore | undefined;

  constructor(
    private readonly ram: { readonly pageSize: number },
    private readonly kept: CheckOptions["memory"],
    private readonly diagnostics: Diagnostics,
  ) {}

  get recompressed(): Verification["recompressed"] {
    const { recompressor } = this;
    if (recompressor === undefined) return { pageCount: 0, identicalCount: 0, levels: [] };
    return { pageCount: recompressor.pages, identicalCount: recompressor.identical, levels: recompressor.levels };
  }

  async batch(batch: RamBatch, { sectionId, idstr }: SectionItem): Promise<void> {
    await this.prepare(batch);
    this.check(batch, [`section ${sectionId} ${JSON.stringify(idstr)}`]);
  }

  /** Makes the engines before the first batch that holds compressed pages. */
  private async prepare(batch: RamBatch): Promise<void> {
    const { pageSize } = this.ram;
    const { kept } = this;
    const memory = (this.memory ??= typeof kept === "function" ? kept(pageSize) : kept);
    this.scratch ??= {
      decoder: new PageDecoder(pageSize, { diagnostics: this.diagnostics }),
      old: memory === undefined ? undefined : new KeptBefore(memory, pageSize),
      payload: new Uint8Array(pageSize),
    };
    await this.scratch.decoder.prepare(batch);
    if (batch.has(RamFlag.COMPRESS_PAGE)) this.recompressor ??= await Recompressor.create(pageSize);
  }

  private check(batch: RamBatch, path: readonly string[]): void {
    const { memory } = this;
    const { decoder, old } = this.scratch!;
    decoder.path = path;
    for (let i = 0; i < batch.count; i++) {
      if (batch.block[i] === undefined) continue;
      const flag = batch.flag[i];
      // Nothing is inside these, and nobody looks at them again.
      if (memory === undefined && (flag === RamFlag.PAGE || flag === RamFlag.ZERO)) continue;
      const page = decoder.applyTo(memory, batch, i, old);
      if (flag === RamFlag.COMPRESS_PAGE) this.recompressor!.check(page!, batch.body(i));
      else if (flag === RamFlag.XBZRLE) this.delta(old!.page, page!, batch.body(i));
    }
  }

  private delta(old: Uint8Array, page: Uint8Array, body: Uint8Array): void {
    const { payload } = this.scratch!;
    this.xbzrle.pageCount++;
    const length = encodeXbzrle(old, page, payload);
    if (length === body.length && body.every((byte, k) => byte === payload[k])) this.xbzrle.identicalCount++;
  }
}
