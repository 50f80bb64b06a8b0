/** multifd channels: the packets that carry pages beside the main stream, decoded and encoded. */
export { ChannelPages, type PacketPages } from "./channel-pages.js";
export { ChannelReader, type ChannelItem, type ChannelOptions } from "./channel-reader.js";
export { ChannelEncoder, ChannelPackets, type ChannelEncoderOptions, type WrittenPages } from "./channel-encoder.js";
export { encodeChannelItem } from "./channel-writer.js";
export { decodeDevicePacket, DEVICE_PACKET_LENGTH, encodeDevicePacket, type DevicePacket } from "./device-packet.js";
export { flagOf, methodOf, MultifdFlag, type MultifdMethod } from "./flags.js";
export {
  decodeInitPacket,
  encodeInitPacket,
  INIT_LENGTH,
  isMultifdChannel,
  MULTIFD_MAGIC,
  MULTIFD_VERSION,
  type InitPacket,
} from "./init-packet.js";
export { decodePageTable, encodePageTable } from "./page-table.js";
export { payloadDecoder } from "./payload.js";
export { payloadBound, payloadEncoder, type PayloadOptions, type WrittenMethod } from "./payload-encoder.js";
export type { PayloadDecoder, PayloadEncoder } from "./payload-decoder.js";
export { decodeRamPacket, encodeRamPacket, pagesPerPacket, ramPacketLength, type RamPacket } from "./ram-packet.js";
export { ZlibStreamDecoder, ZlibStreamEncoder } from "./zlib-stream.js";
export { ZstdStreamDecoder, ZstdStreamEncoder } from "./zstd-stream.js";
