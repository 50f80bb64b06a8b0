import { Diagnostics, QevmError } from "../../bytes/errors.js";
import type { ChannelItem } from "./channel-reader.js";
import { methodOf, type MultifdMethod } from "./flags.js";
import { payloadDecoder } from "./payload.js";
import type { PayloadDecoder } from "./payload-decoder.js";

/** The pages of one packet; valid until the next packet is opened. */
export interface PacketPages {
  readonly idstr: string;
  /** Offsets of the pages in their block in bytes, in the order of `data`; none where lenient mode left them out. */
  readonly normal: readonly bigint[];
  /** Offsets of all-zero pages. */
  readonly zero: readonly bigint[];
  /** The normal pages one after the other; undefined where no codec here supports the method. */
  readonly data: Uint8Array | undefined;
}

/** Decodes the packets of one channel in order. */
export class ChannelPages {
  /** The method of the packets so far; undefined until a packet had pages. */
  method: MultifdMethod | undefined;
  private decoder: PayloadDecoder | undefined;
  private room: Uint8Array = new Uint8Array(0);

  /** A payload was damaged, and those behind it refer to it. */
  private lost = false;

  constructor(
    private readonly pageSize: number,
    private readonly diagnostics = new Diagnostics(),
  ) {}

  /**
   * Errors: bad-compressed-data, bad-length with the payload's offset (lenient mode leaves out the pages of this
   * packet, and of all behind it where the method keeps state); bad-value where the method changes within a channel.
   */
  async open(item: Extract<ChannelItem, { kind: "pages" }>, path: readonly string[]): Promise<PacketPages> {
    const { packet, payload } = item;
    const { idstr, normalPages, zeroPages, offsets } = packet;
    const normal = offsets.slice(0, normalPages);
    const zero = offsets.slice(normalPages, normalPages + zeroPages);
    if (normalPages === 0) return { idstr, normal, zero, data: this.room.subarray(0, 0) };
    await this.choose(methodOf(packet.flags)!, item.offset, path);
    const length = normalPages * this.pageSize;
    if (this.room.length < length) this.room = new Uint8Array(length);
    const offset = item.payloadOffset;
    try {
      if (this.lost) throw new QevmError("bad-compressed-data", "a payload behind a damaged one of its channel");
      return { idstr, normal, zero, data: this.decoder?.decode(payload, this.room.subarray(0, length)) };
    } catch (error) {
      if (!(error instanceof QevmError)) throw error;
      const { expected, found } = error;
      this.diagnostics.anomaly(new QevmError(error.code, error.what, { offset, path, expected, found, cause: error }));
      this.lost = this.method === "zlib" || this.method === "zstd";
      return { idstr, normal: [], zero, data: this.room.subarray(0, 0) };
    }
  }

  private async choose(method: MultifdMethod, offset: number, path: readonly string[]): Promise<void> {
    if (this.method === method) return;
    if (this.method !== undefined) {
      const place = { offset: offset + 8, path, expected: this.method, found: method };
      throw new QevmError("bad-value", "compression method changes inside a channel", place);
    }
    this.method = method;
    this.decoder = await payloadDecoder(method, this.pageSize);
  }
}
