import { Diagnostics, type Warning } from "../../bytes/errors.js";
import {
  ChannelPages,
  ChannelReader,
  encodeChannelItem,
  methodOf,
  MultifdFlag,
  type ChannelItem,
} from "../../codec/multifd/index.js";
import { QemuFileWriter, type ByteSource } from "../../bytes/index.js";
import { encodeRecords, RamFlag, type RamState } from "../../codec/ram/index.js";
import { preemptRecords, type ChannelRole, type RecordedChannel } from "../../io/recording/index.js";
import {
  encodeReturnMessage,
  ENDS_INSIDE,
  returnMessageToPlain,
  ReturnPathReader,
  type PlainCommand,
  type StreamOptions,
} from "../../codec/stream/index.js";
import { StreamRecompressor } from "./recompress-stream.js";

/** Messages of a return path that are listed one by one. */
const MOST_MESSAGES = 10_000;

/** The content of one channel of a recording other than the main one. */
export interface ChannelSummary {
  file: string;
  role: ChannelRole;
  channelLength: number;
  /** Channel id; multifd only. */
  channelId: number | null;
  packets: number;
  syncs: number;
  /** How payloads are compressed; null: no packet had pages. */
  method: string | null;
  normal: number;
  zero: number;
  /**
   * Messages of a return path, or commands of a resumed connection, with their values, the first 10,000
   * of them.
   */
  messages: ({ channelOffset: number } & PlainCommand)[];
  /** How many there are of each. */
  messageCounts: Record<string, number>;
}

/** Counts by block name, and what is not understood. */
export interface ChannelFacts {
  summary: ChannelSummary;
  blocks: Map<string, { normal: number; zero: number }>;
  undecoded: { streamOffset: number; length: number; reason: string }[];
  /** Bytes of packets in use before, which no reader looks at. */
  stale: number;
  warnings: Warning[];
  recompressed: StreamRecompressor | undefined;
}

/** Where a channel's fields are written again, and whether compressed pages are compressed again. */
export interface Again {
  writer: QemuFileWriter;
}

/**
 * Walks one channel that is not the main one; with `again`, encodes it from its fields. Errors: those of the channel's
 * codec.
 */
export async function walkChannel(
  role: ChannelRole,
  channel: RecordedChannel,
  source: ByteSource,
  ram: RamState,
  options: StreamOptions,
  again?: Again,
): Promise<ChannelFacts> {
  const walk = new Walk(role, channel, ram, options, again);
  const { summary } = walk.facts;
  // The size of a packed file is not that of its content.
  const counted = counting(source, (n) => {
    summary.channelLength += n;
  });
  if (role === "multifd") await walk.multifd(counted);
  else if (role === "preempt") await walk.preempt(counted);
  else await walk.returnPath(counted);
  await again?.writer.finish();
  walk.end();
  return walk.facts;
}

function counting(source: ByteSource, count: (bytes: number) => void): ByteSource {
  const told = (n: number): number => {
    count(n);
    return n;
  };
  return {
    within: source.within,
    read: (into) => {
      const got = source.read(into);
      return typeof got === "number" ? told(got) : got.then(told);
    },
  };
}

class Walk {
  readonly facts: ChannelFacts;
  private readonly diagnostics: Diagnostics;
  /** Offset after the last packet or message that was decoded, where a cut is tolerated. */
  private settled: number | undefined;

  constructor(
    role: ChannelRole,
    { name }: RecordedChannel,
    private readonly ram: RamState,
    private readonly options: StreamOptions,
    private readonly again: Again | undefined,
  ) {
    const none = {
      channelId: null,
      packets: 0,
      syncs: 0,
      method: null,
      normal: 0,
      zero: 0,
      messages: [],
      messageCounts: {},
    };
    const summary: ChannelSummary = { file: name, role, channelLength: 0, ...none };
    this.diagnostics = new Diagnostics({ lenient: options.lenient ?? false });
    const { warnings } = this.diagnostics;
    this.facts = { summary, blocks: new Map(), undecoded: [], stale: 0, warnings, recompressed: undefined };
  }

  async multifd(source: ByteSource): Promise<void> {
    const { ram, facts, again } = this;
    const reader = new ChannelReader(source, {
      pageSize: ram.pageSize,
      lenient: this.options.lenient,
      block: (idstr) => ram.find(idstr),
    });
    const pages = new ChannelPages(ram.pageSize, this.diagnostics);
    this.settled = reader.offset;
    for await (const item of reader) {
      this.settled = reader.offset;
      if (item.kind === "init") facts.summary.channelId = item.init.channel;
      else this.packet(item);
      if (item.kind === "pages") await this.pages(item, pages, reader.path);
      if (again !== undefined) {
        encodeChannelItem(again.writer, item);
        await again.writer.drain();
      }
    }
    facts.summary.method = pages.method ?? null;
    facts.warnings.push(...reader.diagnostics.warnings);
  }

  async preempt(source: ByteSource): Promise<void> {
    for await (const batch of preemptRecords(source, this.ram, this.diagnostics)) {
      for (let i = 0; i < batch.count; i++) {
        const block = batch.block[i];
        if (block === undefined) continue;
        const zero = batch.flag[i] === RamFlag.ZERO;
        this.count(block.idstr, zero ? 0 : 1, zero ? 1 : 0);
      }
      if (this.again !== undefined) {
        encodeRecords(this.again.writer, batch);
        await this.again.writer.drain();
      }
    }
  }

  async returnPath(source: ByteSource): Promise<void> {
    const { ram, facts } = this;
    const { summary } = facts;
    const reader = new ReturnPathReader(source, {
      pageSize: ram.pageSize,
      lenient: this.options.lenient,
      block: (idstr) => ram.find(idstr),
    });
    this.settled = reader.offset;
    for await (const { offset, message } of reader) {
      this.settled = reader.offset;
      const { messages, messageCounts: counts } = summary;
      counts[message.name] = (counts[message.name] ?? 0) + 1;
      if (messages.length < MOST_MESSAGES) messages.push({ channelOffset: offset, ...returnMessageToPlain(message) });
      if (this.again !== undefined) {
        encodeReturnMessage(this.again.writer, message);
        await this.again.writer.drain();
      }
    }
    facts.warnings.push(...reader.diagnostics.warnings);
  }

  /** Counts what the channel was cut off in. */
  end(): void {
    const { settled, facts } = this;
    const length = facts.summary.channelLength - (settled ?? facts.summary.channelLength);
    if (settled !== undefined && length > 0)
      facts.undecoded.push({ streamOffset: settled, length, reason: ENDS_INSIDE });
  }

  private packet(item: Exclude<ChannelItem, { kind: "init" }>): void {
    const { summary, undecoded } = this.facts;
    summary.packets++;
    if ((item.packet.flags & MultifdFlag.SYNC) !== 0) summary.syncs++;
    if (item.kind !== "device-state") return;
    const { idstr, instanceId } = item.packet;
    const reason = `state of device ${JSON.stringify(`${idstr}/${instanceId}`)} on a multifd channel`;
    undecoded.push({ streamOffset: item.payloadOffset, length: item.payload.length, reason });
  }

  private async pages(
    item: Extract<ChannelItem, { kind: "pages" }>,
    pages: ChannelPages,
    path: readonly string[],
  ): Promise<void> {
    const { facts } = this;
    const { packet, payload } = item;
    const { normalPages, zeroPages, offsets } = packet;
    this.count(packet.idstr, normalPages, zeroPages);
    for (let k = normalPages + zeroPages; k < offsets.length; k++) if (offsets[k] !== 0n) facts.stale += 8;
    if (normalPages === 0) return;
    const { data, normal } = await pages.open(item, path);
    if (data === undefined) {
      const reason = `${pages.method} payload: no codec opens it`;
      facts.undecoded.push({ streamOffset: item.payloadOffset, length: payload.length, reason });
    } else if (normal.length > 0 && methodOf(packet.flags) === "zlib" && this.again !== undefined) {
      facts.recompressed ??= new StreamRecompressor(this.ram.pageSize);
      facts.recompressed.check(data, payload);
    }
  }

  private count(idstr: string, normal: number, zero: number): void {
    const { summary, blocks } = this.facts;
    summary.normal += normal;
    summary.zero += zero;
    if (normal + zero === 0) return;
    const at = blocks.get(idstr) ?? { normal: 0, zero: 0 };
    at.normal += normal;
    at.zero += zero;
    blocks.set(idstr, at);
  }
}
