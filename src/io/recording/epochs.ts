import { Diagnostics, QevmError } from "../../bytes/errors.js";
import {
  ChannelPages,
  ChannelReader,
  MultifdFlag,
  type ChannelItem,
  type PacketPages,
} from "../../codec/multifd/index.js";
import type { ByteSource } from "../../bytes/source.js";
import type { RamState } from "../../codec/ram/index.js";
import type { RecordedChannel } from "./recording.js";

/** Takes the pages of a packet; a promise where it has to wait. */
export type TakePages = (pages: PacketPages) => void | Promise<void>;

interface Channel {
  readonly name: string;
  readonly source: ByteSource;
  readonly reader: ChannelReader;
  readonly items: AsyncIterator<ChannelItem>;
  readonly pages: ChannelPages;
  /** SYNC came on a packet with pages, and the empty packet that follows has not come. */
  owes: boolean;
  ended: boolean;
}

/**
 * The multifd channels of a recording, read up to their SYNC packets: what stands before the n-th SYNC of each channel belongs before
 * the n-th mark of the main channel. Within an epoch a page is sent once, so the order of the channels does not matter.
 *
 * Source: QEMU migration/multifd.c multifd_recv_sync_main (4.0 to 11.1).
 */
export class MultifdEpochs {
  /** Marks passed. */
  count = 0;
  private channels: Channel[] | undefined;
  private packets = 0;
  private last = -1n;
  /** Where that number stands. */
  private lastPlace: { offset: number | undefined; path: string[] } = { offset: undefined, path: [] };

  constructor(
    private readonly recorded: readonly RecordedChannel[],
    private readonly ram: RamState,
    private readonly diagnostics: Diagnostics,
    private readonly take: TakePages,
  ) {}

  /** Every channel up to its next SYNC. Errors: as `ChannelReader`; truncated where a channel ends before it. */
  async sync(): Promise<void> {
    this.count++;
    for (const channel of this.open()) {
      if (await this.run(channel, true)) continue;
      const what = `the channel ends before SYNC ${this.count}, which the main channel has a mark for`;
      this.diagnostics.anomaly(
        new QevmError("truncated", what, { offset: channel.reader.offset, path: [channel.name] }),
      );
    }
  }

  /** Every channel up to its end: from 9.1 on the last pages have no mark behind them. */
  async drain(): Promise<void> {
    for (const channel of this.open()) await this.run(channel, false);
    // Packets are numbered over all channels. Until 8.2 SYNC may overtake pages that wait for their thread: it rides on them, and its
    // number comes twice, the second time on an empty packet, which is not sent any more when the migration has just ended.
    const unsent = this.open().filter(({ owes }) => owes).length;
    if (BigInt(this.packets + unsent) > this.last) return;
    const what = "packets are missing: a channel of this migration is not here, or is cut off";
    const place = { ...this.lastPlace, expected: `${this.last + 1n} packets`, found: `${this.packets}` };
    this.diagnostics.anomaly(new QevmError("unknown-reference", what, place));
  }

  async close(): Promise<void> {
    for (const { items, source } of this.channels ?? []) {
      await items.return?.();
      await source.close?.();
    }
  }

  private open(): Channel[] {
    this.channels ??= this.recorded.map((channel) => {
      const source = channel.open();
      const reader = new ChannelReader(source, {
        pageSize: this.ram.pageSize,
        lenient: this.diagnostics.lenient,
        block: (idstr) => this.ram.find(idstr),
        bufferSize: 1 << 17,
      });
      const pages = new ChannelPages(this.ram.pageSize);
      return {
        name: channel.name,
        source,
        reader,
        items: reader[Symbol.asyncIterator](),
        pages,
        owes: false,
        ended: false,
      };
    });
    return this.channels;
  }

  /** Gives on pages until a SYNC (true) or the end (false). */
  private async run(channel: Channel, toSync: boolean): Promise<boolean> {
    const { reader, items, pages } = channel;
    while (!channel.ended) {
      const { done, value: item } = await items.next();
      if (done === true) break;
      if (item.kind !== "pages") continue;
      this.packets++;
      if (item.packet.packetNum > this.last) {
        this.last = item.packet.packetNum;
        this.lastPlace = { offset: item.offset + 24, path: [...reader.path] };
      }
      const pagesHere = item.packet.normalPages + item.packet.zeroPages > 0;
      const syncs = (item.packet.flags & MultifdFlag.SYNC) !== 0;
      // Only an empty packet without SYNC pays what is owed: another SYNC may overtake that one too.
      if (pagesHere || !syncs) channel.owes = pagesHere && syncs;
      if (pagesHere) {
        const opened = pages.open(item, reader.path);
        if (opened.data === undefined) {
          const what = `no codec opens the ${pages.method} payload`;
          throw new QevmError("unsupported", what, { offset: item.offset, path: reader.path });
        }
        const wait = this.take(opened);
        if (wait !== undefined) await wait;
      }
      if (toSync && (item.packet.flags & MultifdFlag.SYNC) !== 0) return true;
    }
    if (!channel.ended) for (const warning of reader.diagnostics.warnings) this.diagnostics.warnings.push(warning);
    channel.ended = true;
    return false;
  }
}
