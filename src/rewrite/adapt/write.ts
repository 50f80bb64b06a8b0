import { QevmError, type Diagnostics } from "../../bytes/errors.js";
import { flushing } from "../../bytes/flushing.js";
import type { ByteSink, ByteSource } from "../../bytes/source.js";
import { encodeBlockList, PAGE_FLAGS, RamFlag, type RamBatch, type RamBlock } from "../../codec/ram/index.js";
import {
  encodeFooter,
  encodeHeader,
  encodeSectionHeader,
  ExactWriter,
  STREAM_VERSION,
  StreamReader,
  type Command,
  type SectionItem,
  type StreamItem,
  type StreamOptions,
} from "../../codec/stream/index.js";
import { printVmDescription } from "../../codec/vmstate/index.js";
import { PageDecoder } from "../../guest/pages/page-decoder.js";
import type { AdaptPlan, BlockPlan, Section, Survey } from "./types.js";

/** Where the parts of a plan come from while the old stream is read: they are there, or made of what has come. */
export interface Planning {
  readonly pattern: Survey;
  /** The block list has come: nothing was written before. Errors: those of a plan that is refused. */
  setup(): Pick<AdaptPlan, "blocks" | "sections">;
  /**
   * Takes an item, in order; its records are not read. "stop": the rest need not be read. Else what is written of it.
   */
  item(item: StreamItem): "stop" | Command | undefined;
  /** The stream has ended. The device part, in the order in which it is written. Errors: as `setup`. */
  devices(): readonly Section[];
}

/** A plan of two streams that were read before: what is not pages does not matter any more. */
function planned({ pattern, blocks, sections }: AdaptPlan): Planning {
  let started = false;
  return {
    pattern,
    setup: () => {
      started = true;
      return { blocks, sections };
    },
    // The device part begins: all pages came.
    item: (item) => (started && item.kind === "section" && item.type === "full" ? "stop" : undefined),
    devices: () => sections,
  };
}

/** How a stream is written in the shape of a pattern. */
export interface WriteOptions {
  /** How the old stream is read. */
  readonly stream?: StreamOptions | undefined;
  /**
   * The old stream may pause until its peer has received what was written: whenever it does, the output is flushed.
   * `inRam` tells whether the pages of a RAM section are being read.
   */
  readonly live?: { inRam: boolean } | undefined;
  /** COMPRESS_PAGE records stay what they are. Default: they become plain. */
  readonly keepsCompressed?: boolean | undefined;
}

/**
 * Writes a planned stream: the pages of the old one as they come, but for COMPRESS_PAGE, which become plain; those of
 * ROMs from the pattern. One pass over each; memory is that of the buffers. The sink is not ended. Returns the bytes
 * written. Errors: as `StreamReader`; bad-compressed-data; unsupported (mapped-ram).
 */
export async function writeAdapted(
  plan: AdaptPlan,
  old: ByteSource,
  pattern: ByteSource,
  sink: ByteSink,
  options: StreamOptions,
): Promise<number> {
  return await writeStage(
    () => planned(plan),
    old,
    () => pattern,
    sink,
    { stream: options },
  );
}

/**
 * The same by a plan that may be made on the way. The source of `pattern` is not closed.
 * @param planning called with the reader of the old stream, before it reads
 */
export async function writeStage(
  planning: (reader: StreamReader) => Planning,
  old: ByteSource,
  pattern: () => ByteSource | Promise<ByteSource>,
  sink: ByteSink,
  { stream = {}, live, keepsCompressed = false }: WriteOptions,
): Promise<number> {
  const writer = new ExactWriter(sink);
  const input = live === undefined ? old : flushing(old, writer.file);
  const reader = new StreamReader(input, stream);
  const plans = planning(reader);
  const ram = new RamCopy(writer, plans.pattern, pattern, keepsCompressed ? undefined : reader.diagnostics);
  const waiting: Command[] = [];
  for await (const item of reader) {
    const passed = plans.item(item);
    if (passed === "stop") break;
    if (item.kind === "section" && item.content.kind === "ram") {
      if (live !== undefined) live.inRam = true;
      await ram.section(item, async () => {
        const { blocks, sections } = plans.setup();
        await begin(writer, plans.pattern, waiting, sections);
        return blocks;
      });
      if (live !== undefined) live.inRam = false;
      continue;
    }
    if (passed === undefined) continue;
    if (ram.started) await writer.item(commandItem(passed));
    else waiting.push(passed);
  }
  const sections = plans.devices();
  for (const section of sections) if (!section.early) await writeSection(writer, plans.pattern, section);
  await writer.item({ kind: "eof", offset: 0 });
  const devices = sections.flatMap(({ state }) => (state === undefined ? [] : [state.description]));
  const description = { pageSize: plans.pattern.pageSize, devices, style: "compact", exact: true } as const;
  const text = printVmDescription(description);
  await writer.item({ kind: "vmdescription", offset: 0, payloadOffset: 0, text, description });
  await writer.file.flush();
  return writer.offset;
}

/** What comes before the RAM section. */
async function begin(
  writer: ExactWriter,
  pattern: Survey,
  commands: readonly Command[],
  sections: readonly Section[],
): Promise<void> {
  const { configuration } = pattern;
  encodeHeader(writer.file, { version: STREAM_VERSION });
  if (configuration !== undefined) await writer.item({ kind: "configuration", offset: 0, configuration });
  for (const command of commands) await writer.item(commandItem(command));
  for (const section of sections) if (section.early) await writeSection(writer, pattern, section);
}

function commandItem(command: Command): StreamItem {
  return { kind: "command", offset: 0, payloadOffset: 0, name: command.name, command };
}

async function writeSection(writer: ExactWriter, { footers }: Survey, section: Section): Promise<void> {
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
  if (footers) encodeFooter(writer.file, sectionId);
}

async function* noRecords(): AsyncGenerator<RamBatch> {
  // A device section has none.
}

/** The RAM section: the pattern's block list, the old pages under the names of the pattern's blocks. */
class RamCopy {
  started = false;
  private readonly targets = new Map<string, RamBlock>();
  /** Blocks whose pages the pattern has. */
  private readonly own = new Map<string, RamBlock>();
  private readonly decoder: PageDecoder | undefined;

  constructor(
    private readonly writer: ExactWriter,
    private readonly likeness: Survey,
    private readonly pattern: () => ByteSource | Promise<ByteSource>,
    /** Where damaged pages are noted; undefined: compressed pages stay what they are. */
    diagnostics: Diagnostics | undefined,
  ) {
    const { pageSize } = likeness;
    this.decoder = diagnostics === undefined ? undefined : new PageDecoder(pageSize, { diagnostics });
  }

  /** @param planBlocks called when the old block list was read and nothing was written: what each block gets */
  async section(item: SectionItem, planBlocks: () => Promise<readonly BlockPlan[]>): Promise<void> {
    if (this.started) this.open(item.type);
    for await (const batch of item.records()) {
      if (!this.started) await this.start(item.type, await planBlocks());
      await this.batch(batch);
    }
    if (!this.started) return;
    this.close();
    if (item.type === "start") await this.ownPages();
  }

  private async start(type: SectionItem["type"], plans: readonly BlockPlan[]): Promise<void> {
    this.started = true;
    this.open(type);
    for (const { block, from } of plans) {
      if (from === "pattern") this.own.set(block.idstr, block);
      else this.targets.set(from.old, block);
    }
    const blocks = plans.map(({ block: { idstr, usedLength } }, index) => ({ index, idstr, usedLength }));
    const total = blocks.reduce((sum, { usedLength }) => sum + usedLength, 0);
    encodeBlockList(this.writer.file, { total, blocks });
    await this.writer.file.drain();
  }

  private open(type: SectionItem["type"]): void {
    const sectionId = this.likeness.ramSectionId;
    encodeSectionHeader(this.writer.file, { type, sectionId, idstr: "ram", instanceId: 0, versionId: 4 });
  }

  private close(): void {
    const { footers, ramSectionId } = this.likeness;
    if (footers) encodeFooter(this.writer.file, ramSectionId);
  }

  private async batch(batch: RamBatch): Promise<void> {
    const { file, wire } = this.writer;
    if (batch.mappedBlock !== undefined || batch.area) {
      const what = "adapt: pages at fixed places (mapped-ram); convert --to stream makes a stream of plain pages";
      throw new QevmError("unsupported", what);
    }
    await this.decoder?.prepare(batch);
    for (let i = 0; i < batch.count; i++) {
      const flag = batch.flag[i]!;
      if (flag === RamFlag.EOS) wire.mark(flag);
      if ((flag & PAGE_FLAGS) === 0 && flag !== RamFlag.ZERO) continue;
      const target = this.targets.get(batch.block[i]?.idstr ?? "");
      if (target === undefined || batch.offset[i]! >= target.usedLength) continue;
      this.record(batch, i, target);
    }
    await file.drain();
  }

  private record(batch: RamBatch, i: number, block: RamBlock): void {
    const { wire } = this.writer;
    const flag = batch.flag[i]!;
    const offset = batch.offset[i]!;
    const inflates = flag === RamFlag.COMPRESS_PAGE && this.decoder !== undefined;
    if (flag === RamFlag.ZERO) wire.zero(block, offset, batch.fill[i]);
    else if (inflates) wire.plain(block, offset, this.decoder.pageOf(batch, i, undefined));
    else wire.page(flag, block, offset, batch.body(i));
  }

  /** A part with the pages of the blocks that are the destination's own. */
  private async ownPages(): Promise<void> {
    const { own } = this;
    if (own.size === 0) return;
    this.open("part");
    for await (const item of new StreamReader(await this.pattern())) {
      if (item.kind !== "section" || item.content.kind !== "ram") continue;
      for await (const batch of item.records()) {
        await this.decoder?.prepare(batch);
        for (let i = 0; i < batch.count; i++) {
          const target = own.get(batch.block[i]?.idstr ?? "");
          if (target !== undefined) this.record(batch, i, target);
        }
        await this.writer.file.drain();
      }
    }
    this.writer.wire.mark(RamFlag.EOS);
    this.close();
  }
}
