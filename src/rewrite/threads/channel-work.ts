import { isZero } from "../../bytes/zero.js";
import type { PayloadEncoder } from "../../codec/multifd/payload-decoder.js";
import { payloadEncoder, type PayloadOptions } from "../../codec/multifd/payload-encoder.js";
import { aligned, type Slot, type SlotWork } from "../../io/threads/index.js";
import type { SharedMemory } from "./compress-work.js";

/** Start data of a thread that makes the payloads of some multifd channels. */
export interface ChannelSetup extends PayloadOptions {
  pageSize: number;
  /** The channels whose streams this thread keeps. */
  channels: readonly number[];
  /** Memories that pages are read from; a slot's `source` is the index, -1 its input. */
  memories: readonly SharedMemory[];
  /** Leave out all-zero pages of these memories, and mark them in the slot's `flags`. */
  findZero: boolean;
}

/**
 * Makes the payload of a packet, whose channel is the slot's tag. Pages of a memory are copied before they are looked
 * at: the guest may write them meanwhile.
 */
export class ChannelWork implements SlotWork {
  private readonly pageSize: number;
  private readonly findZero: boolean;
  private readonly memories: readonly Uint8Array[];
  private readonly room: Uint8Array;

  private constructor(
    private readonly encoders: ReadonlyMap<number, PayloadEncoder>,
    { pageSize, memories, findZero }: ChannelSetup,
    capacity: number,
  ) {
    this.memories = memories.map(({ buffer, start, length }) => new Uint8Array(buffer, start, length));
    this.pageSize = pageSize;
    this.findZero = findZero;
    this.room = new Uint8Array(memories.length === 0 ? 0 : capacity * pageSize);
  }

  /** Errors: as `payloadEncoder`. */
  static async create(setup: ChannelSetup, capacity: number): Promise<ChannelWork> {
    const encoders = new Map<number, PayloadEncoder>();
    for (const channel of setup.channels) encoders.set(channel, (await payloadEncoder(setup))!);
    return new ChannelWork(encoders, setup, capacity);
  }

  run(slot: Slot): void {
    slot.length = 0;
    slot.starts[0] = 0;
    const encoder = this.encoders.get(slot.tag)!;
    const memory = this.memories[slot.source];
    const pages = memory === undefined ? this.given(slot) : this.copied(slot, memory, encoder);
    // Only zero pages: no payload.
    if (pages.length === 0) return;
    const payload = encoder.encode(pages);
    const start = aligned(payload);
    slot.output.set(payload, start);
    slot.starts[0] = start;
    slot.length = payload.length;
  }

  private given(slot: Slot): Uint8Array {
    return slot.input.subarray(0, slot.count * this.pageSize);
  }

  private copied(slot: Slot, memory: Uint8Array, encoder: PayloadEncoder): Uint8Array {
    const { pageSize, findZero } = this;
    const { count, flags } = slot;
    const room = encoder.room?.(count * pageSize) ?? this.room;
    let used = 0;
    for (let i = 0; i < count; i++) {
      const offset = slot.offset(i, pageSize);
      room.set(memory.subarray(offset, offset + pageSize), used);
      const zero = findZero && isZero(room, used, used + pageSize);
      flags[i] = zero ? 1 : 0;
      if (!zero) used += pageSize;
    }
    return room.subarray(0, used);
  }
}
