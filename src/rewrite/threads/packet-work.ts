import { methodOf, payloadDecoder, type PayloadDecoder } from "../../codec/multifd/index.js";
import { QevmError } from "../../bytes/errors.js";
import type { Slot } from "../../io/threads/index.js";

/** Start data of a thread that decodes the packets of some multifd channels. */
export interface PacketSetup {
  pageSize: number;
  /** Memories that pages are written to; a slot's `source` is the index, -1 its output. */
  memories: readonly SharedArrayBuffer[];
  /** The compiled page engine; undefined where its file is missing. */
  module?: WebAssembly.Module | undefined;
}

/**
 * Decodes a packet's payload: `lengths[0]` bytes of the slot's input from `starts[0]` on, in the method of the packet's
 * flags, which are `flags[0]`, of the channel that is the slot's tag.
 */
export class PacketWork {
  private readonly decoders = new Map<number, PayloadDecoder>();
  private readonly memories: readonly Uint8Array[];
  private readonly room: Uint8Array;
  private own: Uint8Array = new Uint8Array(0);

  constructor(
    private readonly setup: PacketSetup,
    capacity: number,
  ) {
    this.memories = setup.memories.map((memory) => new Uint8Array(memory));
    this.room = new Uint8Array(capacity * setup.pageSize);
  }

  /** A copy in memory of this thread: the decoder takes it in parts, from wherever they begin. */
  private payloadOf({ input, starts, lengths }: Slot): Uint8Array {
    const start = starts[0]!;
    const end = start + lengths[0]!;
    if (this.own.length < end) this.own = new Uint8Array(Math.max(end, 2 * this.own.length));
    const { own } = this;
    own.set(input.subarray(start, end), start);
    return own.subarray(start, end);
  }

  /** Errors: those of the decoder. */
  async run(slot: Slot): Promise<void> {
    const { pageSize, module } = this.setup;
    const { count, tag } = slot;
    let decoder = this.decoders.get(tag);
    if (decoder === undefined) {
      decoder = await payloadDecoder(methodOf(slot.flags[0]!)!, pageSize, module);
      if (decoder === undefined) throw new QevmError("unsupported", "no codec opens this payload");
      this.decoders.set(tag, decoder);
    }
    const pages = decoder.decode(this.payloadOf(slot), this.room.subarray(0, count * pageSize));
    const memory = this.memories[slot.source];
    if (memory === undefined) {
      slot.output.set(pages);
      return;
    }
    for (let i = 0; i < count;) {
      const first = i;
      const start = slot.offset(first, pageSize);
      while (i < count && slot.offset(i, pageSize) === start + (i - first) * pageSize) i++;
      memory.set(pages.subarray(first * pageSize, i * pageSize), start);
    }
  }
}
