import { availableParallelism } from "node:os";
import type { ByteSink } from "../../bytes/source.js";
import { ChannelPackets, pagesPerPacket, type PayloadOptions, type WrittenPages } from "../../codec/multifd/index.js";
import { OwnLane, ThreadLane, type Lane } from "./channel-lane.js";

/** How channels are written. */
export interface ChannelSetOptions extends Omit<PayloadOptions, "module"> {
  /** 16 bytes: the destination's UUID, for it refuses channels with another. Default: zeros, a VM without UUID. */
  uuid?: Uint8Array | undefined;
  /**
   * Threads that compress, 1 to 64; 1: this one does. Default: one for each processor, at most one for each channel.
   */
  threads?: number | undefined;
}

/** A packet that is filled or waits for its payload. */
interface Packet extends Omit<WrittenPages, "data"> {
  readonly channel: number;
  readonly normal: number[];
  readonly zero: number[];
}

/**
 * The multifd channels of one migration: pages in, packets out, to one channel after the other. Each channel's stream
 * belongs to one thread. Memory: four packets a thread, and the state of each channel's stream.
 */
export class ChannelSet {
  readonly pages = { normal: 0, zero: 0 };
  /** Packets so far, with those of SYNC. */
  packets = 0;
  /** Bytes written. */
  bytes = 0;
  private turn = 0;
  private open: { packet: Packet; lane: number; room: Uint8Array } | undefined;
  private readonly waiting: Packet[][];

  private constructor(
    private readonly sinks: readonly ByteSink[],
    private readonly heads: readonly ChannelPackets[],
    private readonly lanes: readonly Lane[],
    private readonly pageSize: number,
  ) {
    this.waiting = [];
  }

  /** Writes the first packet of each channel. Errors: usage, io, limit, and those of the sinks. */
  static async create(sinks: readonly ByteSink[], options: ChannelSetOptions = {}): Promise<ChannelSet> {
    const { method, level, exact, pageSize = 4096, uuid } = options;
    const heads = sinks.map((_, channel) => new ChannelPackets({ channel, method, pageSize, uuid }));
    const threads = Math.min(options.threads ?? availableParallelism(), sinks.length);
    const own = method === undefined || method === "none" || threads < 2;
    const lanes: Lane[] = [];
    const set = new ChannelSet(sinks, heads, lanes, pageSize);
    try {
      for (let lane = 0; lane < (own ? 1 : threads); lane++) {
        const channels = sinks.map((_, channel) => channel).filter((channel) => own || channel % threads === lane);
        const setup = { method, level, exact, pageSize, channels };
        lanes.push(own ? await OwnLane.create(setup) : new ThreadLane(setup));
        set.waiting.push([]);
      }
      for (const [channel, head] of heads.entries()) await set.send(channel, head.init());
      return set;
    } catch (error) {
      await set.close();
      throw error;
    }
  }

  /** Resolves when a page of that block can be added; undefined if it can be now. Errors: io, and those of the sinks. */
  ready(idstr: string): Promise<void> | undefined {
    const { open } = this;
    if (open !== undefined) {
      const { packet } = open;
      if (packet.idstr === idstr && packet.normal.length + packet.zero.length < pagesPerPacket(this.pageSize)) {
        return undefined;
      }
      this.publish();
    }
    return this.next(idstr);
  }

  /** Adds a page of the block that `ready` was asked for; its bytes are copied now. */
  page(offset: number, bytes: Uint8Array): void {
    const { packet, room } = this.open!;
    room.set(bytes, packet.normal.length * this.pageSize);
    packet.normal.push(offset);
  }

  /** Adds an all-zero page, for destinations of 9.0 and later. */
  zero(offset: number): void {
    this.open!.packet.zero.push(offset);
  }

  /** Writes all packets, and SYNC to every channel. */
  async sync(): Promise<void> {
    this.publish();
    await this.flush();
    for (const [channel, head] of this.heads.entries()) await this.send(channel, head.sync(this.packets++));
  }

  /** Writes all packets that are full. */
  async flush(): Promise<void> {
    for (const lane of this.lanes.keys()) while (this.waiting[lane]!.length > 0) await this.write(lane);
  }

  /** Ends the threads. Pages that were not synchronised are lost. */
  async close(): Promise<void> {
    await Promise.all(this.lanes.map(async (lane) => await lane.close()));
  }

  private async next(idstr: string): Promise<void> {
    for (const [lane, { isBack }] of this.lanes.entries()) if (isBack) await this.write(lane);
    const channel = this.turn;
    const lane = channel % this.lanes.length;
    let room = this.lanes[lane]!.open();
    while (room === undefined) {
      await this.write(lane);
      room = this.lanes[lane]!.open();
    }
    this.open = { lane, room, packet: { channel, idstr, packetNum: 0, normal: [], zero: [] } };
  }

  private publish(): void {
    const { open } = this;
    if (open === undefined) return;
    const { packet, lane } = open;
    this.open = undefined;
    // Nothing was added: the space is given out again.
    if (packet.normal.length + packet.zero.length === 0) return;
    packet.packetNum = this.packets++;
    this.turn = (packet.channel + 1) % this.sinks.length;
    this.pages.normal += packet.normal.length;
    this.pages.zero += packet.zero.length;
    this.waiting[lane]!.push(packet);
    this.lanes[lane]!.publish(packet.channel, packet.normal.length);
  }

  /** Writes the oldest packet of a lane, when it is made. */
  private async write(lane: number): Promise<void> {
    const payload = await this.lanes[lane]!.taken();
    const packet = this.waiting[lane]!.shift()!;
    await this.send(packet.channel, this.heads[packet.channel]!.head(packet, payload.length));
    if (payload.length > 0) await this.send(packet.channel, payload);
    this.lanes[lane]!.release();
  }

  private async send(channel: number, bytes: Uint8Array): Promise<void> {
    this.bytes += bytes.length;
    const written = this.sinks[channel]!.write(bytes);
    if (written !== undefined) await written;
  }
}
