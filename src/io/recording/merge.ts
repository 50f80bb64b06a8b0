import { QevmError, type Diagnostics } from "../../bytes/errors.js";
import { flushing } from "../../bytes/flushing.js";
import { ChannelPages } from "../../codec/multifd/index.js";
import type { ByteSink, ByteSource } from "../../bytes/source.js";
import { PAGE_FLAGS, RamFlag, type RamBatch } from "../../codec/ram/index.js";
import {
  encodeFooter,
  encodeSectionHeader,
  ExactWriter,
  StreamReader,
  type SectionItem,
  type StreamItem,
  type StreamOptions,
} from "../../codec/stream/index.js";
import { MultifdEpochs, type PagesItem } from "./epochs.js";
import { Handover } from "./handover.js";
import { preemptRecords } from "./preempt.js";
import type { RecordedChannel, Recording } from "./recording.js";

/** How channels are merged. */
export interface MergeOptions extends StreamOptions {
  /** Write what there is before waiting for more of a channel. */
  prompt?: boolean | undefined;
  /** Keep the commands that need a reply: there is a destination that answers. */
  answered?: boolean | undefined;
  /** Is told whether the pages of a RAM section are being read. */
  live?: { inRam: boolean } | undefined;
}

/** The result of a merge. */
export interface MergeReport {
  /** Pages from multifd channels. */
  pages: { normal: number; zero: number };
  /** Number of marks in the main channel at which the multifd channels were synchronised. */
  epochs: number;
  /** EOF was reached. */
  complete: boolean;
  /** Anomalies that lenient mode skipped. */
  diagnostics: Diagnostics;
}

/**
 * Writes a recording as one plain stream. Pages of the multifd channels become PAGE and ZERO records of the main
 * channel, at the marks where a destination would wait for them. Pages of the preempt channel go into the last section.
 * Marks and commands that need a reply (OPEN_RETURN_PATH, PING) are omitted. Everything else is unchanged. Errors: as
 * `StreamReader` and `ChannelReader`, each with its channel's name.
 */
export async function mergeRecording(
  recording: Recording,
  sink: ByteSink,
  options: MergeOptions = {},
): Promise<MergeReport> {
  const merger = new Merger(recording, sink, options);
  try {
    return await merger.run();
  } finally {
    await merger.close();
  }
}

/** The merged stream as a source, merged while it is read. */
export function mergedSource(recording: Recording, options: MergeOptions = {}): ByteSource {
  let told: Diagnostics | undefined;
  const source = new Handover(
    async (sink) => {
      ({ diagnostics: told } = await mergeRecording(recording, sink, options));
    },
    ["merged recording"],
  );
  return Object.assign(source, { diagnostics: () => told });
}

class Merger {
  private readonly recording: Recording;
  private readonly main: ByteSource;
  private readonly reader: StreamReader;
  private readonly writer: ExactWriter;
  private readonly epochs: MultifdEpochs;
  /** By channel. */
  private readonly decoders: ChannelPages[] = [];
  private readonly pages = { normal: 0, zero: 0 };
  /** Whether the main channel's marks are MULTIFD_FLUSH records (8.1 on) or EOS. Determined in START. */
  private flushes = false;
  /** The RAM section whose footer has not been written yet. */
  private open: { readonly sectionId: number; ended: boolean } | undefined;
  private inPackage = false;
  /** Pages come as they are asked for, none of them in multifd channels: an EOS is no mark any more (11.1). */
  private switched = false;
  private drained = false;

  constructor(
    given: Recording,
    sink: ByteSink,
    private readonly options: MergeOptions,
  ) {
    this.writer = new ExactWriter(sink);
    this.recording = options.prompt === true ? prompt(given, this.writer) : given;
    const { recording } = this;
    this.main = recording.main.open();
    this.reader = new StreamReader(this.main, {
      ...options,
      unreached: "count",
      broken: (recording.resumed ?? []).length > 0,
    });
    const { ram, diagnostics } = this.reader;
    this.epochs = new MultifdEpochs(recording.multifd, ram, diagnostics, async (item, channel, path) => {
      await this.packet(item, channel, path);
    });
  }

  async run(): Promise<MergeReport> {
    for await (const item of this.reader) await this.item(item);
    let { complete } = this.reader;
    const { resumed = [] } = this.recording;
    for (const channel of resumed) {
      this.closeSection();
      complete = await this.goOn(channel, channel !== resumed.at(-1));
    }
    await this.writer.finish();
    return { pages: this.pages, epochs: this.epochs.count, complete, diagnostics: this.reader.diagnostics };
  }

  async close(): Promise<void> {
    await this.epochs.close();
    await this.main.close?.();
  }

  /**
   * Continues with the connection that replaced a broken one. The source has asked which pages arrived, and sends the
   * rest.
   */
  private async goOn(channel: RecordedChannel, broken: boolean): Promise<boolean> {
    const source = channel.open();
    try {
      const reader = new StreamReader(source, {
        ...this.options,
        broken,
        after: this.reader.known,
        unreached: "count",
      });
      for await (const item of reader) {
        const { kind } = item;
        if (kind === "command" && (item.command.name === "RECV_BITMAP" || item.command.name === "POSTCOPY_RESUME"))
          continue;
        if (kind !== "opaque") await this.item(item);
      }
      return reader.complete;
    } finally {
      await source.close?.();
    }
  }

  /** Closes the section in which a connection broke. */
  private closeSection(): void {
    const { open } = this;
    if (open === undefined) return;
    if (!open.ended) this.writer.wire.mark(RamFlag.EOS);
    if (this.reader.footers === true) encodeFooter(this.writer.file, open.sectionId);
    this.open = undefined;
    this.writer.wire.current = undefined;
  }

  private async item(item: StreamItem): Promise<void> {
    if (item.kind === "section" && item.content.kind === "ram") return await this.section(item);
    if (item.kind === "footer") this.open = undefined;
    // The partial record where a connection broke is sent again completely on the next one.
    if (item.kind === "opaque" && (this.recording.resumed ?? []).length > 0) return;
    if (item.kind === "package-end") this.inPackage = false;
    if (item.kind === "command") {
      const { name } = item.command;
      // The contents of a package are counted by its length, so nothing may be omitted.
      if (!this.inPackage && this.options.answered !== true && (name === "OPEN_RETURN_PATH" || name === "PING")) return;
      if (name === "PACKAGED") this.inPackage = this.switched = true;
    }
    await this.writer.item(item);
  }

  private async section(item: SectionItem): Promise<void> {
    encodeSectionHeader(this.writer.file, item);
    this.open = { sectionId: item.sectionId, ended: false };
    const { live } = this.options;
    if (live !== undefined) live.inRam = true;
    for await (const batch of item.records()) {
      if (batch.area || batch.mappedBlock !== undefined) {
        throw new QevmError("unsupported", "a mapped-ram file has no channels", { offset: item.offset });
      }
      await this.batch(item, batch);
    }
    if (live !== undefined) live.inRam = false;
  }

  private async batch(item: SectionItem, batch: RamBatch): Promise<void> {
    const { file, wire } = this.writer;
    for (let i = 0; i < batch.count; i++) {
      const flag = batch.flag[i]!;
      if (flag === RamFlag.MULTIFD_FLUSH) {
        if (item.type === "start") this.flushes = true;
        await this.sync();
        continue;
      }
      if (flag === RamFlag.EOS) {
        await this.endOfChunk(item);
        if (this.open !== undefined) this.open.ended = true;
      }
      wire.record(batch, i);
    }
    await file.drain();
  }

  private async endOfChunk(item: SectionItem): Promise<void> {
    if (!this.flushes && !this.switched) await this.sync();
    else if (this.options.prompt === true && item.type === "part") await this.epochs.arrived();
    if (item.type !== "end" || this.drained) return;
    this.drained = true;
    const { wire } = this.writer;
    // A source that waits for its destination's reply has its channels open. The last scan for pages, which finds none,
    // ends with a mark (7.2: EOS; 8.1 to 11.1: MULTIFD_FLUSH in END), so their pages are all here.
    if (this.options.live === undefined) await this.epochs.drain();
    else this.epochs.checkCount();
    for (const channel of this.recording.preempt) {
      const source = channel.open();
      try {
        for await (const batch of preemptRecords(source, this.reader.ram, this.reader.diagnostics)) {
          for (let i = 0; i < batch.count; i++) if ((batch.flag[i]! & PAGE_FLAGS) !== 0) wire.record(batch, i);
          await this.writer.file.drain();
        }
      } finally {
        await source.close?.();
      }
    }
  }

  private async sync(): Promise<void> {
    if (this.recording.multifd.length > 0) await this.epochs.sync();
  }

  private async packet(item: PagesItem, channel: number, path: readonly string[]): Promise<void> {
    const { file, wire } = this.writer;
    const { pageSize } = this.reader.ram;
    const decoder = (this.decoders[channel] ??= new ChannelPages(pageSize, this.reader.diagnostics));
    const { idstr, normal, zero, data } = await decoder.open(item, path);
    if (data === undefined) throw unsupportedMethod(decoder.method, item, path);
    const block = this.reader.ram.find(idstr)!;
    for (let k = 0; k < normal.length; k++) {
      wire.plain(block, Number(normal[k]), data.subarray(k * pageSize, (k + 1) * pageSize));
    }
    for (const offset of zero) wire.zero(block, Number(offset));
    this.pages.normal += normal.length;
    this.pages.zero += zero.length;
    await file.drain();
  }
}

/** Of a packet whose payload no codec here opens. */
function unsupportedMethod(method: string | undefined, { offset }: PagesItem, path: readonly string[]): QevmError {
  return new QevmError("unsupported", `no codec opens the ${method} payload`, { offset, path });
}

/** A recording whose channels have everything written before they wait for more. */
function prompt(recording: Recording, { file }: ExactWriter): Recording {
  const with_ = (channel: RecordedChannel): RecordedChannel => ({
    ...channel,
    open: () => flushing(channel.open(), file),
  });
  const { main, multifd, preempt, returnPath, resumed = [] } = recording;
  return {
    main: with_(main),
    multifd: multifd.map(with_),
    preempt: preempt.map(with_),
    returnPath,
    resumed: resumed.map(with_),
  };
}
