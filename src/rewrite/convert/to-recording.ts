import { QevmError } from "../../bytes/errors.js";
import { machineRelease, releaseNumber } from "../../guest/machines/index.js";
import { PageSet } from "../../guest/pages/page-set.js";
import { flushing } from "../../bytes/flushing.js";
import type { ByteSink, ByteSource } from "../../bytes/source.js";
import type { WrittenMethod } from "../../codec/multifd/index.js";
import { PAGE_FLAGS, RamFlag, type RamBatch } from "../../codec/ram/index.js";
import {
  encodeFooter,
  encodeSectionHeader,
  ExactWriter,
  StreamReader,
  type SectionItem,
  type StreamOptions,
} from "../../codec/stream/index.js";
import { ChannelSet } from "../threads/channel-set.js";

/** How the channels are written. */
export interface ToRecordingOptions extends StreamOptions {
  /** Compression of the pages. Default none. */
  method?: WrittenMethod | undefined;
  /** zlib: 0 to 9; zstd: 1 to 20. Default 1. */
  level?: number | undefined;
  /** zlib: the bytes of QEMU's zlib; several times slower. Other levels than 1 have them anyway. Default false. */
  exact?: boolean | undefined;
  /**
   * Threads that compress, 1 to 64; 1: this one does. Default: one for each processor, at most one for each channel.
   */
  threads?: number | undefined;
  /**
   * The release that is to load them, as major * 100 + minor; default: the machine type's own, or 702 where it names
   * none. Before 801 (and with machine types before 8.1) the marks are EOS, from then on MULTIFD_FLUSH; from 900 on
   * zero pages go into the packets.
   */
  release?: number | undefined;
  /** 16 bytes: the destination's UUID, for it refuses channels with another. Default: zeros, a VM without UUID. */
  uuid?: Uint8Array | undefined;
  /** The source waits for the destination: send everything before waiting for more. */
  prompt?: boolean | undefined;
}

/** What became of the pages. */
export interface ToRecordingReport {
  machine: string | null;
  pages: { normal: number; zero: number };
  packets: number;
  /** Times that all channels were synchronised. */
  epochs: number;
  complete: boolean;
}

/**
 * Takes a stream of plain pages apart into the channels that a source with multifd would have sent: `main` gets
 * everything but the pages, the others get them in turn, a packet each. A real destination with the capability takes
 * them. The sinks are not ended.
 * Errors: as `StreamReader`; unsupported for other page records, packages, and a page that is twice in one part.
 */
export async function splitStream(
  source: ByteSource,
  main: ByteSink,
  channels: readonly ByteSink[],
  options: ToRecordingOptions = {},
): Promise<ToRecordingReport> {
  const splitter = new Splitter(source, main, channels, options);
  try {
    return await splitter.run();
  } finally {
    await splitter.close();
  }
}

class Splitter {
  private readonly reader: StreamReader;
  private readonly writer: ExactWriter;
  private channels: ChannelSet | undefined;
  private release = 702;
  private marks = false;
  private seen = new PageSet(4096);
  /**
   * The destination runs the guest: pages come in the main channel, as it asks for them (11.1 ram_load_postcopy). All
   * before were marked at the end of their part.
   */
  private switched = false;
  /** Zero pages on the main channel. */
  private zero = 0;
  private epochs = 0;
  /** Whether there were pages for the channels since the last mark. */
  private dirty = false;

  constructor(
    source: ByteSource,
    main: ByteSink,
    private readonly sinks: readonly ByteSink[],
    private readonly options: ToRecordingOptions,
  ) {
    this.writer = new ExactWriter(main);
    this.reader = new StreamReader(options.prompt === true ? flushing(source, this) : source, options);
  }

  async run(): Promise<ToRecordingReport> {
    for await (const item of this.reader) {
      if (item.kind === "command" && item.command.name === "PACKAGED") {
        if (this.options.prompt !== true) {
          throw new QevmError("unsupported", "a postcopy migration: flatten it first", { offset: item.offset });
        }
        this.switched = true;
      }
      if (item.kind === "section" && item.content.kind === "ram") await this.section(item);
      else await this.writer.item(item);
    }
    await this.writer.file.flush();
    const { machine, complete } = this.reader;
    const { pages = { normal: 0, zero: 0 }, packets = 0 } = this.channels ?? {};
    const { normal, zero } = pages;
    const { epochs } = this;
    return { machine: machine ?? null, pages: { normal, zero: zero + this.zero }, packets, epochs, complete };
  }

  /** Writes everything that came, but for a packet that is not full. */
  async flush(): Promise<void> {
    await Promise.all([this.writer.file.flush(), this.channels?.flush()]);
  }

  async close(): Promise<void> {
    await this.channels?.close();
  }

  private async section(item: SectionItem): Promise<void> {
    this.channels ??= await this.begin();
    // What follows may have to be divided, and nothing comes after END.
    const divides = this.options.prompt === true && item.type === "end" && !this.switched;
    encodeSectionHeader(this.writer.file, divides ? { ...item, type: "part" } : item);
    for await (const batch of item.records()) {
      if (batch.area || batch.mappedBlock !== undefined) {
        throw new QevmError("unsupported", "a mapped-ram file: make it a stream first", { offset: item.offset });
      }
      for (let i = 0; i < batch.count; i++) {
        if (divides && batch.flag[i] === RamFlag.EOS) await this.divide(item, "end");
        await this.record(item, batch, i);
      }
      await this.writer.file.drain();
    }
    await this.passMarks();
  }

  /** The destination's channels wait for the marks, and we for its channels. */
  private async passMarks(): Promise<void> {
    if (this.options.prompt === true) await this.writer.file.flush();
  }

  /** The first packets of the channels; what to write is known from here on. */
  private async begin(): Promise<ChannelSet> {
    const { pageSize } = this.reader.ram;
    const machine = releaseNumber(machineRelease(this.reader.machine));
    this.release = this.options.release ?? machine ?? 702;
    this.marks = this.release >= 801 && (machine ?? this.release) >= 801;
    this.seen = new PageSet(pageSize);
    return await ChannelSet.create(this.sinks, { ...this.options, pageSize });
  }

  private async record(item: SectionItem, batch: RamBatch, i: number): Promise<void> {
    const flag = batch.flag[i]!;
    const { wire } = this.writer;
    if (this.switched) {
      wire.record(batch, i);
    } else if ((flag & PAGE_FLAGS) !== 0) {
      await this.page(item, batch, i, flag);
    } else if (flag === RamFlag.EOS) {
      if (!this.marks) await this.sync();
      else if (item.type === "start" || this.dirty) {
        await this.sync();
        wire.mark(RamFlag.MULTIFD_FLUSH);
      }
      wire.record(batch, i);
    } else if (flag !== RamFlag.MULTIFD_FLUSH) {
      wire.record(batch, i);
    }
  }

  private async page(item: SectionItem, batch: RamBatch, i: number, flag: number): Promise<void> {
    const block = batch.block[i]!;
    const offset = batch.offset[i]!;
    const zero = flag === RamFlag.ZERO && batch.fill[i] === 0;
    const place = { offset: batch.position[i]! };
    if (flag !== RamFlag.PAGE && !zero)
      throw new QevmError("unsupported", "no plain page: convert with --ram normal", place);
    if (!this.seen.add(block, offset)) {
      if (this.options.prompt !== true)
        throw new QevmError("unsupported", "a page is twice in one part: flatten first", place);
      await this.divide(item, "part");
      this.seen.add(block, offset);
    }
    if (zero && this.release < 900) {
      this.writer.wire.zero(block, offset);
      this.zero++;
      return;
    }
    const channels = this.channels!;
    const wait = channels.ready(block.idstr);
    if (wait !== undefined) await wait;
    if (zero) channels.zero(offset);
    else channels.page(offset, batch.body(i));
    this.dirty = true;
  }

  /**
   * Ends the part and begins another, so that what follows is loaded after what came before: a page that comes twice
   * would be loaded in any order.
   */
  private async divide(item: SectionItem, type: "part" | "end"): Promise<void> {
    const { file, wire } = this.writer;
    await this.sync();
    if (this.marks) wire.mark(RamFlag.MULTIFD_FLUSH);
    wire.mark(RamFlag.EOS);
    if (this.reader.footers === true) encodeFooter(file, item.sectionId);
    wire.current = undefined;
    encodeSectionHeader(file, { ...item, type });
    await this.passMarks();
  }

  private async sync(): Promise<void> {
    await this.channels!.sync();
    this.epochs++;
    this.dirty = false;
    this.seen = new PageSet(this.reader.ram.pageSize);
  }
}
