import { isZero } from "../../bytes/zero.js";
import { QevmError } from "../../bytes/errors.js";
import { RecordApplier } from "../../guest/pages/apply.js";
import { PageSet } from "../../guest/pages/page-set.js";
import { PageBits } from "../../guest/pages/page-bits.js";
import { THREAD_AFTER } from "../../guest/files/piece-writer.js";
import { ScratchMemory } from "../../guest/files/scratch.js";
import {
  bitmapLength,
  encodeMappedBlock,
  FILLED_BELOW,
  mappedEntryLength,
  mappedHeader,
  PAGE_FLAGS,
  RamFlag,
  setPage,
  type RamBatch,
  type RamBlock,
} from "../../codec/ram/index.js";
import {
  encodeSectionHeader,
  type Configuration,
  type ConfigurationSubsection,
  type ExactWriter,
  type SectionItem,
  type StreamReader,
} from "../../codec/stream/index.js";
import { Turns } from "../../io/transport/turns.js";
import { OneRound } from "./one-round.js";
import { PageWindow } from "./page-window.js";
import { tallyBatch } from "./records.js";

/**
 * A mapped-ram file: all rounds go into the guest's memory; START holds the last content of every page at its place,
 * END is empty. The file must start where its name does: the offsets in it are absolute.
 */
export class ToMappedRam extends OneRound {
  private applier: RecordApplier | undefined;
  /** Pages that the stream sends, of blocks that a destination may have filled. */
  private noted: PageSet | undefined;
  private readonly turns = new Turns();
  /** Bytes of the bitmaps so far. */
  private bitmaps = 0;

  constructor(
    reader: StreamReader,
    writer: ExactWriter,
    private readonly scratch: string,
  ) {
    super(reader, writer);
  }

  protected async section(item: SectionItem): Promise<void> {
    const { pageSize, blocks } = this.reader.ram;
    const path = [`section ${item.sectionId} ${JSON.stringify(item.idstr)}`];
    this.memory ??= new ScratchMemory(this.scratch, pageSize, THREAD_AFTER);
    this.applier ??= new RecordApplier(this.memory.files, pageSize, path, this.reader.diagnostics);
    for await (const batch of item.records()) {
      tallyBatch(this.pages.in, batch);
      this.memory.files.addNew(blocks);
      this.note(batch, (this.noted ??= new PageSet(pageSize)));
      await this.applier.apply(batch);
    }
    this.skipFooter = item.type !== "end";
    if (item.type === "start") this.owed = item;
    if (item.type !== "end") return;
    await this.writePending();
    encodeSectionHeader(this.writer.file, item);
    this.endOfChunk();
  }

  private note(batch: RamBatch, noted: PageSet): void {
    for (let i = 0; i < batch.count; i++) {
      const block = batch.block[i];
      if (block === undefined || block.usedLength >= FILLED_BELOW) continue;
      if ((batch.flag[i]! & PAGE_FLAGS) !== 0) noted.add(block, batch.offset[i]!);
    }
  }

  protected async write(owed: SectionItem): Promise<void> {
    const { file } = this.writer;
    encodeSectionHeader(file, owed);
    const { blocks } = this.reader.ram;
    file.length64(blocks.reduce((sum, block) => sum + block.usedLength, 0) + RamFlag.MEM_SIZE);
    if (this.memory === undefined) return;
    const { files } = this.memory;
    files.settle();
    const window = new PageWindow(files, this.reader.ram.pageSize);
    for (const block of blocks) await this.block(block, window);
  }

  private async block(block: RamBlock, window: PageWindow): Promise<void> {
    const { file } = this.writer;
    const { pageSize } = this.reader.ram;
    const { pageSize: _, ...plain } = block;
    if (block.usedLength % pageSize !== 0) {
      throw new QevmError("unsupported", `RAM block "${block.idstr}" is not made of whole pages`);
    }
    const pages = block.usedLength / pageSize;
    this.bitmaps += bitmapLength(pages);
    const { bitmapBytes } = this.reader.limits;
    if (this.bitmaps > bitmapBytes) {
      throw new QevmError("limit", `the mapped-ram bitmaps of the blocks up to "${block.idstr}" (bitmapBytes)`, {
        expected: `at most ${bitmapBytes} bytes`,
        found: `${this.bitmaps}`,
      });
    }
    const bitmap = new Uint8Array(bitmapLength(pages));
    const present = new PageBits();
    const written = this.memory!.files.written(block.idstr);
    for (let i = written.next(0, pages); i < pages; i = written.next(i + 1, pages)) {
      if (!isZero(window.page(block, i * pageSize))) present.add(i);
      const turn = this.turns.due();
      if (turn !== undefined) await turn;
    }
    for (const offset of this.noted?.offsets(block) ?? []) present.add(offset / pageSize);
    for (const i of present.pages()) setPage(bitmap, i);
    const mapped = mappedHeader(file.offset + mappedEntryLength(block), block.usedLength, pageSize);
    const gapLength = Number(mapped.pagesOffset - mapped.bitmapOffset) - bitmap.length;
    encodeMappedBlock(file, { block: { ...plain, mapped }, bitmap, gapLength, gap: undefined });
    let next = 0;
    for (const i of present.pages()) {
      await file.zeros((i - next) * pageSize);
      file.bytes(window.page(block, i * pageSize));
      this.pages.out.normal++;
      this.pages.out.zero += i - next;
      next = i + 1;
      const wait = file.drain() ?? this.turns.due();
      if (wait !== undefined) await wait;
    }
    await file.zeros((pages - next) * pageSize);
    this.pages.out.zero += pages - next;
    await file.drain();
  }
}

const NAME = "configuration/capabilities";

/** The configuration with or without the capability mapped-ram; x-ignore-shared stays in front of it. */
export function withMappedRam(configuration: Configuration, on: boolean): Configuration {
  const old = configuration.subsections.find((subsection) => subsection.name === NAME);
  const others = (old?.name === NAME ? old.capabilities : []).filter((capability) => capability !== "mapped-ram");
  const capabilities = on ? [...others, "mapped-ram"] : others;
  const rest = configuration.subsections.filter((subsection) => subsection.name !== NAME);
  if (capabilities.length === 0) return { ...configuration, subsections: rest };
  // Behind target-page-bits, before uuid.
  const at = rest[0]?.name === "configuration/target-page-bits" ? 1 : 0;
  const version = old?.version ?? 1;
  const subsection: ConfigurationSubsection = { name: NAME, version, capabilities };
  return { ...configuration, subsections: [...rest.slice(0, at), subsection, ...rest.slice(at)] };
}
