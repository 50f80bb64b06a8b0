import { QevmError } from "../../bytes/errors.js";
import { flagOf, MultifdFlag } from "./flags.js";
import { encodeInitPacket, MULTIFD_MAGIC, MULTIFD_VERSION } from "./init-packet.js";
import { encodeRamPacket, pagesPerPacket, type RamPacket } from "./ram-packet.js";
import { payloadEncoder, type WrittenMethod } from "./payload.js";
import type { PayloadEncoder } from "./payload-decoder.js";

/** How the packets of a multifd channel are made. */
export interface ChannelEncoderOptions {
  /** Channel id, from 0. */
  channel: number;
  /** Default none. */
  method?: WrittenMethod | undefined;
  /** zlib: 0 to 9; zstd: 1 to 20. Default 1. */
  level?: number | undefined;
  /** Target page size in bytes. Default 4096. */
  pageSize?: number | undefined;
  /** 16 bytes. A destination refuses another VM's UUID. Default: zeros, a VM without UUID. */
  uuid?: Uint8Array | undefined;
}

/** The pages of one packet: all of one block, at most P. */
export interface WrittenPages {
  idstr: string;
  /** Packet number, counted over all channels. */
  packetNum: number;
  /** Offsets of the pages in their block in bytes, in the order of `data`. */
  normal: readonly number[];
  data: Uint8Array;
  /** Offsets of all-zero pages, for destinations of 9.0 and later. */
  zero: readonly number[];
}

/**
 * Encodes pages as the packets of one channel, in a form that a real destination accepts. `encodeChannelItem` writes
 * packets with any field values, valid or not.
 *
 * Source: QEMU migration/multifd.c multifd_send_fill_packet (4.0 to 11.1).
 */
export class ChannelEncoder {
  private readonly pageSize: number;
  private readonly flag: number;

  private constructor(
    private readonly options: ChannelEncoderOptions,
    private readonly stream: PayloadEncoder | undefined,
  ) {
    const { method = "none", pageSize = 4096 } = options;
    this.pageSize = pageSize;
    this.flag = flagOf(method);
  }

  /** Errors: as `payloadEncoder`. */
  static async create(options: ChannelEncoderOptions): Promise<ChannelEncoder> {
    const { method = "none", level, pageSize = 4096 } = options;
    return new ChannelEncoder(options, await payloadEncoder(method, level, pageSize));
  }

  /** The initial packet of the channel. */
  init(): Uint8Array {
    const { channel, uuid = new Uint8Array(16) } = this.options;
    return encodeInitPacket({
      magic: MULTIFD_MAGIC,
      version: MULTIFD_VERSION,
      uuid,
      channel,
      unused: new Uint8Array(39),
    });
  }

  /** A packet and its payload. Errors: does-not-fit. */
  pages({ idstr, packetNum, normal, data, zero }: WrittenPages): [head: Uint8Array, payload: Uint8Array] {
    const { pageSize } = this;
    const room = pagesPerPacket(pageSize);
    if (normal.length + zero.length > room || data.length !== normal.length * pageSize || idstr.length > 255) {
      throw new QevmError("does-not-fit", "pages of a multifd packet", {
        expected: `at most ${room} pages of one block, and the bytes of the normal ones`,
        found: `${normal.length} and ${zero.length} zero ones, ${data.length} bytes`,
      });
    }
    const payload = normal.length === 0 || this.stream === undefined ? data : this.stream.encode(data);
    const offsets = [...normal, ...zero].map(BigInt);
    const packet: Partial<RamPacket> = { flags: this.flag, normalPages: normal.length, zeroPages: zero.length, idstr };
    return [this.head({ ...packet, nextPacketSize: payload.length, offsets }, packetNum), payload];
  }

  /** The SYNC packet that matches a flush mark in the main stream. */
  sync(packetNum: number): Uint8Array {
    return this.head({ flags: MultifdFlag.SYNC }, packetNum);
  }

  private head(packet: Partial<RamPacket>, packetNum: number): Uint8Array {
    const room = pagesPerPacket(this.pageSize);
    const { offsets = [] } = packet;
    return encodeRamPacket({
      magic: MULTIFD_MAGIC,
      version: MULTIFD_VERSION,
      flags: 0,
      pagesAlloc: room,
      normalPages: 0,
      nextPacketSize: 0,
      zeroPages: 0,
      unused: [0, 0, 0, 0, 0, 0, 0],
      idstr: "",
      idstrRest: new Uint8Array(0),
      ...packet,
      packetNum: BigInt(packetNum),
      offsets: [...offsets, ...Array.from({ length: room - offsets.length }, () => 0n)],
    });
  }
}
