import { QevmError } from "../../bytes/errors.js";
import { ChannelReader, MultifdFlag } from "../../codec/multifd/index.js";
import { FedSource } from "./fed-source.js";

/** Follows a multifd channel while it comes in: how many packets have come, and whether the last one is whole. */
export class PacketCount {
  packets = 0;
  /** Highest number of a packet; they are counted over all channels of a migration. */
  last = -1n;
  /** SYNC came on a packet with pages: until 8.2 its number comes a second time, on an empty packet, unless the migration has ended. */
  owes = false;
  /** The channel is not what a multifd channel is, from its first packet on. */
  failure: QevmError | undefined;
  readonly done: Promise<void>;
  private readonly source = new FedSource();
  private readonly reader: ChannelReader;
  private fed = 0;
  private blind = false;

  /** @param pageSize bytes of a target page */
  constructor(pageSize: number) {
    this.reader = new ChannelReader(this.source, { pageSize, bufferSize: 1 << 17 });
    this.done = this.follow();
  }

  async feed(chunk: Uint8Array): Promise<void> {
    this.fed += chunk.length;
    await this.source.feed(chunk);
  }

  /** The connection has ended, or nobody asks any more. */
  end(): void {
    this.source.finish();
  }

  /** Whether it can be counted; a channel with something unknown in it cannot. */
  get counts(): boolean {
    return !this.blind;
  }

  /** Whether the last packet has come to its end. */
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

/** Whether every packet that these channels tell of has come. */
export function allHere(channels: readonly PacketCount[]): boolean {
  if (channels.some(({ counts }) => !counts)) return true;
  if (channels.some(({ atBorder }) => !atBorder)) return false;
  const packets = channels.reduce((sum, channel) => sum + channel.packets + (channel.owes ? 1 : 0), 0);
  const last = channels.reduce((most, channel) => (channel.last > most ? channel.last : most), -1n);
  return BigInt(packets) > last;
}
