import { Diagnostics, hex, QevmError, type ErrorCode } from "../../bytes/errors.js";
import { QemuFileReader } from "../../bytes/reader.js";
import type { ByteSource } from "../../bytes/source.js";
import { decodeDevicePacket, DEVICE_PACKET_LENGTH, type DevicePacket } from "./device-packet.js";
import { KNOWN_FLAGS, methodOf, MultifdFlag } from "./flags.js";
import { checkMagic, decodeInitPacket, INIT_LENGTH, type InitPacket } from "./init-packet.js";
import { payloadBound } from "./payload-encoder.js";
import { decodeRamPacket, pagesPerPacket, ramPacketLength, type RamPacket } from "./ram-packet.js";

/** An item of a channel. Views are valid until the next item is requested; `payloadOffset` is absolute. */
export type ChannelItem =
  | { kind: "init"; offset: number; init: InitPacket }
  | {
      kind: "pages";
      offset: number;
      packet: RamPacket;
      payloadOffset: number;
      /** Empty where the pages are `placed`. */
      payload: Uint8Array;
      /** @internal The pages were read to where `ChannelOptions.place` said. */
      placed?: boolean;
    }
  | { kind: "device-state"; offset: number; packet: DevicePacket; payloadOffset: number; payload: Uint8Array };

/** What a multifd channel relies on of its main stream, and how it is read. */
export interface ChannelOptions {
  /** Target page size in bytes. Default 4096. */
  pageSize?: number | undefined;
  /** Report anomalies as warnings. Default: throw them. */
  lenient?: boolean | undefined;
  /** The blocks that the main channel announced, by name. If given, names and offsets are checked. */
  block?: ((idstr: string) => { readonly usedLength: number } | undefined) | undefined;
  /** Maximum size of one device-state packet in bytes. */
  deviceBytes?: number | undefined;
  /**
   * @internal Where the pages of a packet without compression go, in pieces of as many bytes as its pages have, which
   * are then read there and nowhere else; undefined: they are the item's payload.
   */
  place?: ((packet: RamPacket) => readonly Uint8Array[] | undefined) | undefined;
  /** Bytes requested from the source at a time. */
  bufferSize?: number | undefined;
}

const DEVICE_BYTES = 256 << 20;

/**
 * Reads one multifd channel packet by packet. Memory is bounded by the largest packet. An end between two packets is a
 * clean end.
 *
 * Source: QEMU migration/multifd.c multifd_recv_thread (4.0 to 11.1).
 */
export class ChannelReader implements AsyncIterable<ChannelItem> {
  readonly diagnostics: Diagnostics;
  readonly pageSize: number;
  private readonly reader: QemuFileReader;
  private packets = 0;

  constructor(
    source: ByteSource,
    private readonly options: ChannelOptions = {},
  ) {
    this.diagnostics = new Diagnostics({ lenient: options.lenient ?? false });
    this.pageSize = options.pageSize ?? 4096;
    const { bufferSize } = options;
    this.reader = new QemuFileReader(source, bufferSize === undefined ? {} : { bufferSize });
  }

  /** Absolute offset of the next byte. */
  get offset(): number {
    return this.reader.offset;
  }

  /** Path of the current packet, for errors about its payload. */
  get path(): string[] {
    return [...this.reader.path, ...(this.packets === 0 ? [] : [`packet ${this.packets - 1}`])];
  }

  /** Lenient: a truncated channel ends with a warning. */
  async *[Symbol.asyncIterator](): AsyncGenerator<ChannelItem> {
    try {
      yield await this.init();
      while (await this.reader.fill(1)) yield await this.packet();
    } catch (error) {
      if (!this.diagnostics.lenient || !(error instanceof QevmError) || error.code !== "truncated") throw error;
      this.diagnostics.passOver(error);
    }
  }

  private async init(): Promise<ChannelItem> {
    const { reader } = this;
    const { offset } = reader;
    await reader.need(INIT_LENGTH, "the first packet of a multifd channel");
    return { kind: "init", offset, init: decodeInitPacket(reader.view(INIT_LENGTH), offset, reader.path) };
  }

  private async packet(): Promise<ChannelItem> {
    const { reader } = this;
    const { offset } = reader;
    this.packets++;
    await this.need(12, "the head of a multifd packet");
    const { buffer, position } = reader;
    const view = new DataView(buffer.buffer, buffer.byteOffset + position, 12);
    checkMagic({ magic: view.getUint32(0), version: view.getUint32(4) }, offset, this.path);
    const flags = view.getUint32(8);
    if ((flags & ~KNOWN_FLAGS) !== 0 || methodOf(flags) === undefined) {
      throw this.error("unknown-type", "flags of a multifd packet", 8, undefined, hex(flags));
    }
    if ((flags & MultifdFlag.DEVICE_STATE) !== 0) return await this.deviceState(offset);
    const length = ramPacketLength(this.pageSize);
    await this.need(length, "the head of a multifd packet");
    const packet = decodeRamPacket(reader.view(length), this.pageSize);
    this.check(packet, offset);
    const payloadOffset = reader.offset;
    let payload: Uint8Array = new Uint8Array(0);
    if (packet.normalPages > 0) {
      const pieces = isPlain(packet, this.pageSize) ? this.options.place?.(packet) : undefined;
      if (pieces !== undefined) {
        await this.placed(pieces, packet.nextPacketSize);
        return { kind: "pages", offset, packet, payloadOffset, payload, placed: true };
      }
      await this.need(packet.nextPacketSize, "the payload of a multifd packet");
      payload = reader.view(packet.nextPacketSize);
    }
    return { kind: "pages", offset, packet, payloadOffset, payload };
  }

  private async placed(pieces: readonly Uint8Array[], length: number): Promise<void> {
    const { reader } = this;
    const { offset } = reader;
    const got = await reader.into(pieces);
    if (got < length) throw this.cut("the payload of a multifd packet", offset, length, got);
  }

  private async deviceState(offset: number): Promise<ChannelItem> {
    const { reader } = this;
    await this.need(DEVICE_PACKET_LENGTH, "the head of a device-state packet");
    const packet = decodeDevicePacket(reader.view(DEVICE_PACKET_LENGTH));
    const { flags, nextPacketSize } = packet;
    const most = this.options.deviceBytes ?? DEVICE_BYTES;
    if (flags !== MultifdFlag.DEVICE_STATE) {
      throw this.error(
        "bad-value",
        "flags of a device-state packet",
        8,
        hex(MultifdFlag.DEVICE_STATE),
        hex(flags),
        offset,
      );
    }
    if (packet.idstrRest === undefined)
      throw this.error("bad-value", "section name without NUL", 12, undefined, undefined, offset);
    if (nextPacketSize === 0)
      throw this.error("bad-length", "a device-state packet without state", 272, undefined, undefined, offset);
    if (nextPacketSize > most) {
      throw this.error("limit", "bytes of a device-state packet", 272, `at most ${most}`, `${nextPacketSize}`, offset);
    }
    await reader.needLarge(nextPacketSize, "the payload of a device-state packet");
    const payloadOffset = reader.offset;
    return { kind: "device-state", offset, packet, payloadOffset, payload: reader.view(nextPacketSize) };
  }

  /** The checks of QEMU's loader, and of the sizes that memory is allocated by. */
  private check(packet: RamPacket, offset: number): void {
    const { pageSize } = this;
    const room = pagesPerPacket(pageSize);
    const { pagesAlloc, normalPages, zeroPages, nextPacketSize, idstrRest } = packet;
    if (pagesAlloc > room) {
      throw this.error("bad-length", "pages_alloc of a multifd packet", 12, `at most ${room}`, `${pagesAlloc}`, offset);
    }
    if (normalPages > pagesAlloc) {
      throw this.error(
        "bad-length",
        "normal_pages of a multifd packet",
        16,
        `at most ${pagesAlloc}`,
        `${normalPages}`,
        offset,
      );
    }
    if (zeroPages > pagesAlloc - normalPages) {
      const most = `at most ${pagesAlloc - normalPages}`;
      throw this.error("bad-length", "zero_pages of a multifd packet", 32, most, `${zeroPages}`, offset);
    }
    const pages = normalPages + zeroPages;
    if (pages === 0) return;
    const bound = payloadBound(normalPages * pageSize);
    if (normalPages > 0 && nextPacketSize > bound) {
      throw this.error(
        "bad-length",
        "payload of a multifd packet",
        20,
        `at most ${bound}`,
        `${nextPacketSize}`,
        offset,
      );
    }
    if (idstrRest === undefined)
      throw this.error("bad-value", "RAM block name without NUL", 64, undefined, undefined, offset);
    this.checkPages(packet, pages, offset);
  }

  private checkPages({ idstr, offsets }: RamPacket, pages: number, offset: number): void {
    const { pageSize } = this;
    const { block } = this.options;
    const known = block?.(idstr);
    if (block !== undefined && known === undefined) {
      const what = "a page of a RAM block that the block list does not name";
      throw this.error("unknown-reference", what, 64, undefined, JSON.stringify(idstr), offset);
    }
    const end = known?.usedLength ?? Number.MAX_SAFE_INTEGER;
    for (let k = 0; k < pages; k++) {
      const at = offsets[k]!;
      if (at <= BigInt(end - pageSize) && Number(at) % pageSize === 0) continue;
      const expected = `a page's offset below ${hex(end)}`;
      throw this.error("bad-offset", `a page outside RAM block "${idstr}"`, 320 + 8 * k, expected, hex(at), offset);
    }
  }

  private async need(n: number, what: string): Promise<void> {
    if (await this.reader.fill(n)) return;
    throw this.cut(what, this.reader.offset, n, this.reader.available);
  }

  private cut(what: string, offset: number, length: number, found: number): QevmError {
    const place = { offset, path: this.path, expected: `${length} bytes`, found: `${found}` };
    return new QevmError("truncated", `the input ends inside ${what}`, place);
  }

  private error(
    code: ErrorCode,
    what: string,
    ahead: number,
    expected?: string,
    found?: string,
    start = this.reader.offset,
  ): QevmError {
    return new QevmError(code, what, { offset: start + ahead, path: this.path, expected, found });
  }
}

/** Whether the payload is the pages themselves. */
function isPlain({ flags, normalPages, nextPacketSize }: RamPacket, pageSize: number): boolean {
  return methodOf(flags) === "none" && nextPacketSize === normalPages * pageSize;
}
