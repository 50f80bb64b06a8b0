import { QevmError } from "../../bytes/errors.js";
import { ChannelReader } from "../../codec/multifd/index.js";
import { allNumbered, idle, PacketNumbers } from "../../io/recording/index.js";
import { FedSource } from "../../bytes/fed-source.js";

/**
 * Parses a multifd channel while it arrives, to know how many packets have come and whether the last one is complete.
 */
export class PacketCount extends PacketNumbers {
  /** The error, if this is not a multifd channel. */
  failure: QevmError | undefined;
  readonly done: Promise<void>;
  private readonly source = new FedSource();
  private readonly reader: ChannelReader;
  private fed = 0;

  /** @param pageSize target page size in bytes */
  constructor(pageSize: number) {
    super();
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

  /** Whether the last packet is complete. */
  get atBorder(): boolean {
    return !this.counts || this.reader.offset === this.fed;
  }

  private async follow(): Promise<void> {
    try {
      for await (const item of this.reader) {
        if (item.kind === "pages") this.note(item.packet);
      }
    } catch (error) {
      this.counts = false;
      if (this.packets === 0 && error instanceof QevmError && error.code === "bad-magic") this.failure = error;
    } finally {
      this.source.finish();
    }
  }
}

/** Why a channel is dropped that is `idle`. */
export const IDLE = "it has no pages, and no packet of the migration is missing without it";

/** Whether every packet that these channels refer to has arrived, without those that are `idle`. */
export function allHere(all: readonly PacketCount[]): boolean {
  const without = idle(all);
  const channels = all.filter((channel) => !without.has(channel));
  if (channels.some(({ counts }) => !counts)) return true;
  return channels.every(({ atBorder }) => atBorder) && allNumbered(channels);
}
