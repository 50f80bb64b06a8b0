import { QevmError } from "../../bytes/errors.js";
import { derive, type ByteSource } from "../../bytes/source.js";
import type { RamPacket } from "../../codec/multifd/index.js";
import { RamFlag } from "../../codec/ram/index.js";
import type { SectionType, StreamReader } from "../../codec/stream/index.js";
import {
  MultifdEpochs,
  roleOf,
  type PagesItem,
  type RecordedChannel,
  type Recording,
} from "../../io/recording/index.js";
import { PacketThreads } from "../threads/packet-threads.js";
import type { LoadSink } from "../threads/load-sink.js";

/**
 * The multifd channels of a load, read side by side while the main channel is read, each up to its next SYNC, and
 * decoded by threads.
 *
 * Source: QEMU migration/multifd.c multifd_recv_sync_main, migration/ram.c ram_load_precopy (7.2 to 11.1).
 */
export class LoadChannels {
  readonly pages = { normal: 0, zero: 0 };
  /** The main channel. While it waits for bytes, an error of another channel is its own. */
  readonly main: ByteSource;
  private readonly failed: Promise<never>;
  private fail: (error: unknown) => void = () => undefined;
  private epochs: MultifdEpochs | undefined;
  private threads: PacketThreads | undefined;
  /** Whether the marks are MULTIFD_FLUSH records (8.1 on) or EOS. */
  private flushes = false;
  /** The pages of a postcopy migration come in the main channel. */
  private switched = false;
  private reading: Promise<void> = Promise.resolve();

  constructor(
    private readonly recording: Recording,
    private readonly sink: LoadSink,
    private readonly most: number | undefined,
  ) {
    this.failed = new Promise((_, reject) => {
      this.fail = reject;
    });
    this.failed.catch(() => undefined);
    const main = recording.main.open();
    const read = (into: Uint8Array): number | Promise<number> => {
      const n = main.read(into);
      return typeof n === "number" ? n : Promise.race([n, this.failed]);
    };
    this.main = { ...derive(main, read), readAhead: undefined };
  }

  /** Bytes of the channels read so far. */
  get bytes(): number {
    return this.epochs?.bytes ?? 0;
  }

  /** After a command of the main channel. */
  command(name: string): void {
    if (name === "PACKAGED") this.switched = true;
  }

  /** At a record without a page: waits where it is a mark. Errors: as `MultifdEpochs.sync` and `PacketThreads.add`. */
  mark(flag: number, type: SectionType, reader: StreamReader): Promise<void> | undefined {
    if (flag === RamFlag.MULTIFD_FLUSH) {
      if (type === "start") this.flushes = true;
      return this.sync(reader);
    }
    return flag === RamFlag.EOS && !this.flushes && !this.switched ? this.sync(reader) : undefined;
  }

  /** Reads the channels to their ends. Errors: as `mark`. */
  async end(): Promise<void> {
    await this.reading;
    await this.epochs?.drain();
    await this.threads?.flush();
  }

  async close(): Promise<void> {
    await this.epochs?.close();
    await this.threads?.close();
    await this.main.close?.();
  }

  private async sync(reader: StreamReader): Promise<void> {
    await this.reading;
    this.epochs ??= this.open(reader);
    const { epochs } = this;
    await epochs.sync();
    await this.threads?.flush();
    // The source does not send the next mark before its channels are read.
    this.reading = epochs.ahead();
    this.reading.catch(this.fail);
  }

  private open({ ram, diagnostics }: StreamReader): MultifdEpochs {
    const { multifd } = this.recording;
    const threads = PacketThreads.start(this.sink, ram.blocks, {
      channels: multifd.length,
      threads: this.most,
      pageSize: ram.pageSize,
    });
    this.threads = threads;
    const take = async (item: PagesItem, channel: number, path: readonly string[]): Promise<void> => {
      const { packet } = item;
      this.pages.normal += packet.normalPages;
      this.pages.zero += packet.zeroPages;
      await threads.add(item, ram.find(packet.idstr)!, channel, path);
    };
    const place = (packet: RamPacket): Uint8Array[] | undefined => threads.place(packet, ram.find(packet.idstr)!);
    const timed = multifd.map((channel) => {
      const { name, length } = channel;
      return { name, length, open: () => this.timed(channel.open(), threads) };
    });
    return new MultifdEpochs(timed, ram, diagnostics, take, true, place);
  }

  /** A source whose reads into the guest's memory are timed, where they do not wait. */
  private timed(source: ByteSource, { fresh }: PacketThreads): ByteSource {
    return derive(source, (into) => {
      if (into.buffer instanceof ArrayBuffer) return source.read(into);
      const start = performance.now();
      const n = source.read(into);
      if (typeof n === "number") fresh.note(n, performance.now() - start);
      return n;
    });
  }
}

/** Whether channels of a recording can be loaded side by side: those of a migration without postcopy or a break. */
export function canLoadChannels({ multifd, preempt, resumed = [] }: Recording): boolean {
  return multifd.length > 0 && preempt.length === 0 && resumed.length === 0;
}

/**
 * Connections, in any order, as the channels of a migration by their first bytes. They stay the caller's. Errors:
 * bad-value where there is not just one main channel; those of the sources.
 */
export async function connectedChannels(connections: readonly ByteSource[]): Promise<Recording> {
  const found = await Promise.all(connections.map(begun));
  const of = (role: string): RecordedChannel[] =>
    found.filter((one) => one.role === role).map(({ channel }) => channel);
  const [main, ...more] = of("main");
  const multifd = of("multifd");
  if (main === undefined || more.length > 0 || multifd.length + 1 < connections.length) {
    throw new QevmError("bad-value", "connections of a migration", {
      expected: "one main channel, and multifd channels",
      found: found.map(({ role = "unknown" }) => role).join(", "),
    });
  }
  return { main, multifd, preempt: [], returnPath: [] };
}

/** Reads as much of a connection as tells what it is. */
async function begun(
  source: ByteSource,
  index: number,
): Promise<{ role: string | undefined; channel: RecordedChannel }> {
  const head = new Uint8Array(64);
  let filled = 0;
  for (let n = 1; n > 0 && filled < 8; filled += n) n = await source.read(head.subarray(filled));
  let taken = 0;
  const read = (into: Uint8Array): number | Promise<number> => {
    if (taken === filled) return source.read(into);
    const part = head.subarray(taken, Math.min(filled, taken + into.length));
    into.set(part);
    taken += part.length;
    return part.length;
  };
  const name = `connection ${index}`;
  const channel = { name, length: 0, open: (): ByteSource => ({ read, within: [name] }) };
  return { role: roleOf(head.subarray(0, filled)), channel };
}
