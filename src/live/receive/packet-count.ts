import { QevmError } from "../../bytes/errors.js";
import { ChannelReader, MultifdFlag } from "../../codec/multifd/index.js";
import { FedSource } from "../../bytes/fed-source.js";

/**
 * Parses a multifd channel while it arrives, to know how many packets have come and whether the last one is complete.
 */
export class PacketCount {
  packets = 0;
  /** Packets with SYNC. A source sends equally many on each of its channels. */
  syncs = 0;
  /** Pages have come. */
  hasPages = false;
  /** Highest packet number; packets are counted over all channels of a migration. */
  last = -1n;
  /**
   * SYNC was set on a packet with pages: until 8.2 its number occurs again on an empty packet, unless the migration has
   * ended.
   */
  owes = false;
  /** The error, if this is not a multifd channel. */
  failure: QevmError | undefined;
  readonly done: Promise<void>;
  private readonly source = new FedSource();
  private readonly reader: ChannelReader;
  private fed = 0;
  private blind = false;

  /** @param pageSize target page size in bytes */
  constructor(pageSize: number) {
    this.reader = new ChannelReader(this.source, { pageSize, bufferSize: 1 << 17 });
    this.done = this.follow();
  }

  async feed(chunk: Uint8Array): Promise<void> {
    this.fed += chunk.length;
    await this.source.feed(chunk);
  }

  /** The connection has ended, or counting is no longer needed. */
  end(): void {
    this.source.finish();
  }

  /** Whether packets can be counted; false for a channel with unknown contents. */
  get counts(): boolean {
    return !this.blind;
  }

  /** Whether the last packet is complete. */
  get atBorder(): boolean {
    return this.blind || this.reader.offset === this.fed;
  }

  private async follow(): Promise<void> {
    try {
      for await (const item of this.reader) {
        if (item.kind !== "pages") continue;
        const { flags, normalPages, zeroPages, packetNum } = item.packet;
        this.packets++;
        if (packetNum > this.last) this.last = packetNum;
        const [pages, syncs] = [normalPages + zeroPages > 0, (flags & MultifdFlag.SYNC) !== 0];
        if (syncs) this.syncs++;
        if (pages) this.hasPages = true;
        if (pages || !syncs) this.owes = pages && syncs;
      }
    } catch (error) {
      this.blind = true;
      if (this.packets === 0 && error instanceof QevmError && error.code === "bad-magic") this.failure = error;
    } finally {
      this.source.finish();
    }
  }
}

/** Why a channel is dropped that is `idle` when all packets are here. */
export const IDLE = "it has no pages, and fewer SYNC packets than the channels of the migration";

/**
 * Channels that are late, or of nobody: without pages, and with fewer SYNC packets than others. Packets are numbered over
 * all channels, so that one of the migration that is late lacks a number, and a stranger's does not.
 */
export function idle(channels: readonly PacketCount[]): ReadonlySet<PacketCount> {
  // Of none is anything known where no channel can be read (another page size).
  const most = channels.reduce((sum, { counts, syncs }) => (counts ? Math.max(sum, syncs) : sum), 0);
  return new Set(channels.filter(({ hasPages, syncs }) => !hasPages && syncs < most));
}

/** Whether every packet that these channels refer to has arrived, without those that are `idle`. */
export function allHere(all: readonly PacketCount[]): boolean {
  const without = idle(all);
  const channels = all.filter((channel) => !without.has(channel));
  if (channels.some(({ counts }) => !counts)) return true;
  if (channels.some(({ atBorder }) => !atBorder)) return false;
  const packets = channels.reduce((sum, channel) => sum + channel.packets + (channel.owes ? 1 : 0), 0);
  const last = channels.reduce((most, channel) => (channel.last > most ? channel.last : most), -1n);
  return BigInt(packets) > last;
}
