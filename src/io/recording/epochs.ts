import { Diagnostics, QevmError } from "../../bytes/errors.js";
import { ChannelReader, MultifdFlag, type ChannelItem, type ChannelOptions } from "../../codec/multifd/index.js";
import { derive, type ByteSource } from "../../bytes/source.js";
import type { RamState } from "../../codec/ram/index.js";
import { allNumbered, idle, lastNumber, PacketNumbers } from "./packet-numbers.js";
import type { RecordedChannel } from "./recording.js";

/** A packet of pages, as it comes. */
export type PagesItem = Extract<ChannelItem, { kind: "pages" }>;

/** Receives a packet with pages of a channel, by its index. Returns a promise where it has to wait. */
type TakePacket = (item: PagesItem, channel: number, path: readonly string[]) => void | Promise<void>;

interface Channel {
  readonly index: number;
  readonly name: string;
  readonly source: ByteSource;
  readonly reader: ChannelReader;
  readonly items: AsyncIterator<ChannelItem>;
  readonly numbers: PacketNumbers;
  /** Where the highest packet number is. */
  lastPlace: { offset: number | undefined; path: string[] };
  ended: boolean;
  /** The next SYNC was read before its mark. */
  synced: boolean;
  /** Bytes that the reader has taken from the source. */
  taken: () => number;
  readonly recorded: RecordedChannel;
  /** It is of nobody. */
  stray: boolean;
}

/** Milliseconds between two looks at a channel that is still being received. */
const LOOK = 50;
/** Looks after which a channel that is late is of nobody (10 s). */
const LATE = 200;
/** Looks after which a channel that the source has not closed with all others is waited for no longer (60 s). */
const LEFT = 1200;

/**
 * The multifd channels of a recording, read up to their SYNC packets. Packets before the n-th SYNC of each channel
 * belong before the n-th flush mark of the main channel. A page is sent once between two marks, so the order of the
 * channels does not matter.
 *
 * Source: QEMU migration/multifd.c multifd_recv_sync_main (4.0 to 11.1).
 */
export class MultifdEpochs {
  /** Number of marks passed. */
  count = 0;
  private channels: Channel[] | undefined;

  constructor(
    private readonly recorded: readonly RecordedChannel[],
    private readonly ram: RamState,
    private readonly diagnostics: Diagnostics,
    private readonly take: TakePacket,
    /** Read the channels side by side, as they come. Default: one after the other, in the same order each time. */
    private readonly together = false,
    private readonly place?: ChannelOptions["place"],
  ) {}

  /** Bytes of all channels read so far. */
  get bytes(): number {
    return (this.channels ?? []).reduce((sum, { reader }) => sum + reader.offset, 0);
  }

  /** Reads every channel up to its next SYNC. Errors: as `ChannelReader`; truncated where a channel ends before it. */
  async sync(): Promise<void> {
    this.count++;
    await this.each(async (channel) => {
      const synced = channel.synced || (await this.toSync(channel));
      channel.synced = false;
      if (synced || channel.stray) return;
      const what = `the channel ends before SYNC ${this.count}, which the main channel has a mark for`;
      this.diagnostics.anomaly(
        new QevmError("truncated", what, { offset: channel.reader.offset, path: [channel.name] }),
      );
    });
  }

  /** Reads every channel up to its next SYNC, which `sync` then has. Errors: as `ChannelReader`. */
  async ahead(): Promise<void> {
    await this.each(async (channel) => {
      channel.synced ||= await this.toSync(channel);
    });
  }

  /** Passes on what has come of channels that are still being received, up to their next SYNC. */
  async arrived(): Promise<void> {
    for (const channel of this.open()) {
      const more = (): boolean => channel.taken() > channel.reader.offset || channel.recorded.ready?.() === true;
      while (!channel.ended && !channel.synced && more()) {
        channel.synced = await this.passItem(channel);
      }
    }
  }

  /** Reads every channel to its end. From 9.1 on no mark follows the last pages. */
  async drain(): Promise<void> {
    await this.each(async (channel) => {
      await this.passPages(channel, false);
    });
    this.checkCount();
  }

  /** Checks that every packet has come that the packets so far refer to. Anomaly: unknown-reference. */
  checkCount(): void {
    const channels = this.open().filter(({ stray }) => !stray);
    const numbers = channels.map((channel) => channel.numbers);
    if (allNumbered(numbers)) return;
    const last = lastNumber(numbers);
    const { lastPlace } = channels.find((channel) => channel.numbers.last === last)!;
    const found = numbers.reduce((sum, { packets }) => sum + packets, 0);
    const what = "packets are missing: a channel of this migration is not here, or is cut off";
    const place = { ...lastPlace, expected: `${last + 1n} packets`, found: `${found}` };
    this.diagnostics.anomaly(new QevmError("unknown-reference", what, place));
  }

  async close(): Promise<void> {
    for (const { items, source } of this.channels ?? []) {
      // Of channels that are read side by side one may wait for bytes that do not come.
      const ended = items.return?.();
      if (this.together) ended?.catch(() => undefined);
      else await ended;
      await source.close?.();
    }
  }

  private async each(work: (channel: Channel) => Promise<void>): Promise<void> {
    if (this.together) await Promise.all(this.open().map(work));
    else for (const channel of this.open()) await work(channel);
  }

  private open(): Channel[] {
    this.channels ??= this.recorded.map((channel, index) => {
      const source = channel.open();
      let taken = 0;
      const counted = derive(source, async (into) => {
        const n = await source.read(into);
        taken += n;
        return n;
      });
      const reader = new ChannelReader(channel.ready === undefined ? source : counted, {
        pageSize: this.ram.pageSize,
        lenient: this.diagnostics.lenient,
        block: (idstr) => this.ram.find(idstr),
        place: this.place,
        bufferSize: 1 << 17,
      });
      return {
        index,
        name: channel.name,
        source,
        reader,
        items: reader[Symbol.asyncIterator](),
        numbers: new PacketNumbers(),
        lastPlace: { offset: undefined, path: [] },
        ended: false,
        synced: false,
        taken: () => taken,
        recorded: channel,
        stray: false,
      };
    });
    return this.channels;
  }

  /** Passes on pages up to the next SYNC. False: the channel ends before it, or is of nobody. */
  private async toSync(channel: Channel): Promise<boolean> {
    const passing = this.passPages(channel, true);
    const { leave } = channel.recorded;
    if (leave === undefined) return await passing;
    let [looks, alone] = [0, 0];
    let timer: ReturnType<typeof setInterval> | undefined;
    const left = new Promise<false>((resolve) => {
      timer = setInterval(() => {
        looks = this.isOfNobody(channel) ? looks + 1 : 0;
        alone = this.isLeft(channel) ? alone + 1 : 0;
        if (looks < LATE && alone < LEFT) return;
        channel.stray = looks >= LATE;
        resolve(false);
        if (channel.stray) leave();
      }, LOOK);
    });
    return await Promise.race([passing, left]).finally(() => clearInterval(timer));
  }

  /** The source has closed all that are not late, as it does where it cancels. */
  private isLeft({ numbers }: Channel): boolean {
    const others = this.open().filter((one) => one.numbers.syncs > numbers.syncs);
    return others.length > 0 && others.every(({ recorded }) => recorded.isClosed?.() === true);
  }

  private isOfNobody({ numbers }: Channel): boolean {
    return idle(this.open().flatMap((channel) => (channel.stray ? [] : channel.numbers))).has(numbers);
  }

  /** Passes on pages up to a SYNC (true) or the end (false). */
  private async passPages(channel: Channel, toSync: boolean): Promise<boolean> {
    while (!channel.ended) if ((await this.passItem(channel)) && toSync) return true;
    return false;
  }

  /** Passes on the pages of one packet. True: it has SYNC. */
  private async passItem(channel: Channel): Promise<boolean> {
    const { reader, items } = channel;
    const { done, value: item } = await items.next().catch((error: unknown) => {
      if (!(error instanceof QevmError) || error.code === "io") throw error;
      // What is behind it cannot be found.
      this.diagnostics.anomaly(error);
      return { done: true, value: undefined } as const;
    });
    if (done === true) {
      this.diagnostics.absorb(reader.diagnostics);
      channel.ended = true;
      return false;
    }
    if (item.kind !== "pages") return false;
    const { packet } = item;
    if (packet.packetNum > channel.numbers.last)
      channel.lastPlace = { offset: item.offset + 24, path: [...reader.path] };
    channel.numbers.note(packet);
    if (packet.normalPages + packet.zeroPages > 0) {
      const wait = this.take(item, channel.index, reader.path);
      if (wait !== undefined) await wait;
    }
    return (packet.flags & MultifdFlag.SYNC) !== 0;
  }
}
