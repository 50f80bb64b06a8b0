import { QevmError } from "../../bytes/errors.js";
import type { ByteSink, ByteSource } from "../../bytes/source.js";
import { encodeRecord, placedAt, RamFlag, setPage, type RamBatch } from "../../codec/ram/index.js";
import {
  encodeSectionHeader,
  ExactWriter,
  StreamReader,
  type SectionItem,
  type StreamOptions,
} from "../../codec/stream/index.js";
import { deviceFromPlain, deviceToPlain, type PlainDevice } from "../../codec/vmstate/index.js";

/** What a debugger has changed in a saved guest. */
export interface GuestChanges {
  /** New contents of whole pages, by RAM block and offset in bytes. */
  pages: ReadonlyMap<string, ReadonlyMap<number, Uint8Array>>;
  /** Changes the fields of a device in place; undefined where the device stays as it is. */
  device: (idstr: string, instance: number) => ((plain: PlainDevice) => void) | undefined;
}

/**
 * Writes a stream with some pages and device values changed: the pages as the last records of the RAM, or at their
 * places in a mapped-ram file. Everything else is unchanged, byte for byte. Errors: as `StreamReader`; does-not-fit;
 * unsupported where the RAM does not end in the stream (postcopy); usage for a block that is not in it.
 */
export async function writeChanges(
  source: ByteSource,
  sink: ByteSink,
  changes: GuestChanges,
  options: StreamOptions = {},
): Promise<{ bytes: number }> {
  const reader = new StreamReader(source, options);
  const writer = new ExactWriter(sink);
  const ram = new RamChanges(reader, writer, changes.pages);
  for await (const item of reader) {
    if (item.kind === "section" && item.content.kind === "ram") {
      await ram.section(item);
    } else if (item.kind === "section" && item.content.kind === "device") {
      const change = changes.device(item.idstr, item.instanceId);
      if (change === undefined) {
        await writer.item(item);
        continue;
      }
      const { state } = item.content;
      const plain = deviceToPlain(state);
      change(plain);
      await writer.item({ ...item, content: { ...item.content, state: deviceFromPlain(state.description, plain) } });
    } else {
      await writer.item(item);
    }
  }
  await writer.finish();
  ram.check();
  return { bytes: writer.offset };
}

class RamChanges {
  private written = 0;

  constructor(
    private readonly reader: StreamReader,
    private readonly writer: ExactWriter,
    private readonly pages: GuestChanges["pages"],
  ) {}

  async section(item: SectionItem): Promise<void> {
    const { writer } = this;
    encodeSectionHeader(writer.file, item);
    for await (const batch of item.records()) {
      if (batch.mappedBlock !== undefined) this.block(batch);
      else if (batch.area) this.area(batch);
      else if (item.type === "end" && batch.has(RamFlag.EOS) && this.written === 0) {
        await this.last(batch);
        continue;
      }
      await writer.records(batch);
    }
  }

  /** Errors: usage, unsupported. */
  check(): void {
    const wanted = [...this.pages.values()].reduce((sum, pages) => sum + pages.size, 0);
    if (this.written < wanted) throw new QevmError("unsupported", "the stream has no end of RAM to write pages to");
  }

  /** mapped-ram: the changed pages get their bits. Places count from the first byte of the file. */
  private block(batch: RamBatch): void {
    const mapped = placedAt(batch.mappedBlock!, this.writer.file.offset);
    const bitmap = mapped.bitmap.slice();
    for (const offset of this.pages.get(mapped.block.idstr)?.keys() ?? []) {
      setPage(bitmap, offset / this.reader.ram.pageSize);
    }
    batch.mappedBlock = { ...mapped, bitmap };
  }

  private area(batch: RamBatch): void {
    const { pageSize } = this.reader.ram;
    const pages = this.pages.get(batch.block[0]?.idstr ?? "");
    if (pages === undefined) return;
    for (let i = 0; i < batch.count; i++) {
      const page = pages.get(batch.offset[i]!);
      if (page === undefined) continue;
      batch.bodyLength[i] = pageSize;
      batch.body(i).set(page);
      this.written++;
    }
  }

  /** The batch that ends the RAM: the pages come before its EOS. */
  private async last(batch: RamBatch): Promise<void> {
    const { file, wire } = this.writer;
    for (let i = 0; i < batch.count; i++) {
      if (batch.flag[i] === RamFlag.EOS && this.written === 0) {
        for (const [name, pages] of this.pages) {
          const block = this.reader.ram.find(name);
          if (block === undefined) throw new QevmError("usage", `no RAM block ${JSON.stringify(name)}`);
          for (const [offset, page] of pages) {
            wire.plain(block, offset, page, this.written > 0 && wire.current === block);
            this.written++;
            await file.drain();
          }
        }
      }
      encodeRecord(file, batch, i);
    }
    await file.drain();
  }
}
