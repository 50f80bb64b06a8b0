import { availableParallelism } from "node:os";
import { QevmError } from "../../bytes/errors.js";
import {
  methodOf,
  pagesPerPacket,
  payloadBound,
  ramPacketLength,
  type ChannelItem,
  type MultifdMethod,
  type RamPacket,
} from "../../codec/multifd/index.js";
import type { RamBlock } from "../../codec/ram/index.js";
import { loadPageModule } from "../../engine/page-module.js";
import { aligned, ThreadPool, type Slot } from "../../io/threads/index.js";
import { FreshMemory } from "./fresh-memory.js";
import type { LoadSink } from "./load-sink.js";
import type { PacketSetup } from "./packet-work.js";

/** Packets that a thread may have in hand; a power of two. */
const SLOTS = 8;
/** Of these, how many have to come back after the oldest before a full lane goes on: to wake a thread takes 26 us. */
const AHEAD = 4;

type PagesItem = Extract<ChannelItem, { kind: "pages" }>;

/** A packet in a thread. */
interface Given {
  readonly slot: Slot;
  readonly block: RamBlock;
  readonly offset: number;
  readonly path: readonly string[];
}

interface Lane {
  /** Begun at its first packet. */
  pool: ThreadPool | undefined;
  readonly given: Given[];
  /** Who waits for the lane, one after the other: channels are read side by side. */
  turn: Promise<void>;
}

/** A block's memory. */
interface Memory {
  /** Its index in the threads. */
  readonly index: number;
  readonly bytes: Uint8Array;
}

/**
 * The multifd channels of a load: packets in, pages to a sink, into its memory where the threads can write to it. Each
 * channel's stream belongs to one thread; pages without compression are read to where they belong, without a thread.
 * Memory: four packets a thread, and the state of each channel's stream.
 */
export class PacketThreads {
  /** Told of reads to where `place` said. */
  readonly fresh: FreshMemory;
  private readonly methods: MultifdMethod[] = [];

  private constructor(
    private readonly sink: LoadSink,
    private readonly lanes: readonly Lane[],
    /** By block index. */
    private readonly memories: ReadonlyMap<number, Memory>,
    private readonly pageSize: number,
  ) {
    this.fresh = new FreshMemory(lanes.length);
  }

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
    const memories = new Map<number, Memory>();
    for (const block of blocks) {
      const memory = sink.memory?.(block);
      if (memory !== undefined) memories.set(block.index, { index: memories.size, bytes: new Uint8Array(memory) });
    }
    const lanes = Array.from({ length: Math.min(channels, threads) }, (): Lane => {
      return { pool: undefined, given: [], turn: Promise.resolve() };
    });
    return new PacketThreads(sink, lanes, memories, pageSize);
  }

  /**
   * Where the pages of a packet without compression belong; undefined where the sink does not share its memory, or
   * where threads write it sooner.
   */
  place({ offsets, normalPages }: RamPacket, block: RamBlock): Uint8Array[] | undefined {
    const { sink, pageSize } = this;
    const bytes = this.memories.get(block.index)?.bytes;
    if (bytes === undefined || this.fresh.isExpensive) return undefined;
    const pieces: Uint8Array[] = [];
    for (let k = 0; k < normalPages;) {
      const start = Number(offsets[k]);
      let end = start;
      for (; k < normalPages && Number(offsets[k]) === end; k++) end += pageSize;
      sink.willWrite?.(block, start, end - start);
      pieces.push(bytes.subarray(start, end));
    }
    return pieces;
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
    if (item.placed === true) return;
    const lane = this.lanes[channel % this.lanes.length]!;
    if (lane.pool === undefined) {
      const module = await loadPageModule().catch(() => undefined);
      lane.pool ??= this.begin(module);
    }
    const { pool } = lane;
    const before = lane.turn;
    const done: (() => void)[] = [];
    lane.turn = new Promise((resolve) => {
      done.push(resolve);
    });
    try {
      await before;
      while (pool.isBack || pool.open() === undefined) await this.retire(pool, lane.given);
      const slot = pool.open()!;
      const memory = this.memories.get(block.index)?.index ?? -1;
      slot.tag = channel;
      slot.source = memory;
      slot.count = normal;
      const start = aligned(payload);
      slot.input.set(payload, start);
      slot.starts[0] = start;
      slot.lengths[0] = payload.length;
      slot.flags[0] = packet.flags;
      for (let k = 0; k < normal; k++) {
        const offset = Number(offsets[k]);
        slot.setWord(k, offset, 0);
        if (memory >= 0) sink.willWrite?.(block, offset, pageSize);
      }
      lane.given.push({ slot, block, offset: item.offset + ramPacketLength(pageSize), path });
      pool.publish(slot);
    } finally {
      done[0]!();
    }
  }

  /** Resolves when all pages were applied. Errors: as `add`. */
  async flush(): Promise<void> {
    for (const { pool, given } of this.lanes) while (given.length > 0) await this.retire(pool!, given, SLOTS);
  }

  /** Ends the threads. Packets that were not flushed are lost. */
  async close(): Promise<void> {
    await Promise.all(this.lanes.map(async ({ pool }) => await pool?.close()));
  }

  private begin(module: WebAssembly.Module | undefined): ThreadPool {
    const { pageSize, memories } = this;
    const capacity = pagesPerPacket(pageSize);
    const size = capacity * pageSize;
    const lent = Array.from(memories.values(), ({ bytes }) => bytes.buffer as SharedArrayBuffer);
    const data: PacketSetup = { pageSize, memories: lent, module };
    const shape = { slots: SLOTS, capacity, input: payloadBound(size), output: size };
    return ThreadPool.begin({ threads: 1, shape, script: new URL("packet-worker.js", import.meta.url), data });
  }

  /** @param ahead as of `ThreadPool.take` */
  private async retire(pool: ThreadPool, given: Given[], ahead = AHEAD): Promise<void> {
    const { slot, block, offset, path } = given.shift()!;
    try {
      await pool.taken(ahead);
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
