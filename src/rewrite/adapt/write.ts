import { QevmError } from "../../bytes/errors.js";
import type { ByteSink, ByteSource } from "../../bytes/source.js";
import { encodeBlockList, PAGE_FLAGS, RamFlag, type RamBatch, type RamBlock } from "../../codec/ram/index.js";
import {
  encodeFooter,
  encodeHeader,
  encodeSectionHeader,
  ExactWriter,
  STREAM_VERSION,
  StreamReader,
  type SectionItem,
  type StreamOptions,
} from "../../codec/stream/index.js";
import { printVmDescription } from "../../codec/vmstate/index.js";
import type { AdaptPlan, Section } from "./types.js";

/**
 * Writes a planned stream: the pages of the old one as they come, those of ROMs from the pattern. One pass over each;
 * memory is that of the buffers. The sink is not ended. Returns the bytes written. Errors: as `StreamReader`;
 * unsupported (COMPRESS_PAGE, mapped-ram).
 */
export async function writeAdapted(
  plan: AdaptPlan,
  old: ByteSource,
  pattern: ByteSource,
  sink: ByteSink,
  options: StreamOptions,
): Promise<number> {
  const writer = new ExactWriter(sink);
  const { configuration } = plan.pattern;
  encodeHeader(writer.file, { version: STREAM_VERSION });
  if (configuration !== undefined) await writer.item({ kind: "configuration", offset: 0, configuration });
  for (const section of plan.sections) if (section.early) await writeSection(writer, plan, section);
  await new RamCopy(writer, plan, pattern).run(new StreamReader(old, { readAhead: true, ...options }));
  for (const section of plan.sections) if (!section.early) await writeSection(writer, plan, section);
  await writer.item({ kind: "eof", offset: 0 });
  const devices = plan.sections.flatMap(({ state }) => (state === undefined ? [] : [state.description]));
  const description = { pageSize: plan.pattern.pageSize, devices, style: "compact", exact: true } as const;
  const text = printVmDescription(description);
  await writer.item({ kind: "vmdescription", offset: 0, payloadOffset: 0, text, description });
  await writer.file.flush();
  return writer.offset;
}

async function writeSection(writer: ExactWriter, { pattern }: AdaptPlan, section: Section): Promise<void> {
  const { state, bytes, sectionId, idstr, instanceId, versionId } = section;
  const content =
    state === undefined
      ? ({ kind: "opaque", bytes: bytes ?? new Uint8Array(0), reason: "" } as const)
      : ({ kind: "device", state, length: 0 } as const);
  const item: SectionItem = {
    kind: "section",
    type: "full",
    offset: 0,
    sectionId,
    idstr,
    instanceId,
    versionId,
    payloadOffset: 0,
    content,
    records: noRecords,
  };
  await writer.item(item);
  if (pattern.footers) encodeFooter(writer.file, sectionId);
}

async function* noRecords(): AsyncGenerator<RamBatch> {
  // A device section has none.
}

/** The RAM section: the pattern's block list, the old pages under the names of the pattern's blocks. */
class RamCopy {
  private readonly targets = new Map<string, RamBlock>();
  private started = false;

  constructor(
    private readonly writer: ExactWriter,
    private readonly plan: AdaptPlan,
    private readonly pattern: ByteSource,
  ) {
    for (const { block, from } of plan.blocks) if (from !== "pattern") this.targets.set(from.old, block);
  }

  async run(reader: StreamReader): Promise<void> {
    for await (const item of reader) {
      if (item.kind !== "section") continue;
      if (item.content.kind !== "ram") {
        // The device part begins: all pages came.
        if (this.started && item.type === "full") return;
        continue;
      }
      this.open(item.type);
      for await (const batch of item.records()) await this.batch(batch);
      this.close();
      if (item.type === "start") await this.ownPages();
    }
  }

  private open(type: SectionItem["type"]): void {
    const { plan, writer } = this;
    const sectionId = plan.pattern.ramSectionId;
    encodeSectionHeader(writer.file, { type, sectionId, idstr: "ram", instanceId: 0, versionId: 4 });
    if (this.started) return;
    this.started = true;
    const blocks = plan.blocks.map(({ block }, index) => ({
      index,
      idstr: block.idstr,
      usedLength: block.usedLength,
    }));
    const total = blocks.reduce((sum, { usedLength }) => sum + usedLength, 0);
    encodeBlockList(writer.file, { total, blocks });
  }

  private close(): void {
    const { plan, writer } = this;
    if (plan.pattern.footers) encodeFooter(writer.file, plan.pattern.ramSectionId);
  }

  private async batch(batch: RamBatch): Promise<void> {
    const { file, wire } = this.writer;
    if (batch.mappedBlock !== undefined || batch.area) throw refused("pages at fixed places (mapped-ram)");
    for (let i = 0; i < batch.count; i++) {
      const flag = batch.flag[i]!;
      if (flag === RamFlag.EOS) wire.mark(flag);
      if ((flag & PAGE_FLAGS) === 0 && flag !== RamFlag.ZERO) continue;
      if (flag === RamFlag.COMPRESS_PAGE) throw refused("compressed pages");
      const target = this.targets.get(batch.block[i]?.idstr ?? "");
      if (target === undefined || batch.offset[i]! >= target.usedLength) continue;
      this.record(batch, i, flag, target);
    }
    await file.drain();
  }

  private record(batch: RamBatch, i: number, flag: number, block: RamBlock): void {
    const { wire } = this.writer;
    if (flag === RamFlag.ZERO) wire.zero(block, batch.offset[i]!, batch.fill[i]);
    else wire.page(flag, block, batch.offset[i]!, batch.body(i));
  }

  /** A part with the pages of the blocks that are the destination's own. */
  private async ownPages(): Promise<void> {
    const own = new Map<string, RamBlock>();
    for (const { block, from } of this.plan.blocks) if (from === "pattern") own.set(block.idstr, block);
    if (own.size === 0) return;
    this.open("part");
    for await (const item of new StreamReader(this.pattern)) {
      if (item.kind !== "section" || item.content.kind !== "ram") continue;
      for await (const batch of item.records()) {
        for (let i = 0; i < batch.count; i++) {
          const flag = batch.flag[i]!;
          const target = own.get(batch.block[i]?.idstr ?? "");
          if (target !== undefined) this.record(batch, i, flag, target);
        }
        await this.writer.file.drain();
      }
    }
    this.writer.wire.mark(RamFlag.EOS);
    this.close();
  }
}

function refused(what: string): QevmError {
  return new QevmError("unsupported", `adapt: ${what}; convert --ram normal --to stream makes a stream of plain pages`);
}
