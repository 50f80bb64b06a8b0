import { QevmError } from "../../bytes/errors.js";
import { flagOf, MultifdFlag } from "./flags.js";
import { encodeInitPacket, MULTIFD_MAGIC, MULTIFD_VERSION } from "./init-packet.js";
import { payloadEncoder, type WrittenMethod } from "./payload-encoder.js";
import type { PayloadEncoder } from "./payload-decoder.js";
import { encodePlacedPacket, pagesPerPacket, type RamPacket } from "./ram-packet.js";

/** How the packets of a multifd channel are made. */
export interface ChannelEncoderOptions {
  /** Channel id, from 0. */
  channel: number;
  /** Default none. */
  method?: WrittenMethod | undefined;
  /** zlib: 0 to 9; zstd: 1 to 20. Default 1. */
  level?: number | undefined;
  /** zlib: the bytes of QEMU's zlib; several times slower. Other levels than 1 have them anyway. Default false. */
  exact?: boolean | undefined;
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
 * The packets of one channel without their payloads.
 *
 * Source: QEMU migration/multifd.c multifd_send_fill_packet (4.0 to 11.1).
 */
export class ChannelPackets {
  readonly pageSize: number;
  private readonly flag: number;

  constructor(private readonly options: ChannelEncoderOptions) {
    const { method = "none", pageSize = 4096 } = options;
    this.pageSize = pageSize;
    this.flag = flagOf(method);
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

  /** The head of a packet with a payload of so many bytes. Errors: does-not-fit. */
  head({ idstr, packetNum, normal, zero }: Omit<WrittenPages, "data">, length: number): Uint8Array {
    const room = pagesPerPacket(this.pageSize);
    if (normal.length + zero.length > room || idstr.length > 255) {
      throw new QevmError("does-not-fit", "pages of a multifd packet", {
        expected: `at most ${room} pages of one block`,
        found: `${normal.length} and ${zero.length} zero ones`,
      });
    }
    const packet = { flags: this.flag, normalPages: normal.length, zeroPages: zero.length, idstr };
    return this.packet({ ...packet, nextPacketSize: length }, packetNum, [...normal, ...zero]);
  }

  /** The SYNC packet that matches a flush mark in the main stream. */
  sync(packetNum: number): Uint8Array {
    return this.packet({ flags: MultifdFlag.SYNC }, packetNum);
  }

  private packet(
    packet: Partial<Omit<RamPacket, "offsets">>,
    packetNum: number,
    offsets: readonly number[] = [],
  ): Uint8Array {
    const { pageSize } = this;
    const fields = {
      magic: MULTIFD_MAGIC,
      version: MULTIFD_VERSION,
      flags: 0,
      pagesAlloc: pagesPerPacket(pageSize),
      normalPages: 0,
      nextPacketSize: 0,
      zeroPages: 0,
      unused: [0, 0, 0, 0, 0, 0, 0],
      idstr: "",
      idstrRest: new Uint8Array(0),
      ...packet,
      packetNum: BigInt(packetNum),
    };
    return encodePlacedPacket(fields, offsets, pageSize);
  }
}

/**
 * Encodes pages as the packets of one channel, in a form that a real destination accepts. `encodeChannelItem` writes
 * packets with any field values, valid or not.
 */
export class ChannelEncoder {
  private constructor(
    private readonly packets: ChannelPackets,
    private readonly stream: PayloadEncoder | undefined,
  ) {}

  /** Errors: usage; io, where a WebAssembly file is missing; limit, where there is no memory for the level. */
  static async create(options: ChannelEncoderOptions): Promise<ChannelEncoder> {
    return new ChannelEncoder(new ChannelPackets(options), await payloadEncoder(options));
  }

  /** The initial packet of the channel. */
  init(): Uint8Array {
    return this.packets.init();
  }

  /** A packet and its payload, which is valid until the next one. Errors: does-not-fit. */
  pages(pages: WrittenPages): [head: Uint8Array, payload: Uint8Array] {
    const { normal, data } = pages;
    if (data.length !== normal.length * this.packets.pageSize) {
      throw new QevmError("does-not-fit", "pages of a multifd packet", {
        expected: `the bytes of ${normal.length} pages`,
        found: `${data.length} bytes`,
      });
    }
    const payload = normal.length === 0 || this.stream === undefined ? data : this.stream.encode(data);
    return [this.packets.head(pages, payload.length), payload];
  }

  /** The SYNC packet that matches a flush mark in the main stream. */
  sync(packetNum: number): Uint8Array {
    return this.packets.sync(packetNum);
  }
}
