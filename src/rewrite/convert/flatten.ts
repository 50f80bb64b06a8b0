import { isZero } from "../../bytes/zero.js";
import { RecordApplier } from "../../guest/pages/apply.js";
import { PageSet } from "../../guest/pages/page-set.js";
import { THREAD_AFTER } from "../../guest/files/piece-writer.js";
import { ScratchMemory } from "../../guest/files/scratch.js";
import { encodeBlockList, PAGE_FLAGS, type RamBatch } from "../../codec/ram/index.js";
import {
  encodeSectionHeader,
  type ExactWriter,
  type SectionItem,
  type StreamReader,
} from "../../codec/stream/index.js";
import { createEncoder } from "./conversion.js";
import { OneRound } from "./one-round.js";
import { PageWindow } from "./page-window.js";
import { tallyBatch } from "./records.js";
import type { ConvertOptions, PageEncoder } from "./types.js";

/**
 * One round: all page records go into the guest's memory, and one PART holds the last content of every page that was
 * sent, block by block in the order of the block list, offsets ascending. START stays as it is, END is empty.
 */
export class FlattenRounds extends OneRound {
  private applier: RecordApplier | undefined;
  private seen: PageSet | undefined;
  private encoder: PageEncoder | undefined;

  constructor(
    reader: StreamReader,
    writer: ExactWriter,
    private readonly options: ConvertOptions,
    private readonly scratch: string,
  ) {
    super(reader, writer);
  }

  override async close(): Promise<void> {
    await this.encoder?.close();
    await super.close();
  }

  protected async section(item: SectionItem): Promise<void> {
    if (item.type === "start") {
      encodeSectionHeader(this.writer.file, item);
      for await (const batch of item.records()) {
        await this.take(item, batch);
      }
      const blocks = this.reader.ram.blocks.map((block) => ({ ...block, mapped: undefined }));
      encodeBlockList(this.writer.file, { total: blocks.reduce((sum, block) => sum + block.usedLength, 0), blocks });
      this.endOfChunk();
      this.owed = item;
      return;
    }
    for await (const batch of item.records()) await this.take(item, batch);
    this.owed ??= item;
    this.skipFooter = true;
    if (item.type !== "end") return;
    await this.writePending();
    this.skipFooter = false;
    encodeSectionHeader(this.writer.file, item);
    this.endOfChunk();
  }

  /** Applies the records of a batch to the guest's memory. */
  private async take(item: SectionItem, batch: RamBatch): Promise<void> {
    tallyBatch(this.pages.in, batch);
    const { pageSize, blocks } = this.reader.ram;
    if (this.memory === undefined) {
      this.memory = new ScratchMemory(this.scratch, pageSize, THREAD_AFTER);
      this.seen = new PageSet(pageSize);
      const path = [`section ${item.sectionId} ${JSON.stringify(item.idstr)}`];
      this.applier = new RecordApplier(this.memory.files, pageSize, path, this.reader.diagnostics);
    }
    this.memory.files.addNew(blocks);
    for (let i = 0; i < batch.count; i++) {
      if ((batch.flag[i]! & PAGE_FLAGS) === 0) continue;
      const block = batch.block[i]!;
      if (batch.offset[i]! < block.usedLength) this.seen!.add(block, batch.offset[i]!);
    }
    await this.applier!.apply(batch);
  }

  protected async write(owed: SectionItem): Promise<void> {
    encodeSectionHeader(this.writer.file, { ...owed, type: "part" });
    const { memory, seen } = this;
    if (memory === undefined || seen === undefined) return;
    const { pageSize, blocks } = this.reader.ram;
    memory.files.settle();
    const encoder = (this.encoder ??= await createEncoder(this.writer, this.options, pageSize));
    this.pages.out = encoder.pages;
    const window = new PageWindow(memory.files, pageSize);
    for (const block of blocks) {
      for (const offset of seen.offsets(block)) {
        const page = window.page(block, offset);
        const wait = encoder.page(block, offset, isZero(page) ? undefined : page);
        if (wait !== undefined) await wait;
      }
    }
    await encoder.settle();
  }
}
