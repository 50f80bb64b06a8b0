import { availableParallelism } from "node:os";
import type { ByteSink } from "../../bytes/source.js";
import { ChannelPackets, pagesPerPacket, type PayloadOptions } from "../../codec/multifd/index.js";
import { loadPageModule } from "../../engine/page-module.js";
import { OwnLane, PlainLane, ThreadLane, type Lane } from "./channel-lane.js";
import type { ChannelSetup } from "./channel-work.js";
import type { SharedMemory } from "./compress-work.js";

/** How channels are written. */
export interface ChannelSetOptions extends Omit<PayloadOptions, "module"> {
  /** 16 bytes: the destination's UUID, for it refuses channels with another. Default: zeros, a VM without UUID. */
  uuid?: Uint8Array | undefined;
  /**
   * Threads that compress, 1 to 64; 1: this one does. Default: one for each processor, at most one for each channel.
   */
  threads?: number | undefined;
  /** @internal Memory of blocks, by their names, that pages may be read from later. */
  memories?: ReadonlyMap<string, SharedMemory> | undefined;
  /** @internal Look for all-zero pages where pages are read later. Default false. */
  findZero?: boolean | undefined;
  /** @internal Is told what the pages of a packet were. */
  onPacket?: ((normal: number, zero: number) => void) | undefined;
}

/** A packet that is filled or waits for its payload. */
interface Packet {
  readonly channel: number;
  readonly idstr: string;
  readonly memory: number;
  packetNum: number;
  readonly pages: number[];
  readonly zero: number[];
}

/** A lane with its packets. */
interface Way {
  readonly lane: Lane;
  readonly waiting: Packet[];
  /** The oldest packet while it is sent. */
  sending: Promise<void> | undefined;
}

/**
 * The multifd channels of one migration: pages in, packets out, to one channel after the other. Each channel's stream
 * belongs to one thread, and is sent while others are made. Memory: four packets a thread, and the state of each
 * channel's stream.
 */
export class ChannelSet {
  readonly pages = { normal: 0, zero: 0 };
  /** Packets so far, with those of SYNC. */
  packets = 0;
  /** Bytes written. */
  bytes = 0;
  /** The packet's pages are read later, and those that are zero then are left out. */
  findsZero = false;
  /** The packet's pages are read later: `note` instead of `page`. */
  reads = false;
  private turn = 0;
  private open: { packet: Packet; way: Way; room: Uint8Array } | undefined;
  private readonly ways: Way[] = [];
  private readonly names: readonly string[];
  /** By channel: where its packets are put together for a sink that takes no shared memory. */
  private readonly copies: Uint8Array[] = [];

  private constructor(
    private readonly sinks: readonly ByteSink[],
    private readonly heads: readonly ChannelPackets[],
    private readonly options: ChannelSetOptions,
    private readonly pageSize: number,
  ) {
    this.names = [...(options.memories?.keys() ?? [])];
  }

  /** Writes the first packet of each channel. Errors: usage, io, limit, and those of the sinks. */
  static async create(sinks: readonly ByteSink[], options: ChannelSetOptions = {}): Promise<ChannelSet> {
    const { method, pageSize = 4096, uuid } = options;
    const heads = sinks.map((_, channel) => new ChannelPackets({ channel, method, pageSize, uuid }));
    const set = new ChannelSet(sinks, heads, options, pageSize);
    try {
      await set.begin();
      for (const [channel, head] of heads.entries()) await set.send(channel, [head.init()]);
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
      if (packet.idstr === idstr && packet.pages.length + packet.zero.length < pagesPerPacket(this.pageSize)) {
        return undefined;
      }
      this.publish();
    }
    return this.next(idstr);
  }

  /** Adds a page of the block that `ready` was asked for; its bytes are copied now. */
  page(offset: number, bytes: Uint8Array): void {
    const { packet, room } = this.open!;
    room.set(bytes, packet.pages.length * this.pageSize);
    packet.pages.push(offset);
  }

  /** Adds a page that is read from its memory later, but before the next `sync` ends. */
  note(offset: number): void {
    this.open!.packet.pages.push(offset);
  }

  /** Adds an all-zero page, for destinations of 9.0 and later. */
  zero(offset: number): void {
    this.open!.packet.zero.push(offset);
  }

  /** Writes all packets, and SYNC to every channel. */
  async sync(): Promise<void> {
    this.publish();
    await this.flush();
    for (const [channel, head] of this.heads.entries()) await this.send(channel, [head.sync(this.packets++)]);
  }

  /** Writes all packets that are full. */
  async flush(): Promise<void> {
    for (const way of this.ways) while (way.waiting.length > 0) await this.write(way);
    for (const way of this.ways) await this.sent(way);
  }

  /** Ends the threads. Pages that were not synchronised are lost. */
  async close(): Promise<void> {
    await Promise.all(this.ways.map(async ({ lane }) => await lane.close()));
  }

  private async begin(): Promise<void> {
    const { sinks, pageSize, ways } = this;
    const { method = "none", level, exact, threads, memories, findZero = false } = this.options;
    const shared = [...(memories?.values() ?? [])];
    const add = (lane: Lane): void => void ways.push({ lane, waiting: [], sending: undefined });
    if (method === "none") return sinks.forEach(() => add(new PlainLane(pageSize, shared)));
    const count = Math.min(threads ?? availableParallelism(), sinks.length);
    const module = await loadPageModule();
    for (let k = 0; k < Math.max(1, count); k++) {
      const channels = sinks.map((_, channel) => channel).filter((channel) => count < 2 || channel % count === k);
      const setup: ChannelSetup = { method, level, exact, pageSize, module, channels, memories: shared, findZero };
      add(count < 2 ? await OwnLane.create(setup) : new ThreadLane(setup));
    }
  }

  private async next(idstr: string): Promise<void> {
    for (const way of this.ways) if (way.sending === undefined && way.lane.isBack) await this.write(way);
    const channel = this.turn;
    const way = this.ways[channel % this.ways.length]!;
    let room = way.lane.open();
    while (room === undefined) {
      if (way.sending === undefined) await this.write(way);
      await this.sent(way);
      room = way.lane.open();
    }
    const memory = way.lane.reads ? this.names.indexOf(idstr) : -1;
    this.reads = memory >= 0;
    this.findsZero = this.reads && this.options.findZero === true && way.lane instanceof ThreadLane;
    this.open = { way, room, packet: { channel, idstr, memory, packetNum: 0, pages: [], zero: [] } };
  }

  private publish(): void {
    const { open } = this;
    if (open === undefined) return;
    const { packet, way } = open;
    this.open = undefined;
    // Nothing was added: the space is given out again.
    if (packet.pages.length + packet.zero.length === 0) return;
    packet.packetNum = this.packets++;
    this.turn = (packet.channel + 1) % this.sinks.length;
    way.waiting.push(packet);
    way.lane.publish(packet);
  }

  /** Begins to write the oldest packet of a lane, when it is made. */
  private async write(way: Way): Promise<void> {
    await this.sent(way);
    const { pieces, zero } = await way.lane.taken();
    const packet = way.waiting.shift()!;
    const found = zero === undefined ? packet : divided(packet, zero);
    this.pages.normal += found.pages.length;
    this.pages.zero += found.zero.length;
    this.options.onPacket?.(found.pages.length, found.zero.length);
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
    const { channel, idstr, packetNum } = packet;
    const head = this.heads[channel]!.head({ idstr, packetNum, normal: found.pages, zero: found.zero }, length);
    const sending = this.send(channel, length === 0 ? [head] : [head, ...pieces]);
    // The error is for who waits for it.
    sending.catch(() => undefined);
    way.sending = sending;
  }

  /** Waits for what a lane sends. */
  private async sent(way: Way): Promise<void> {
    if (way.sending === undefined) return;
    await way.sending;
    way.sending = undefined;
    way.lane.release();
  }

  private async send(channel: number, pieces: readonly Uint8Array[]): Promise<void> {
    const sink = this.sinks[channel]!;
    for (const { length } of pieces) this.bytes += length;
    if (sink.gather !== undefined) return await sink.gather(pieces);
    const shared = pieces.some(({ buffer }) => buffer instanceof SharedArrayBuffer);
    for (const piece of shared ? [this.copy(channel, pieces)] : pieces) {
      const written = sink.write(piece);
      if (written !== undefined) await written;
    }
  }

  private copy(channel: number, pieces: readonly Uint8Array[]): Uint8Array {
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
    let room = this.copies[channel];
    if (room === undefined || room.length < length) room = this.copies[channel] = new Uint8Array(length);
    let at = 0;
    for (const piece of pieces) {
      room.set(piece, at);
      at += piece.length;
    }
    return room.subarray(0, length);
  }
}

function divided({ pages, zero: known }: Packet, zero: Uint8Array): { pages: number[]; zero: number[] } {
  const found = { pages: [] as number[], zero: [...known] };
  for (const [i, offset] of pages.entries()) (zero[i] === 1 ? found.zero : found.pages).push(offset);
  return found;
}
