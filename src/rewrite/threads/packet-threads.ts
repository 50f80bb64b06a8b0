import { availableParallelism } from "node:os";
import { QevmError } from "../../bytes/errors.js";
import {
  methodOf,
  pagesPerPacket,
  payloadBound,
  ramPacketLength,
  type ChannelItem,
  type MultifdMethod,
} from "../../codec/multifd/index.js";
import type { RamBlock } from "../../codec/ram/index.js";
import { ThreadPool, type Slot } from "../../io/threads/index.js";
import type { LoadSink } from "./load-sink.js";
import type { PacketSetup } from "./packet-work.js";

/** Packets that a thread may have in hand; a power of two. */
const SLOTS = 4;

type PagesItem = Extract<ChannelItem, { kind: "pages" }>;

/** A packet in a thread. */
interface Given {
  readonly slot: Slot;
  readonly block: RamBlock;
  readonly offset: number;
  readonly path: readonly string[];
}

interface Lane {
  readonly pool: ThreadPool;
  readonly given: Given[];
  /** Who waits for the lane, one after the other: channels are read side by side. */
  turn: Promise<void>;
}

/**
 * The multifd channels of a load: packets in, pages to a sink, into its memory where the threads can write to it. Each
 * channel's stream belongs to one thread. Memory: four packets a thread, and the state of each channel's stream.
 */
export class PacketThreads {
  private readonly methods: MultifdMethod[] = [];

  private constructor(
    private readonly sink: LoadSink,
    private readonly lanes: readonly Lane[],
    /** By block index: the index of its memory in the threads. */
    private readonly memories: ReadonlyMap<number, number>,
    private readonly pageSize: number,
  ) {}

  /** @param channels how many there are; @param threads at most that many. Errors: usage, io. */
  static start(
    sink: LoadSink,
    blocks: readonly RamBlock[],
    {
      channels,
      threads = availableParallelism(),
      pageSize,
    }: { channels: number; threads?: number | undefined; pageSize: number },
  ): PacketThreads {
    const memories = new Map<number, number>();
    const lent: SharedArrayBuffer[] = [];
    for (const block of blocks) {
      const memory = sink.memory?.(block);
      if (memory !== undefined) memories.set(block.index, lent.push(memory) - 1);
    }
    const capacity = pagesPerPacket(pageSize);
    const size = capacity * pageSize;
    const data: PacketSetup = { pageSize, memories: lent };
    const lanes = Array.from({ length: Math.min(channels, threads) }, (): Lane => {
      const shape = { slots: SLOTS, capacity, input: payloadBound(size), output: size };
      const pool = ThreadPool.begin({ threads: 1, shape, script: new URL("packet-worker.js", import.meta.url), data });
      return { pool, given: [], turn: Promise.resolve() };
    });
    return new PacketThreads(sink, lanes, memories, pageSize);
  }

  /**
   * Adds the pages of a packet; its payload is copied before the promise resolves. Errors: as `ChannelPages.open`, of
   * this packet or an earlier one of the channel.
   */
  async add(item: PagesItem, block: RamBlock, channel: number, path: readonly string[]): Promise<void> {
    const { sink, pageSize } = this;
    const { packet, payload } = item;
    const { normalPages: normal, zeroPages, offsets } = packet;
    for (let k = normal; k < normal + zeroPages; k++) sink.zero(block, Number(offsets[k]), pageSize);
    if (normal === 0) return;
    this.checkMethod(item, channel, path);
    const lane = this.lanes[channel % this.lanes.length]!;
    const before = lane.turn;
    const done: (() => void)[] = [];
    lane.turn = new Promise((resolve) => {
      done.push(resolve);
    });
    try {
      await before;
      while (lane.pool.isBack || lane.pool.open() === undefined) await this.retire(lane);
      const slot = lane.pool.open()!;
      const memory = this.memories.get(block.index) ?? -1;
      slot.tag = channel;
      slot.source = memory;
      slot.count = normal;
      slot.input.set(payload);
      slot.lengths[0] = payload.length;
      slot.flags[0] = packet.flags;
      for (let k = 0; k < normal; k++) {
        const offset = Number(offsets[k]);
        slot.setWord(k, offset, 0);
        if (memory >= 0) sink.willWrite?.(block, offset, pageSize);
      }
      lane.given.push({ slot, block, offset: item.offset + ramPacketLength(pageSize), path });
      lane.pool.publish(slot);
    } finally {
      done[0]!();
    }
  }

  /** Resolves when all pages were applied. Errors: as `add`. */
  async flush(): Promise<void> {
    for (const lane of this.lanes) while (lane.given.length > 0) await this.retire(lane);
  }

  /** Ends the threads. Packets that were not flushed are lost. */
  async close(): Promise<void> {
    await Promise.all(this.lanes.map(async ({ pool }) => await pool.close()));
  }

  private async retire({ pool, given }: Lane): Promise<void> {
    const { slot, block, offset, path } = given.shift()!;
    try {
      await pool.taken();
    } catch (error) {
      if (!(error instanceof QevmError) || error.offset !== undefined) throw error;
      const { code, what, expected, found } = error;
      throw new QevmError(code, what, { offset, path, expected, found, cause: error });
    }
    const { sink, pageSize } = this;
    if (slot.source < 0) {
      for (let k = 0; k < slot.count; k++) {
        sink.write(block, slot.offset(k, pageSize), slot.output.subarray(k * pageSize, (k + 1) * pageSize));
      }
    }
    pool.release(slot);
  }

  /** Errors: bad-value where the method changes within a channel; unsupported. */
  private checkMethod({ packet, offset }: PagesItem, channel: number, path: readonly string[]): void {
    const method = methodOf(packet.flags)!;
    const before = (this.methods[channel] ??= method);
    if (before !== method) {
      const place = { offset: offset + 8, path, expected: before, found: method };
      throw new QevmError("bad-value", "compression method changes inside a channel", place);
    }
    if (method === "qatzip")
      throw new QevmError("unsupported", `no codec opens the ${method} payload`, { offset, path });
  }
}
