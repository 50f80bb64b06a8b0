import { pagesPerPacket, payloadBound, payloadEncoder, type PayloadEncoder } from "../../codec/multifd/index.js";
import { ThreadPool, type Slot } from "../../io/threads/index.js";
import type { ChannelSetup } from "./channel-work.js";

/** Packets that a thread may have in hand; a power of two. */
const SLOTS = 4;

/** Where the payloads of some channels are made, one packet after the other. */
export interface Lane {
  /** Whether the oldest packet is finished. */
  readonly isBack: boolean;
  /** Space for the pages of a packet; undefined while all of it is in use. */
  open(): Uint8Array | undefined;
  /** Has the payload made of so many pages, which are in what `open` returned. */
  publish(channel: number, pages: number): void;
  /** The oldest packet's payload, valid until `release`. Errors: io. */
  taken(): Promise<Uint8Array>;
  release(): void;
  close(): Promise<void>;
}

/** A lane in this thread. */
export class OwnLane implements Lane {
  private readonly room: Uint8Array;
  private given: { channel: number; pages: number } | undefined;

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

  publish(channel: number, pages: number): void {
    this.given = { channel, pages };
  }

  taken(): Promise<Uint8Array> {
    const { channel, pages } = this.given!;
    const data = this.room.subarray(0, pages * this.pageSize);
    return Promise.resolve(pages === 0 ? data : (this.encoders.get(channel)?.encode(data) ?? data));
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
  private readonly pool: ThreadPool;
  private slot: Slot | undefined;
  private oldest: Slot | undefined;

  /** Starts the thread, without waiting for it. Errors: io. */
  constructor(setup: ChannelSetup) {
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

  publish(channel: number, pages: number): void {
    const slot = this.slot!;
    slot.source = channel;
    slot.count = pages;
    this.pool.publish(slot);
  }

  async taken(): Promise<Uint8Array> {
    this.oldest = await this.pool.taken();
    // Sinks take no shared memory.
    return this.oldest.output.slice(0, this.oldest.length);
  }

  release(): void {
    this.pool.release(this.oldest!);
  }

  close(): Promise<void> {
    return this.pool.close();
  }
}
