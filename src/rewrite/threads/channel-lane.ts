import { pagesPerPacket, payloadBound, payloadEncoder, type PayloadEncoder } from "../../codec/multifd/index.js";
import { ThreadPool, type Slot } from "../../io/threads/index.js";
import type { ChannelSetup } from "./channel-work.js";
import type { SharedMemory } from "./compress-work.js";

/** Packets that a thread may have in hand; a power of two. */
const SLOTS = 4;

/** A packet as it is given to a lane. */
export interface LanePacket {
  readonly channel: number;
  /** The memory that its pages are read from, by index; -1: they are in the lane's space. */
  readonly memory: number;
  /** Offsets of its pages in their block, without those that are known to be zero. */
  readonly pages: readonly number[];
}

/** What a lane has made of a packet. */
export interface LanePayload {
  /** The payload, one piece after the other; may be in shared memory. */
  readonly pieces: readonly Uint8Array[];
  /** 1 for each page that was left out, for it is zero; undefined: none was. */
  readonly zero?: Uint8Array | undefined;
}

/** Where the payloads of some channels are made, one packet after the other. */
export interface Lane {
  /** Whether it can read pages of a memory. */
  readonly reads: boolean;
  /** Whether the oldest packet is finished. */
  readonly isBack: boolean;
  /** Space for the pages of a packet; undefined while all of it is in use. */
  open(): Uint8Array | undefined;
  /** Has the payload made. */
  publish(packet: LanePacket): void;
  /** The oldest packet's payload, valid until `release`. Errors: io. */
  taken(): Promise<LanePayload>;
  release(): void;
  close(): Promise<void>;
}

/** A lane in this thread, which compresses. */
export class OwnLane implements Lane {
  readonly reads = false;
  private readonly room: Uint8Array;
  private given: LanePacket | undefined;

  private constructor(
    private readonly encoders: ReadonlyMap<number, PayloadEncoder | undefined>,
    private readonly pageSize: number,
  ) {
    this.room = new Uint8Array(pagesPerPacket(pageSize) * pageSize);
  }

  /** Errors: as `payloadEncoder`. */
  static async create({ channels, ...options }: ChannelSetup): Promise<OwnLane> {
    const encoders = new Map<number, PayloadEncoder | undefined>();
    for (const channel of channels) encoders.set(channel, await payloadEncoder(options));
    return new OwnLane(encoders, options.pageSize);
  }

  get isBack(): boolean {
    return this.given !== undefined;
  }

  open(): Uint8Array | undefined {
    return this.given === undefined ? this.room : undefined;
  }

  publish(packet: LanePacket): void {
    this.given = packet;
  }

  taken(): Promise<LanePayload> {
    const { channel, pages } = this.given!;
    const data = this.room.subarray(0, pages.length * this.pageSize);
    const made = pages.length === 0 ? data : (this.encoders.get(channel)?.encode(data) ?? data);
    return Promise.resolve({ pieces: [made] });
  }

  release(): void {
    this.given = undefined;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** The lane of a channel without compression: pages of a memory are sent from where they are. */
export class PlainLane implements Lane {
  readonly reads = true;
  private readonly memories: readonly Uint8Array[];
  private room: Uint8Array | undefined;
  private given: LanePacket | undefined;

  constructor(
    private readonly pageSize: number,
    memories: readonly SharedMemory[],
  ) {
    this.memories = memories.map(({ buffer, start, length }) => new Uint8Array(buffer, start, length));
  }

  get isBack(): boolean {
    return this.given !== undefined;
  }

  open(): Uint8Array | undefined {
    this.room ??= new Uint8Array(pagesPerPacket(this.pageSize) * this.pageSize);
    return this.given === undefined ? this.room : undefined;
  }

  publish(packet: LanePacket): void {
    this.given = packet;
  }

  taken(): Promise<LanePayload> {
    const { pageSize } = this;
    const { memory, pages } = this.given!;
    const bytes = this.memories[memory];
    if (bytes === undefined) return Promise.resolve({ pieces: [this.room!.subarray(0, pages.length * pageSize)] });
    const pieces: Uint8Array[] = [];
    for (let i = 0; i < pages.length;) {
      const start = pages[i]!;
      let end = start;
      while (pages[i] === end) {
        end += pageSize;
        i++;
      }
      pieces.push(bytes.subarray(start, end));
    }
    return Promise.resolve({ pieces });
  }

  release(): void {
    this.given = undefined;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** A lane in a thread of its own, for the state of a channel's stream cannot move. */
export class ThreadLane implements Lane {
  readonly reads = true;
  private readonly pool: ThreadPool;
  private slot: Slot | undefined;
  private oldest: Slot | undefined;

  /** Starts the thread, without waiting for it. Errors: io. */
  constructor(private readonly setup: ChannelSetup) {
    const capacity = pagesPerPacket(setup.pageSize);
    const input = capacity * setup.pageSize;
    this.pool = ThreadPool.begin({
      threads: 1,
      shape: { slots: SLOTS, capacity, input, output: payloadBound(input) },
      script: new URL("channel-worker.js", import.meta.url),
      data: setup,
    });
  }

  get isBack(): boolean {
    return this.pool.isBack;
  }

  open(): Uint8Array | undefined {
    this.slot = this.pool.open();
    return this.slot?.input;
  }

  publish({ channel, memory, pages }: LanePacket): void {
    const slot = this.slot!;
    slot.tag = channel;
    slot.source = memory;
    slot.count = pages.length;
    if (memory >= 0) for (const [i, offset] of pages.entries()) slot.setWord(i, offset, 0);
    this.pool.publish(slot);
  }

  async taken(): Promise<LanePayload> {
    const slot = await this.pool.taken();
    this.oldest = slot;
    const zero = slot.source >= 0 && this.setup.findZero ? slot.flags : undefined;
    const start = slot.starts[0]!;
    return { pieces: [slot.output.subarray(start, start + slot.length)], zero };
  }

  release(): void {
    this.pool.release(this.oldest!);
  }

  close(): Promise<void> {
    return this.pool.close();
  }
}
