import { QevmError } from "../../bytes/errors.js";
import { machineRelease, releaseNumber } from "../../guest/machines/index.js";
import { PageSet } from "../../guest/pages/page-set.js";
import { ChannelEncoder, pagesPerPacket, type WrittenMethod } from "../../codec/multifd/index.js";
import { flushing } from "../../bytes/flushing.js";
import type { ByteSink, ByteSource } from "../../bytes/source.js";
import { PAGE_FLAGS, RamFlag, type RamBatch, type RamBlock } from "../../codec/ram/index.js";
import {
  encodeFooter,
  encodeSectionHeader,
  ExactWriter,
  StreamReader,
  type SectionItem,
  type StreamOptions,
} from "../../codec/stream/index.js";

/** How the channels are written. */
export interface ToRecordingOptions extends StreamOptions {
  /** Compression of the pages. Default none. */
  method?: WrittenMethod | undefined;
  /** zlib: 0 to 9; zstd: 1 to 20. Default 1. */
  level?: number | undefined;
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
  return await new Splitter(source, main, channels, options).run();
}

class Splitter {
  private readonly reader: StreamReader;
  private readonly writer: ExactWriter;
  private readonly report = { pages: { normal: 0, zero: 0 }, packets: 0, epochs: 0 };
  private encoders: ChannelEncoder[] = [];
  private release = 702;
  private marks = false;
  private seen = new PageSet(4096);
  /** The packet that is being filled. */
  private block: RamBlock | undefined;
  private normal: number[] = [];
  private zero: number[] = [];
  private data = new Uint8Array(0);
  private turn = 0;
  /** Whether packets were written since the last mark. */
  private dirty = false;

  constructor(
    source: ByteSource,
    main: ByteSink,
    private readonly sinks: readonly ByteSink[],
    private readonly options: ToRecordingOptions,
  ) {
    this.writer = new ExactWriter(main);
    this.reader = new StreamReader(options.prompt === true ? flushing(source, this.writer.file) : source, options);
  }

  async run(): Promise<ToRecordingReport> {
    for await (const item of this.reader) {
      if (item.kind === "command" && item.command.name === "PACKAGED") {
        throw new QevmError("unsupported", "a postcopy migration: flatten it first", { offset: item.offset });
      }
      if (item.kind === "section" && item.content.kind === "ram") await this.section(item);
      else await this.writer.item(item);
    }
    await this.writer.file.flush();
    const { machine, complete } = this.reader;
    return { machine: machine ?? null, ...this.report, complete };
  }

  private async section(item: SectionItem): Promise<void> {
    if (this.encoders.length === 0) await this.begin();
    // What follows may have to be divided, and nothing comes after END.
    const divides = this.options.prompt === true && item.type === "end";
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
  }

  /** The first packets of the channels; what to write is known from here on. */
  private async begin(): Promise<void> {
    const { method, level, uuid } = this.options;
    const { pageSize } = this.reader.ram;
    const machine = releaseNumber(machineRelease(this.reader.machine));
    this.release = this.options.release ?? machine ?? 702;
    this.marks = this.release >= 801 && (machine ?? this.release) >= 801;
    this.data = new Uint8Array(pagesPerPacket(pageSize) * pageSize);
    this.seen = new PageSet(pageSize);
    this.encoders = await Promise.all(
      this.sinks.map(async (_, channel) => await ChannelEncoder.create({ channel, method, level, pageSize, uuid })),
    );
    for (const [k, encoder] of this.encoders.entries()) await this.sinks[k]!.write(encoder.init());
  }

  private async record(item: SectionItem, batch: RamBatch, i: number): Promise<void> {
    const flag = batch.flag[i]!;
    const { wire } = this.writer;
    if ((flag & PAGE_FLAGS) !== 0) {
      await this.page(item, batch, i, flag);
    } else if (flag === RamFlag.EOS) {
      if (!this.marks) await this.sync();
      else if (item.type === "start" || this.dirty || this.normal.length + this.zero.length > 0) {
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
      this.report.pages.zero++;
      return;
    }
    const { pageSize } = this.reader.ram;
    if (block !== this.block) await this.send();
    this.block = block;
    if (zero) {
      this.zero.push(offset);
    } else {
      this.data.set(batch.body(i), this.normal.length * pageSize);
      this.normal.push(offset);
    }
    if (this.normal.length + this.zero.length === pagesPerPacket(pageSize)) await this.send();
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
  }

  /** Writes the packet that was filled to the channel whose turn it is. */
  private async send(): Promise<void> {
    const { normal, zero, block, turn } = this;
    if (normal.length + zero.length === 0) return;
    const data = this.data.subarray(0, normal.length * this.reader.ram.pageSize);
    const written = { idstr: block!.idstr, packetNum: this.report.packets++, normal, data, zero };
    for (const part of this.encoders[turn]!.pages(written)) await this.sinks[turn]!.write(part);
    this.report.pages.normal += normal.length;
    this.report.pages.zero += zero.length;
    this.turn = (turn + 1) % this.sinks.length;
    this.normal = [];
    this.zero = [];
    this.dirty = true;
  }

  private async sync(): Promise<void> {
    await this.send();
    for (const [k, encoder] of this.encoders.entries()) {
      await this.sinks[k]!.write(encoder.sync(this.report.packets++));
    }
    this.report.epochs++;
    this.dirty = false;
    this.seen = new PageSet(this.reader.ram.pageSize);
  }
}
