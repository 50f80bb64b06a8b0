import { payloadEncoder, type PayloadEncoder, type PayloadOptions } from "../../codec/multifd/index.js";
import type { Slot, SlotWork } from "../../io/threads/index.js";

/** Start data of a thread that makes the payloads of some multifd channels. */
export interface ChannelSetup extends PayloadOptions {
  pageSize: number;
  /** The channels whose streams this thread keeps. */
  channels: readonly number[];
}

/** Makes the payload of a packet: the pages are the slot's input, its channel is the slot's source. */
export class ChannelWork implements SlotWork {
  private constructor(
    private readonly encoders: ReadonlyMap<number, PayloadEncoder>,
    private readonly pageSize: number,
  ) {}

  /** Errors: as `payloadEncoder`. */
  static async create({ channels, ...options }: ChannelSetup): Promise<ChannelWork> {
    const encoders = new Map<number, PayloadEncoder>();
    for (const channel of channels) encoders.set(channel, (await payloadEncoder(options))!);
    return new ChannelWork(encoders, options.pageSize);
  }

  run(slot: Slot): void {
    slot.length = 0;
    // Only zero pages: no payload.
    if (slot.count === 0) return;
    const payload = this.encoders.get(slot.source)!.encode(slot.input.subarray(0, slot.count * this.pageSize));
    slot.output.set(payload);
    slot.length = payload.length;
  }
}
