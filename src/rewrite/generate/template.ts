import { QevmError } from "../../bytes/errors.js";
import { isZero } from "../../bytes/zero.js";
import type { StreamLimits } from "../../codec/stream/limits.js";
import { didYouMean } from "../../bytes/nearest.js";
import { withInput, type StreamInput } from "../../io/container/input.js";
import type { ByteSink, ByteSource } from "../../bytes/source.js";
import {
  bitmapLength,
  encodeMappedBlock,
  FILLED_BELOW,
  hasPage,
  placedAt,
  setPage,
  writeZeros,
  type MappedBlock,
  type RamBatch,
  type RamBlock,
} from "../../codec/ram/index.js";
import { encodeSectionHeader, ExactWriter, StreamReader, type SectionItem } from "../../codec/stream/index.js";
import { DeviceChanges, type DeviceValues } from "../convert/device-changes.js";

/** What differs from the template. */
export interface TemplateOptions {
  /** New contents by block name: fills a page from the image and returns the number of bytes (the rest is zeros). */
  images: ReadonlyMap<string, Image>;
  /** New device values: `cpu/0:env.eip` with a value as in `qevm devices --json`, or `cpu:...` for instance 0. */
  values: DeviceValues;
  /** Limits of the template's decoder that differ from `DEFAULT_LIMITS`. */
  limits?: Partial<StreamLimits>;
}

/**
 * A stream like `template` with other memory or device values. A block with an image loses all its pages and gets the
 * image's pages in the first chunk after the block list, or at their offsets in a mapped-ram file. Everything else is
 * unchanged. A source that was given stays open.
 * Errors: usage for an unknown block or field; does-not-fit; as `openInput` and `StreamReader`.
 */
export async function generateFromTemplate(
  template: StreamInput,
  sink: ByteSink,
  options: TemplateOptions,
): Promise<{ bytes: number }> {
  const limits = options.limits ?? {};
  return await withInput(template, { limits }, async (source) => await replace(source, sink, { ...options, limits }));
}

async function replace(
  template: ByteSource,
  sink: ByteSink,
  options: Required<TemplateOptions>,
): Promise<{ bytes: number }> {
  const reader = new StreamReader(template, { limits: options.limits });
  const writer = new ExactWriter(sink);
  const changes = new DeviceChanges(options.values, "the template");
  const ram = new RamReplacer(reader, writer, options.images);
  for await (const item of reader) {
    if (item.kind === "section" && item.content.kind === "ram") {
      await ram.section(item);
    } else if (item.kind === "section") {
      await writer.item({ ...item, content: changes.apply(item) });
    } else {
      await writer.item(item);
    }
  }
  await writer.finish();
  ram.check();
  changes.check();
  return { bytes: writer.offset };
}

/** Fills a page from a byte offset of an image on, and returns how many bytes there were; the rest is zeros. */
export type Image = (offset: number, into: Uint8Array) => number;

class RamReplacer {
  private done = false;

  constructor(
    private readonly reader: StreamReader,
    private readonly writer: ExactWriter,
    private readonly images: TemplateOptions["images"],
  ) {}

  async section(item: SectionItem): Promise<void> {
    encodeSectionHeader(this.writer.file, item);
    if (item.type !== "start" && !this.done) {
      this.done = true;
      for (const block of this.reader.ram.blocks) {
        const image = this.images.get(block.idstr);
        if (image !== undefined) await this.write(block, image);
      }
    }
    for await (const batch of item.records()) {
      // Offsets count from the file's first byte, so those of a template inside a larger file are adjusted.
      if (batch.mappedBlock !== undefined) batch.mappedBlock = placedAt(batch.mappedBlock, this.writer.file.offset);
      if (batch.mappedBlock !== undefined) await this.mapped(batch, batch.mappedBlock);
      else if (batch.area) await this.area(batch);
      else await this.records(batch);
    }
  }

  private async records(batch: RamBatch): Promise<void> {
    const { file, wire } = this.writer;
    for (let i = 0; i < batch.count; i++) {
      const block = batch.block[i];
      if (block === undefined || !this.images.has(block.idstr)) wire.record(batch, i);
    }
    await file.drain();
  }

  /** A block of a mapped-ram file: it has no records. */
  private async mapped(batch: RamBatch, mapped: MappedBlock): Promise<void> {
    this.done = true;
    const image = this.images.get(mapped.block.idstr);
    if (image === undefined) await this.writer.records(batch);
    else await this.writeMapped(mapped, image);
  }

  private async area(batch: RamBatch): Promise<void> {
    if (!this.images.has(batch.block[0]!.idstr)) await this.writer.records(batch);
  }

  check(): void {
    for (const name of this.images.keys()) {
      if (this.reader.ram.find(name) === undefined) {
        const names = this.reader.ram.blocks.map((block) => block.idstr);
        const near = didYouMean(name, names) || `; it has ${names.join(", ")}`;
        throw new QevmError("usage", `the template has no RAM block ${JSON.stringify(name)}${near}`);
      }
    }
  }

  private async write(block: RamBlock, image: Image): Promise<void> {
    const { file, wire } = this.writer;
    for (const [offset, page] of this.pages(block, image)) {
      wire.plain(block, offset, isZero(page) ? undefined : page);
      await file.drain();
    }
  }

  /** The image is read twice, because the bitmap precedes the pages. */
  private async writeMapped({ block, gapLength, gap }: MappedBlock, image: Image): Promise<void> {
    const { file } = this.writer;
    const { pageSize } = this.reader.ram;
    const bitmap = new Uint8Array(bitmapLength(block.usedLength / pageSize));
    for (const [offset, page] of this.pages(block, image)) {
      if (block.usedLength < FILLED_BELOW || !isZero(page)) setPage(bitmap, offset / pageSize);
    }
    encodeMappedBlock(file, { block, bitmap, gapLength, gap });
    for (const [offset, page] of this.pages(block, image)) {
      if (hasPage(bitmap, offset / pageSize)) file.bytes(page);
      else writeZeros(file, pageSize);
      await file.drain();
    }
  }

  /** Every page of an image with its offset, valid until the next. The stream's configuration gives the page size. */
  private *pages(block: RamBlock, image: Image): Generator<[offset: number, page: Uint8Array]> {
    const page = new Uint8Array(this.reader.ram.pageSize);
    for (let offset = 0; offset < block.usedLength; offset += page.length) {
      page.fill(0, image(offset, page));
      yield [offset, page];
    }
  }
}
