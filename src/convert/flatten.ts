import { isZeroPage } from "../engine/zero.js";
import { RecordApplier } from "../memory/apply.js";
import { PageSet } from "../memory/page-set.js";
import { ScratchMemory } from "../memory/scratch.js";
import {
  PAGE_FLAGS,
  RamFlag,
  encodeBlockList,
  encodeRecordHeader,
  type RamBatch,
  type RamBlock,
} from "../ram/index.js";
import {
  encodeFooter,
  encodeSectionHeader,
  type ExactWriter,
  type SectionItem,
  type StreamItem,
  type StreamReader,
} from "../stream/index.js";
import { standsBetween } from "./between.js";
import { createEncoder, type ItemConverter } from "./conversion.js";
import { OneWay } from "./one-way.js";
import { tallyBatch } from "./records.js";
import { noPages, type ConvertOptions, type PageEncoder } from "./types.js";

/**
 * One round: all page records go into the guest's memory, and one PART holds the last content of every page that was sent, block
 * by block in the order of the block list, offsets ascending. START stays as it is, END is empty.
 */
export class FlattenRounds implements ItemConverter {
  readonly pages = { in: noPages(), out: noPages() };
  private memory: ScratchMemory | undefined;
  private applier: RecordApplier | undefined;
  private seen: PageSet | undefined;
  private encoder: PageEncoder | undefined;
  /** The section whose PART is owed. */
  private owed: SectionItem | undefined;
  /** Commands between the rounds: they stand behind the pages now. */
  private held: StreamItem[] = [];
  private readonly oneWay = new OneWay();
  /** The footer of a section that was left out is left out too. */
  private skipFooter = false;
  private current: RamBlock | undefined;

  constructor(
    private readonly reader: StreamReader,
    private readonly writer: ExactWriter,
    private readonly options: ConvertOptions,
    private readonly scratch: string,
  ) {}

  async item(item: StreamItem): Promise<void> {
    if (this.oneWay.drops(item)) return;
    if (item.kind === "section" && item.content.kind === "ram") {
      await this.section(item);
      return;
    }
    if (item.kind === "footer" && this.skipFooter) {
      this.skipFooter = false;
      return;
    }
    if (item.kind === "command" && this.owed !== undefined) {
      this.held.push(item);
      return;
    }
    if (standsBetween(item)) {
      await this.writer.item(item);
      return;
    }
    // Device state, EOF: without an END (background snapshots have none) the pages are written here.
    if (item.kind !== "footer") await this.settle();
    await this.writer.item(item);
  }

  async end(): Promise<void> {
    await this.settle();
  }

  private async settle(): Promise<void> {
    await this.pay();
    await this.oneWay.release(this.writer);
  }

  async close(): Promise<void> {
    await this.encoder?.close();
    this.memory?.close();
  }

  private async section(item: SectionItem): Promise<void> {
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
    await this.pay();
    this.skipFooter = false;
    encodeSectionHeader(this.writer.file, item);
    this.endOfChunk();
  }

  /** Applies the records of a batch to the guest's memory. */
  private async take(item: SectionItem, batch: RamBatch): Promise<void> {
    tallyBatch(this.pages.in, batch);
    const { pageSize, blocks } = this.reader.ram;
    if (this.memory === undefined) {
      this.memory = new ScratchMemory(this.scratch, pageSize);
      this.seen = new PageSet(pageSize);
      const path = [`section ${item.sectionId} ${JSON.stringify(item.idstr)}`];
      this.applier = new RecordApplier(this.memory.files, pageSize, path);
    }
    for (const block of blocks.slice(this.memory.files.size)) this.memory.files.add(block);
    for (let i = 0; i < batch.count; i++) {
      if ((batch.flag[i]! & PAGE_FLAGS) !== 0) this.seen!.add(batch.block[i]!, batch.offset[i]!);
    }
    await this.applier!.apply(batch);
  }

  /** Writes the PART that is owed, and the commands that were held back for it. */
  private async pay(): Promise<void> {
    const { owed, held } = this;
    if (owed === undefined) return;
    this.owed = undefined;
    this.held = [];
    encodeSectionHeader(this.writer.file, { ...owed, type: "part" });
    await this.writePages();
    this.endOfChunk();
    if (this.reader.footers === true) encodeFooter(this.writer.file, owed.sectionId);
    for (const later of held) await this.writer.item(later);
  }

  private async writePages(): Promise<void> {
    const { memory, seen } = this;
    if (memory === undefined || seen === undefined) return;
    const { pageSize, blocks } = this.reader.ram;
    memory.files.flush();
    const encoder = (this.encoder ??= await createEncoder(this.writer, this.options, pageSize));
    this.pages.out = encoder.pages;
    const page = new Uint8Array(pageSize);
    for (const block of blocks) {
      for (const offset of seen.offsets(block)) {
        memory.files.read(block, offset, page);
        const continues = this.current === block;
        this.current = block;
        const wait = isZeroPage(page)
          ? encoder.zero(block, offset, continues)
          : encoder.page(block, offset, page, continues);
        if (wait !== undefined) await wait;
      }
    }
    await encoder.settle();
  }

  private endOfChunk(): void {
    encodeRecordHeader(this.writer.file, RamFlag.EOS, 0, undefined, false);
  }
}
